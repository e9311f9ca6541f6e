// The mesh around this node, its executor, and what it knows of others' conduct.
import { h, s, show, panel, card, table, facts, tiles, action, field, note, failure, copyButton,
  confirmed } from "./dom.js";
import { get, post, session } from "./api.js";
import { head, kept, jobTable } from "./pages.js";
import { bars, parted } from "./charts.js";
import { amount, number, price, tokens, bytes, duration, tame, short, plural, brief, dayOf } from "./formats.js";
import { node, at, cid, jobLink } from "./words.js";

// MARK: The mesh

export async function mesh({ container, signal }) {
  const parts = [h("div"), h("div"), h("div", { class: "stack" }), h("div")];
  const drawNetwork = panel(parts[3], networkCard);
  const drawMap = panel(parts[0], ({ offers, peers, did }) => card("Around this node", map(offers, peers, did)));
  const drawOffers = panel(parts[1], (offers) => card("Executors", table("Executors and their prices", [
    { title: "Executor", nowrap: true, cell: (offer) => node(offer.did, offer.here ? "here" : null) },
    { title: "Region", cell: (offer) => (offer.region ? tame(offer.region, 60) : "") },
    { title: "Base", num: true, cell: (offer) => tokens(offer.base_price) },
    { title: "Per M fuel", num: true, cell: (offer) => tokens(offer.price_per_million_fuel) },
    { title: "Load", num: true, cell: (offer) => `${Math.round(offer.load_permille / 10)} %` },
    { title: "Away", num: true, cell: (offer) => (offer.round_trip_ms === undefined ? "" :
        `${number(offer.round_trip_ms)} ms`) },
    { title: "Gives", wide: true, cell: (offer) => gives(offer) },
  ], offers, "No executor is known yet. Connect to a node below."), { flush: true }));
  const drawPeers = panel(parts[2], ({ peers, addresses }) => [
    card("Peers", table("Peers", [
      { title: "Peer", nowrap: true, cell: (peer) => (peer.did ? node(peer.did) : h(
        "span", { class: "mono" }, short(peer.peer_id))) },
      { title: "State", nowrap: true, cell: (peer) => h(
          "span", { class: `pill ${peer.banned ? "bad" : peer.connected ? "good" : ""}` }, peer.banned ?
          "banned" : peer.connected ? "connected" : "known") },
      { title: "Address", wide: true, cell: (peer) => (peer.connections ?? peer.addresses).slice(0, 3)
          .map((each) => h("div", { class: "mono" }, tame(each, 160))) },
      { title: "Seen", num: true, cell: (peer) => at(peer.last_seen) },
      { title: "Dealings", cell: (peer) => dealing(peer, () => refresh()) },
    ], peers, "No peers yet."), { flush: true }),
    h("div", { class: "halves" },
      !session.mayChange ? null : card("Connect to a node", h("form", {
          class: "stack",
          submit: async (event) => {
            event.preventDefault();
            const input = event.target.querySelector("input");
            try {
              const peer = await post("/v1/peers", { address: input.value.trim() });
              note(`Connected to ${short(peer.peer_id)}.`);
              input.value = "";
              refresh();
            } catch (error) {
              note(`${error.message} ${error.hint ?? ""}`);
            }
          }
        }, field("Address of a node", h("input", { required: true, autocomplete: "off", spellcheck: "false",
          placeholder: "/ip4/…/tcp/…/p2p/…" })),
        h("p", {}, h("button", {}, "Connect")))),
      card("How others reach this node", addresses.length === 0 ? h("p", { class: "muted" },
          "It listens nowhere.") :
        addresses.map((each) => h("div", {}, h("code", { class: "name" }, tame(each, 200)), " ", copyButton(
          each, "the address"))))),
  ]);
  const load = async () => {
    const [offers, peers, status, network] = await Promise.all([get("/v1/offers", signal), get("/v1/peers",
      signal), get("/v1/status", signal), get("/v1/network", signal)]);
    return { offers: offers.offers, peers, status, network };
  };
  const draw = ({ offers, peers, status, network }) => {
    drawNetwork(network);
    drawMap({
      did: status.did,
      offers: offers.map(({ did, region, round_trip_ms, here }) => ({ did, region, here, away: Math.round(
          Math.log2(1 + (round_trip_ms ?? 0)) * 2) / 2, known: round_trip_ms !== undefined })),
      peers: peers.map(({ did, peer_id, connected }) => ({ did: did ?? peer_id, connected }))
    });
    drawOffers(offers.map((offer) => ({ ...offer, round_trip_ms: offer.round_trip_ms })));
    drawPeers({ peers: peers.map((peer) => ({ ...peer, last_seen: Math.floor((peer.last_seen ?? 0) / 60_000) *
          60_000 })), addresses: status.addresses });
  };
  const refresh = async () => draw(await load());
  await kept(container, signal, ["peer", "offer"], load, draw);
  show(container, head("Mesh", "The nodes that this one knows, what they offer, and how far away they are."),
    h("div", { class: "stack" }, h("div", { class: "columns" }, parts[1], parts[0]), parts[2], parts[
      3]));
}

