// Workflows: the list, and one with its graph, its items and its receipt.
import { h, show, panel, card, table, tiles, action, confirmed, choice, note } from "./dom.js";
import { get, post, block, part as inPath } from "./api.js";
import { head, kept } from "./pages.js";
import { graph } from "./charts.js";
import { decode } from "./cbor.js";
import { proving, output } from "./job.js";
import { number, tokens, tame, short, plural } from "./formats.js";
import { status, at, cid, jobByID } from "./words.js";

const plansPerPage = 50;

export async function workflows({ container, signal }) {
  const list = h("div");
  // Where each page after the first begins: behind this workflow.
  let pages = [];
  const draw = panel(list, ({ all, page }) => h("section", { class: "card", "aria-label": "Workflows" }, h(
  "div", { class: "body flush" }, table("Workflows", [{
      title: "Workflow",
      cell: (each) => h("a", { href: `#/workflow/${each.workflow_id}` }, h(
        "span", { class: "main name" }, tame(each.name)), " ",
        h("span", { class: "mono" }, short(each.workflow_id)))
    },
    { title: "State", cell: (each) => status(each.status) },
    { title: "Begun", num: true, cell: (each) => at(each.submitted_at) },
  ], all, page > 1 ? "There are no older ones." : h("span", {}, "No workflows yet. ", h("code", {},
    "mesh workflow run FILE"), " or ", h("code", {}, "mesh map"), " begins one."))), h("div", { class: "foot row" },
    h("button", { type: "button", disabled: page === 1, "data-key": "newest", click: () => turn([]) }, "Newest"),
    h("button", { type: "button", disabled: all.length < plansPerPage, "data-key": "older",
      click: () => turn([...pages, all.at(-1).workflow_id]) }, "Older"),
    h("span", { class: "muted small" }, `Page ${page}, ${plural(all.length, "workflow")}`))));
  const load = async () => ({ page: pages.length + 1, all: await get(
    `/v1/workflows?limit=${plansPerPage}${pages.length ? `&after=${pages.at(-1)}` : ""}`, signal) });
  const drawNewest = (found) => {
    // A page that was left meanwhile is not shown.
    if (found.page === pages.length + 1) draw(found);
  };
  const turn = async (to) => {
    pages = to;
    drawNewest(await load());
  };
  await kept(container, signal, ["job"], load, drawNewest);
  show(container, head("Workflows", "Plans over jobs, each with its budget, its jobs and one receipt for all."),
    list);
}

const itemsPerPage = 100;

