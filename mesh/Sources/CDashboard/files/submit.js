// Submitting a job: a module, its inputs, who may run it; who would, and at what price; then off it goes.
import { h, show, card, table, facts, failure, field, choice, waiting, note } from "./dom.js";
import { get, post, upload, session } from "./api.js";
import { head } from "./pages.js";
import { amount as sum, number, tokens, bytes, tame, short, plural } from "./formats.js";
import { warming } from "./job.js";
import { isUsable } from "./tokens.js";
import { node, cid } from "./words.js";

const maxima = { named: 64 };

export async function submit({ container, signal }) {
  if (!session.mayChange) {
    show(container, head("Submit a job",
      "This session only looks. mesh dashboard without --read-only prints a link for one that may submit."));
    return;
  }
  const [limits, payers] = await Promise.all([get("/v1/limits", signal), knownPayers(signal)]);
  const state = { module: null, inputs: [], key: crypto.randomUUID(), begun: null };
  const aboutModule = h("div", { "aria-live": "polite" });
  const listed = h("div", { "aria-live": "polite" });
  const offers = h("div", { "aria-live": "polite" });
  const text = (attributes) => h("input", { autocomplete: "off", spellcheck: "false", ...attributes });
  const inputs = {
    label: text({ maxlength: 120 }),
    entry: text({ placeholder: "_start", maxlength: maxima.named }),
    args: h("textarea", { rows: 2, spellcheck: "false" }),
    env: h("textarea", { rows: 2, spellcheck: "false" }),
    timeout: text({ type: "number", min: 1, max: 3600, placeholder: "30" }),
    memory: text({ type: "number", min: 1, max: 4096, placeholder: "256" }),
    fuel: text({ type: "number", min: 1, placeholder: "10000000000" }),
    budget: text({ type: "number", min: 0, step: "any", placeholder: "none" }),
    regions: text({ placeholder: "any" }),
    features: text({ placeholder: "none" }),
    allowed: h("textarea", { rows: 2, spellcheck: "false", placeholder: "any" }),
    denied: h("textarea", { rows: 2, spellcheck: "false", placeholder: "none" }),
    attempts: text({ type: "number", min: 1, placeholder: "4" }),
    deadline: text({ type: "number", min: 1, placeholder: "none" }),
    reputation: text({ type: "number", min: 0, placeholder: "0" }),
    cid: text({ placeholder: "bafkrei…" }),
  };
  const levels = [
    ["", `As the node does (${limits.verification ?? "none"})`],
    ["none", "None"],
    ["replay", "Run again here"],
    ["spot:10%", "Run one in ten again here"],
    ["spot:10%@executor", "Another executor repeats one in ten"],
    ["quorum:2/3", "Three run it, two must agree"],
    ["adaptive", "By the executor's record"]
  ];
  const verification = choice(levels, "");
  const budget = field("Budget in tokens", inputs.budget);
  let payer = payers[0];
  const paying = choice(payers.map(({ title }, index) => [index, title]), 0, (index) => {
    payer = payers[index];
    budget.querySelector("label").textContent = `Budget in ${tame(payer.unit, 16)}`;
  });

  const changed = () => {
    state.key = crypto.randomUUID();
    state.begun = null;
    show(offers);
  };

  async function takeModule(file) {
    changed();
    show(aboutModule, waiting());
    try {
      if (file.size > limits.module_bytes_max) throw Error(
        `It is larger than ${bytes(limits.module_bytes_max)}, the most that this node takes.`);
      const parts = readModule(new Uint8Array(await file.arrayBuffer()));
      const added = await upload(file, signal);
      state.module = { cid: added.cid, name: file.name };
      show(aboutModule, h("div", { class: "stack" }, facts([
        ["Module", h("span", { class: "name" }, tame(file.name, 80))],
        ["Size", bytes(file.size)],
        ["CID", h("div", { class: "row" }, cid(added.cid, "the module's CID"), warming(added.cid))],
        ["Starts at", parts.exports.includes("_start") ? "_start" :
          "no _start: name a function under Program"],
        ["Memory", parts.memory ? `from ${bytes(parts.memory * 65536)}` : "none of its own"],
        ["Imports", parts.imports.size === 0 ? "nothing" : h("div", {}, [...parts.imports].map(([from,
            names
          ]) =>
          h("details", { "data-key": from }, h("summary", {},
              `${tame(from, 60)}: ${plural(names.length, "name")}`),
            h("code", {}, names.slice(0, 200).map((each) => tame(each, 80)).join(", ")))))],
      ]), strange(parts)));
    } catch (error) {
      state.module = null;
      show(aboutModule, failure(error.status === undefined ? { title: "This module cannot be used",
        message: error.message } : error));
    }
  }

  async function takeInputs(files) {
    changed();
    for (const file of files) {
      const entry = { id: crypto.randomUUID(), name: state.inputs.length === 0 ? "stdin" : file.name, file: file.name,
        size: file.size };
      state.inputs.push(entry);
      list();
      try {
        if (file.size > limits.file_bytes_max) throw Error(
        `It is larger than ${bytes(limits.file_bytes_max)}.`);
        entry.cid = (await upload(file, signal)).cid;
      } catch (error) {
        entry.failure = error.message;
      }
      list();
    }
  }

  function list() {
    show(listed, table("Inputs", [
      { title: "File", cell: (entry) => h("span", { class: "name" }, tame(entry.file, 80)) },
      { title: "Size", num: true, cell: (entry) => bytes(entry.size) }, {
        title: "The module sees it as",
        wide: true,
        cell: (entry) => h("input", {
          value: entry.name,
          "aria-label": `Name of ${tame(entry.file, 60)}`,
          "data-key": `name ${entry.id}`,
          maxlength: maxima.named,
          input: (event) => {
            entry.name = event.target.value;
            changed();
          },
        })
      },
      { title: "State", cell: (entry) => (entry.failure ? h("span", { class: "pill bad" }, tame(entry
          .failure, 120)) : entry.cid ? cid(entry.cid) : "sending…") }, {
        title: "Remove",
        quiet: true,
        num: true,
        cell: (entry) => h("button", {
          type: "button",
          class: "quiet",
          "aria-label": `Remove ${tame(entry.file, 60)}`,
          click: () => {
            state.inputs.splice(state.inputs.indexOf(entry), 1);
            changed();
            list();
          }
        }, "Remove")
      },
    ], state.inputs, "No inputs. A module may need none."));
  }

  /** The job of the form; minutes until it is late count from a moment. */
  function submission(begun) {
    const module = inputs.cid.value.trim() || state.module?.cid;
    if (!module) throw Error("Choose a module first.");
    const open = state.inputs.find((entry) => !entry.cid);
    if (open) throw Error(open.failure ? `${tame(open.file, 60)} was not sent: remove it, or choose another.` :
      "An input is still being sent.");
    const amount = (input, factor = 1) => (input.value === "" ? undefined : Math.round(Number(input.value) *
      factor));
    const rows = (area) => area.value.split("\n").filter((each) => each !== "");
    const parts = (input) => {
      const list = input.value.split(/[,\n]/).map((each) => each.trim()).filter(Boolean);
      return list.length ? list : undefined;
    };
    const minutes = amount(inputs.deadline, 60_000);
    return {
      module_cid: module,
      entry: inputs.entry.value.trim() || undefined,
      label: inputs.label.value || undefined,
      args: rows(inputs.args),
      env: rows(inputs.env).map((each) => ({ name: each.split("=", 1)[0], text: each.slice(each.split("=", 1)[0]
          .length + 1) })),
      inputs: state.inputs.map((entry) => ({ name: entry.name, text: entry.cid })),
      limits: { timeout_seconds: amount(inputs.timeout), max_fuel: amount(inputs.fuel), max_memory_bytes: amount(
          inputs.memory, 2 ** 20) },
      budget: amount(inputs.budget, 10 ** payer.decimals),
      verification: verification.value || undefined,
      policy: {
        regions: parts(inputs.regions),
        min_reputation: amount(inputs.reputation),
        required_features: parts(inputs.features),
        allowed_dids: parts(inputs.allowed),
        denied_dids: parts(inputs.denied),
        max_attempts: amount(inputs.attempts),
        deadline: minutes === undefined ? undefined : begun + minutes,
        ...payer.policy,
      },
    };
  }

  async function guarded(button, work) {
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      show(offers, failure(error.status === undefined ? { title: "Not yet", message: error.message } : error));
    } finally {
      button.disabled = false;
    }
  }

  const ask = h("button", {
    type: "button",
    click: (event) => guarded(event.currentTarget, async () => {
      const wanted = submission(state.begun ?? Date.now());
      show(offers, card("Who would run it", waiting(), { flush: true }));
      show(offers, whoWould(await post("/v1/offers", wanted, signal), payer));
    })
  }, "See who would run it");
  const run = h("button", {
    type: "button",
    class: "primary",
    click: (event) => guarded(event.currentTarget, async () => {
      // A second attempt is to be the same job, so its minutes are those of the first.
      const begun = state.begun ?? Date.now();
      const wanted = submission(begun);
      state.begun = begun;
      const accepted = await post("/v1/jobs", { ...wanted, idempotency_key: state.key }, signal);
      location.hash = `#/job/${accepted.job_id}`;
    })
  }, "Run the job");

  list();
  const form = h("form", { class: "halves", submit: (event) => event.preventDefault(), change: changed },
    h("div", { class: "stack" }, card("Module", h("div", { class: "stack" },
        dropping("Drop a WebAssembly module here, or choose one", false, ([file]) => file && takeModule(
        file)), aboutModule,
        h("details", { "data-key": "by-cid" }, h("summary", {}, "Or name one that the mesh has"), field(
          "CID of the module", inputs.cid)))),
      card("Inputs", h("div", { class: "stack" }, dropping("Drop input files here, or choose some", true,
          takeInputs), listed,
        h("p", { class: "small muted" }, "The one called stdin is the module's standard input.")))),
    h("div", { class: "stack" }, card("Program", h("div", { class: "stack" },
        field("Label", inputs.label, "For your own lists; executors see it."),
        field("Function", inputs.entry, "Where the module starts; a program's is _start."),
        h("div", { class: "halves" }, field("Arguments", inputs.args, "One on each line."), field(
          "Environment", inputs.env, "NAME=VALUE on each line; executors see it.")))),
      card("Limits and policy", [payers.length > 1 ? h("div", { class: "payer" }, field("Paid by", paying)) : null, h(
        "div", { class: "fields" },
        field("Seconds", inputs.timeout), field("Memory in MiB", inputs.memory), field("Fuel", inputs.fuel), budget,
        field("Regions", inputs.regions), field("Least reputation", inputs.reputation), field(
          "Check of the result", verification)), h("details", { class: "further", "data-key": "policy" }, h(
        "summary", {}, "Who else may or may not run it"), h("div", { class: "stack" },
        h("div", { class: "fields" }, field("Features", inputs.features), field("Executors in turn", inputs
          .attempts), field("Minutes until it is late", inputs.deadline)),
        field("Only these executors", inputs.allowed, "Their DIDs, one on each line."),
        field("Never these executors", inputs.denied, "Their DIDs, one on each line.")))]),
      h("div", { class: "row" }, run, ask)));
  show(container, head("Submit a job",
    "A WebAssembly module (WASI preview 1) runs on another node, and its receipt comes back."), h(
  "div", { class: "stack" }, form, offers));
}

