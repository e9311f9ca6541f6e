// One job: where it stands, its story, bids with their reasons, outputs, and what its receipt proves.
import { h, show, panel, card, table, facts, failure, action, confirmed, note, waiting } from "./dom.js";
import { jobTable } from "./pages.js";
import { get, post, lines, beginning, output as heard, follow, part as inPath } from "./api.js";
import { amount, number, price, bytes, duration, tame, tameLines, short, plural } from "./formats.js";
import { outcome, payment, node, cid, at, checks, jobByID } from "./words.js";

const steps = [
  ["announced", "Announced"],
  ["bidding", "Bids"],
  ["assigned", "Assigned"],
  ["running", "Runs"],
  ["checking", "Checked"],
  ["done", "Receipt"]
];
const stepOf = {
  PendingAnnouncement: 0,
  Announced: 0,
  BiddingOpen: 1,
  BiddingClosed: 1,
  AwaitingAssignmentConfirmation: 2,
  Assigned: 2,
  PreparingExecution: 3,
  Running: 3,
  AwaitingInputs: 3,
  ProducingOutputs: 3,
  Verifying: 4,
  Completed: 5,
  ReceiptGenerated: 5,
  ReceiptAnchored: 5,
};
const shownBytesMax = 64 * 1024;

export async function job({ container, rest: [id], signal }) {
  const path = `/v1/jobs/${inPath(id)}`;
  const names = ["head", "steps", "progress", "live", "bids", "replicas", "story", "summary", "outputs", "receipt", "request"];
  const part = Object.fromEntries(names.map((name) => [name, h("div", { class: "stack" })]));
  const draw = {
    head: panel(part.head, ({ job, workflow }) => header(job, workflow, path, refresh)),
    steps: panel(part.steps, ({ job, lines: story }) => stepper(job, story)),
    bids: panel(part.bids, (it) => [bids(it), attempts(it)]),
    replicas: panel(part.replicas, replicas),
    story: panel(part.story, ({ job, lines: story }) => card("Story", timeline(job, story))),
    summary: panel(part.summary, summary),
    outputs: panel(part.outputs, ({ job, sizes }) => outputs(job, sizes, signal)),
    receipt: panel(part.receipt, (job) => receipt(job, signal)),
    request: panel(part.request, ({ request, job, sizes }) => (request ? asked(request, job, sizes) : null)),
  };
  let [last, holdsWait] = [null, false];
  const concerned = new Set();
  const load = async () => {
    const [description, explanation] = await Promise.all([
      get(`${path}/description`, signal), get(`${path}/explanation`, signal).catch(() => ({ lines: [] }))
    ]);
    last = description.job;
    for (const each of [last, ...(description.replicas ?? [])]) concerned.add(each.job_id);
    holdsWait = description.credit?.some((hold) => unsettled.has(hold.state)) ?? false;
    draw.head({ job: last, workflow: description.workflow_id });
    draw.replicas(description.replicas ?? []);
    draw.steps({ job: last, lines: explanation.lines });
    draw.bids({ bids: description.bids, further: description.further_bids, attempts: description.attempts,
      job: last, news: explanation.lines.map((line) => line.news).filter(Boolean) });
    draw.story({ job: last, lines: explanation.lines });
    draw.summary({ job: last, attempts: description.attempts.length, credit: description.credit });
    draw.outputs({ job: last, sizes: description.sizes });
    draw.receipt({
      receipt: last.receipt_cid ?? last.result?.receipt_cid ?? description.receipts.at(-1)?.receipt_cid,
      own: last.role === "originator",
      terminal: last.terminal,
      executor: last.result?.executor_did
    });
    draw.request({ request: description.request, job: last, sizes: description.sizes });
    document.title = `${last.label ? tame(last.label, 60) : short(id)} · Planetary Mesh`;
  };
  const refresh = () => load().catch((error) => note(error.message));
  await load();
  show(container, part.head, h("div", { class: "stack" }, part.steps, part.progress, part.live, h(
  "div", { class: "columns" },
    h("div", { class: "stack" }, part.bids, part.replicas, part.receipt, part.story),
    h("div", { class: "stack" }, part.summary, part.outputs, part.request))));
  if (!last.terminal) {
    watch(path, part.progress, refresh, signal);
    if (last.role === "originator") listen(id, part.live, signal);
  }
  follow(["job", "money"], async () => {
    if (!last.terminal || last.payment === "due" || holdsWait) await load();
  }, signal, 3, (changed) => concerned.has(changed));
}