const topicWords = [
  [/^\/icn\/mesh\/capabilities\//, "what executors offer"],
  [/^\/icn\/mesh\/jobs\/announce\//, "new jobs"],
  [/^\/icn\/mesh\/receipts\//, "receipts that there are"],
  [/^\/icn\/mesh\/reputation\//, "receipts that others paid"],
  [/^\/icn\/mesh\/dag\/.*\/heads\//, "heads of logs"],
  [/^\/icn\/mesh\/dag\/.*\/checkpoints\//, "signed heads of logs, as trees"],
  [/^\/icn\/mesh\/dag\/.*\/forks\//, "proofs of two histories"],
  [/^\/icn\/mesh\/job\/.*\/bids\//, "bids on one job"],
  [/^\/icn\/mesh\/job\/.*\/status\//, "the state of one job"],
];

/** What this node does for gossip and the DHT: the topics that it follows, and what it keeps for others. */
function networkCard({ topics, dht }) {
  return card("Topics and DHT", [
    table("Topics of gossip", [
      { title: "Topic", cell: (topic) => h("code", { class: "name" }, tame(topic.name, 200)) },
      { title: "What goes there", cell: (topic) => topicWords.find(([form]) => form.test(topic.name))?.[1] ?? "" },
      { title: "Mesh", num: true, cell: (topic) => number(topic.mesh_peers) },
      { title: "Peers", num: true, cell: (topic) => number(topic.peers) },
    ], topics, "This node follows no topic."),
    h("div", { class: "foot" }, facts([
      ["Nodes in the DHT's table", number(dht.table_nodes)],
      ["Values kept for others", number(dht.records)],
      ["Places kept for others", number(dht.providers)],
      ["Announced by this node", number(dht.announced)],
    ])),
  ], { flush: true });
}

function gives(offer) {
  const amount = (list, name) => list.find((each) => each.name === name)?.amount;
  const memory = amount(offer.limits, "max_memory_bytes");
  const seconds = amount(offer.limits, "timeout_seconds");
  return [memory && `${bytes(memory)} memory`, seconds && `${duration(seconds * 1000)} a run`].filter(Boolean).join(
    ", ");
}

/** A button that bans a peer, or allows it again. */
function dealing(peer, after) {
  const name = short(peer.did ?? peer.peer_id);
  const order = peer.banned ? "allow" : "ban";
  const forget = action("Forget", async () => {
    if (!(await confirmed(`Forget ${name}?`,
        "What this node knows of its addresses and its conduct goes; receipts and proofs stay.", "Forget"))) return;
    await post("/v1/peers/forget", { peer: peer.peer_id });
    note(`${name} is forgotten.`);
  }, { key: `forget ${peer.peer_id}`, kind: "quiet", after });
  return h("span", { class: "row" }, action(peer.banned ? "Allow" : "Ban", async () => {
    if (order === "ban" && !(await confirmed(`Ban ${name}?`,
        "Its connections are closed, its jobs here are stopped, and yours there go to others.", "Ban"))) return;
    const outcome = await post(`/v1/peers/${order}`, { peer: peer.peer_id });
    note(outcome.banned ? `${name} is banned.` : `${name} is allowed again.`);
  }, { key: `dealings ${peer.peer_id}`, after }), forget);
}

/** This node in the middle; the others by region around it, the farther out the longer a message takes. */
function map(offers, peers, did) {
  const known = new Map(offers.filter((offer) => !offer.here).map((offer) => [offer.did, { ...offer,
    isExecutor: true }]));
  for (const peer of peers) known.set(peer.did, { ...known.get(peer.did), did: peer.did, connected: peer
      .connected });
  const everyone = [...known.values()].sort((a, b) => `${a.region ?? "~"} ${a.did}`.localeCompare(
    `${b.region ?? "~"} ${b.did}`));
  const all = everyone.slice(0, 60);
  const rest = everyone.length - all.length;
  if (all.length === 0) return h("p", { class: "empty" }, "This node knows no other yet.");
  const [size, middle] = [380, 190];
  const groups = new Map();
  const dots = all.map((each, index) => {
    const angle = ((index + 0.5) / all.length) * 2 * Math.PI - Math.PI / 2;
    const radius = each.known ? Math.min(52 + each.away * 11, 140) : 140;
    const [x, y] = [middle + radius * Math.cos(angle), middle + radius * Math.sin(angle)];
    const region = each.region ? tame(each.region, 14) : "";
    if (!groups.has(region)) groups.set(region, []);
    groups.get(region).push(angle);
    return { each, x, y };
  });
  const regions = [...groups].map(([region, list]) =>
    `${list.length} ${region ? `in ${region}` : "without a region"}`);
  const words = `This node and ${plural(all.length, "other")}: ${regions.join(", ")}`;
  return h("div", {},
    s("svg", { class: "chart", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": words },
      [1, 10, 100].map((milliseconds) => {
        const radius = Math.min(52 + Math.log2(1 + milliseconds) * 11, 140);
        return [s("circle", { class: "ring", cx: middle, cy: middle, r: radius }),
          s("text", { x: middle + 4, y: middle - radius - 3 }, `${milliseconds} ms`)
        ];
      }),
      dots.map(({ each, x, y }) => (each.connected ? s("line", { class: "link", x1: middle, y1: middle, x2: x
          .toFixed(1), y2: y.toFixed(1) }) : null)),
      s("circle", { class: "node here", cx: middle, cy: middle, r: 9 }, s("title", {},
        `This node, ${short(did)}`)),
      dots.map(({ each, x, y }) => [
        s("circle", { class: `node ${each.isExecutor ? "able" : ""} ${each.connected ? "" : "off"}`, cx: x
              .toFixed(1), cy: y.toFixed(1), r: 7 },
          s("title", {}, `${short(each.did)}${each.region ? `, ${tame(each.region, 40)}` : ""}`)),
        // Away from the middle, where the lines are.
        all.length <= 16 ? s("text", { x: x.toFixed(1), y: (y + (y < middle ? -12 : 20)).toFixed(1),
          "text-anchor": "middle" }, short(each.did)) : null,
      ]),
      [...groups].map(([region, angles]) => {
        if (!region) return null;
        const angle = angles.reduce((sum, each) => sum + each, 0) / angles.length;
        const [x, y] = [middle + 172 * Math.cos(angle), middle + 172 * Math.sin(angle)];
        return s("text", { class: "strong", x: x.toFixed(1), y: (y + 4).toFixed(1), "text-anchor": "middle" },
          region);
      })),
    h("p", { class: "legend" }, h("span", {},
      "Green rings are executors; lines are connections; distance is the time of a round trip.")),
    rest > 0 ? h("p", { class: "small muted" }, `${number(rest)} more are known here and not drawn.`) : null);
}

// MARK: The executor

const states = {
  off: ["This node runs no jobs for others", ""],
  open: ["Takes jobs", "good"],
  paused: ["Paused", "warn"],
  draining: ["Drains", "warn"],
  drained: ["Drained", "warn"],
  out_of_hours: ["Outside its hours", "warn"],
  stopping: ["Stopping", "warn"],
};
const dayLength = 86_400_000;

export async function executor({ container, signal }) {
  const parts = [h("div"), h("div"), h("div"), h("div")];
  const drawState = panel(parts[0], ({ state, offer }) => {
    const [words, kind] = states[state.state] ?? [tame(state.state.replaceAll("_", " ")), "warn"];
    const order = (title, name, primary) => action(title, async () => {
      await post(`/v1/executor/${name}`);
      await refresh();
    }, { kind: primary ? "primary" : undefined });
    return card("State", h("div", { class: "stack" },
      h("div", { class: "row" }, h("span", { class: `pill ${kind}` }, words), state.state === "off" ?
        null : [
          order("Pause", "pause"), order("Drain", "drain"), order("Resume", "resume", state.state !==
            "open")
        ]),
      state.state === "off" ?
      h("p", { class: "muted" },
        "Set executor.enabled in config.json in its home folder, and start it again, to earn with this machine."
        ) :
      h("p", { class: "small muted" },
        "Pause: takes no new jobs, and those that run stand still. Drain: takes none, and finishes those that it has."
        ),
      facts([
        ["Running", number(state.running)],
        ["Waiting", number(state.waiting)],
        ["Accepted jobs are kept for", state.kept_ms ? duration(state.kept_ms) : ""],
        ["Hours", state.hours.map((each) => tame(each)).join(", ")],
        ["Niceness", state.nice || ""],
        ["Slots", offer ? limit(offer, "jobs_at_once") : ""],
        ["Queue", offer ? limit(offer, "queued_jobs") : ""],
        ["Base price", offer ? tokens(offer.base_price) : ""],
        ["Per million fuel", offer ? tokens(offer.price_per_million_fuel) : ""],
        ["Most fuel", offer ? brief(limit(offer, "max_fuel") ?? 0) : ""],
        ["Most memory", offer ? bytes(limit(offer, "max_memory_bytes")) : ""],
        ["Longest run", offer ? duration((limit(offer, "timeout_seconds") ?? 0) * 1000) : ""],
      ])));
  });
  const drawDays = panel(parts[1], (activity) => card("Earned by day", [bars("Tokens earned by day",
    parted(activity, dayOf, ["earned"]), [
      ["a", "tokens"]
    ], { label: (bin, index) => (index % 4 === 1 ? dayOf(bin.at) : null) }), activity.whole ? null :
    h("p", { class: "small muted" }, "There was so much that only the newest is counted.")]));
  const drawLost = panel(parts[2], (lost) => card("Bids that were lost", table("Lost bids", [
    { title: "Job", cell: jobLink }, { title: "Own bid", num: true, cell: (job) => price(job.price, job) },
    { title: "Winner's", num: true, cell: (job) => price(job.winner_price, job) }, { title: "Why", wide: true,
      cell: (job) => tame(job.reason, 240) },
  ], lost, "No bid was lost lately."), { flush: true, actions: h(
    "a", { href: "#/jobs?role=executor&status=lost" }, "All") }));
  const drawRuns = panel(parts[3], (list) => card("Runs for others", jobTable(list,
    "No job of another ran here yet."), {
    flush: true,
    actions: h("a", { href: "#/jobs?role=executor" }, "All")
  }));
  const load = async () => {
    const midnight = new Date().setHours(24, 0, 0, 0);
    const [status, offers, activity, lost, runs] = await Promise.all([
      get("/v1/status", signal), get("/v1/offers", signal),
      get(`/v1/activity?until=${midnight}&step=${dayLength}&parts=14`, signal),
      get("/v1/jobs?role=executor&status=lost&limit=12", signal), get(
        "/v1/jobs?role=executor&status=open,succeeded,failed&limit=12", signal)
    ]);
    return { status, offer: offers.offers.find((offer) => offer.here), activity, lost: lost.jobs, runs: runs
        .jobs };
  };
  const draw = ({ status, offer, activity, lost, runs }) => {
    drawState({ state: status.executor_state ?? { state: status.executor ? "open" : "off", running: 0,
        waiting: 0, hours: [], nice: 0 }, offer });
    drawDays(activity);
    drawLost(lost);
    drawRuns(runs);
  };
  const refresh = async () => draw(await load());
  await kept(container, signal, ["job", "money"], load, draw);
  show(container, head("Executor", "What this machine does for others, and what it earns."),
    h("div", { class: "stack" }, h("div", { class: "halves" }, parts[0], parts[1]), parts[3], parts[2]));
}

const limit = (offer, name) => offer.limits.find((each) => each.name === name)?.amount;

// MARK: Reputation

export async function reputation({ container, signal }) {
  const parts = [h("div"), h("div"), h("div")];
  let asked;
  const asking = async (did) => (await get(`/v1/reputation?of=${encodeURIComponent(did)}`, signal)).subjects[0];
  const drawWhy = panel(parts[1], why);
  const drawNodes = panel(parts[0], (nodes) => card("Conduct as this node knows it", table("Reputation", [
    { title: "Node", nowrap: true, cell: (each) => node(each.did) }, { title: "Region", cell: (each) => (
        each.region ? tame(each.region, 60) : "") },
    { title: "Reputation", num: true, cell: (each) => number(each.reputation) },
    { title: "Misbehaviours", num: true, cell: (each) => (each.misbehaviours ? h(
      "span", { class: "pill bad" }, number(each.misbehaviours)) : "0") },
    { title: "Proofs against it", num: true, cell: (each) => (each.proofs ? h(
      "span", { class: "pill bad" }, number(each.proofs)) : "0") },
    { title: "Why", cell: (each) => action("Why", async () => {
        asked = each.did;
        const subject = await asking(each.did);
        // Another one was asked for meanwhile.
        if (asked !== each.did) return;
        drawWhy(subject);
        parts[1].scrollIntoView({ block: "nearest" });
      }, { key: `why ${each.did}`, reads: true }) },
  ], nodes, "No other node is known yet."), { flush: true }));
  const drawProofs = panel(parts[2], (proofs) => card("Proofs that a receipt says what is not so", table("Proofs",
    [
      { title: "Made", nowrap: true, cell: (proof) => at(proof.made_at) }, { title: "Against", nowrap: true,
        cell: (proof) => node(proof.executor_did) },
      { title: "By", nowrap: true, cell: (proof) => node(proof.maker_did) }, { title: "It claimed",
        wide: true, cell: (proof) => (proof.claimed ? tame(proof.claimed.outcome, 200) : "") },
      { title: "Found", wide: true, cell: (proof) => tame(proof.found.outcome, 200) }, { title: "Proof",
        nowrap: true, cell: (proof) => cid(proof.proof_cid, "the proof's CID") },
    ], proofs, "This node has no proof against anyone."), { flush: true }));
  await kept(container, signal, ["offer", "peer", "job"], async () => {
    const did = asked;
    const [offers, peers, proofs, subject] = await Promise.all([get("/v1/offers", signal), get("/v1/peers", signal),
      get("/v1/proofs?limit=200", signal), did ? asking(did) : undefined
    ]);
    return { offers: offers.offers, peers, proofs, did, subject };
  }, ({ offers, peers, proofs, did, subject }) => {
    // The reasons beside a figure are those of that figure.
    if (subject && asked === did) drawWhy(subject);
    const all = new Map();
    for (const peer of peers)
      if (peer.did) all.set(peer.did, { did: peer.did, reputation: peer.reputation ?? 0, misbehaviours: peer
          .misbehaviours });
    for (const offer of offers)
      if (!offer.here) all.set(offer.did, { misbehaviours: 0, ...all.get(offer.did), did: offer.did,
        region: offer.region, reputation: offer.reputation });
    for (const each of all.values()) each.proofs = proofs.filter((proof) => proof.executor_did === each.did)
      .length;
    drawNodes([...all.values()].sort((a, b) => b.reputation - a.reputation));
    drawProofs(proofs);
  });
  show(container, head("Reputation",
    "From 0 to 1000, from receipts that this node verified itself: it grows with results that hold, and " +
    "falls to nothing when a second run finds something else. Nobody else's opinion counts."), h(
  "div", { class: "stack" }, parts[0], parts[1], parts[2]));
}

/** How the score of one node comes about, receipt by receipt. */
function why(subject) {
  const sum = `${number(subject.good)} / (${number(subject.good)} + ${number(subject.bad)} + ${
    number(subject.prior)})`;
  return card(`Why ${short(subject.did)} has ${number(subject.score)}`, [
    facts([
      ["Score", `${number(subject.score)} = 1,000 × ${sum}`],
      ["Confidence", `${subject.confidence / 10} %`],
      ...(subject.good_elsewhere > 0 ? [["By others", `${number(subject.good_elsewhere)} of the good: what others paid`]] :
        []),
      ["Found right here", subject.right_results === 0 ?
        "no result since the last wrong one: at adaptive, all are checked" :
        `${plural(subject.right_results, "result")} in a row, paid with ${tokens(subject.right_worth)
        }; at adaptive, ${subject.checked_permille / 10} % are checked`],
    ]),
    table("Receipts of it", [
      { title: "Receipt", nowrap: true, cell: (each) => cid(each.receipt_cid, "the receipt's CID") },
      { title: "Shows", cell: (each) => h("span", { class: `pill ${each.verdict === "fulfilled" ? "good" :
            "bad"}` }, each.verdict) },
      { title: "Taken", nowrap: true, cell: (each) => at(each.at) },
      { title: "Weighs", num: true, cell: (each) => (each.reset ? "0, taken by a later invalid one" :
          `${each.verdict === "fulfilled" || each.weight === 0 ? "" : "−"}${number(each.weight)}`) },
    ], subject.reasons ?? [], "There is no receipt of a job of this node."),
    ...(subject.elsewhere?.length ? [table("What others paid it", [
      { title: "Paid by", nowrap: true, cell: (each) => node(each.payer.did) },
      { title: "Receipt", nowrap: true, cell: (each) => cid(each.receipt_cid, "the receipt's CID") },
      { title: "Amount", num: true, cell: (each) =>
          `${amount(each.amount, { decimals: each.decimals })} ${tame(each.unit, 16)}` },
      { title: "Booked by", nowrap: true, cell: (each) => node(each.issuer) },
      { title: "Booked", nowrap: true, cell: (each) => at(each.at) },
      { title: "The payer weighs", num: true, cell: (each) => number(each.payer.weight) },
    ], subject.elsewhere.flatMap((payer) => payer.receipts.map((receipt) => ({ ...receipt, payer }))))] : []),
  ], { id: "why" });
}