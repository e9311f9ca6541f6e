#!/usr/bin/env python3
"""Drives the dashboard of real nodes in Chromium: every page, every action, names that would like to be scripts.

It needs Debian's `chromium`, a built mesh (`make build guests`) and Python 3 with venv; everything else it puts into
.build/dashboard-venv by pip: websocket-client, pillow and axe-core-python, which carries axe.min.js.

    python3 scripts/dashboard-check.py               # fails with what it found; takes about a minute
    python3 scripts/dashboard-check.py --pictures    # also writes docs/pictures/dashboard-*.png

It starts a devnet of its own in a temporary folder, signs in by the link of `mesh dashboard`, and ends it.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "scripts"))
from dashboard_net import Net, within_venv  # noqa: E402

if __name__ == "__main__":
    within_venv()
from dashboard_browser import Browser  # noqa: E402

# MARK: What is asked of every page

# Text whose contrast with what is behind it is less than 4.5.
CONTRAST = r"""(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(parse(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".hidden, .skip, noscript")) continue;
    const style = getComputedStyle(element);
    const under = behind(element);
    const text = over(parse(element instanceof SVGElement ? style.fill : style.color), under);
    const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.add(`${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...found];
})()"""

# Text that is cut off, and a page that is wider than the window.
CLIPPED = r"""(() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth + 1) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const each of document.querySelectorAll("body *")) {
    if (!each.checkVisibility() || each.closest(".hidden, .skip, .scroll, thead, pre, input, select, textarea, svg, dialog")) continue;
    const box = each.getBoundingClientRect();
    const clips = ["hidden", "clip", "auto", "scroll"].includes(getComputedStyle(each).overflowX);
    if (clips && each.scrollWidth > each.clientWidth + 1) found.push(`${each.tagName}.${each.className} is cut`);
    if (box.width > 0 && (box.right > innerWidth + 1 || box.left < -1)) found.push(`${each.tagName}.${each.className} leaves the window`);
  }
  for (const text of document.querySelectorAll("svg.chart text")) {
    const [box, frame] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
    if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`${text.textContent} is cut in a chart`);
  }
  return [...new Set(found)];
})()"""

# What a name must never become.
INTRUDERS = r"""(() => {
  const found = [...document.querySelectorAll("main script, main iframe, main object, main embed, main base, main img, "
    + "main style, main link, main meta, main video, main audio, main math, main marquee, main foreignObject")].map((each) => each.outerHTML);
  for (const each of document.querySelectorAll("*")) {
    for (const { name, value } of each.attributes) {
      if (/^on/i.test(name) || name === "style" && each.closest("main")) found.push(`${name}=${value}`);
      if (["href", "src", "xlink:href", "action", "formaction"].includes(name) && each.closest("main")
        && !/^(#|\/v1\/)/.test(value)) found.push(`${name}=${value}`);
    }
  }
  if (window.ran !== undefined) found.push(`it ran: ${window.ran}`);
  return found;
})()"""

# MARK: Names that would like to be scripts


def corpus():
    """More than 200 names, each with a number by which it is found again, each of which sets `ran` if it runs."""
    call = "window.ran={n}"
    tags = [
        "img src=x",
        "svg",
        "body",
        "video",
        "audio",
        "iframe",
        "input autofocus",
        "details open",
        "marquee",
        "object data=x",
        "math",
        "select autofocus",
        "textarea autofocus",
        "style",
        "link rel=stylesheet href=x",
    ]
    handlers = ["onerror", "onload", "onfocus", "ontoggle", "onstart", "onmouseover", "onanimationstart"]
    shapes = [f"<{tag} {handler}={call}>" for tag in tags for handler in handlers]
    shapes += [
        f"{begin}<script>{call}</script>"
        for begin in (
            "",
            '"',
            "'",
            '">',
            "'>",
            "</title>",
            "</textarea>",
            "</style>",
            "</script>",
            "-->",
            "]]>",
            "`",
            '\\"',
            "</td>",
            "</pre>",
            "</option>",
            "\u202e",
            "\u200b",
            "\x00",
            "\ud7ff",
            "%3Cscript%3E",
            "&lt;",
            "\n",
            "\t",
            "${",
            "{{",
            "<%",
        )
    ]
    shapes += [
        f"javascript:{call}",
        f"JaVaScRiPt:{call}",
        f" javascript:{call}",
        f"java\nscript:{call}",
        f"data:text/html,<script>{call}</script>",
        f"vbscript:{call}",
        f"//evil.invalid/x.js#{{n}}",
        f"https://evil.invalid/{{n}}",
        f'#" onclick="{call}',
        f'/v1/../x" onclick="{call}',
        f'" onmouseover="{call}" x="',
        f"' onfocus='{call}' autofocus x='",
        f"` onload=`{call}`",
        f"x onerror={call}//",
        "${window.ran={n}}",
        "{{window.ran={n}}}",
        "{{constructor.constructor('window.ran={n}')()}}",
        "<%= {n} %>",
        "#{window.ran={n}}",
        "<svg><animate onbegin=window.ran={n} attributeName=x dur=1s>",
        "<svg><use href=data:image/svg+xml,<svg/onload=window.ran={n}>>",
        "<a href=javascript:window.ran={n}>click",
        "<form action=javascript:window.ran={n}><button>",
        "<base href=//evil.invalid/{n}/>",
        "<meta http-equiv=refresh content=0;url=//evil.invalid/{n}>",
        "<link rel=import href=//evil.invalid/{n}>",
        "<math><mtext></form><form><mglyph><style></math><img src onerror=window.ran={n}>",
        "<template><img src=x onerror=window.ran={n}></template>",
        '<noscript><p title="</noscript><img src=x onerror=window.ran={n}>">',
        "<!--><img src=x onerror=window.ran={n}>-->",
        "<![CDATA[><img src=x onerror=window.ran={n}>]]>",
        "<?xml><script>window.ran={n}</script>",
        "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>window.ran={n}</x:script>",
        "__proto__{n}",
        "constructor{n}",
        "toString{n}",
        "hasOwnProperty{n}",
        "then{n}",
    ]
    shapes += [
        f"<{tag}>{{n}}</{tag}>"
        for tag in (
            "b",
            "i",
            "h1",
            "table",
            "ul",
            "plaintext",
            "xmp",
            "listing",
            "title",
            "noembed",
            "frameset",
            "dialog open",
            "button autofocus",
            "keygen",
            "isindex",
            "blink",
            "applet",
            "sub",
            "pre",
            "code",
            "center",
            "font color=red",
            "s",
            "u",
            "output",
            "slot",
            "summary",
            "menu",
            "dir",
            "layer",
            "bgsound",
            "image src=x onerror=window.ran={n}",
            "embed src=javascript:window.ran={n}",
            "portal src=//evil.invalid",
        )
    ]
    shapes += [f"\u202e{{n}}{kind}" for kind in ("gpj.exe", "<script>", "\u2066x\u2069", "\ufeff")] + [
        "A" * 300 + "{n}",
        "\u0300" * 60 + "{n}",
        "\U0001f30d" * 40 + "{n}",
    ]
    return [f"n{number}n" + shape.replace("{n}", str(number)) for number, shape in enumerate(shapes)]


