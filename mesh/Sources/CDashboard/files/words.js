// What the node's names mean to people, and the small parts that every page shows.
import { h, s, copyButton } from "./dom.js";
import { short, tame, time, date, when } from "./formats.js";

const outcomes = {
  announcing: ["Announcing", "warn"],
  bidding: ["Bidding", "warn"],
  awaiting_funds: ["Waits for tokens", "warn"],
  assigned: ["Assigned", "warn"],
  preparing: ["Preparing", "warn"],
  running: ["Running", "warn"],
  collecting: ["Collecting", "warn"],
  checking: ["Checking", "warn"],
  cancelling: ["Cancelling", "warn"],
  succeeded: ["Succeeded", "good"],
  exited_non_zero: ["Exit code", "bad"],
  trapped: ["Trapped", "bad"],
  limit_exceeded: ["Limit exceeded", "bad"],
  module_refused: ["Module refused", "bad"],
  files_refused: ["Files refused", "bad"],
  cancelled: ["Cancelled", ""],
  no_bids: ["No bids", "bad"],
  no_acceptable_bid: ["No acceptable bid", "bad"],
  executors_failed: ["Executors failed", "bad"],
  crashes_engine: ["Crashes the engine", "bad"],
  fetch_failed: ["Fetch failed", "bad"],
  deadline_passed: ["Deadline passed", "bad"],
  insufficient_funds: ["Too few tokens", "bad"],
  receipt_invalid: ["Receipt invalid", "bad"],
  unverified: ["Unverified", "bad"],
  failed: ["Failed", "bad"],
  lost: ["Bid lost", ""],
  refused: ["Bid refused", ""],
  lapsed: ["Bid lapsed", ""],
  undelivered: ["Bid undelivered", "bad"],
  declined: ["Declined", ""],
};

/** Every outcome by its name, for the filter of jobs. */
export const outcomeNames = Object.entries(outcomes).map(([name, [title]]) => [name, title]);

export function outcome(job) {
  const [title, kind] = outcomes[job.outcome] ?? [tame(job.outcome), ""];
  const text = job.outcome === "exited_non_zero" && job.exit_code !== undefined ? `Exit code ${job.exit_code}` :
    title;
  return h("span", { class: `pill ${kind}` }, text);
}

const payments = { due: ["payment due", "warn"], overdue: ["overdue", "bad"], refused: ["payment refused", "bad"] };

export function payment(job) {
  const known = payments[job.payment];
  return known ? h("span", { class: `pill ${known[1]}` }, known[0]) : null;
}

export const statuses = {
  running: ["Running", "warn"],
  waiting: ["Waiting", ""],
  succeeded: ["Succeeded", "good"],
  failed: ["Failed", "bad"],
  cancelled: ["Cancelled", ""],
  skipped: ["Skipped", ""],
  suspended: ["Suspended", "warn"],
  stopped: ["Stopped", "bad"],
};

export function status(name) {
  const [title, kind] = statuses[name] ?? [tame(name.replaceAll("_", " ")), ""];
  return h("span", { class: `pill ${kind}` }, title);
}

/** A job as a link: its label, if it has one, and the end of its ID. */
export function jobLink(job) {
  const label = job.label ? tame(job.label, 80) : null;
  return h("a", { href: `#/job/${job.job_id}` }, label ? h("span", { class: "main name" }, label) : null,
    label ? " " : null, h("span", { class: "mono" }, short(job.job_id)));
}

export const jobByID = (id) => (id ? h("a", { class: "mono", href: `#/job/${id}` }, short(id)) : "");

/** A CID that can be copied and looked into. */
export function cid(text, what = "the CID") {
  if (!text) return "";
  return h("span", {}, h("a", { class: "mono", href: `#/audit/${text}`, title: text }, short(text)), " ",
    copyButton(text, what));
}

/** A node, with a small mark by which one recognises it. */
export function node(did, note) {
  if (!did) return "";
  return h("span", { class: "mono nowrap", title: did }, mark(did), " ", short(did), note ? ` (${note})` : null);
}

/** A pattern of a name, the same everywhere: a help for the eye, no proof. */
export function mark(name) {
  let seed = 2166136261;
  for (const letter of name) seed = Math.imul(seed ^ letter.codePointAt(0), 16777619) >>> 0;
  const cells = [];
  for (let index = 0; index < 15; index += 1) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    if (seed >>> 31) continue;
    const [x, y] = [index % 3, Math.floor(index / 3)];
    for (const column of x === 2 ? [2] : [x, 4 - x]) cells.push(`M${column} ${y}h1v1h-1z`);
  }
  return s("svg", { viewBox: "0 0 5 5", width: 11, height: 11, "aria-hidden": "true" },
    s("path", { d: cells.join(""), fill: "currentColor", opacity: 0.75 }));
}

export const at = (milliseconds) =>
  milliseconds ?
  h("time", { datetime: new Date(milliseconds).toISOString(), title: date(milliseconds) }, when(milliseconds)) : "";

export const clockTime = (milliseconds) => h("time", { title: date(milliseconds) }, time(milliseconds));

const marks = { passed: "M3 8.5l3.2 3.2L13 5", failed: "M4 4l8 8M12 4l-8 8", skipped: "M3.5 8h9" };
const verdicts = { passed: "passed", failed: "failed", skipped: "not checked" };

/** One line for each check of a report. */
export function checks(report) {
  const failed = report.lines.filter((line) => line.verdict === "failed").length;
  const skipped = report.lines.filter((line) => line.verdict === "skipped").length;
  const open = skipped ? `, ${skipped} not checkable here` : "";
  return h("div", {},
    h("div", { class: `box ${report.valid ? "good" : "bad"}` }, h("strong", {}, report.valid ?
      `All checks hold: ${report.lines.length - skipped} passed${open}.` :
      `This does not hold: ${failed} of ${report.lines.length} checks failed${open}.`)),
    h("ul", { class: "checks" }, report.lines.map((line) => h("li", { class: line.verdict },
      s("svg", { viewBox: "0 0 16 16", role: "img", "aria-label": verdicts[line.verdict] ?? line.verdict },
        s("path", { d: marks[line.verdict] ?? marks.skipped, fill: "none",
        stroke: "currentColor", "stroke-width": 2 })),
      h("span", {}, tame(line.name)), h("span", { class: "detail" }, tame(line.detail, 400))))),
    report.does_not_show ? h("p", { class: "small muted" }, report.does_not_show) : null);
}

/** What entries of an issuer's book are. */
export const bookings = {
  transferred: "Paid",
  hold_granted: "Held for a job",
  hold_granted_by_token: "Held by a token",
  token_revoked: "A token was revoked",
  hold_settled: "A hold was settled",
  hold_released: "A hold was released",
  hold_expired: "A hold expired",
  claim_lodged: "Claimed",
  claim_disputed: "Disputed",
  claim_decided: "Decided",
  claim_paid: "A claim was paid",
  limit: "Limits",
  freeze: "Frozen, or free again",
  rate: "A rate",
  reverse: "Reversed",
  write_off: "Written off",
  deposit: "Paid in elsewhere",
  withdraw: "Paid out elsewhere",
  auditor: "An auditor named, or dismissed",
  move: "Account moved to another key",
  close: "A period was closed",
  wind_down: "The book winds down",
  end: "The book ended",
};
