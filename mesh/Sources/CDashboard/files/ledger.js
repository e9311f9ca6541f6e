// For the treasurer: an issuer's book as double entry, to be looked at, and saved as accountants' programs read it.
import { h, show, card, table, facts, action, failure, field, waiting, note, saved } from "./dom.js";
import { ask } from "./api.js";
import { amount, midnight, number, plural, short, tame } from "./formats.js";
import { at, bookings, cid, jobByID, node } from "./words.js";

const shownMax = 200;
const accounts = {
  fees: ["Fees", "Income:Fees"],
  losses: ["Written off", "Expenses:Losses"],
  cash: ["Paid in and out elsewhere", "Assets:Cash"],
  exchange: ["Exchange", "Equity:Exchange"],
};

/** The card: a period, the book of it, and files of it. */
export function ledger(did, signal) {
  const place = h("div", { "aria-live": "polite" });
  const [from, until] = [0, 1].map(() => h("input", { autocomplete: "off", spellcheck: "false", placeholder: "2026-11-01",
    maxlength: 10 }));
  const period = () => {
    const [begin, end] = [from, until].map((each) => (each.value ? midnight(each.value) : undefined));
    if (begin !== undefined && end !== undefined && begin >= end) throw Error("The period ends before it begins.");
    return { from: begin, until: end };
  };
  const part = (asked, after) => {
    const query = new URLSearchParams({ issuer: did });
    for (const [name, value] of Object.entries({ ...asked, after })) if (value !== undefined) query.set(name, value);
    return ask(`/v1/credit/ledger?${query}`, signal);
  };
  const whole = async (asked) => {
    const all = await part(asked);
    while (all.next !== undefined) {
      const { entries, closing, next, size, balance_cid } = await part(asked, all.next);
      Object.assign(all, { entries: all.entries.concat(entries), closing, next, size, balance_cid });
    }
    return all;
  };
  const saving = (title, ending, write) => action(title, async () => {
    const asked = period();
    const book = await whole(asked);
    const days = [asked.from, asked.until].filter((each) => each !== undefined).map(day);
    saved(["ledger", short(did).slice(1), ...days].join("-") + ending, new TextEncoder().encode(write(book, asked)));
    note(`Saved, with ${plural(book.entries.length, "entry", "entries")}; each was checked.`);
  });
  return card("For the treasurer", h("div", { class: "stack" }, h("p", { class: "muted" },
      "The whole book as double entry, for the issuer itself and its auditors. It is audited first; an entry never " +
      "changes."),
    h("div", { class: "fields" }, field("From, in UTC", from), field("Before, in UTC", until)), h("p", { class: "row" },
      action("Show the book", async () => {
        const asked = period();
        show(place, waiting());
        try {
          show(place, book(await part(asked)));
        } catch (error) {
          if (!signal.aborted) show(place, failure(error));
        }
      }, { kind: "primary" }), saving("Save for ledger and hledger", ".ledger", journal), saving("Save as CSV", ".csv",
        separated), saving("Save as JSON", ".json", (all) => JSON.stringify(all, null, 2))), place));
}

// MARK: Shown

const account = (posting) => (posting.account === "line" ? node(posting.did) : accounts[posting.account]?.[0] ?? tame(
  posting.account, 40));
const signed = (posting) => `${posting.amount > 0 ? "+" : ""}${amount(posting.amount, posting)}`;