function dropping(words, isMany, take) {
  const input = h("input", {
    type: "file",
    multiple: isMany,
    accept: isMany ? undefined : ".wasm",
    "aria-label": words,
    change: (event) => {
      event.stopPropagation();
      take([...event.target.files]);
    }
  });
  const area = h("div", {
    class: "drop",
    dragover: (event) => {
      event.preventDefault();
      area.classList.add("over");
    },
    dragleave: () => area.classList.remove("over"),
    drop: (event) => {
      event.preventDefault();
      area.classList.remove("over");
      take([...event.dataTransfer.files]);
    }
  }, h("span", {}, words), input);
  return area;
}

/** By what a job may be paid: this node's tokens, its lines at issuers, and tokens that it was given. */
async function knownPayers(signal) {
  const [issuers, given] = await Promise.all([get("/v1/credit/issuers", signal), get("/v1/credit/tokens", signal)]);
  const lines = issuers.filter((each) => each.lines.some((line) => !line.is_issuer));
  return [{ title: "This node's own tokens", unit: "tokens", decimals: 0, policy: {} },
    ...lines.map((each) => ({ title: `Its line at ${short(each.did)}, in ${tame(each.unit, 16)}`, unit: each.unit,
      decimals: each.decimals, policy: { pay_by: [each.did] }, isCredit: true })),
    ...given.filter(isUsable).map((each) => ({ title: `A token of ${short(each.givers[0])}, up to ${sum(each.amount,
      each)} (${short(each.token)})`, unit: each.unit, decimals: each.decimals, policy: { token: each.token },
      isCredit: true }))];
}