# Gives every text of the API's answers one of the names: of the keys that are free text, or of all.
TAMPER = r"""(() => {
  const names = NAMES;
  const free = new Set(["label", "region", "text", "reason", "name", "detail", "hint", "title", "item", "capability", "version", "outcome_text",
    "advice", "setting", "engine", "state_text", "clock_warning", "failure", "refusal", "does_not_show", "id", "kind_text", "source"]);
  const listed = new Set(["obstacles", "addresses", "connections", "features", "hours", "args", "run_isolation"]);
  window.given = 0;
  window.everything = false;
  const next = () => names[window.given++ % names.length];
  const change = (value, key) => {
    if (typeof value === "string") return window.everything || free.has(key) ? next() : value;
    if (Array.isArray(value)) return value.map((each) => (typeof each === "string" && listed.has(key) ? next() : change(each, key)));
    if (value && typeof value === "object") {
      const changed = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, change(each, name)]));
      if ("job_id" in changed && !("label" in changed)) changed.label = next();
      if ("peer_id" in changed || "did" in changed) changed.region = next();
      return changed;
    }
    return value;
  };
  const real = window.fetch;
  window.fetch = async (path, options) => {
    const answer = await real(path, options);
    if (!/json$/.test(answer.headers.get("content-type") ?? "") || /sign-in|session/.test(path)) return answer;
    const text = JSON.stringify(change(await answer.json(), ""));
    return new Response(text, { status: answer.status, headers: { "content-type": "application/json" } });
  };
})()"""


class Failures(list):
    def expect(self, holds, what):
        print(("ok    " if holds else "FAIL  ") + what, flush=True)
        if not holds:
            self.append(what)