/** Follows a job as it happens; each event has the page read again, and progress and log lines show at once. */
async function watch(path, place, refresh, signal) {
  const bar = h("progress", { max: 1000, "aria-label": "Progress of the run" });
  const text = h("p", { class: "small muted", role: "status" }, "Waiting for the run");
  const log = h("pre", { hidden: true, tabindex: 0, "aria-label": "What the run says" });
  show(place, h("div", { class: "card" }, h("div", { class: "body stack" }, bar, text, log)));
  let timer = null;
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = null;
      if (!signal.aborted) refresh();
    }, 150);
  };
  try {
    for await (const event of lines(`${path}/events`, signal)) {
      if (event.permille !== undefined) bar.value = event.permille;
      if (event.kind === "log") {
        log.hidden = false;
        log.textContent = (log.textContent + tameLines(event.text) + "\n").slice(-16_384);
        log.scrollTop = log.scrollHeight;
      } else if (event.text) {
        text.textContent = tame(event.text, 300);
      }
      if (event.kind !== "progress") soon();
    }
  } catch {
    // The page asks again every few seconds anyway.
  }
  if (!signal.aborted) {
    if (log.hidden) show(place);
    else show(place, card("What the run said", log));
    refresh();
  }
}

/** Shows what a running job writes, as its executor tells it; that is no result yet. */
async function listen(id, place, signal) {
  const text = h("pre", { tabindex: 0, "aria-label": "What the job writes" });
  const decoders = new Map();
  let [at, attempt] = [{ attempt: 0, position: 0 }, 0];
  try {
    for (;;) {
      const news = await heard(id, at, signal);
      if (signal.aborted) return;
      if (news.pieces.length > 0 && news.place.attempt !== attempt) {
        attempt = news.place.attempt;
        decoders.clear();
        text.textContent = "";
        show(place, card("Live output", h("div", { class: "stack" }, h("p", { class: "small muted" },
          "As its executor tells it; the receipt says what counts."), text)));
      }
      let count = 0;
      for (const piece of news.pieces) {
        if (!decoders.has(piece.error)) decoders.set(piece.error, new TextDecoder());
        const raw = Uint8Array.from(atob(piece.bytes["/"].bytes), (letter) => letter.charCodeAt(0));
        const more = tameLines(decoders.get(piece.error).decode(raw, { stream: true }));
        text.textContent = (text.textContent + more).slice(-16_384);
        count += raw.length;
      }
      text.scrollTop = text.scrollHeight;
      at = { attempt: Number(news.place.attempt), position: Number(news.place.position) + count };
      if (news.prospect !== "more") break;
    }
  } catch {
    // The outputs come with the receipt anyway.
  }
  if (!signal.aborted) show(place);
}

function header(job, workflow, path, refresh) {
  const mayCancel = !job.terminal && job.role === "originator" && job.outcome !== "cancelling";
  return h("div", { class: "head" },
    h("div", { class: "grow" },
      h("h1", { class: "name" }, job.label ? tame(job.label) : `Job ${short(job.job_id)}`),
      h("p", {}, job.role === "executor" ? "For another node" : "Asked for by this node", ", submitted ", at(job
          .submitted_at),
        ", ", cid(job.job_id, "the job's ID")),
      workflow ? h("p", {}, "A job of ", h("a", { href: `#/workflow/${workflow}` }, "a workflow")) : null),
    h("div", { class: "row" }, outcome(job), payment(job), mayCancel ? action("Cancel", async () => {
      if (!await confirmed("Cancel this job?",
          "What ran so far is paid; the rest of what is held comes back.", "Cancel the job")) return;
      const answer = await post(`${path}/cancel`);
      note(answer.was_over ? "The job was over already." : "The job is being cancelled.");
      refresh();
    }, { kind: "danger" }) : null));
}

function stepper(job, story) {
  const reached = new Map();
  for (const line of story) {
    const step = stepOf[line.phase];
    if (step !== undefined && !reached.has(step)) reached.set(step, line.at);
  }
  const far = Math.max(-1, ...reached.keys());
  const isBad = job.terminal && !["succeeded", "exited_non_zero"].includes(job.outcome);
  return h("ol", { class: "steps", "aria-label": "Phases" }, steps.map(([, title], index) => {
    const isReached = reached.has(index) || index < far;
    const since = reached.get(index);
    const state = isBad && index === far ? "bad" : isReached && (job.terminal || index < far) ? "done" :
      index === far ? "now" : "";
    const passed = index < far && since === undefined ? "skipped" : !isReached && job.terminal ? "not reached" : "";
    return h("li", { class: state, "aria-current": state === "now" ? "step" : undefined }, title,
      h("small", {}, since ? `+${duration(since - job.submitted_at)}` : passed));
  }));
}

