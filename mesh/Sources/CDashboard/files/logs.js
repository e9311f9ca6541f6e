// What this node anchored, the logs of others that it keeps, and proofs that an author told two histories.
import { h, show, card, table, facts, action, confirmed, note, saved, copyButton } from "./dom.js";
import { get, post, remove, follow } from "./api.js";
import { bytes, number, plural, short, tame } from "./formats.js";
import { at, cid, node } from "./words.js";

const entriesPerPage = 10;

/** The cards, each in its place; they look again when a job has gone on. */
export async function logs(signal) {
  const [own, others, forks] = ["", "", ""].map(() => h("div", { "aria-live": "polite" }));
  // Where each page after the first begins: behind the entry of this number.
  let pages = [];
  const turn = async (to) => {
    pages = to;
    await loadOwn();
  };
  const loadOwn = async () => {
    const asked = pages;
    const entries = await get(`/v1/dag/log?limit=${entriesPerPage}${asked.length ? `&after=${asked.at(-1)}` : ""}`, signal);
    if (asked === pages) show(own, anchored(entries, pages, turn));
  };
  const load = async () => {
    const [all, told, witness] = await Promise.all([get("/v1/dag/logs", signal), get("/v1/dag/forks?limit=50", signal),
      get("/v1/dag/witness", signal)]);
    show(others, kept(all, witness, load));
    show(forks, told.length ? histories(told) : null);
  };
  await Promise.all([loadOwn(), load()]);
  follow(["job"], () => Promise.all([loadOwn(), load()]), signal, 30);
  return [forks, own, others];
}

function anchored(entries, pages, turn) {
  return card("What this node anchored", [table("Entries of this node's log, the newest first", [
    { title: "Entry", num: true, cell: (entry) => number(entry.number) },
    { title: "Anchored", nowrap: true, cell: (entry) => at(entry.recorded_at) },
    { title: "What", wide: true, cell: (entry) => h("div", {}, entry.anchors.slice(0, 4).map((each) => h("div", {}, cid(
      each))), entry.anchors.length > 4 ? h("div", { class: "small muted" },
      `and ${number(entry.anchors.length - 4)} more`) : null) },
    { title: "Signed", cell: (entry) => cid(entry.entry_cid, "the entry's CID") },
  ], entries, pages.length ? "There are no older ones." : "Nothing yet: each receipt of a job becomes an entry."), h(
    "div", { class: "foot row" },
    h("button", { type: "button", disabled: pages.length === 0, "data-key": "newest entries", click: () => turn([]) },
      "Newest"),
    h("button", { type: "button", disabled: entries.length < entriesPerPage || entries.at(-1).number === 0,
      "data-key": "older entries", click: () => turn([...pages, entries.at(-1).number]) }, "Older"),
    action("Save the signed head", async () => {
      const head = await get("/v1/dag/head");
      saved("log.head", new TextEncoder().encode(head.text));
      note(`The head of ${plural(head.size, "entry", "entries")}: mesh dag verify checks a later one against it.`);
    }, { reads: true }))], { flush: true });
}

function kept(all, witness, load) {
  const states = (log) => [log.has_forked ? h("span", { class: "pill bad" }, "two histories") : null, log.is_followed ?
    h("span", { class: "pill good" }, "followed") : null, log.obstacle ? h("div", { class: "small muted" }, tame(log
      .obstacle, 240)) : null].filter(Boolean);
  return card("Logs of others", [table("Logs of others", [
    { title: "Author", nowrap: true, cell: (log) => node(log.author) },
    { title: "Here", num: true, cell: (log) => (log.head_entries === undefined ? number(log.entries) :
        `${number(log.entries)} of ${number(log.head_entries)}`) },
    { title: "Size", num: true, cell: (log) => bytes(log.bytes) },
    { title: "State", wide: true, cell: states },
    { title: "Do", quiet: true, num: true, cell: (log) => h("div", { class: "row" }, action("Fetch", async () => {
        const [news] = await post(`/v1/dag/sync?author=${encodeURIComponent(log.author)}`);
        note(`${plural(news?.new_entries ?? 0, "new entry", "new entries")} of ${short(log.author)}.`);
        await load();
      }, { key: `fetch ${log.author}` }), log.is_followed || !log.entries ? null : action("Forget", async () => {
        if (!await confirmed("Forget this log?", `What is kept of ${short(log.author)} is removed here.`, "Forget it"))
          return;
        await remove(`/v1/dag/logs?author=${encodeURIComponent(log.author)}`);
        await load();
      }, { key: `forget log ${log.author}` })) },
  ], all, "None was heard of. The setting log.follow names whose logs this node keeps."), h("div", { class: "foot" },
    facts([["This node's key as a witness", h("span", {}, h("code", { class: "name" }, tame(witness.key, 200)), " ",
      copyButton(witness.key, "the witness key"))], ["It cosigns the logs of", witness.authors.length ? h("div", {}, witness.authors.map((
      each) => h("div", {}, node(each)))) : "nobody"]]))], { flush: true });
}

function histories(all) {
  return card("Authors who told two histories", table("Two histories", [
    { title: "Author", nowrap: true, cell: (fork) => node(fork.author) },
    { title: "Where they part", wide: true, cell: (fork) => tame(fork.place, 300) },
    { title: "Do", quiet: true, num: true, cell: (fork) => action("Save the proof", () => saved(
        `two-histories-${short(fork.author).slice(1)}.fork`, new TextEncoder().encode(fork.text)), { reads: true,
        key: `fork ${fork.author}` }) },
  ], all, ""), { flush: true });
}
