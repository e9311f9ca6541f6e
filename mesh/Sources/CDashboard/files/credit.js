// A cooperative's own credit: the issuers that this node knows, its lines there, payments, officers' orders, audits.
import { h, show, panel, card, table, facts, tiles, failure, action, confirmed, field, choice, waiting, note }
from "./dom.js";
import { ask, get, post, session } from "./api.js";
import { head } from "./pages.js";
import { amount, midnight, number, parsed, tame, plural, short } from "./formats.js";
import { ledger } from "./ledger.js";
import { giving, tokens } from "./tokens.js";
import { node, at, bookings } from "./words.js";

const about = "Among the members of a cooperative one owes what another is owed. An issuer keeps that book, its " +
  "officers set the limits, and this node checks what it says.";

const owed = (line) => (line.balance < 0 ? "owes " : "is owed ") + amount(Math.abs(line.balance), line);

const lineTable = (lines, empty) => table("Lines", [
  { title: "Member", cell: (line) => node(line.did, line.is_issuer ? "an issuer" : null) },
  { title: "Balance", cell: owed },
  { title: "May owe", num: true, cell: (line) => amount(line.owed_max, line) },
  { title: "May be owed", num: true, cell: (line) => amount(line.owing_max, line) },
  { title: "Held", num: true, cell: (line) => (line.leaving ? amount(line.leaving, line) : "") },
  { title: "State", cell: (line) => (line.is_frozen ? h("span", { class: "pill bad" }, "frozen") : "") },
], lines, empty);

const faulty = (it) => (it.fault ? h("div", { class: "box bad" }, h("strong", {}, "It signed two histories."),
  h("p", {}, "Both heads are kept, and prove it to anybody: mesh issuer show --json prints them.")) : null);

// MARK: All issuers

export async function credit({ container, rest: [did], signal }) {
  if (did) return issuer({ container, did, signal });
  const [known, own, held] = await Promise.all([get("/v1/credit/issuers", signal), ownBook(signal), tokens(signal)]);
  const others = known.filter((each) => each.did !== own?.did);
  const wanted = h("input", { autocomplete: "off", spellcheck: "false", placeholder: "did:key:z6Mk…", size: 40 });
  show(container, head("Credit", about), h("div", { class: "stack" },
    own ? card("This node's own book", [charter(own), lineTable(own.lines, "It has no members yet.")]) : null,
    own && session.mayChange ? ledger(own.did, signal) : null,
    card("Issuers", table("Issuers", [
      { title: "Issuer", cell: (each) => h("a", { href: `#/credit/${each.did}` }, node(each.did)) },
      { title: "Unit", cell: (each) => tame(each.unit, 16) },
      { title: "This node", cell: (each) => each.lines.filter((line) => !line.is_issuer).map((line) =>
          h("div", {}, owed(line))) },
      { title: "Told", num: true, cell: (each) => at(each.told_at) },
      { title: "Entries", num: true, cell: (each) => number(each.entries) },
      { title: "Fault", cell: (each) => (each.fault ? h("span", { class: "pill bad" }, "two histories") : "") },
    ], others, "This node has asked no issuer yet."), { flush: true }),
    held,
    session.mayChange ? card("Ask an issuer", h("form", {
      class: "row",
      submit: (event) => {
        event.preventDefault();
        if (wanted.value.trim()) location.hash = `#/credit/${encodeURIComponent(wanted.value.trim())}`;
      }
    }, field("DID of the issuer", wanted, "It has to be connected, or findable in the mesh."), h("button", {
      class: "primary" }, "Ask"))) : null,
    own || !session.mayChange ? null : founding()));
}

async function ownBook(signal) {
  try {
    return await get("/v1/credit/own", signal);
  } catch (error) {
    if (error.code === "no_issuer") return null;
    throw error;
  }
}

