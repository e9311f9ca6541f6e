// Tokens: rights to have jobs paid at the cost of somebody else's line. What this node holds or gave; to give, to take,
// to hand on, to save for its holder, and to revoke.
import { h, show, card, table, facts, failure, action, confirmed, field, waiting, note, saved } from "./dom.js";
import { ask, get, post, session } from "./api.js";
import { amount, number, parsed, short, tame } from "./formats.js";
import { cid, node, at } from "./words.js";

const DAY = 86_400_000;
const maxima = { days: 90, depth: 4 };

/** What a scope may name: its part of the API's answer, its words, and what it is. */
const scopes = [
  ["executors", "Run only by", "DIDs of executors"],
  ["cooperatives", "Run only by members of", "DIDs of issuers"],
  ["jobs", "Only these jobs", "Their IDs"],
  ["modules", "Only these modules", "Their CIDs"],
  ["regions", "Only jobs that keep to", "Regions"],
  ["features", "Only jobs that require", "Features"],
  ["resources", "Only jobs that ask for no other than", "Types of resources"],
];

const scopeFacts = (scope) => scopes.map(([name, title]) => [title, scope[name]?.length ? h("div", {}, scope[name].map(
  (each) => h("div", {}, tame(each, 120)))) : ""]);

/** Whether a job could be paid by a token now, as far as this node knows without asking. */
export const isUsable = (token) => token.is_own && token.not_before <= Date.now() && Date.now() < token.expires_at;

const base64 = (bytes) => btoa(Array.from(bytes, (each) => String.fromCharCode(each)).join(""));
const decoded = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));

/** The tokens that are here, and what can be done with each. */
export async function tokens(signal) {
  const [list, result] = [h("div", {}), h("div", { "aria-live": "polite" })];
  const load = async () => show(list, tokenTable(await get("/v1/credit/tokens", signal), { result, load, signal }));
  await load();
  return [card("Tokens", list, { flush: true }), result, session.mayChange ? taking(load) : null];
}

function tokenTable(all, { result, load, signal }) {
  const state = (token) => (token.expires_at <= Date.now() ? h("span", { class: "pill" }, "ended") : token.not_before >
    Date.now() ? h("span", { class: "pill warn" }, "not yet") : null);
  const asked = (token) => action("What is left", async () => {
    show(result, card(`Token ${short(token.token)}`, waiting()));
    try {
      show(result, told(await ask(`/v1/credit/token?token=${encodeURIComponent(token.token)}`, signal)));
    } catch (error) {
      if (!signal.aborted) show(result, card(`Token ${short(token.token)}`, failure(error)));
    }
  }, { key: `left ${token.token}` });
  const handed = (token) => action("Hand on", () => show(result, giving({ below: token, after: load })), {
    key: `hand ${token.token}`
  });
  const revoked = (token) => action("Revoke", async () => {
    if (!await confirmed("Revoke this token?", `${amount(token.amount, token)} for ${short(token.holder)}. What is ` +
        "held by it already may still be paid; nothing more is held.", "Revoke it")) return;
    const done = await post("/v1/credit/revocations", { token: token.token });
    show(result, told(done));
    note(`Revoked, as entry ${done.revoked_by} of the book.`);
  }, { key: `revoke ${token.token}` });
  return table("Tokens, to pay jobs with", [
    { title: "Token", cell: (token) => cid(token.token, "the token's CID") },
    { title: "Line of", cell: (token) => node(token.givers[0]) },
    { title: "Held by", cell: (token) => (token.is_own ? "this node" : node(token.holder)) },
    { title: "Up to", num: true, cell: (token) => amount(token.amount, token) },
    { title: "Until", cell: (token) => [at(token.expires_at), " ", state(token)] },
    { title: "Do", quiet: true, wide: true, cell: (token) => (session.mayChange ? h("div", { class: "row" }, asked(token),
      action("Save", () => saved(`token-${short(token.token).slice(1)}`, decoded(token.chain)), {
        key: `save ${token.token}`
      }), token.is_own && token.givers.length < maxima.depth ? handed(token) : null, token.is_own ? null :
      revoked(token)) : "") },
  ], all, "This node holds no token, and gave none.");
}

