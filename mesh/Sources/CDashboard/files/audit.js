// Audit: what a CID names, and everything about it that can be checked.
import { h, show, card, facts, failure, waiting, table, action } from "./dom.js";
import { get, post, block, part } from "./api.js";
import { head } from "./pages.js";
import { decode } from "./cbor.js";
import { proving, output, warming } from "./job.js";
import { logs } from "./logs.js";
import { number, tokens, bytes, duration, tame } from "./formats.js";
import { node, cid, at, jobByID, jobLink, outcome } from "./words.js";

export async function audit({ container, rest, signal }) {
  const wanted = rest.join("/").trim();
  const place = h("div", { class: "stack", "aria-live": "polite" });
  const input = h("input", { value: wanted, type: "search", autocomplete: "off", spellcheck: "false",
    placeholder: "bafyrei…" });
  show(container, head("Audit",
      "Paste the CID of a receipt, a proof, a workflow's receipt or any other object. Nothing but the CID is needed: " +
      "what this node lacks it looks for in the mesh."),
    h("div", { class: "stack" }, card("What to check", h("form", {
      class: "row",
      submit: (event) => {
        event.preventDefault();
        const next = `#/audit/${encodeURIComponent(input.value.trim())}`;
        if (location.hash === next) look();
        else location.hash = next;
      }
    }, h("label", { class: "hidden", for: "audit-cid" }, "CID"), input, h("button", { class: "primary" },
      "Look"))), place));
  input.id = "audit-cid";
  input.size = 64;
  const look = () => found(wanted, place, signal);
  if (wanted) await look();
  else show(place, await logs(signal));
}