export async function workflow({ container, rest: [id], signal }) {
  const path = `/v1/workflows/${inPath(id)}`;
  const names = ["head", "tiles", "graph", "items", "outputs", "receipt"];
  const part = Object.fromEntries(names.map((name) => [name, h("div")]));
  let [stage, phase] = ["", ""];
  // Where each page of items after the first begins: behind the item of this place.
  let pages = [];
  const manifest = await block(id, signal).then(decode).catch(() => null);
  const needs = needed(manifest);
  const draw = {
    head: panel(part.head, (it) => h("div", { class: "head" }, h("div", { class: "grow" }, h(
      "h1", { class: "name" }, tame(it.name)),
      h("p", {}, "Begun ", at(it.submitted_at), ", ", cid(it.workflow_id, "the workflow's ID"))), h(
      "div", { class: "row" }, status(it.status),
      it.over ? null : action("Cancel", async () => {
        if (!await confirmed("Cancel this workflow?",
            "Every job that runs is cancelled; what has not begun is not run.", "Cancel the workflow"
            )) return;
        await post(`${path}/cancel`);
        refresh();
      }, { kind: "danger" }),
      it.over && it.status !== "succeeded" ? action("Resume", async () => {
        await post(`${path}/resume`);
        note("What failed and what was not run is run again.");
        refresh();
      }, { kind: "primary" }) : null, it.over && manifest ? action("Run again", async () => {
        if (!await confirmed("Run this workflow again?", "A new one begins, with the same definition and budget; items " +
            "that were done may be run and paid again.", "Begin it")) return;
        // One key for one press: what is sent again is the same workflow.
        const begun = await post("/v1/workflows", { definition: manifest.body.definition, key: crypto.randomUUID() });
        location.hash = `#/workflow/${begun.workflow_id}`;
      }) : null))),
    tiles: panel(part.tiles, tiles),
    graph: panel(part.graph, (stages) => card("Stages", [graph(stages, needs, describe), stages.some((each) =>
        each.reason) ?
      h("ul", {}, stages.filter((each) => each.reason).map((each) => h("li", {},
        `${each.id}: ${tame(each.reason, 400)}`))) : null
    ])),
    items: panel(part.items, ({ items, stages, page }) => card("Items", [table("Items", [
      { title: "Item", cell: (item) => h("span", { class: "main name" }, tame(item.item, 120)) },
      { title: "Stage", cell: (item) => tame(item.stage, 40) }, {
        title: "State",
        cell: (item) => (item.phase === "done" ? h(
          "span", { class: `pill ${item.reason || item.exit_code ? "bad" : "good"}` },
          item.exit_code === undefined ? "done" : `exit code ${item.exit_code}`) : status(item
          .phase))
      },
      { title: "Job", cell: (item) => jobByID(item.job_id) }, { title: "Receipt", nowrap: true,
        wide: true, cell: (item) => cid(item.receipt_cid, "the receipt's CID") },
      { title: "Note", wide: true, cell: (item) => (item.reason ? tame(item.reason, 240) : item
          .served_by ? "an earlier result served" : "") },
    ], items, phase ? "No item is so." : page > 1 ? "There are no more." : "No items yet."), h(
      "div", { class: "foot row" },
      h("button", { type: "button", disabled: page === 1, "data-key": "first", click: () => turn([]) }, "First"),
      h("button", { type: "button", disabled: items.length < itemsPerPage, "data-key": "next",
        click: () => turn([...pages, `${items.at(-1).stage}/${items.at(-1).number}`]) }, "Next"),
      h("span", { class: "muted small" }, `Page ${page}, ${plural(items.length, "item")}`))
    ], { flush: true, actions: h("span", { class: "row" }, stages.length > 1 ? [h("label", { for: "stage" },
        "Stage"), selection("stage", [["", "All"], ...stages.map((each) => [each, each])], stage, (value) => {
        stage = value;
      })] : null, h("label", { for: "phase" }, "State"), selection("phase", [["", "All"], ["waiting", "Waiting"],
        ["running", "Running"], ["done", "Done"], ["failed", "Failed"]], phase, (value) => {
        phase = value;
      })) })),
    outputs: panel(part.outputs, (list) => (list.length === 0 ? null :
      card("Outputs", h("div", { class: "stack" }, list.map((each) => output(each.name, each.cid, undefined,
        signal)))))),
    receipt: panel(part.receipt, (each) => card("Receipt", each ? proving(each, { signal, isWorkflow: true }) :
      h("p", { class: "muted" }, "It comes when every stage has its end."))),
  };

  function selection(id, choices, chosen, take) {
    const select = choice(choices, chosen, (value) => {
      take(value);
      turn([]);
    });
    select.id = id;
    return select;
  }
  const asking = () => {
    const asked = new URLSearchParams({ limit: itemsPerPage });
    for (const [name, value] of Object.entries({ stage, phase, after: pages.at(-1) })) if (value) asked.set(name, value);
    return asked;
  };
  const load = async () => {
    const asked = asking();
    const question = asked.toString();
    const [view, items] = await Promise.all([get(path, signal), get(`${path}/items?${question}`, signal)]);
    return { view, items, question };
  };
  const turn = (to) => {
    pages = to;
    return refresh();
  };
  const refresh = () => load().then(show_).catch((error) => note(error.message));
  const show_ = ({ view, items, question }) => {
    // An answer to what is asked no more comes late.
    if (question !== asking().toString()) return;
    draw.head({ name: view.name, submitted_at: view.submitted_at, workflow_id: view.workflow_id, status: view
        .status, over: view.over });
    const sum = (name) => view.stages.reduce((total, each) => total + each[name], 0);
    draw.tiles([
      ["Done", `${number(sum("done"))} of ${number(sum("items"))}`, "items"],
      ["Running", number(sum("running")), "items"],
      ["Failed", number(sum("failed")), "items"],
      ["Paid", number(view.paid), "tokens"],
      ["Held", number(view.held), "tokens"],
      ["Left", view.left === undefined ? "–" : number(view.left), view.budget === undefined ? "no budget" :
        `of ${tokens(view.budget)}`
      ]
    ]);
    draw.graph(view.stages);
    draw.items({ items, stages: view.stages.map((each) => each.id), page: pages.length + 1 });
    draw.outputs(view.outputs);
    draw.receipt(view.receipt_cid);
    document.title = `${tame(view.name, 60)} · Planetary Mesh`;
  };
  await kept(container, signal, ["job"], load, show_, 3);
  show(container, part.head, part.tiles, h("div", { class: "stack" }, part.graph,
    h("div", { class: "columns" }, part.items, h("div", { class: "stack" }, part.outputs, part.receipt))));
}

function describe(stage) {
  const kind = stage.status === "succeeded" ? "good" : stage.status === "failed" ? "bad" : ["running", "listing",
    "gathering"
  ].includes(stage.status) ? "now" : "";
  return { kind,
    line: `${stage.done}/${stage.items} done${stage.failed ? `, ${stage.failed} failed` : ""}, ${stage.paid} tk` };
}

/** Which stages each stage reads from or depends on, by the signed definition. */
function needed(manifest) {
  const stages = manifest?.body?.definition?.stages ?? [];
  const ids = new Set(stages.map((stage) => stage.id));
  return new Map(stages.map((stage) => {
    const found = new Set();
    const search = (value, key) => {
      if (typeof value === "string") {
        const name = value.match(/^stages\.([^.]+)\./)?.[1] ?? (key === "stage" ? value : undefined);
        if (ids.has(name) && name !== stage.id) found.add(name);
      } else if (value && typeof value === "object") {
        for (const [name, each] of Object.entries(value))
          if (name !== "args" && name !== "env") search(each, name);
      }
    };
    search(stage);
    return [stage.id, [...found]];
  }));
}