/** A token as its issuer sees it. */
function told(token) {
  const [first, ...others] = token.givers;
  return card(`Token ${short(token.token)}`, facts([
    ["Issuer", h("a", { href: `#/credit/${token.issuer}` }, node(token.issuer))],
    ["Line of", node(first)],
    ["Handed on by", others.length ? h("div", {}, others.map((each) => h("div", {}, node(each)))) : ""],
    ["Held by", node(token.holder, token.is_own ? "this node" : null)],
    ["Up to", amount(token.amount, token)],
    ["Left", token.left === undefined ? "" : amount(token.left, token)],
    ["From", at(token.not_before)],
    ["Until", at(token.expires_at)],
    ["Revoked", token.revoked_by === undefined ? "" : `by entry ${number(token.revoked_by)}`],
    ["Line", token.is_frozen ? "takes no orders" : ""],
    ...scopeFacts(token.scope),
  ]));
}

/** The form of a token of this node's line at an issuer (`issuer`, with `unit`), or of a part of one that it holds. */
export function giving({ issuer, unit, below, after }) {
  const text = (attributes) => h("input", { autocomplete: "off", spellcheck: "false", ...attributes });
  const measure = below ?? unit;
  const [holder, sum, days] = [text({ placeholder: "did:key:z6Mk…" }), text({ inputmode: "decimal", placeholder: "0" }),
    text({ type: "number", min: 0, max: maxima.days, step: "any", value: 1 })];
  const lists = scopes.map(([name, title, what]) => [name, title, what, h("textarea", { rows: 2, spellcheck: "false" })]);
  // Until it is known what became of it, what is asked for again is the same gift, and one token.
  let asked = null;
  const give = async () => {
    const scope = Object.fromEntries(lists.map(([name, , , area]) => [name, area.value.split(/[\n,]/).map((each) => each
      .trim()).filter(Boolean)]).filter(([, named]) => named.length));
    const gift = { issuer, parent: below?.token, holder: holder.value.trim(), amount: parsed(sum.value, measure.decimals),
      scope };
    const words = JSON.stringify([gift, days.value]);
    if (asked?.words !== words) {
      const last = Date.now() + Math.round(Number(days.value) * DAY);
      asked = { words, key: crypto.randomUUID(), last: below ? Math.min(last, below.expires_at) : last };
    }
    const made = await post("/v1/credit/tokens", { ...gift, expires_at: asked.last, idempotency_key: asked.key });
    asked = null;
    for (const each of [holder, sum]) each.value = "";
    note(`Token ${short(made.token)} is given. Save it under Credit, and hand the file to its holder.`);
    await after?.();
  };
  return card(below ? `Hand on a part of ${short(below.token)}` : "Give a token", h("div", { class: "stack" },
    h("p", { class: "muted" }, below ? "Its holder runs jobs by it, for no more than this token has." :
      "Its holder runs jobs at the cost of this node's line, up to an amount and until a date."),
    field("Its holder", holder), h("div", { class: "fields" }, field(`Worth, in ${tame(measure.unit, 16)}`, sum),
      field("Valid for days", days)),
    h("details", { class: "further", "data-key": "scope" }, h("summary", {}, "For what it pays"), h("div", {
      class: "stack" }, h("p", { class: "small muted" }, "What stays empty restricts nothing. One on each line, 16 at " +
      "the most."), h("div", { class: "halves" }, lists.map(([, title, what, area]) => field(title, area, `${what}.`))))),
    h("p", {}, action("Give it", give, { kind: "primary" }))), { id: "c-giving" });
}

/** Takes a token that somebody handed over, as a file or as its text. */
function taking(after) {
  const area = h("textarea", { rows: 2, spellcheck: "false", autocomplete: "off" });
  const file = h("input", {
    type: "file",
    change: async () => {
      if (file.files.length) area.value = base64(new Uint8Array(await file.files[0].slice(0, 65_536).arrayBuffer()));
    }
  });
  return card("Take a token", h("div", { class: "stack" }, h("p", { class: "muted" }, "Somebody gave this node a right " +
    "to have jobs paid. Jobs name it under Submit, or by mesh run --token."),
    field("Its file", file, "What mesh token export or this page saved."), field("Or its text", area, "In base64."),
    h("p", {}, action("Take it", async () => {
      const taken = await post("/v1/credit/chains", { chain: area.value.trim() });
      [area.value, file.value] = ["", ""];
      note(`Token ${short(taken.token)} is here, up to ${amount(taken.amount, taken)}.`);
      await after();
    }, { kind: "primary" }))));
}