function timeline(job, story) {
  if (story.length === 0) return h("p", { class: "empty" }, "This node has no journal of the job any more.");
  const begin = story[0].at;
  return h("ol", { class: "story" }, story.map((line) => {
    const isKey = ["offer", "taken", "receipt", "announced", "ranking"].includes(line.news?.kind) ||
      /^(Completed|ReceiptGenerated)$/.test(line.phase);
    const isBad = line.news?.kind === "attempt_ended" || line.news?.bids?.some((bid) => bid.refusal) || line
      .phase === "Failed";
    return h("li", { class: isBad ? "bad" : isKey ? "key" : undefined },
      h("time", { datetime: new Date(line.at).toISOString() }, `+${duration(line.at - begin)}`),
      h("span", {}, tame(line.text, 1000)));
  }));
}

const verdicts = { taken: ["taken", "good"], acceptable: ["acceptable", ""], refused: ["refused", "bad"],
  displaced: ["displaced", ""] };

function bids({ bids: list, further, news, job }) {
  const regions = new Map(news.flatMap((each) => each.bids ?? []).filter((bid) => bid.region)
    .map((bid) => [bid.bidder_did, bid.region]));
  const ranking = news.findLast((each) => each.kind === "ranking")?.bids?.map((bid) => bid.bidder_did) ?? [];
  return card("Bids", [table("Bids in the order in which they came", [
      { title: "Bidder", nowrap: true, cell: (bid) => node(bid.bidder_did) },
      { title: "Region", cell: (bid) => (regions.get(bid.bidder_did) ? tame(regions.get(bid.bidder_did), 60) :
          "") },
      { title: "At most", num: true, cell: (bid) => price(bid.price, job) }, {
        title: "Verdict",
        nowrap: true,
        cell: (bid) => {
          const [words, kind] = verdicts[bid.verdict] ?? [tame(bid.verdict), ""];
          return h("span", { class: `pill ${kind}` }, words);
        }
      }, {
        title: "Why",
        wide: true,
        cell: (bid) => {
          if (bid.reason) return tame(bid.reason, 300);
          const rank = ranking.indexOf(bid.bidder_did) + 1;
          return rank > 0 ? `rank ${rank} of ${ranking.length}` : "";
        }
      },
    ], list, "No bid is known here."), further ?
    h("p", { class: "foot small muted" }, `${plural(further, "more bid")} came.`) : null
  ], { flush: true });
}

function attempts({ attempts: list, job }) {
  if (list.length < 2 && !list.some((attempt) => attempt.failure)) return null;
  return card("Attempts", table("Attempts", [
    { title: "Executor", nowrap: true, cell: (attempt) => node(attempt.executor_did) },
    { title: "Assigned", nowrap: true, cell: (attempt) => at(attempt.at) },
    { title: "At most", num: true, cell: (attempt) => price(attempt.price, job) },
    { title: "How it ended", wide: true, cell: (attempt) => (attempt.failure ? tame(attempt.failure, 300) :
        "under way, or with the result") },
  ], list, ""), { flush: true });
}

/** The jobs of other executors that do the same work, so that their results can be compared. */
function replicas(list) {
  if (list.length === 0) return null;
  return card("The same work elsewhere", jobTable(list, ""), { flush: true });
}

const findings = {
  agreed: "Several executors gave the same",
  confirmed: "A second run gave the same",
  fuel_unknown: "A second run gave the same; fuel not comparable",
  waived: "Cancelled before the check",
  unchecked: "Not checked by a second run",
  refuted: "A second run gave something else",
  unverified: "It was to be checked, and could not be",
};

const holds = {
  held: "held by the issuer",
  due: "to be booked by the issuer",
  claimed: "claimed from the issuer",
  disputed: "disputed; its arbiter decides",
  paid: "paid by the issuer",
  released: "given up, nothing was due",
  lost: "not booked in time",
};

/** The holds of which something will come. */
const unsettled = new Set(["held", "due", "claimed", "disputed"]);