const charter = (it) => h("div", { class: "stack" }, it.obstacle ? h("div", { class: "box warn" }, tame(it.obstacle,
  400)) : null, it.witness_warning ? h("div", { class: "box warn" }, tame(it.witness_warning, 600)) : null,
  it.ended_at ? h("div", { class: "box warn" }, "By its issuer's word this book has ended.") : it.winds_down_since ? h("div", {
    class: "box warn" }, "By its issuer's word this book winds down: nothing new is held or owed. Ask an officer.") : null,
  facts([
  ["Issuer", node(it.did)],
  ["Unit", `${tame(it.unit, 16)}, with ${plural(it.decimals, "decimal")}`],
  ["Officers", h("div", {}, it.officers.map((each) => h("div", {}, node(each))))],
  ["Have to approve", `${it.approvals} of them`],
  ["Pays members of", it.pays?.length ? h("div", {}, it.pays.map((each) => h("div", {}, node(each)))) : ""],
  ["Decide disputes", it.arbiters.length ? h("div", {}, it.arbiters.map((each) => h("div", {}, node(each)))) : ""],
  ["Witnesses", it.witnesses?.length ? h("div", {}, it.witnesses.map((each) => h("div", {}, node(each)))) : ""],
  ["Caught up until", it.caught_up_until ? at(it.caught_up_until) : ""],
  ["Book opened", at(it.opened_at)],
  ["Closed before", it.closed_until ? at(it.closed_until) : ""],
  ["Trial balance then", it.balance_cid ? tame(it.balance_cid, 80) : ""],
  ["Winds down since", it.winds_down_since ? at(it.winds_down_since) : ""],
  ["Successor", it.successor ? node(it.successor) : ""],
  ["Ended", it.ended_at ? at(it.ended_at) : ""],
  ["Entries", number(it.entries)],
]));

/** Goes to this page anew. */
const again = () => dispatchEvent(new HashChangeEvent("hashchange"));

function founding() {
  const text = (attributes) => h("input", { autocomplete: "off", spellcheck: "false", ...attributes });
  const [unit, decimals, approvals] = [text({ maxlength: 16, placeholder: "hours" }),
    text({ type: "number", min: 0, max: 9, value: 2 }), text({ type: "number", min: 2, max: 16, value: 2 })
  ];
  const list = (rows) => h("textarea", { rows, spellcheck: "false", placeholder: "did:key:z6Mk…" });
  const [officers, arbiters, witnesses] = [list(3), list(1), list(3)];
  const named = (area) => area.value.split(/\s+/).filter(Boolean);
  return card("A book of this node's own", h("details", { class: "further", "data-key": "found" }, h("summary", {},
      "Make this node an issuer"), h("div", { class: "stack" },
      h("p", { class: "muted" }, "It keeps the book of a cooperative from then on. All of this stays as it is for " +
        "good: docs/issuers.md says what to think of before."),
      h("div", { class: "fields" }, field("Name of the unit", unit), field("Decimals", decimals),
        field("Officers who have to approve", approvals)),
      field("DIDs of the officers", officers, "One a line, two at the least, and none of them this node."),
      field("DIDs of the arbiters", arbiters, "Who may decide about disputed claims; nobody can, where you name none."),
      field("DIDs of the witnesses", witnesses, "Nodes that keep the book, and claims while this node is away. A " +
        "quorum of them has to run for the book to be open: one of one, two of three, three of four."),
      h("p", {}, action("Found the issuer", async () => {
        if (!await confirmed("Make this node an issuer?",
            "Its unit, officers, arbiters and witnesses cannot be changed afterwards.", "Found the issuer")) return;
        await post("/v1/credit/own", { unit: unit.value.trim(), decimals: Number(decimals.value),
          approvals: Number(approvals.value), officers: named(officers), arbiters: named(arbiters),
          witnesses: named(witnesses) });
        note("This node is an issuer.");
        again();
      }, { kind: "primary" })))));
}

// MARK: One issuer

