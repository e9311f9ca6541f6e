// The shell around the pages: signing in, the way from an address to a page, the theme, what is live.
import { h, s, show, card, failure, waiting, note } from "./dom.js";
import { signIn as redeem, onSignedOut, listen, hangUp, session, askSession } from "./api.js";
import { overview, jobs, money, settings } from "./pages.js";
import { job } from "./job.js";
import { submit } from "./submit.js";
import { mesh, executor, reputation } from "./mesh.js";
import { workflows, workflow } from "./workflows.js";
import { audit } from "./audit.js";
import { credit } from "./credit.js";

const pages = [
  ["", "Overview", overview, "M2 9l6-6 6 6M4 8v6h8V8"],
  ["jobs", "Jobs", jobs, "M2 4h12M2 8h12M2 12h8"],
  ["submit", "Submit", submit, "M8 12V3M4 7l4-4 4 4M2 14h12"],
  ["workflows", "Workflows", workflows, "M2 3h4v4H2zM10 9h4v4h-4zM6 5h3a2 2 0 012 2v2"],
  ["mesh", "Mesh", mesh, "M8 3v10M3 8h10M8 3a5 5 0 100 10A5 5 0 008 3z", true],
  ["executor", "Executor", executor, "M3 3h10v10H3zM6 1v2M10 1v2M6 13v2M10 13v2M1 6h2M1 10h2M13 6h2M13 10h2"],
  ["reputation", "Reputation", reputation, "M8 2l1.8 3.8 4.2.5-3.1 2.9.8 4.1L8 11.3l-3.7 2 .8-4.1L2 6.3l4.2-.5z"],
  ["money", "Money", money, "M8 2.5a5.5 5.5 0 100 11 5.5 5.5 0 000-11zM8 5v6M6 6.5h3a1 1 0 010 3H6"],
  ["credit", "Credit", credit, "M2 4.5h12v7H2zM2 7h12M4 9.5h3"],
  ["audit", "Audit", audit, "M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.5 10.5L14 14", true],
  ["settings", "Settings", settings, "M2 5h7M12 5h2M2 11h2M7 11h7M10.5 3.5v3M5.5 9.5v3"],
];
const inner = { job: [job, "jobs"], workflow: [workflow, "workflows"] };

const main = document.getElementById("main");
let leave = new AbortController();

async function route() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decode);
  const page = pages.find(([each]) => each === name);
  const [view, parent] = page ? [page[2], name] : inner[name] ?? [];
  closeMenu();
  for (const link of document.querySelectorAll("#nav a")) {
    if (view && link.dataset.page === parent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!view) {
    title("No such page");
    show(main, h("h1", {}, "No such page"), h("p", {}, h("a", { href: "#/" }, "Go to the overview")));
    return;
  }
  title(page ? page[1] : name === "job" ? "Job" : "Workflow");
  const container = h("div", {});
  show(main, container);
  show(container, h("div", { class: "head" }, h("h1", {}, document.title.split(" · ")[0])), waiting());
  scrollTo(0, 0);
  try {
    await view({ container, rest, query: new URLSearchParams(query ?? ""), signal });
  } catch (error) {
    if (signal.aborted) return;
    show(container, h("div", { class: "stack" }, h("h1", {}, document.title.split(" · ")[0]), failure(error,
      route)));
  }
  if (signal.aborted) return;
  main.dataset.ready = location.hash;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function title(text) {
  document.title = `${text} · Planetary Mesh`;
}

// MARK: Signing in

async function signIn(code) {
  history.replaceState(null, "", "#/");
  show(main, waiting("Signing in…"));
  try {
    await redeem(code);
    return true;
  } catch (error) {
    askForLink(error);
    return false;
  }
}

function askForLink(error) {
  leave.abort();
  hangUp();
  live("off", "Signed out");
  title("Sign in");
  show(main, h("div", { class: "sign" }, h("section", { class: "card" },
    h("h1", {}, "Sign in"),
    error && error.status !== 401 ?
    h("div", { class: "box bad", role: "alert" }, error.message, error.hint ? ` ${error.hint}` : null) :
    null,
    h("p", {}, "Only the owner of this node sees its dashboard. On the node's machine, run"),
    h("pre", {}, "mesh dashboard"),
    h("p", {},
      "and open the link that it prints. The link works once and for a short time; this browser then stays " +
      "signed in."))));
}

onSignedOut(() => askForLink());

// MARK: The frame

function live(kind, text) {
  const line = document.getElementById("live");
  line.className = `live ${kind}`;
  line.textContent = text;
}

function closeMenu() {
  document.getElementById("nav").classList.remove("open");
  document.getElementById("menu").setAttribute("aria-expanded", "false");
}

function frameNav() {
  const own = pages.filter(([name]) => session.mayChange || name !== "submit");
  show(document.getElementById("nav"), h("ul", {}, own.map(([name, words, , path, isGap]) =>
    h("li", { class: isGap ? "gap" : undefined }, h("a", { href: `#/${name}`, "data-page": name },
      s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", {
        d: path,
        fill: "none",
        stroke: "currentColor",
        "stroke-width": 1.4,
        "stroke-linejoin": "round",
        "stroke-linecap": "round",
      })), words)))));
}

function frame() {
  frameNav();
  document.getElementById("menu").addEventListener("click", (event) => {
    const isOpen = document.getElementById("nav").classList.toggle("open");
    event.currentTarget.setAttribute("aria-expanded", String(isOpen));
  });
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  document.getElementById("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = document.getElementById("find-text").value.trim();
    if (text) location.hash = `#/audit/${encodeURIComponent(text)}`;
  });
  const button = document.getElementById("theme");
  const names = { auto: ["Auto", "as the system"], light: ["Light", "light"], dark: ["Dark", "dark"] };
  const shown = () => {
    const [short, long] = names[localStorage.getItem("theme") ?? "auto"] ?? names.auto;
    show(button, s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" },
      s("circle", { cx: 8, cy: 8, r: 6.5, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }),
      s("path", { d: "M8 2a6 6 0 010 12z", fill: "currentColor" })), short);
    button.setAttribute("aria-label", `${short}: the colours are ${long}; change`);
  };
  button.addEventListener("click", () => {
    const order = ["auto", "light", "dark"];
    const next = order[(order.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % order.length];
    if (next === "auto") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
    dispatchEvent(new Event("theme"));
    shown();
  });
  shown();
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName)) return;
    event.preventDefault();
    document.getElementById("find-text").focus();
  });
}

async function start() {
  frame();
  const code = location.hash.slice(1);
  if (code !== "" && !code.startsWith("/") && !(await signIn(code))) return;
  try {
    await askSession();
    listen(live);
    frameNav();
  } catch (error) {
    if (error.status === 401) return;
    live("off", "Out of reach");
  }
  addEventListener("hashchange", async () => {
    // A new sign-in link in a tab that is open already.
    const next = location.hash.slice(1);
    if (next !== "" && !next.startsWith("/")) {
      if (!(await signIn(next))) return;
      await askSession().catch(() => null);
      frameNav();
      listen(live);
    }
    route();
  });
  route();
}

addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
  else if (event.reason?.message) note(event.reason.message);
});

start();