class Check:
    def __init__(self, options):
        self.options, self.failures = options, Failures()
        self.net = Net(options.mesh)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="dashboard-files-"))
        self.browser = Browser(options.chromium)
        self.browser.size(1440, 900)
        self.browser.theme("light")
        import axe_core_python

        self.axe = (pathlib.Path(axe_core_python.__file__).parent / "axe.min.js").read_text()

    # MARK: Steps

    def go(self, address):
        browser = self.browser
        browser.run(
            f"(() => {{ delete document.getElementById('main').dataset.ready; const to = {json.dumps(address)}; "
            "if (location.hash === to) dispatchEvent(new HashChangeEvent('hashchange')); else location.hash = to; })()"
        )
        browser.wait(
            "document.getElementById('main').dataset.ready !== undefined || document.querySelector('main [role=alert]') !== null",
            address,
        )

    def click(self, title, within="main"):
        self.browser.wait(
            f"[...document.querySelectorAll('{within} button, {within} a')].some((b) => b.textContent === {json.dumps(title)} && !b.disabled)",
            f"a button {title}",
        )
        self.browser.run(
            f"[...document.querySelectorAll('{within} button, {within} a')].find((b) => b.textContent === {json.dumps(title)}).click()"
        )

    def shows(self, text, within="main", seconds=30):
        self.browser.wait(
            f"document.querySelector({json.dumps(within)})?.textContent.includes({json.dumps(text)})",
            f"“{text}”",
            seconds,
        )

    def fill(self, label, value):
        self.browser.run(
            f"""(() => {{ const label = [...document.querySelectorAll("label")].find((l) => l.textContent === {json.dumps(label)});
            const input = document.getElementById(label.htmlFor); input.value = {json.dumps(value)};
            input.dispatchEvent(new Event("input", {{ bubbles: true }})); input.dispatchEvent(new Event("change", {{ bubbles: true }})); }})()"""
        )

    def sign_in(self, node=0, *options):
        self.browser.open("about:blank")
        self.browser.open(self.net.link(node, *options))
        self.browser.wait(
            "document.getElementById('main')?.dataset.ready !== undefined", "the overview after signing in"
        )

    # MARK: The parts

    def life_of_a_job(self):
        """From the form to a verified receipt, by the page alone."""
        guests = root / "Examples" / "build"
        text = self.work / "a text.txt"
        text.write_text((root / "README.md").read_text())
        self.go("#/submit")
        self.browser.files("input[type=file][accept]", [guests / "TextPortrait.wasm"])
        self.shows("wasi_snapshot_preview1")
        self.failures.expect(
            self.browser.run("document.querySelector('main').textContent.includes('KiB')"),
            "submit: the module's size and imports",
        )
        self.browser.files("input[type=file][multiple]", [text])
        self.browser.wait("document.querySelector('tbody a.mono') !== null", "the input's CID")
        self.fill("Label", "portrait of a text")
        self.click("See who would run it")
        self.shows("would take it")
        self.failures.expect(
            self.browser.run("document.querySelectorAll('main .pill.good').length") >= 3,
            "submit: who would run it, and at what price",
        )
        self.click("Run the job")
        self.browser.wait("location.hash.startsWith('#/job/')", "the job's page")
        self.job = self.browser.run("location.hash.slice(6)")
        self.shows("Succeeded")
        self.click("Verify")
        self.shows("All checks hold")
        self.failures.expect(
            self.browser.run("document.querySelectorAll('ul.checks li.passed').length") >= 20,
            "job: the receipt with one line for each check",
        )
        self.click("Replay")
        self.shows("The job ran again here")
        self.shows("All checks hold")
        self.failures.expect(True, "job: replayed")
        self.browser.run("document.querySelector('details[data-key]').open = true")
        self.shows("PORTRAIT OF A TEXT")
        self.shows("Settled:")
        self.failures.expect(
            self.browser.run("document.querySelectorAll('ol.story li').length") > 8, "job: its story"
        )
        self.receipt = self.browser.run(
            "[...document.querySelectorAll('section')].find((s) => s.textContent.startsWith('Receipt')).querySelector('a.mono').title"
        )

    def cancel(self):
        loop = self.work / "loop.wasm"
        # Writes a line to standard output, and then loops.
        loop.write_bytes(
            bytes.fromhex(
                "0061736d01000000010c0260047f7f7f7f017f60000002230116776173695f736e617073686f745f70726576696577310866"
                "645f77726974650000030201010503010001071302066d656d6f72790200065f737461727400010a14011200410141004101"
                "410810001a03400c000b0b0b23010041000b1d100000000d00000000000000000000003c623e616c6976653c2f623e0a"
            )
        )
        self.go("#/submit")
        self.browser.files("input[type=file][accept]", [loop])
        self.shows("Imports")
        self.fill("Fuel", "900000000000")
        self.fill("Seconds", "600")
        self.click("Run the job")
        self.browser.wait("location.hash.startsWith('#/job/')", "the job's page")
        self.shows("The executor took the assignment")
        self.browser.wait("document.querySelector('main progress') !== null", "the progress of the run")
        self.shows("<b>alive</b>", within="[aria-label='What the job writes']")
        self.failures.expect(True, "job: what it writes is shown while it runs")
        self.click("Cancel")
        self.click("Cancel the job", within="dialog")
        self.shows("Cancelled")
        self.failures.expect(True, "job: cancelled after a question")
        self.cancelled = self.browser.run("location.hash.slice(6)")

    def others(self):
        """More to look at: a job that nobody takes, one that several check, a workflow over files of hostile names."""
        guests = root / "Examples" / "build"
        self.net.mesh(
            "run",
            str(guests / "TextPortrait.wasm"),
            "--stdin",
            str(root / "README.md"),
            "--budget",
            "20",
            "--label",
            "too small a budget",
            check=False,
        )
        self.net.mesh(
            "run",
            str(guests / "TextPortrait.wasm"),
            "--stdin",
            str(root / "README.md"),
            "--verify",
            "quorum:2/3",
            "--label",
            "three must agree",
        )
        folder = self.work / "names"
        folder.mkdir()
        for number, name in enumerate(
            name for name in corpus() if "/" not in name and "\x00" not in name and len(name.encode()) < 200
        ):
            if number % 12 == 0:
                (folder / name).write_text(f"{number}\n")
        self.net.mesh("map", str(guests / "Sum.wasm"), "--each", str(folder / "*"), check=False)
        self.browser.run(
            """fetch("/v1/workflows").then((a) => a.json()).then((l) => { window.workflow = l[0].workflow_id; })"""
        )
        self.workflow = self.browser.wait("window.workflow", "the workflow")

    def actions(self):
        browser, expect = self.browser, self.failures.expect
        self.go(f"#/workflow/{self.workflow}")
        self.click("Verify")
        self.shows("All checks hold")
        expect(
            browser.run("document.querySelector('svg .stage') !== null"),
            "workflow: its graph, and its receipt verified",
        )
        self.go(f"#/audit/{self.receipt}")
        self.shows("A receipt")
        self.click("Verify")
        self.shows("All checks hold")
        expect(
            browser.run("document.querySelector('main').textContent.includes('The object itself')"),
            "audit: a receipt by its CID alone",
        )
        self.go("#/audit/bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae")
        browser.wait(
            "document.querySelector('main [role=alert]') !== null", "what audit says of an unknown CID", 120
        )
        expect(True, "audit: an unknown CID is said to be so")
        self.go("#/jobs")
        self.fill("State", "failed")
        browser.wait("location.hash.includes('status=failed')", "the filter in the address")
        self.shows("too small a budget")
        expect(
            browser.run("!document.querySelector('main tbody').textContent.includes('portrait of a text')"),
            "jobs: filtered by state",
        )
        self.go("#/settings")
        self.click("Clean up")
        browser.wait("document.getElementById('notes').textContent !== ''", "what cleaning up freed")
        self.go("#/mesh")
        self.fill("Address of a node", "/ip4/127.0.0.1/tcp/1")
        self.click("Connect")
        expect(True, "settings and mesh: clean up, connect")
        browser.run("document.getElementById('theme').click()")
        browser.run("document.getElementById('theme').click()")
        expect(browser.run("document.documentElement.dataset.theme") == "dark", "theme: the toggle")
        browser.run("document.getElementById('theme').click()")

    def keyboard(self):
        browser = self.browser
        self.go("#/")
        browser.run("document.activeElement.blur()")
        seen = []
        for _ in range(14):
            for kind in ("keyDown", "keyUp"):
                browser.send(
                    "Input.dispatchKeyEvent",
                    {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
                )
            seen.append(
                browser.run(
                    "[document.activeElement.textContent.trim() || document.activeElement.id, "
                    "getComputedStyle(document.activeElement).outlineStyle !== 'none']"
                )
            )
        self.failures.expect(
            seen[0][0] == "Skip to the page"
            and any(name == "Settings" or name == "Jobs" for name, _ in seen)
            and all(outline for _, outline in seen),
            f"keyboard: {len(seen)} stops, each with a visible focus",
        )

    def executor(self):
        self.sign_in(1)
        self.go("#/executor")
        self.shows("Takes jobs")
        self.click("Pause")
        self.shows("Paused")
        self.click("Resume")
        self.shows("Takes jobs")
        self.click("Drain")
        self.shows("Drain")
        self.click("Resume")
        self.failures.expect(True, "executor: pause, drain and resume")

    def pages(self):
        return [
            ("overview", "#/"),
            ("jobs", "#/jobs"),
            ("job", f"#/job/{self.job}"),
            ("submit", "#/submit"),
            ("workflows", "#/workflows"),
            ("workflow", f"#/workflow/{self.workflow}"),
            ("mesh", "#/mesh"),
            ("executor", "#/executor"),
            ("reputation", "#/reputation"),
            ("money", "#/money"),
            ("audit", f"#/audit/{self.receipt}"),
            ("settings", "#/settings"),
            ("failed", "#/jobs?status=failed&label=too%20small%20a%20budget"),
            ("missing", "#/job/bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae"),
        ]

    def looks(self):
        """Every page, in both themes and three widths: axe, contrast, nothing cut off; and pictures."""
        browser = self.browser
        for theme in ("light", "dark"):
            browser.theme(theme)
            for width, height in ((1440, 860), (768, 860), (360, 700)):
                browser.size(width, height)
                for name, address in self.pages():
                    self.go(address)
                    if name == "job" and width != 360:
                        self.click("Verify")
                        self.shows("All checks hold")
                    if name == "reputation":
                        self.click("Why")
                        self.shows("= 1,000 ×")
                    faults = [f"contrast {each}" for each in browser.run(CONTRAST)] + browser.run(CLIPPED)
                    if width != 768:
                        faults += self.by_axe()
                    browser.size(width, height)
                    self.failures.expect(
                        not faults,
                        f"{name}, {theme}, {width}: " + ("clean" if not faults else "; ".join(faults)[:700]),
                    )
                    is_once = name in ("failed", "missing")
                    browser.run("document.activeElement.blur(); document.getElementById('notes').replaceChildren()")
                    if self.options.pictures and not (is_once and (theme, width) != ("light", 1440)):
                        self.keep(f"dashboard-{name}-{theme}-{width}", browser.picture())
        browser.theme("light")
        browser.size(1440, 900)

    def by_axe(self):
        browser = self.browser
        if not browser.run("typeof window.axe === 'object'"):
            browser.run(self.axe + "; 0")
        found = browser.run(
            """axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) =>
            `axe ${v.id}: ${v.nodes.slice(0, 2).map((n) => n.html.slice(0, 120)).join(" ")}`))"""
        )
        return found

    def keep(self, name, png):
        """Writes a picture with few colours, so that it is small: the most frequent ones exactly, and some between."""
        import io

        from PIL import Image

        picture = Image.open(io.BytesIO(png)).convert("RGB")
        frequent = sorted(picture.getcolors(1 << 24), reverse=True)[:14]
        between = picture.quantize(10, method=Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * 10]
        colors = [part for _, color in frequent for part in color] + between
        palette = Image.new("P", (1, 1))
        palette.putpalette(colors)
        small = picture.quantize(palette=palette, dither=Image.Dither.NONE)
        small.save(root / "docs" / "pictures" / f"{name}.png", optimize=True)

    def names(self):
        """The corpus through every answer of the API, and through real jobs and files before that."""
        browser, names = self.browser, corpus()
        self.failures.expect(len(names) >= 200, f"the corpus has {len(names)} names")
        script = browser.send(
            "Page.addScriptToEvaluateOnNewDocument", {"source": TAMPER.replace("NAMES", json.dumps(names))}
        )
        seen, found, rounds = "", [], 0
        self.sign_in()
        browser.dialogs, browser.requests = 0, set()
        missing = list(range(len(names)))
        while rounds < 2 or (missing and rounds < 12):
            for _, address in self.pages():
                browser.run(f"window.everything = {'true' if rounds % 2 else 'false'}")
                self.go(address)
                browser.run("document.querySelectorAll('main details').forEach((d) => { d.open = true; })")
                seen += browser.run("document.querySelector('main').textContent")
                found += browser.run(INTRUDERS)
            rounds += 1
            missing = [number for number in missing if f"n{number}n" not in seen]
        self.failures.expect(
            not found, f"{len(names)} names through {rounds * len(self.pages())} pages execute nothing {found[:3]}"
        )
        self.failures.expect(not missing and browser.dialogs == 0, f"every name was shown as text {missing[:9]}")
        base = browser.run("location.origin")
        evil = [each for each in browser.requests if not each.startswith((base, "about:", "data:,"))]
        self.failures.expect(not evil, f"no name led the browser elsewhere {evil[:2]}")
        browser.send("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})

    def weight(self):
        browser = self.browser
        browser.send("Network.setCacheDisabled", {"cacheDisabled": True})
        paints = []
        for _ in range(5):
            self.sign_in()
            browser.wait("performance.getEntriesByName('first-contentful-paint').length > 0", "the first paint")
            paints.append(browser.run("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        size = browser.run(
            "performance.getEntriesByType('resource').filter((e) => e.name.includes('/dashboard/'))"
            ".concat(performance.getEntriesByType('navigation')).reduce((s, e) => s + e.transferSize, 0)"
        )
        shift = browser.run("""new Promise((resolve) => { let sum = 0; new PerformanceObserver((list) => {
            for (const e of list.getEntries()) if (!e.hadRecentInput) sum += e.value; }).observe({ type: "layout-shift", buffered: true });
            setTimeout(() => resolve(sum), 500); })""")
        paint = sorted(paints)[2]
        # A figure, to be below 300 ms on a quiet machine; what fails is only what no load explains.
        self.failures.expect(paint < 2_000, f"first paint after {paint:.0f} ms (300 at most on a quiet machine)")
        self.failures.expect(size < 300_000, f"{size} bytes in all")
        self.failures.expect(shift < 0.02, f"layout shift {shift:.3f}")

    def sessions(self):
        browser, expect = self.browser, self.failures.expect
        self.sign_in(0, "--read-only")
        self.go("#/settings")
        expect(
            browser.run(
                "![...document.querySelectorAll('main button')].some((b) => /Clean up|Stop/.test(b.textContent))"
            ),
            "a session that only reads has no buttons that change",
        )
        answer = browser.run("fetch('/v1/gc', { method: 'POST' }).then((a) => a.status)")
        expect(answer == 403, f"and is refused a change: {answer}")
        self.click("Sign out")
        self.shows("mesh dashboard")
        expect(browser.run("fetch('/v1/status').then((a) => a.status)") == 401, "signed out")
        self.sign_in()
        link = self.net.link()
        self.browser.open("about:blank")
        self.browser.open(link)
        self.browser.wait("location.hash === '#/'", "the code to leave the address")
        expect(True, "the code of the link leaves the address")

    def end(self):
        self.go("#/settings")
        self.click("Stop the node")
        self.click("Stop the node", within="dialog")
        self.browser.wait("document.getElementById('live').className.includes('off')", "that the node is gone", 60)
        # Between the end of its events and its own, a node says that it is stopping.
        self.browser.until(lambda: not self.net.answers(), "that nobody listens any more", 60)
        self.go("#/jobs")
        self.shows("does not answer")
        self.failures.expect(True, "a node that stopped: the page says so")
        if self.options.pictures:
            self.keep("dashboard-gone-light-1440", self.browser.picture())

    def run(self):
        browser = self.browser
        try:
            self.sign_in()
            for part in (
                self.life_of_a_job,
                self.cancel,
                self.others,
                self.actions,
                self.keyboard,
                self.looks,
                self.weight,
            ):
                part()
            # Failures that a page asked for itself are told in the console by the browser.
            wanted = ("404", "422", "502", "504", "ERR_")
            bad = [
                each
                for each in browser.complaints
                if not (each.startswith("network:") and any(w in each for w in wanted))
            ]
            self.failures.expect(not bad, f"the console has no errors {bad[:4]}")
            self.executor()
            self.names()
            self.sessions()
            bad = [each for each in browser.complaints if each.startswith(("exception", "dialog"))]
            self.failures.expect(not bad, f"nothing was thrown {bad[:4]}")
            self.end()
        except TimeoutError:
            print("FAILED at this page:", browser.run("location.href"), browser.run("document.body.innerText")[:1000])
            print("The console has:", browser.complaints[-5:])
            raise
        finally:
            browser.close()
            self.net.close()
            shutil.rmtree(self.work)
        print(f"\n{len(self.failures)} failures" if self.failures else "\nThe dashboard holds.")
        return 1 if self.failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", default=os.environ.get("MESH", str(root / ".build" / "debug" / "mesh")))
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--pictures", action="store_true")
    sys.exit(Check(parser.parse_args()).run())