function whoWould({ offers, job }, payer) {
  const able = offers.filter((offer) => offer.able).length;
  const usual = job?.usual_fuel !== undefined ?
    ` The module usually uses ${number(job.usual_fuel)} fuel (${plural(job.past_runs, "run")}).` : "";
  const checks = job?.checks;
  const most = checks?.price_max === undefined ? "" : ` for at most ${tokens(checks.price_max)} together`;
  const paid = checks && checks.executors_max > 1 ?
    ` Up to ${plural(checks.executors_max, "executor")} are paid for it${most}.` : "";
  const checked = checks ? ` The result is checked (${tame(checks.verification, 40)}): this node may run the job again, with ${
    number(checks.own_fuel_max)} fuel and ${number(checks.own_seconds_max)} s at most.${paid}` : "";
  const foot = payer.isCredit ? ` Only bids tell what it costs in ${tame(payer.unit, 16)}: at most the budget, which ` +
    "the issuer holds." : ` You have ${tokens(job?.balance)}.${usual}${checked}`;
  return card("Who would run it", [
    table("Offers for this job", [
      { title: "Executor", nowrap: true, cell: (offer) => node(offer.did, offer.here ? "here" : null) },
      { title: "Region", cell: (offer) => (offer.region ? tame(offer.region, 60) : "") },
      { title: "Usually", num: true, cell: (offer) => tokens(offer.usual_price) },
      { title: "At most", num: true, cell: (offer) => tokens(offer.price_max) },
      { title: "Reputation", num: true, cell: (offer) => number(offer.reputation) },
      { title: "Away", num: true, cell: (offer) => (offer.round_trip_ms === undefined ? "" :
          `${number(offer.round_trip_ms)} ms`) }, {
        title: "Would it",
        wide: true,
        cell: (offer) => (offer.able ?
          h("span", { class: "pill good" }, "yes") : offer.obstacles.map((each) => h("div", {}, tame(each,
            200))))
      },
    ], offers, "This node knows no executor yet."),
    h("p", { class: "foot small muted" },
      `${able} of ${offers.length} would take it.${foot}`),
  ], { flush: true });
}

