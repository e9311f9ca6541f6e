// The node's API, as the browser reaches it: same origin, a cookie that scripts cannot read, and with each change a
// secret that only this origin's pages have: cookies go to every port of a host.

import { decode } from "./cbor.js";

/** A CID or an ID within a path: whatever it says, it is one part of it. */
export const part = (text) => encodeURIComponent(text);

/** A failure of the API or of the way to it. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? (status === 0 ? "The node does not answer." :
      `The node answered with status ${status}.`));
    this.status = status;
    this.code = body?.code ?? "unreachable";
    this.title = titles[this.code] ?? (body?.title ? body.title[0].toUpperCase() + body.title.slice(1) :
      undefined);
    this.hint = body?.hint ?? (status === 0 ? "It may be stopped: mesh up starts it." : undefined);
  }
}

const titles = {
  unreachable: "The node is out of reach",
  job_not_found: "No such job",
  receipt_not_found: "No such receipt",
  block_not_found: "Nothing by this CID",
  invalid_request: "The node did not take this",
};

/** What this browser's session may do. */
export const session = { mayChange: true, canEnd: false };

/** Asks the node for that. */
export async function askSession() {
  const answer = await get("/v1/session");
  session.mayChange = answer.scope === "full";
  session.canEnd = answer.seconds !== undefined;
}

/** Signs this browser in with the code of a link. */
export async function signIn(code) {
  const answer = await post("/v1/sign-in", { code });
  localStorage.setItem("page-secret", answer.page_secret);
}

let signedOut = () => {};

/** Who is told that the session is over. */
export function onSignedOut(action) {
  signedOut = action;
}

async function request(method, path, { body, type, signal, changes = method !== "GET" } = {}) {
  let answer;
  const headers = type ? { "content-type": type } : {};
  const secret = !changes ? null : localStorage.getItem("page-secret");
  if (secret) headers["mesh-page-secret"] = secret;
  try {
    answer = await fetch(path, {
      method,
      signal,
      body,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      headers,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);
  }
  if (answer.ok) return answer;
  const problem = new Problem(answer.status, await answer.json().catch(() => null));
  if (answer.status === 401) signedOut();
  throw problem;
}

export const get = async (path, signal) => (await request("GET", path, { signal })).json();

/** A question that changes something, as whatever an issuer is asked: this node keeps what it was shown. */
export const ask = async (path, signal) => (await request("GET", path, { signal, changes: true })).json();

/** A change; what it carries is JSON. */
export async function post(path, value, signal) {
  const answer = await request("POST", path, {
    signal,
    body: value === undefined ? undefined : JSON.stringify(value),
    type: value === undefined ? undefined : "application/json",
  });
  const text = await answer.text();
  return text === "" ? null : JSON.parse(text);
}

/** Has something removed. */
export const remove = async (path, signal) => (await request("DELETE", path, { signal })).json();

/** Sends a file's bytes. */
export const upload = async (file, signal) =>
  (await request("POST", "/v1/files", { body: file, type: "application/octet-stream", signal })).json();

/** The bytes of a block. */
export const block = async (cid, signal) =>
  new Uint8Array(await (await request("GET", `/v1/blocks/${part(cid)}`, { signal })).arrayBuffer());

/** What is new of a running job's output from a place on: waits for it, some seconds at most. */
export async function output(id, { attempt, position }, signal) {
  const path = `/v1/jobs/${part(id)}/output?attempt=${attempt}&position=${position}`;
  return decode(new Uint8Array(await (await request("GET", path, { signal })).arrayBuffer()));
}

/** The beginning of a file, and whether there is more: the rest is not fetched. */
export async function beginning(cid, bytesMax, signal) {
  const answer = await request("GET", `/v1/files/${part(cid)}`, { signal });
  const reader = answer.body.getReader();
  const parts = [];
  let length = 0;
  while (length <= bytesMax) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  reader.cancel().catch(() => {});
  const all = new Uint8Array(await new Blob(parts).arrayBuffer());
  return { bytes: all.subarray(0, bytesMax), isCut: all.length > bytesMax };
}

/** The lines of a stream, each JSON, as they come. */
export async function* lines(path, signal) {
  const answer = await request("GET", path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts)
      if (part !== "") yield JSON.parse(part);
  }
}

// MARK: Events

const listeners = new Set();
const types = ["job", "peer", "offer", "money"];
let state = () => {};
let source = null;
let isWanted = false;
let isLive = false;

/** Calls `refresh` when the node tells of one of these, at most twice a second, and now and then without; only for those
 * things whose IDs concern it. */
export function follow(kinds, refresh, signal, seconds = 5, concerns = () => true) {
  let timer = null;
  let isRunning = false;
  let isDue = false;
  const run = async () => {
    timer = null;
    if (signal.aborted) return;
    isRunning = true;
    isDue = false;
    try {
      await refresh();
      if (!isLive) state("on", "Polling");
    } catch (error) {
      if (!signal.aborted && error.status === 0) state("off", "Out of reach");
    }
    isRunning = false;
    later(isDue ? 400 : (isLive ? 30 : seconds) * 1000);
  };
  const later = (milliseconds) => {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(run, document.hidden ? Math.max(milliseconds, 15000) : milliseconds);
  };
  const hear = (kind, id) => {
    if (!kinds.includes(kind) || (id !== undefined && !concerns(id))) return;
    if (isRunning) isDue = true;
    else if (!isDue) {
      isDue = true;
      later(60);
    }
  };
  listeners.add(hear);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    listeners.delete(hear);
  });
  run();
}

/** Listens to the node's events while the page is seen; else it asks the node every now and then. */
export function listen(tell) {
  state = tell;
  isWanted = true;
  open();
}

/** Ends that. */
export function hangUp() {
  isWanted = false;
  close();
}

// A browser has six connections to a node, for all of its tabs and for pages that it keeps to go back to.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else open();
});
addEventListener("pagehide", () => close());
addEventListener("pageshow", () => open());

function open() {
  if (source || !isWanted || document.hidden) return;
  source = new EventSource("/v1/events");
  source.onopen = () => {
    isLive = true;
    state("on", "Live");
    // What happened while nobody listened.
    for (const hear of listeners)
      for (const type of types) hear(type);
  };
  source.onerror = () => {
    isLive = false;
    if (source?.readyState === EventSource.CLOSED) source = null;
    else state("off", "Connecting again");
  };
  for (const type of types) {
    source.addEventListener(type, (event) => {
      const { id } = JSON.parse(event.data);
      for (const hear of listeners) hear(type, id);
    });
  }
}

function close() {
  source?.close();
  source = null;
  isLive = false;
}