function book(it) {
  const rows = it.entries.slice(0, shownMax);
  return h("div", { class: "stack" }, table("The book", [
    { title: "Entry", num: true, cell: (entry) => number(entry.number) },
    { title: "When", nowrap: true, cell: (entry) => at(entry.at) },
    { title: "What", wide: true, cell: (entry) => [bookings[entry.kind] ?? tame(entry.kind.replaceAll("_", " "), 40),
        entry.job_id ? h("div", {}, "job ", jobByID(entry.job_id)) : null, entry.note ? h("div", { class:
          "small muted" }, tame(entry.note, 240)) : null] },
    { title: "Accounts", num: true, nowrap: true, cell: (entry) => entry.postings.map((posting) => h("div", {}, account(
        posting), " ", signed(posting))) },
  ], rows, "Nothing moved in that time."), it.next !== undefined || it.entries.length > shownMax ? h("p", {
    class: "small muted" }, `The first ${number(rows.length)} entries; a saved file has all.`) : [table("Balances", [
    { title: "Account at the end", cell: account },
    { title: "The issuer owes", num: true, cell: (posting) => amount(posting.amount, posting) },
  ], it.closing, "All accounts are at zero."), facts([["Trial balance", cid(it.balance_cid, "the trial balance's CID")],
    ["Entries checked", number(it.size)]])]);
}

// MARK: Saved, as mesh issuer ledger writes it

const day = (milliseconds) => date(milliseconds).slice(0, 10);

function date(milliseconds) {
  if (milliseconds >= 253_402_300_800_000) return `${milliseconds} ms`;
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace("T", " ")}Z`;
}

/** A text in which no character turns or hides others. */
const safe = (text) => String(text).replace(
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu,
  (each) => ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[each] ?? `\\u{${each.codePointAt(0).toString(16).toUpperCase()}}`);

function decimal(parts, decimals) {
  const digits = String(Math.abs(parts)).padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  return `${parts < 0 ? "-" : ""}${whole}${decimals > 0 ? `.${digits.slice(digits.length - decimals)}` : ""}`;
}

const begun = (it, asked) => asked.from ?? it.entries[0]?.at ?? 0;

/** Transactions of ledger-cli and hledger: what is owed to members is a liability, so amounts have the other sign. */
function journal(it, asked) {
  const name = (posting) => (posting.account === "line" ? `Liabilities:Lines:${safe(posting.did).split(":").at(-1)}` :
    accounts[posting.account][1]);
  const sum = (posting) => `${name(posting)}  ${decimal(-posting.amount, posting.decimals)} "${safe(posting.unit)}"\n`;
  const postings = (list) => `${list.map((each) => `    ${sum(each)}`).join("")}\n`;
  // No date for ledger-cli, and no tag for either.
  const remark = (text) => safe(text).replaceAll("[", "(").replaceAll("]", ")").replaceAll(":", ";");
  const opening = it.opening.length ? `${day(begun(it, asked))} * Opening balances\n${postings(it.opening)}` : "";
  return `; The book of ${it.issuer}, of whose ${it.size} entries each was checked.\n\n${opening}${it.entries.map((entry) =>
    `${day(entry.at)} * (${entry.number}) ${safe(entry.kind.replaceAll("_", " "))}\n${entry.note ?
    `    ; ${remark(entry.note)}\n` : ""}${entry.job_id ? `    ; job: ${safe(entry.job_id)}\n` : ""}${postings(entry
    .postings)}`).join("")}${it.closing.map((each) => `; closing ${sum(each)}`).join("")}`;
}

/** A row for each posting (RFC 4180), with the signs of the book. */
function separated(it, asked) {
  const text = (each) => (/[,"\r\n]/.test(safe(each)) ? `"${safe(each).replaceAll('"', '""')}"` : safe(each));
  const row = (posting, entry) => `${[entry.number ?? "", date(entry.at), entry.kind, posting.account, posting.did ?? "",
    decimal(posting.amount, posting.decimals), posting.unit, entry.job_id ?? "",
    // No spreadsheet takes it for a formula.
    /^[=+\-@\t\r]/.test(entry.note ?? "") ? `'${entry.note}` : entry.note ?? ""].map(text).join(",")}\r\n`;
  return "entry,date,kind,account,did,amount,unit,job,note\r\n" + it.opening.map((posting) => row(posting, {
    at: begun(it, asked), kind: "opening" })).join("") + it.entries.map((entry) => entry.postings.map((posting) => row(
    posting, entry)).join("")).join("");
}
