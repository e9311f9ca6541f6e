// Elements without markup: every text that comes from elsewhere becomes a text node or an attribute, never HTML.
import { session } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";
const addresses = /^(#|\/v1\/|icon\.svg$)/;

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") {
      element.addEventListener(name, value);
    } else if (name === "href") {
      // Links lead within the dashboard or to this node's own downloads, whatever a stranger's text says.
      if (addresses.test(value)) element.setAttribute("href", value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** An element of HTML. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replaces what a container shows; what had the focus keeps it, and fields what was typed, if they are still there. */
export function show(container, ...children) {
  const focused = document.activeElement;
  const key = container.contains(focused) && focused !== container ? focusKey(focused) : null;
  const open = [...container.querySelectorAll("details[data-key][open]")].map((each) => each.dataset.key);
  const typed = new Map([...container.querySelectorAll("input[data-key]")]
    .filter((each) => each.value !== each.defaultValue).map((each) => [each.dataset.key, each.value]));
  const caret = key && focused.matches("input[data-key]") ? focused.selectionEnd : null;
  container.replaceChildren();
  add(container, children);
  for (const each of container.querySelectorAll("details[data-key]")) {
    if (open.includes(each.dataset.key)) each.open = true;
  }
  for (const each of container.querySelectorAll("input[data-key]")) {
    if (typed.has(each.dataset.key)) each.value = typed.get(each.dataset.key);
  }
  if (!key) return;
  const found = [...container.querySelectorAll("a, button, input, select")].find((e) => focusKey(e) === key);
  found?.focus();
  if (caret !== null) found?.setSelectionRange?.(caret, caret);
}

function focusKey(element) {
  return element.dataset.key ?? element.id ?? element.getAttribute("href") ?? element.textContent;
}

/** Shows what a function makes of a value, only when the value is another than before: nothing flickers or jumps. */
export function panel(container, make) {
  let before;
  return (value) => {
    const now = JSON.stringify(value);
    if (now === before) return;
    before = now;
    show(container, make(value));
  };
}

/** A box with a title. */
export function card(title, body, { actions, flush, id } = {}) {
  const name = id ?? `c-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { class: "card", "aria-labelledby": name },
    h("header", {}, h("h2", { id: name, class: "grow" }, title), actions),
    h("div", { class: flush ? "body flush" : "body" }, body));
}

/** A table: columns are { title, cell, num }; on a phone each row becomes a block of lines with the titles. */
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  return h("table", { role: "table" },
    h("caption", { class: "hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) =>
      h("th", { scope: "col", role: "columnheader", class: column.num ? "num" : undefined },
        column.quiet ? h("span", { class: "hidden" }, column.title) : column.title)))),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row" }, columns.map((column) => {
      const cell = column.cell(row);
      const isBlank = cell === undefined || cell === null || cell === "";
      const classes = [column.num && "num", column.nowrap && "nowrap", column.wide && "wide", isBlank &&
        "blank"
      ].filter(Boolean).join(" ");
      return h("td", { role: "cell", class: classes || undefined, "data-label": column.title },
        h("span", {}, isBlank ? "" : cell));
    })))));
}

/** Terms and what they say; those without anything are left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== undefined && value !== null && value !==
      "")
    .map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
}

/** Figures at the top of a page: [title, figure, note]. */
export function tiles(list) {
  return h("dl", { class: "tiles" }, list.map(([title, figure, note]) =>
    h("div", { class: "tile" }, h("dt", {}, title), h("dd", {}, figure), note ? h("dd", { class: "note" },
      note) : null)));
}

/** What stands where something is being loaded. */
export function waiting(text = "Loading…") {
  return h("div", { class: "wait" }, h("span", { class: "hidden" }, text), h("i"), h("i"), h("i"));
}

/** A failure: what, why, and what to do. */
export function failure(error, retry) {
  return h("div", { class: "box bad", role: "alert" },
    h("strong", {}, error.title ?? "That did not work"), h("p", {}, error.message),
    error.hint ? h("p", {}, error.hint) : null,
    retry ? h("button", { type: "button", click: retry }, "Try again") : null);
}

/** A sentence in the corner that goes by itself. */
export function note(text) {
  const line = h("p", {}, text);
  document.getElementById("notes").append(line);
  setTimeout(() => line.remove(), 6000);
}

/** A button that is out of use while what it began goes on; a session that only reads has those that `reads` alone. */
export function action(title, work, { kind, after, key, reads } = {}) {
  if (!reads && !session.mayChange) return null;
  const button = h("button", {
    type: "button",
    class: kind,
    "data-key": key ?? title,
    click: async () => {
      button.disabled = true;
      try {
        await work();
        after?.();
      } catch (error) {
        note(error.hint ? `${error.message} ${error.hint}` : error.message);
      } finally {
        button.disabled = false;
      }
    }
  }, title);
  return button;
}

/** Asks before something that cannot be taken back. */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    const dialog = h("dialog", {
        "aria-labelledby": "dialog-title",
        close: () => {
          resolve(dialog.returnValue === "yes");
          dialog.remove();
        }
      },
      h("h2", { id: "dialog-title" }, title), h("p", {}, text),
      h("div", { class: "row" },
        h("button", { type: "button", class: "danger", click: () => dialog.close("yes") }, verb),
        h("button", { type: "button", click: () => dialog.close("no") }, "Back")));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A labelled control. */
export function field(title, control, hint) {
  const id = `f-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, title), control,
    hint ? h("span", { class: "small muted", id: `${id}-hint` }, hint) : null);
}

/** A choice among [value, title]. */
export function choice(options, value, change) {
  return h("select", { change: (event) => change?.(event.target.value) },
    options.map(([each, title]) => h("option", { value: each, selected: each === value }, title)));
}

/** Copies a text. */
export function copyButton(text, what) {
  return h("button", {
    type: "button",
    class: "copy",
    "aria-label": `Copy ${what}`,
    "data-key": `copy ${text}`,
    click: async () => {
      try {
        await navigator.clipboard.writeText(text);
        note(`Copied ${what}.`);
      } catch {
        note("The browser did not let this page copy.");
      }
    }
  }, "copy");
}

/** Has the browser save bytes that this page has already. */
export function saved(name, bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const link = h("a", { download: name });
  link.href = url;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
