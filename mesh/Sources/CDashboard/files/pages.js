// Overview, jobs, money and settings.
import { h, show, panel, card, table, facts, tiles, failure, action, confirmed, field, choice, note, copyButton }
from "./dom.js";
import { get, post, follow, session, part } from "./api.js";
import { bars, parted } from "./charts.js";
import { number, price, tokens, bytes, duration, short, tame, brief, plural, time, when } from "./formats.js";
import { outcome, outcomeNames, payment, jobLink, jobByID, node, at, cid } from "./words.js";

/** The head of a page: its title, a sentence, and what can be done. */
export function head(title, sentence, ...actions) {
  return h("div", { class: "head" },
    h("div", { class: "grow" }, h("h1", {}, title), sentence ? h("p", {}, sentence) : null),
    h("div", { class: "row" }, actions));
}

/** What a page waits for first; failures after that stay in the corner of the frame. */
export async function kept(container, signal, kinds, load, draw, seconds) {
  draw(await load());
  follow(kinds, async () => draw(await load()), signal, seconds);
}

// MARK: Overview

const hour = 3_600_000;
const minutes2 = 120_000;

export async function overview({ container, signal }) {
  const parts = { tiles: h("div"), warnings: h("div"), charts: h("div"), open: h("div"), ended: h("div") };
  const draw = {
    tiles: panel(parts.tiles, tiles),
    warnings: panel(parts.warnings, (list) => list.map((text) => h("div", { class: "box warn" }, text))),
    charts: panel(parts.charts, overviewCharts),
    open: panel(parts.open, (list) => card("Under way", jobTable(list,
    "Nothing runs or waits."), { flush: true })),
    ended: panel(parts.ended, (list) => card("Ended last", jobTable(list,
      "No job has ended yet."), {
      flush: true,
      actions: h("a", { href: "#/jobs" }, "All jobs"),
    })),
  };
  let isFirst = true;
  let charts = null;
  await kept(container, signal, ["job", "money", "peer"], async () => {
    // What the charts need takes the node a while, and changes little in ten seconds.
    const now = Math.ceil(Date.now() / minutes2) * minutes2;
    if (!charts || charts.now !== now || Date.now() - charts.at > 10_000) {
      const [activity, wallet] = await Promise.all([
        get(`/v1/activity?until=${now}&step=${minutes2}&parts=${hour / minutes2}`, signal),
        get("/v1/wallet?entries=0", signal),
      ]);
      charts = { at: Date.now(), now, activity, wallet };
    }
    const [status, open, ended] = await Promise.all([
      get("/v1/status", signal), get("/v1/jobs?status=open&limit=200", signal),
      get("/v1/jobs?status=ended&limit=8", signal),
    ]);
    const { activity, wallet } = charts;
    return { status, open, activity, ended, wallet };
  }, ({ status, open, activity, ended, wallet }) => {
    const sum = (name) => activity.parts.reduce((total, each) => total + each[name], 0);
    const running = open.jobs.filter((job) => /^(preparing|running|collecting|checking)$/.test(job
    .outcome));
    const more = open.next && open.jobs.length >= 200 ? "+" : "";
    const disk = status.storage;
    draw.tiles([
      ["Running", `${running.length}${more}`, status.executor ?
        `${plural(status.executor_state?.running ?? 0, "run")} for others` : "this node only asks"
      ],
      ["Waiting", `${open.jobs.length - running.length}${more}`, wallet.held > 0 ?
        `${tokens(wallet.held)} held` : "nothing is held"
      ],
      ["Paid, last hour", brief(sum("paid")), "tokens out"],
      ["Earned, last hour", brief(sum("earned")), "tokens in"],
      ["Peers", number(status.connected_peers), status.region ? `region ${tame(status.region, 30)}` :
        "connected"
      ],
      ["Stored", disk ? bytes(disk.block_bytes) : "–", disk ?
        `${bytes(disk.disk_free_bytes)} free on the disk` : ""
      ],
    ]);
    draw.warnings([status.clock_warning, status.journal_warning, status.key_warning,
      disk && disk.state !== "open" ?
      `The storage is ${tame(disk.state)}: the node takes no new work.` : null
    ].filter(Boolean));
    draw.charts(activity);
    draw.open(open.jobs.slice(0, 12));
    draw.ended(ended.jobs);
    if (isFirst) {
      isFirst = false;
      show(container, head("Overview", null, session.mayChange ? h("a", { class: "button",
          href: "#/submit" }, "Submit a job") : null),
        parts.tiles, h("div", { class: "stack" }, parts.warnings, parts.charts, parts.open, parts.ended));
    }
  });
}