async function issuer({ container, did, signal }) {
  const asked = `issuer=${encodeURIComponent(did)}`;
  const asIssuerSays = async () => {
    if (session.mayChange) return ask(`/v1/credit/issuer?${asked}`, signal);
    const known = (await get("/v1/credit/issuers", signal)).find((each) => each.did === did);
    if (!known) throw Error("This session only looks, and this node has not asked that issuer.");
    return known;
  };
  const parts = Object.fromEntries(["tiles", "fault", "charter", "sums", "statement", "orders", "audit"].map((name) =>
    [name, h("div", { "aria-live": "polite" })]));
  const draw = {
    tiles: panel(parts.tiles, (it) => tiles(it.lines.filter((line) => !line.is_issuer).flatMap((line) => [
      [line.balance < 0 ? "This node owes" : "This node is owed", amount(Math.abs(line.balance)
        , { decimals: line.decimals }), tame(line.unit, 16)],
      ["It can pay", amount(line.spendable, { decimals: line.decimals }), tame(line.unit, 16)],
      ["It may owe", amount(line.owed_max, { decimals: line.decimals }), tame(line.unit, 16)],
      ["It may be owed", amount(line.owing_max, { decimals: line.decimals }), tame(line.unit, 16)],
    ]))),
    fault: panel(parts.fault, faulty),
    charter: panel(parts.charter, (it) => card("Charter", charter(it))),
    sums: panel(parts.sums, (it) => (it.totals.length === 0 ? null : card("All lines together", table("Sums", [
      { title: "Lines", cell: (each) => number(each.lines) },
      { title: "It owes", num: true, cell: (each) => amount(each.owed, each) },
      { title: "It is owed", num: true, cell: (each) => amount(each.owing, each) },
      { title: "At most", num: true, cell: (each) => amount(each.owed_max, each) },
    ], it.totals, ""), { flush: true }))),
  };
  let told = await asIssuerSays();
  const refresh = async () => {
    told = await asIssuerSays();
    for (const each of Object.values(draw)) each(told);
  };
  for (const each of Object.values(draw)) each(told);
  const isMember = told.lines.some((line) => !line.is_issuer);
  show(container, head(`Issuer ${short(did)}`, about, action("Ask again", again)), parts.fault, parts.tiles,
    h("div", { class: "columns" },
      h("div", { class: "stack" }, isMember ? statement(parts.statement, asked, signal) : h("div", { class: "box" },
        "This node has no line there. An officer opens one: mesh issuer order limit."), audit(parts.audit, asked,
        signal), session.mayChange ?
        [orders(parts.orders, () => told, did, asked, refresh, signal), ledger(did, signal)] : null),
      h("div", { class: "stack" }, isMember && session.mayChange ? [payment(() => told, did, refresh), giving({
        issuer: did, unit: { unit: told.unit, decimals: told.decimals } })] : null, parts.charter, parts.sums)));
}

function payment(told, did, refresh) {
  const unit = () => ({ unit: told().unit, decimals: told().decimals });
  // Until it is known what became of a payment, it keeps its key, also where this page is drawn anew: the same one, asked
  // for again, is paid once. Another payment has another key.
  const place = `payment at ${did}`;
  const last = () => JSON.parse(sessionStorage.getItem(place) ?? "null");
  const outcome = h("div", { "aria-live": "polite" }, last() ? h("p", {}, "Whether this payment was made is not known. " +
    "Pay it again to ask: it is paid once.") : null);
  const to = h("input", { autocomplete: "off", spellcheck: "false", placeholder: "did:key:z6Mk…",
    value: last()?.creditor });
  const sum = h("input", { autocomplete: "off", inputmode: "decimal", placeholder: "0", value: last()?.sum });
  return card("Pay", h("div", { class: "stack" }, field("Whom", to), field(`How much, in ${tame(unit().unit, 16)}`,
    sum), outcome, h("p", {}, action("Pay", async () => {
    const parts = parsed(sum.value, unit().decimals);
    const creditor = to.value.trim();
    if (!await confirmed(`Pay ${amount(parts, unit())}?`, `To ${creditor}. What is paid is booked for good.`,
        "Pay it")) return;
    const same = last()?.creditor === creditor && last()?.amount === parts ? last() : null;
    const key = same?.key ?? crypto.randomUUID();
    sessionStorage.setItem(place, JSON.stringify({ creditor, sum: sum.value, amount: parts, key }));
    outcome.replaceChildren(h("p", {}, "The issuer is asked…"));
    try {
      const paid = await post("/v1/credit/payments", { issuer: did, creditor, amount: parts, idempotency_key: key });
      sessionStorage.removeItem(place);
      outcome.replaceChildren();
      note(`Paid ${amount(paid.amount, paid)}, entry ${paid.entry} of the book, whose place in the log was checked.`);
      sum.value = "";
    } catch (error) {
      // Of these nothing was paid, and nothing will be under this key.
      if (["conflict", "invalid_request"].includes(error.code)) sessionStorage.removeItem(place);
      outcome.replaceChildren(failure(error));
      return;
    }
    await refresh();
  }, { kind: "primary" }))));
}