async function found(wanted, place, signal) {
  if (!/^[a-zA-Z0-9]{30,}$/.test(wanted)) return byPart(wanted, place, signal);
  show(place, card("Looking", [waiting(), h("p", { class: "small muted" },
    "If this node lacks it, this takes as long as the search in the mesh.")]));
  const attempts = wanted.startsWith("bafyrei") ? [
    [`/v1/jobs/${part(wanted)}`, (it) => jobFound(it)],
    [`/v1/workflows/${part(wanted)}`, (it) => workflowFound(it)],
    [`/v1/receipts/${part(wanted)}`, (it) => receiptFound(it, signal)],
    [`/v1/proofs/${part(wanted)}`, (it) => proofFound(it, signal)],
  ] : [];
  let last = null;
  for (const [path, draw] of attempts) {
    try {
      show(place, draw(await get(path, signal)));
      await object(wanted, place, signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      last = error;
      if (error.status === 0 || error.status === 401 || error.status === undefined) return show(place, failure(
        error));
    }
  }
  if (!wanted.startsWith("bafyrei")) {
    return show(place, card("A file or folder", output("content", wanted, undefined, signal)));
  }
  try {
    const value = decode(await block(wanted, signal));
    const isWorkflowReceipt = Array.isArray(value?.body?.stages) && value.body.ended_at !== undefined;
    show(place, isWorkflowReceipt ? card("A workflow's receipt", h("div", { class: "stack" }, facts([
      ["State", tame(value.body.status)],
      ["Signed by", node(value.did)],
      ["Stages", value.body.stages.map((stage) => tame(stage.id, 40)).join(", ")],
      ["Ended", at(value.body.ended_at)],
    ]), proving(wanted, { signal, isWorkflow: true }))) : null);
    await object(wanted, place, signal);
  } catch (error) {
    if (!signal.aborted) show(place, failure(error.status === undefined && last ? last : error));
  }
}

/** The end of an ID, as lists show it. */
async function byPart(wanted, place, signal) {
  show(place, waiting());
  const named = wanted.replace(/^…/, "");
  try {
    const page = await get(
      `/v1/jobs?limit=20&${/^[a-z2-7]+$/.test(named) ? "named" : "label"}=${encodeURIComponent(named)}`, signal);
    show(place, card("Jobs of this name", table("Jobs", [
      { title: "Job", cell: jobLink }, { title: "State", cell: outcome }, { title: "Submitted", num: true,
        cell: (job) => at(job.submitted_at) },
    ], page.jobs,
    "Nothing here is called so. Objects of others are found by their whole CID."), { flush: true }));
  } catch (error) {
    if (!signal.aborted) show(place, failure(error));
  }
}

function jobFound(job) {
  return card("A job", [facts([
      ["Job", jobLink(job)],
      ["State", outcome(job)],
      ["Submitted", at(job.submitted_at)],
      ["Receipt", cid(job.receipt_cid, "the receipt's CID")],
      ["Why", tame(job.reason, 300)]
    ]),
    h("p", {}, h("a", { href: `#/job/${job.job_id}` }, "Its story, bids and outputs"))
  ]);
}

function workflowFound(it) {
  return card("A workflow", [facts([
      ["Name", tame(it.name)],
      ["State", it.status],
      ["Receipt", cid(it.receipt_cid, "the receipt's CID")]
    ]),
    h("p", {}, h("a", { href: `#/workflow/${it.workflow_id}` }, "Its stages and items"))
  ]);
}

function receiptFound(it, signal) {
  const outputs = [
    ["standard output", it.stdout_cid],
    ["standard error", it.stderr_cid],
    ["log", it.log_cid],
    ...it.outputs.map((each) => [each.name, each.cid])
  ].filter(([, each]) => each);
  return card("A receipt", h("div", { class: "stack" }, proving(it.receipt_cid, { signal }), facts([
    ["How it ended", tame(it.outcome, 300)],
    ["Executor", node(it.executor_did)],
    ["Originator", node(it.originator_did)],
    ["Job", jobByID(it.job_id)],
    ["Attempt", it.attempt],
    ["Price", tokens(it.price)],
    ["Fuel", number(it.fuel)],
    ["Memory", bytes(it.peak_memory_bytes)],
    ["Ran for", duration(it.wall_ms)],
    ["Started", at(it.execution_started_at)],
    ["Engine", tame(it.engine)],
    ["Determinism", tame(it.determinism)],
    ["Module", h("div", { class: "row" }, cid(it.module_cid, "the module's CID"), warming(it.module_cid))],
    ["Inputs", it.inputs.length ? it.inputs.map((each) => h("div", {}, `${tame(each.name)} `, cid(each
      .cid))) : ""],
    ["The one before", cid(it.previous_receipt_cid, "the CID of the receipt before")],
    ["Found", it.source === "here" ? "on this node" : "in the mesh"],
  ]), outputs.map(([name, each]) => output(name, each, undefined, signal))));
}

function proofFound(it, signal) {
  const report = h("div", { "aria-live": "polite" });
  const verdicts = {
    holds: ["good", "The proof holds: the receipt says what is not so."],
    fails: ["bad", "The proof does not hold."],
    unknown: ["warn", "It could not be decided here."]
  };
  return card("A proof against a receipt", h("div", { class: "stack" }, facts([
    ["Against", node(it.executor_did)],
    ["Made by", node(it.maker_did)],
    ["Made", at(it.made_at)],
    ["Receipt", cid(it.receipt_cid, "the receipt's CID")],
    ["Job", jobByID(it.job_id)],
    ["The receipt claims", it.claimed ? tame(it.claimed.outcome, 300) : ""],
    ["A second run found", tame(it.found.outcome, 300)],
    ["Fuel claimed", number(it.claimed?.fuel)],
    ["Fuel found", number(it.found.fuel)],
    ["Checking it costs", it.cost ?
      `up to ${number(it.cost.fuel_max)} fuel, ${bytes(it.cost.memory_bytes_max)}, ${it.cost.seconds_max} s` :
      ""
    ],
  ]), h("div", { class: "row" }, action("Verify by running the job again", async () => {
    show(report, waiting());
    try {
      const found = await post(`/v1/proofs/${part(it.proof_cid)}/verify`, undefined, signal);
      const [kind, words] = verdicts[found.verdict] ?? ["warn", tame(found.verdict)];
      show(report, h("div", { class: `box ${kind}` }, h("strong", {}, words), h("p", {}, tame(found
        .detail, 600))));
    } catch (error) {
      show(report, failure(error));
    }
  }, { kind: "primary" })), report));
}

/** The signed object itself, as DAG-JSON. */
async function object(wanted, place, signal) {
  try {
    const value = decode(await block(wanted, signal));
    const text = JSON.stringify(value, (_, each) => (typeof each === "bigint" ? each.toString() : each), 2);
    place.append(card("The object itself", h("details", { "data-key": "object" }, h("summary", {},
        "Show it as DAG-JSON"),
      h("pre", { tabindex: 0 }, tameText(text)))));
  } catch {
    // Only what the node has as one block can be shown so.
  }
}

function tameText(text) {
  return text.split("\n").map((line) => tame(line, 2000)).join("\n");
}