function overviewCharts(activity) {
  const title = (from) => time(from).slice(0, 5);
  const label = (bin, index) => (index % (innerWidth < 1180 ? 15 : 10) === 0 || index === 29 ? title(bin.at) : null);
  const cut = activity.whole ? null :
    h("p", { class: "small muted" }, "There was so much that only the newest is counted.");
  return h("div", { class: "halves" },
    card("Jobs of the last hour", [bars("Jobs that ended", parted(activity, title, ["succeeded", "ended_otherwise"]),
      [
        ["a", "succeeded"],
        ["e", "ended otherwise"]
      ], { label }), cut]),
    card("Tokens of the last hour", [bars("Tokens", parted(activity, title, ["earned", "paid"]),
      [
        ["a", "earned"],
        ["b", "paid"]
      ], { label }), cut]));
}

// MARK: Jobs

/** Jobs as rows. */
export function jobTable(list, empty) {
  return table("Jobs", [
    { title: "Job", cell: jobLink },
    { title: "State", nowrap: true, cell: (job) => h("span", { class: "row" }, outcome(job), payment(job)) },
    { title: "Role", cell: (job) => (job.role === "executor" ? "for another" : "own") },
    { title: "With", nowrap: true, cell: (job) => node(job.counterparty_did, job.own_run ? "here" : null) },
    { title: "Price", num: true, cell: (job) => price(job.price, job) },
    { title: "Submitted", num: true, cell: (job) => at(job.submitted_at) },
  ], list, empty);
}

const groups = [
  ["", "All"],
  ["open", "Under way"],
  ["ended", "Ended"],
  ["failed", "Failed"],
  ["pending", "Pending"],
  ["running", "Running"],
  ["lost", "Bids lost"],
  ["paid", "Paid"],
  ["unpaid", "Unpaid"]
];
const sinces = [
  ["", "Any time"],
  ["1", "Last hour"],
  ["24", "Last day"],
  ["168", "Last week"]
];
const pageLength = 50;