function statement(place, asked, signal) {
  const result = (it) => h("div", { class: "stack" }, h("div", {
      class: `box ${it.is_complete === false ? "bad" : "good"}`
    }, it.is_complete === false ? "The bookings do not come to the balance that the issuer tells." :
    it.is_complete ? "Every booking is proved and justified, and together they come to the balance." :
    "Every booking is proved. What a lost dispute cost is not among them, so they are not added up here."), table("Bookings, the newest first", [
    { title: "Entry", num: true, cell: (each) => number(each.number) },
    { title: "When", nowrap: true, cell: (each) => at(each.at) },
    { title: "What", cell: (each) => bookings[each.kind] ?? tame(each.kind.replaceAll("_", " "), 40) },
    { title: "With", nowrap: true, cell: (each) => node(each.other) },
    { title: "Amount", num: true, cell: (each) => (each.amount === undefined ? "" :
        `${each.amount > 0 ? "+" : ""}${amount(each.amount, each)}`) },
    { title: "Note", wide: true, cell: (each) => (each.note ? tame(each.note, 240) : "") },
  ], it.bookings.toReversed().slice(0, 200), "Nothing is booked yet."), it.bookings.length > 200 ? h("p", {
    class: "small muted" }, "The newest 200 are shown; mesh issuer statement lists all.") : null);
  return card("Statement", h("div", { class: "stack" }, h("p", { class: "row" }, action("Check my bookings", asking(
    place, () => ask(`/v1/credit/statement?${asked}`, signal), result, signal), { kind: "primary" })), place));
}

/** What shows in a place what an answer says, or why there is none. */
const asking = (place, question, draw, signal) => async () => {
  show(place, waiting());
  try {
    show(place, draw(await question()));
  } catch (error) {
    if (!signal.aborted) show(place, failure(error));
  }
};

function audit(place, asked, signal) {
  const result = (it) => h("div", { class: "stack" }, h("div", { class: `box ${it.finding ? "bad" : "good"}` }, it
    .finding ? `The first line that does not agree: ${tame(it.finding, 400)}.` : it.is_whole ?
    `All ${number(it.entries)} entries were replayed with every signature, and agree.` :
    `The log agrees, and ${number(it.opened)} of its ${number(it.entries)} entries are this node's.`), it.lines
    .length ? lineTable(it.lines, "") : null);
  return session.mayChange ? card("Audit", h("div", { class: "stack" }, h("p", { class: "muted" },
      "Holds the issuer's head, its log and what it shows this node against each other; an appointed auditor replays " +
      "the whole book."), h("p", {}, action("Audit the book", asking(place, () => post(`/v1/credit/audit?${asked}`,
      undefined, signal), result, signal))), place)) : null;
}

// MARK: Officers