// MARK: What a module says of itself

/** Imports, exports and memory of a module's bytes. */
export function readModule(bytes) {
  let at = 8;
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== "\0asm") throw Error(
    "It is no WebAssembly module.");
  if (bytes[4] !== 1 || bytes[6] !== 0) throw Error(
    "It is a component or of another version; a core module of version 1 is needed.");
  const decoder = new TextDecoder();
  const byte = () => {
    if (at >= bytes.length) throw Error("The module ends in the middle of a section.");
    return bytes[at++];
  };
  const count = () => {
    let [value, scale] = [0, 1];
    for (let each = byte();; each = byte()) {
      value += (each & 127) * scale;
      if (each < 128) return value;
      scale *= 128;
      if (scale > 2 ** 63) throw Error("A number of the module is too long.");
    }
  };
  const name = () => {
    const length = count();
    const text = decoder.decode(bytes.subarray(at, at + length));
    at += length;
    return text;
  };
  const sized = () => {
    const flags = byte();
    const least = count();
    if (flags & 1) count();
    return least;
  };
  const found = { imports: new Map(), exports: [], memory: 0 };
  while (at < bytes.length) {
    const section = byte();
    const end = count() + at;
    if (section === 2) {
      for (let left = count(); left > 0; left -= 1) {
        const [from, what, kind] = [name(), name(), byte()];
        if (kind === 0) count();
        else if (kind === 1) {
          byte();
          sized();
        } else if (kind === 2) sized();
        else if (kind === 3) at += 2;
        else count(byte());
        if (!found.imports.has(from)) found.imports.set(from, []);
        found.imports.get(from).push(what);
      }
    } else if (section === 5 && count() > 0) {
      found.memory = sized();
    } else if (section === 7) {
      for (let left = count(); left > 0; left -= 1) {
        found.exports.push(name());
        byte();
        count();
      }
    }
    at = end;
  }
  return found;
}

function strange({ imports }) {
  const unknown = [...imports.keys()].filter((from) => !["wasi_snapshot_preview1", "mesh_host_v1"].includes(from));
  return unknown.length === 0 ? null :
    h("div", { class: "box warn" }, `No executor offers ${unknown.map((each) => tame(each, 60)).join(", ")}: ` +
      "jobs import wasi_snapshot_preview1 and mesh_host_v1 only. mesh check says more.");
}