export async function jobs({ container, query, signal }) {
  const go = (changes) => {
    const next = new URLSearchParams(query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    location.hash = `#/jobs${next.size ? `?${next}` : ""}`;
  };
  const filter = (name) => (value) => go({
    [name]: value, after: "", page: "" });
  const value = (name) => query.get(name) ?? "";
  const label = h("input", { type: "search", value: value("label"), change: (event) => filter("label")(event
      .target.value) });
  const filters = h("div", { class: "filters" },
    field("State", choice([...groups, ...outcomeNames.filter(([name]) => !groups.some(([group]) => group ===
        name))],
      value("status"), filter("status"))),
    field("Role", choice([
      ["", "Both"],
      ["originator", "Own"],
      ["executor", "For others"]
    ], value("role"), filter("role"))),
    field("Submitted", choice(sinces, value("since"), filter("since"))),
    field("Label", label));
  const list = h("div");
  const page = Number(value("page") || 1);
  const draw = panel(list, (found) => h("section", { class: "card", "aria-label": "Jobs" },
    h("div", { class: "body flush" }, jobTable(found.jobs, query.size ?
      "No job fits this." : "No jobs yet.")),
    h("div", { class: "foot row" },
      h("button", { type: "button", disabled: page === 1, "data-key": "newest",
        click: () => go({ after: "", page: "" }) }, "Newest"),
      h("button", {
        type: "button",
        disabled: found.jobs.length < pageLength || !found.next,
        "data-key": "older",
        click: () => go({ after: found.next, page: String(page + 1) })
      }, "Older"),
      h("span", { class: "muted small" }, `Page ${page}, ${plural(found.jobs.length, "job")}`))));
  await kept(container, signal, ["job"], async () => {
    const asked = new URLSearchParams({ limit: pageLength });
    for (const name of ["status", "role", "label", "after"])
      if (value(name)) asked.set(name, value(name));
    if (value("since")) asked.set("since", Math.floor(Date.now() - Number(value("since")) * hour));
    // A plus sign stands for itself in this API.
    return get(`/v1/jobs?${asked.toString().replaceAll("+", "%20")}`, signal);
  }, (found) => draw(found));
  show(container, head("Jobs", "What this node asked for, bid on or ran.",
    session.mayChange ? h("a", { class: "button", href: "#/submit" }, "Submit a job") : null), filters, list);
}

// MARK: Money

const kinds = {
  grant: "Granted",
  hold: "Held for a job",
  settle: "Paid",
  refund: "Returned from a hold",
  income: "Earned",
};

export async function money({ container, signal }) {
  const pageLength = 100;
  // Where each page after the first begins: behind the movement of this number.
  let pages = [];
  let kind = "";
  const parts = [h("div"), h("div"), h("div")];
  const drawTiles = panel(parts[0], tiles);
  const drawHolds = panel(parts[1], (holds) => card("Holds", table("Holds", [
      { title: "Job", cell: (hold) => jobByID(hold.job_id) },
      { title: "Held", num: true, cell: (hold) => tokens(hold.amount) },
    ], holds,
  "Nothing is held. A job holds the most that it may cost, until it is settled."), { flush: true }));
  const drawEntries = panel(parts[2], ({ list, page, filter }) => card("Statement", [
    table("Movements, the newest first", [
      { title: "When", nowrap: true, cell: (entry) => at(entry.at) },
      { title: "What", cell: (entry) => kinds[entry.kind] ?? tame(entry.kind.replaceAll("_", " ")) }, {
        title: "With",
        nowrap: true,
        cell: (entry) => {
          const [, did] = [entry.debit, entry.credit].map((name) => name.match(
              /^(?:paid|income)\/(.+)$/))
            .find(Boolean) ?? [];
          return node(did);
        }
      },
      { title: "Job", cell: (entry) => jobByID(entry.job_id) },
      { title: "Tokens", num: true, cell: (entry) =>
          `${entry.credit === "wallet" ? "+" : entry.debit === "wallet" ? "−" : ""}${number(entry.amount)}` },
    ], list, page > 1 ? "There are no older ones." : "No movements yet."),
    h("div", { class: "foot row" },
      h("button", { type: "button", disabled: page === 1, "data-key": "newest", click: () => turn([]) }, "Newest"),
      h("button", { type: "button", disabled: list.length < pageLength, "data-key": "older",
        click: () => turn([...pages, list.at(-1).number]) }, "Older"),
      h("span", { class: "muted small" }, `Page ${page}, ${plural(list.length, "movement")}`)),
  ], {
    flush: true,
    actions: h("div", { class: "row" }, h("label", { for: "money-kind" }, "Show"), (() => {
      const select = choice([
        ["", "Everything"], ...Object.entries(kinds)
      ], filter, (value) => {
        kind = value;
        turn([]);
      });
      select.id = "money-kind";
      return select;
    })())
  }));
  const asking = () => `/v1/wallet?entries=${pageLength}${pages.length ? `&after=${pages.at(-1)}` : ""}${
    kind ? `&kind=${kind}` : ""}`;
  const load = async () => {
    const question = asking();
    return { question, wallet: await get(question, signal) };
  };
  const draw = ({ question, wallet }) => {
    // An answer to what is asked no more comes late.
    if (question !== asking()) return;
    drawTiles([
      ["Available", number(wallet.available), "tokens"],
      ["Held", number(wallet.held), plural(wallet.holds.length, "job")],
      ["Paid in all", number(wallet.paid), "to executors"],
      ["Earned in all", number(wallet.earned), "by runs for others"]
    ]);
    drawHolds(wallet.holds);
    drawEntries({ list: wallet.entries, page: pages.length + 1, filter: kind });
  };
  const turn = (to) => {
    pages = to;
    return refresh();
  };
  const refresh = async () => draw(await load());
  await kept(container, signal, ["money"], load, draw);
  show(container, head("Money",
    "Tokens are numbers in this node's own ledger, in double entry. They are no money, and " +
    "nobody else can check them."), parts[0], h("div", { class: "columns" }, parts[2], parts[1]));
}

// MARK: Settings

export async function settings({ container, signal }) {
  const parts = [h("div", { class: "stack" }), h("div", { class: "stack" }), h("div")];
  const drawNode = panel(parts[0], ({ status, limits }) => [
    card("This node", facts([
      ["Version", status.version],
      ["DID", h("span", {}, h("span", { class: "mono" }, status.did), " ", copyButton(status.did,
        "the DID"))],
      ["Peer", h("span", { class: "mono" }, status.peer_id)],
      ["Listens on", h("div", {}, status.addresses.map((address) => h("div", { class: "mono" }, tame(
          address, 200), " ",
        copyButton(address, "the address"))))],
      ["Region", status.region ? tame(status.region) : "none"],
      ["Executor", status.executor ? "yes" : "no, it only asks"],
      ["Runs are kept apart by", status.run_isolation?.join(", ")],
      ["Process", `${status.pid}`],
    ])),
    card("Bounds", facts([
      ["Largest file", bytes(limits.file_bytes_max)],
      ["Largest module", bytes(limits.module_bytes_max)],
      ["Checks of results", limits.verification],
      ["Blocks may take", bytes(status.storage?.block_bytes_max)],
      ["Kept free on the disk", bytes(status.storage?.disk_reserve_bytes)],
    ])),
    status.gateway ? card("Gateway", facts([
      ["Address", status.gateway.address],
      ["Public roots", number(status.gateway.public_roots)],
      ["Answers", number(status.gateway.answers)],
      ["Refused", number(status.gateway.refusals)],
      ["Sent", bytes(status.gateway.sent_bytes)],
    ])) : null,
  ]);
  const drawStorage = panel(parts[1], ({ status }) => [
    card("Storage", [facts([
      ["State", status.storage?.state],
      ["Blocks", number(status.storage?.blocks)],
      ["They take", bytes(status.storage?.block_bytes)],
      ["Database", bytes(status.storage?.database_bytes)],
      ["Free on the disk", bytes(status.storage?.disk_free_bytes)],
    ]), session.mayChange ? h("p", { class: "row" }, action("Clean up", async () => {
      const freed = await post("/v1/gc");
      note(freed.blocks ? `Removed ${plural(freed.blocks, "block")}, ${bytes(freed.bytes)}.` :
        "There was nothing to remove.");
      refresh();
    }), h("span", { class: "muted small" }, "removes what nobody added and no open job needs")) : null]),
    session.canEnd ? card("This browser", [h("p", { class: "muted" }, session.mayChange ?
        "It is signed in and may change everything." : "It is signed in and may only look."),
      h("p", { class: "row" }, h("button", {
        type: "button",
        click: async () => {
          await post("/v1/sign-out").catch(() => null);
          location.reload();
        }
      }, "Sign out"))
    ]) : null,
    !session.mayChange ? null : card("Stop", [h("p", { class: "muted" },
        "Ends the node. Jobs under way go on when it starts again."),
      h("p", { class: "row" }, h("button", {
        type: "button",
        class: "danger",
        click: async () => {
          if (!await confirmed("Stop this node?",
              "The dashboard ends with it. mesh up starts the node again.", "Stop the node")) return;
          try {
            await post("/v1/shutdown");
            note("The node is stopping.");
          } catch (error) {
            note(error.message);
          }
        }
      }, "Stop the node"))
    ]),
  ]);
  const settled = h("div");
  const drawSettings = panel(settled, (list) => settingsCard(list, () => refresh()));
  const drawPins = panel(parts[2], ({ status, pins }) => card("Kept files and folders", [table("Pins", [
      { title: "CID", cell: (pin) => cid(pin.cid) },
      { title: "Who may have it", wide: true, cell: (pin) => (pin.isPublic ? "anyone, over HTTP" :
          "nodes that ask by its CID") }, {
        title: "Change",
        quiet: true,
        num: true,
        cell: (pin) => (status.gateway ? action(pin.isPublic ? "Make private" : "Make public",
    async () => {
          await post(`/v1/pins/${part(pin.cid)}/${pin.isPublic ? "private" : "public"}`);
          refresh();
        }, { key: `public ${pin.cid}`, kind: "quiet" }) : null)
      },
    ], pins.list, "Nothing is kept by hand."), pins.next ?
    h("p", { class: "foot small muted" }, "The newest 200 are shown; mesh pin ls lists all.") : null
  ], { flush: true }));
  const load = async () => {
    const [status, limits, pins, list] = await Promise.all([
      get("/v1/status", signal), get("/v1/limits", signal), get("/v1/pins?limit=200", signal),
      get("/v1/settings", signal)
    ]);
    return { status, limits, pins, list };
  };
  const draw = ({ status, limits, pins, list }) => {
    drawSettings(list);
    const { uptime_ms: _, resident_bytes: __, counters: ___, ...calm } = status;
    drawNode({ status: { ...calm, storage: { ...calm.storage, block_bytes: 0, blocks: 0, database_bytes: 0,
          disk_free_bytes: 0 } }, limits });
    drawStorage({ status: calm });
    drawPins({
      status: { gateway: status.gateway && true },
      pins: {
        list: pins.pins.map((each) => ({ cid: each, isPublic: pins.public?.includes(each) ?? false })),
        next: pins.next
      }
    });
    drawRun({ uptime: Math.floor(status.uptime_ms / 60_000), memory: Math.round(status.resident_bytes / 2 **
        20) });
  };
  const run = h("p", { class: "muted" });
  const drawRun = panel(run, ({ uptime, memory }) =>
    `Up for ${uptime > 0 ? duration(uptime * 60_000) : "less than a minute"}, ${memory} MiB of memory.`);
  const refresh = async () => draw(await load());
  await kept(container, signal, ["job"], load, draw, 10);
  const title = head("Settings");
  title.firstChild.append(run);
  show(container, title, h("div", { class: "stack" }, settled, h("div", { class: "halves" }, parts[0], parts[1]),
    parts[2]));
}

const sources = { default: "default", file: "config.json", environment: "a variable", option: "an option of mesh up" };

/** Lists that let everybody or every hour in when they are empty: what is asked before. */
const opening = {
  "executor.allowed_originators": ["Run jobs for everybody?",
    "Without a list of those who may, every node of the mesh may have its jobs run here.", "Run jobs for everybody"
  ],
  "executor.denied_originators": ["Refuse nobody?",
    "Those on the list may have their jobs run here again.", "Refuse nobody"
  ],
  "executor.hours": ["Run jobs at all hours?", "Without hours, the node takes jobs by day and by night.",
    "Run at all hours"
  ],
};

/** What the node was told to do: a field for what it takes while it runs, the rest to be read. */
function settingsCard(list, after) {
  const words = (value) => (value.length ? tame(value.join(", "), 200) : "none");
  const from = (each) => [sources[each.source] ?? tame(each.source), each.outdated ?
    h("span", {}, " ", h("span", { class: "pill warn" }, each.changes_at_once ? "not read yet" : "after a restart")) :
    null
  ];
  // A long key breaks behind a part of it.
  const broken = (key) => tame(key, 80).split(/(?<=[._])/).flatMap((each) => [each, h("wbr")]);
  const columns = (cell) => [
    { title: "Setting", cell: (each) => h("code", { class: "name" }, broken(each.key)) },
    { title: "Value", wide: true, cell },
    { title: "From", nowrap: true, cell: (each) => h("span", {}, from(each)) },
    { title: "Default", cell: (each) => h("span", { class: "muted" }, words(each.default)) },
  ];
  const change = async (each, value) => {
    const { applied } = await post("/v1/settings", { changes: [{ key: each.key, value }] });
    note(applied.includes(each.key) ? `${each.key} is changed, and the node has taken it.` :
      `${each.key} was so already.`);
  };
  // Whether an owner who makes such a list empty means it.
  const isMeant = async (each) => !opening[each.key] || confirmed(...opening[each.key]);
  const edited = (each) => {
    if (!session.mayChange || !["default", "file"].includes(each.source)) return words(each.value);
    const input = h("input", { value: each.value.join(", "), autocomplete: "off", spellcheck: "false",
      "aria-label": each.key, "aria-describedby": `allowed-${each.key}`, "data-key": `value ${each.key}` });
    const save = action("Save", async () => {
      const text = input.value.trim();
      // The node takes a list apart at its commas, and refuses one of commas alone.
      const isEmptied = each.list && text === "";
      if (isEmptied && !await isMeant(each)) return;
      await change(each, isEmptied ? [] : [text]);
      input.defaultValue = input.value;
    }, { key: `save ${each.key}`, after });
    save.setAttribute("aria-label", `Save ${each.key}`);
    const back = each.source === "file" ? action("Default", async () => {
      if (!await isMeant(each)) return;
      await change(each);
      input.defaultValue = input.value = each.default.join(", ");
    }, { key: `default ${each.key}`, kind: "quiet", after }) : null;
    back?.setAttribute("aria-label", `Default of ${each.key}`);
    return h("form", { class: "setting", submit: (event) => {
        event.preventDefault();
        save.click();
      } }, h("div", { class: "row" }, input, save, back),
      h("span", { class: "small muted", id: `allowed-${each.key}` }, each.list ?
        "a list, with commas between its elements" :
        tame(each.allowed, 200).replace(/ from (\d+) to 9223372036854775807$/, " from $1 on")));
  };
  const atOnce = list.filter((each) => each.changes_at_once);
  const atStart = list.filter((each) => !each.changes_at_once);
  return card("What the node was told", [
    table("Settings that change while the node runs", columns(edited), atOnce, "This node has no file of settings."),
    h("details", { class: "more", "data-key": "at a restart" }, h("summary", {},
        `${plural(atStart.length, "setting")} that the node takes when it starts`),
      h("p", { class: "small muted" }, "Change them with mesh config set, or in config.json in the node's home " +
        "folder, and restart the node with mesh stop and mesh up."),
      table("Settings that the node takes when it starts", columns((each) => words(each.value)), atStart, "")),
  ], { flush: true });
}