/** What officers order: its name, its words, and its fields. */
const actions = [
  ["limit", "Open a line, or change its limits", ["did", "owed", "owing"]],
  ["neighbour", "Open another issuer's line, or change its limits", ["did", "owed", "owing"]],
  ["freeze", "Freeze a line", ["did"]],
  ["unfreeze", "Unfreeze a line", ["did"]],
  ["reverse", "Reverse a payment", ["entry", "note"]],
  ["write_off", "Write off a part of a debt", ["did", "amount", "note"]],
  ["deposit", "Book what was paid in elsewhere", ["did", "amount", "note"]],
  ["withdraw", "Book what was paid out elsewhere", ["did", "amount", "note"]],
  ["appoint", "Appoint an auditor", ["did"]],
  ["dismiss", "Dismiss an auditor", ["did"]],
  ["move", "Move an account to another key", ["did", "to", "note"]],
  ["close", "Close a period", ["until", "balance"]],
  ["wind_down", "Wind the book down, for good", ["successor", "note"]],
  ["end", "End the book", ["note"]],
];
const fieldNames = { did: "DID", owed: "It may owe", owing: "It may be owed", amount: "Amount", entry: "Entry",
  note: "Why", to: "DID of the new key", until: "All before this date, in UTC", balance: "CID of the trial balance",
  successor: "DID of the successor, if there is one" };

function orders(place, told, did, asked, refresh, signal) {
  const list = h("div", { "aria-live": "polite" });
  const waitingOrders = (all) => table("Orders that wait", [
    { title: "Order", wide: true, cell: (each) => tame(each.text, 300) },
    { title: "Approved by", cell: (each) => h("div", {}, each.approvers.map((who) => h("div", {}, node(who))),
        h("span", { class: "small muted" }, `${each.counted} of ${each.needed} count`)) },
    { title: "Its owner", cell: (each) => node(each.countersigner) },
    { title: "Do", quiet: true, num: true, cell: (each) => action("Approve", async () => {
        if (!await confirmed("Approve this order?", tame(each.text, 300), "Approve it")) return;
        const done = await post("/v1/credit/approvals", { issuer: did, order_cid: each.order_cid });
        note(done.entry === undefined ? "Approved; it waits for others." : `Carried out, as entry ${done.entry}.`);
        await Promise.all([load(), refresh()]);
      }, { key: `approve ${each.order_cid}` }) },
  ], all, "No order waits for this node.");
  const load = asking(list, () => ask(`/v1/credit/orders?${asked}`, signal), waitingOrders, signal);
  place.className = "stack";
  show(place, card("Officers' orders", list, { flush: true }));
  load();
  get("/v1/status", signal).then((status) => {
    if (told().officers.includes(status.did)) place.append(proposal(told, did, async () => {
      await Promise.all([load(), refresh()]);
    }));
  }).catch(() => null);
  return place;
}

function proposal(told, did, after) {
  const place = h("div", { class: "fields" });
  let [chosen, inputs] = ["limit", {}];
  const drawn = () => {
    const names = actions.find(([name]) => name === chosen)[2];
    inputs = Object.fromEntries(names.map((name) => [name, h("input", { autocomplete: "off", spellcheck: "false" })]));
    show(place, names.map((name) => field(fieldNames[name], inputs[name])));
  };
  const select = choice(actions.map(([name, words]) => [name, words]), chosen, (value) => {
    chosen = value;
    drawn();
  });
  drawn();
  return card("Propose an order", h("div", { class: "stack" }, field("What to order", select), place, h("p", {}, action(
    "Propose it", async () => {
      const order = { issuer: did, action: chosen };
      if (chosen === "neighbour") Object.assign(order, { action: "limit", is_issuer: true });
      for (const [name, input] of Object.entries(inputs)) {
        const text = input.value.trim();
        if (["owed", "owing", "amount"].includes(name)) order[name] = parsed(text, told().decimals);
        else if (name === "entry") order[name] = parsed(text, 0);
        else if (name === "until") order[name] = midnight(text);
        else if (text) order[name] = text;
      }
      const made = await post("/v1/credit/orders", order);
      note(made.entry === undefined ? "Proposed, and approved by this node." : `Carried out, as entry ${made.entry}.`);
      drawn();
      await after();
    }, { kind: "primary" }))));
}