function summary({ job, attempts: count, credit }) {
  const result = job.result;
  const executors = result?.executors;
  return card("Result", [
    result?.hint || (result && job.outcome !== "succeeded" && job.reason) ?
    h("div", { class: `box ${job.outcome === "succeeded" ? "" : "bad"}` }, tame(job.reason, 600), result.hint ?
      h("p", {}, tame(result.hint, 600)) : null) :
    null,
    facts([
      ["State", tame(job.reason, 400)],
      ["Executor", result?.executor_did ? node(result.executor_did, result.own_run ? "this node" : null) :
        job.role === "executor" ? "this node" : ""
      ],
      ["Originator", job.role === "executor" ? node(job.counterparty_did) : ""],
      ["Exit code", job.exit_code],
      [result?.unit ? "Due by credit" : "Paid", price(result?.paid, result)],
      ["Holds", credit?.length ? credit.map((hold) => h("div", {}, `${amount(hold.amount, hold)}: ${
        holds[hold.state] ?? tame(hold.state, 40)}${hold.entry === undefined ? "" : `, entry ${number(hold.entry)}`}${
        hold.reason ? `: ${tame(hold.reason, 300)}` : ""}`)) : ""],
      ["Fuel", number(result?.fuel)],
      ["Memory", bytes(result?.peak_memory_bytes)],
      ["Ran for", duration(result?.wall_ms)],
      ["Attempts", count > 1 ? count : ""],
      ["Check", result?.finding ? findings[result.finding] ?? tame(result.finding.replaceAll("_", " ")) : ""],
      ["Limit", job.limit ? tame(job.limit) : ""],
      ["Winner", job.winner_did ? node(job.winner_did) : ""],
      ["Winner's price", price(job.winner_price, job)],
    ]),
    executors?.reasons?.length ? h("ul", { class: "small" }, executors.reasons.map((reason) =>
      h("li", {}, `${plural(reason.executors, "executor")}: ${tame(reason.text, 300)}`, reason.advice ?
        ` ${tame(reason.advice, 300)}` : null))) : null,
  ].filter(Boolean));
}

/** Outputs of a run, each to be looked at as text or downloaded. */
function outputs(job, sizes, signal) {
  const result = job.result;
  if (!result) return null;
  const list = [
    ["standard output", result.stdout_cid],
    ["standard error", result.stderr_cid],
    ["log", result.log_cid],
    ...result.outputs.map((output) => [output.name, output.cid])
  ].filter(([, each]) => each);
  return card("Outputs", list.length === 0 ? h("p", { class: "muted" }, "The job put out nothing.") : h(
    "div", { class: "stack" },
    list.map(([name, each]) => output(name, each, sizes?.find((size) => size.cid === each)?.bytes, signal))));
}

export function output(name, each, size, signal) {
  const isFolder = each.startsWith("bafybei");
  const place = h("div");
  const download = isFolder ? null : h("a", {
    href: `/v1/files/${inPath(each)}`,
    download: tame(name.split("/").at(-1), 80) || "output",
    "aria-label": `Download ${tame(name, 60)}`,
  }, "Download");
  return h("div", {}, h("div", { class: "row" }, h("strong", { class: "name" }, tame(name, 100)), h(
      "span", { class: "muted small" }, bytes(size)),
      cid(each, "the output's CID"), download),
    isFolder ?
    h("p", { class: "small muted" }, "A folder: mesh get fetches it.") :
    h("details", {
      "data-key": each,
      toggle: async (event) => {
        if (!event.target.open || place.firstChild) return;
        show(place, waiting());
        try {
          const { bytes: all, isCut } = await beginning(each, shownBytesMax, signal);
          show(place, reading(all), isCut ? h("p", { class: "small muted" },
            `The first ${bytes(shownBytesMax)}; download it to see all.`) : null);
        } catch (error) {
          show(place, failure(error));
        }
      }
    }, h("summary", {}, "Show"), place));
}

/** Bytes as text, if they are, else as hexadecimal. */
function reading(all) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(all.length === shownBytesMax ? all.subarray(0, -
      4) : all);
    if (!/[\u0000-\u0008\u000e-\u001a]/.test(text)) {
      return h("pre", { tabindex: 0 }, text === "" ? "(empty)" : tameLines(text));
    }
  } catch {
    // No text: shown as bytes.
  }
  const rows = [];
  const digits = (value, length) => value.toString(16).padStart(length, "0");
  for (let from = 0; from < Math.min(all.length, 512); from += 16) {
    const row = [...all.subarray(from, from + 16)].map((byte) => digits(byte, 2)).join(" ");
    rows.push(`${digits(from, 4)}  ${row}`);
  }
  return h("pre", { tabindex: 0 }, rows.join("\n"));
}

/** A receipt with its checks, and what can be done with it. */
function receipt({ receipt: each, own, terminal }, signal) {
  if (!each) return card("Receipt", h("p", { class: "muted" }, terminal ? "There is none: no run was completed." :
    "It comes when the run is over."));
  return card("Receipt", proving(each, { signal }));
}

/** Tells of proofs of fraud against a receipt that this node itself has made; others are found by their CID. */
async function provenAgainst(each, place, signal) {
  let found;
  try {
    found = await get(`/v1/proofs?receipt=${inPath(each)}&limit=20`, signal);
  } catch (error) {
    show(place, failure(error));
    return;
  }
  if (found.length === 0) return;
  show(place, h("div", { class: "box bad" }, h("strong", {}, "The receipt says what is not so"), found.map((proof) =>
    h("p", {}, "Proof ", cid(proof.proof_cid, "the proof's CID"), " by ", node(proof.maker_did), ". ",
      h("a", { href: `#/audit/${proof.proof_cid}` }, "Look at it and check it")))));
}

/** Buttons that verify and replay a receipt, and their reports. */
export function proving(each, { signal, isWorkflow }) {
  const report = h("div", { "aria-live": "polite" });
  const ask = (verb, path) => action(verb, async () => {
    show(report, waiting());
    try {
      const found = await post(`/v1/receipts/${inPath(each)}/${path}`, undefined, signal);
      show(report, h("h3", {}, path === "verify" ? "Checks of the receipt" : "The job ran again here"),
        checks(found));
    } catch (error) {
      show(report, failure(error));
    }
  }, { kind: path === "verify" ? "primary" : undefined, reads: path === "verify" });
  const logged = action("Logged as", async () => {
    show(report, waiting());
    try {
      const found = await get(`/v1/dag/proofs/${inPath(each)}`, signal);
      show(report, h("h3", {}, "The proof that this node's log has it"), facts([
        ["Entry", number(found.entry.number)],
        ["Signed entry", cid(found.entry.entry_cid, "the entry's CID")],
        ["Anchored", at(found.entry.recorded_at)],
      ]), h("pre", { tabindex: 0, "aria-label": "The proof as a text" }, tameLines(found.text)), h("p", { class:
          "small muted" },
        "Whoever has this text checks it without a network; mesh dag verify does."));
    } catch (error) {
      show(report, failure(error));
    }
  }, { reads: true });
  const proofs = h("div");
  if (!isWorkflow) provenAgainst(each, proofs, signal);
  return h("div", { class: "stack" }, proofs,
    h("div", { class: "row" }, cid(each, "the receipt's CID"), ask("Verify", "verify"), isWorkflow ? null : ask(
        "Replay", "replay"), logged,
      isWorkflow ? null : h("a", { href: `/v1/receipts/${inPath(each)}/archive`,
        download: `receipt-${each.slice(-8)}.car` }, "Evidence (CAR)")),
    report);
}

/** A button that compiles a module on this node, so that its first job here does not wait for that. */
export const warming = (module) => action("Compile it here", async () => {
  const it = await post(`/v1/modules/${inPath(module)}/warm`);
  note(`${plural(it.functions, "function")} in ${bytes(it.size)}, ${it.source === "compiled" ?
    `compiled in ${duration(it.milliseconds)}` : "compiled before"}: a job of this module begins at once here.`);
}, { key: `warm ${module}` });

function asked(request, job, sizes) {
  const size = (each) => bytes(sizes?.find((known) => known.cid === each)?.bytes);
  return card("Request", facts([
    ["Module", h("div", { class: "row" }, cid(request.module_cid, "the module's CID"), warming(request.module_cid))],
    ["Entry", request.invoke ? `${tame(request.entry)}(${request.invoke.join(", ")})` : tame(request.entry)],
    ["Arguments", request.args.length ? h("code", {}, request.args.map((each) => tame(each, 200)).join(" ")) :
      ""
    ],
    ["Environment", request.env.length ? request.env.map((each) => h("div", {}, h("code", {},
      `${tame(each.name)}=${tame(each.text, 200)}`))) : ""],
    ["Inputs", request.inputs.length ? request.inputs.map((each) => h("div", {}, `${tame(each.name)} `, cid(
      each.cid), " ", size(each.cid))) : ""],
    ["Files", request.files?.mounts.length ? request.files.mounts.map((mount) => h("div", {}, h("code", {},
      tame(mount.path)), " ", cid(mount.cid))) : ""],
    ["Time", `${number(request.limits.timeout_seconds)} s`],
    ["Fuel", number(request.limits.max_fuel)],
    ["Memory", bytes(request.limits.max_memory_bytes)],
    ["Outputs", bytes(request.limits.max_output_bytes)],
    ["Budget", request.budget === undefined ? "none" : price(request.budget, job)],
    ...request.policy.map((each) => [tame(each.name, 40), tame(each.text, 300)]),
    ["Originator", node(request.originator_did)],
    ["Ends at", at(request.expires_at)],
  ]));
}