"""What the parts of scripts/dashboard-check.py are made of: going, clicking, filling in, looking, keeping pictures."""

import io
import json
import pathlib
import tempfile

import axe_core_python
from PIL import Image

from dashboard_browser import Browser
from dashboard_net import Net, root
from dashboard_probes import CLIPPED, CONTRAST, SHIFTS

# Every page and state is looked at in these.
SHAPES = [(theme, width, height) for theme in ("light", "dark") for width, height in ((1440, 860), (768, 860), (360, 700))]


class Failures(list):
    def expect(self, holds, what):
        print(("ok    " if holds else "FAIL  ") + what, flush=True)
        if not holds:
            self.append(what)


class Steps:
    def __init__(self, options):
        self.options, self.failures = options, Failures()
        gateway = {"gateway": {"listen": "/ip4/127.0.0.1/tcp/0"}}
        # The second node becomes an issuer, by whose credit the third is paid; the third one, by whose the fourth is.
        self.net = Net(options.mesh, lambda dids: {
            0: gateway,
            2: {"executor": {"features": ["special"], "issuers": [f"{dids[1]} hours/2 0.10 0.02"]}},
            3: {"executor": {"features": ["special"], "issuers": [f"{dids[2]} hours/2 0.10 0.02"]}},
        })
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="dashboard-files-"))
        self.browser = Browser(options.chromium)
        self.browser.size(1440, 900)
        self.browser.theme("light")
        allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
        self.browser.send("Browser.grantPermissions", allowed, session=None)
        self.browser.send("Emulation.setFocusEmulationEnabled", {"enabled": True})
        self.browser.send("Page.addScriptToEvaluateOnNewDocument", {"source": SHIFTS})
        self.axe = (pathlib.Path(axe_core_python.__file__).parent / "axe.min.js").read_text()

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

    def holds(self, script, what, seconds=20):
        """Waits until an expression is true, and says so, or that it never was."""
        try:
            self.browser.wait(script, what, seconds)
        except TimeoutError:
            self.failures.expect(False, what)
            raise
        self.failures.expect(True, what)

    def says(self, text, what, within="main", seconds=30):
        """Waits until a text is shown, and says so, or that it never was."""
        script = f"document.querySelector({json.dumps(within)})?.textContent.includes({json.dumps(text)})"
        self.holds(script, what, seconds)

    def key(self, name, code=None):
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "/": 191}
        for kind in ("keyDown", "keyUp"):
            press = {"type": kind, "key": name, "code": code or name, "windowsVirtualKeyCode": codes[name]}
            if kind == "keyDown" and name in ("Enter", "/"):
                press["text"] = "\r" if name == "Enter" else name
            self.browser.send("Input.dispatchKeyEvent", press)

    def fill(self, label, value):
        self.browser.run(
            f"""(() => {{ const label = [...document.querySelectorAll("label")].find((l) => l.textContent === {json.dumps(label)});
            const input = document.getElementById(label.htmlFor); input.value = {json.dumps(value)};
            input.dispatchEvent(new Event("input", {{ bubbles: true }})); input.dispatchEvent(new Event("change", {{ bubbles: true }})); }})()"""
        )

    def clicked(self, selector):
        """Clicks the first element of a selector as soon as it is there."""
        self.browser.wait(f"document.querySelector({json.dumps(selector)}) !== null", selector)
        self.browser.run(f"document.querySelector({json.dumps(selector)}).click()")

    def is_true(self, script, what):
        """Says whether an expression is true now."""
        self.failures.expect(self.browser.run(script) is True, what)

    def shaped(self):
        """Goes through both themes and three widths, and back to the first."""
        for theme, width, height in SHAPES:
            self.browser.theme(theme)
            self.browser.size(width, height)
            yield theme, width, height
        self.browser.theme("light")
        self.browser.size(1440, 900)

    def dropped(self, selector, files):
        """Drops files, by name with their bytes, as a person would."""
        made = json.dumps([[name, data.hex()] for name, data in files.items()])
        self.browser.run(
            f"""(() => {{ const data = new DataTransfer();
            for (const [name, hex] of {made}) data.items.add(new File([Uint8Array.from(hex.match(/../g) ?? [],
              (b) => parseInt(b, 16))], name));
            {selector}.dispatchEvent(new DragEvent("drop", {{ bubbles: true, cancelable: true, dataTransfer: data }})); }})()"""
        )

    def downloaded(self, script, name):
        """The bytes of what an expression has the browser download."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        self.browser.send(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}, session=None
        )
        self.browser.run(script)
        # Until it is whole, it has another name.
        self.browser.until(lambda: (folder / name).exists(), f"{name} to be downloaded, and not {list(folder.iterdir())}")
        return (folder / name).read_bytes()

    def copied(self, label):
        """What the button of this name copies."""
        self.browser.run("navigator.clipboard.writeText('nothing')")
        self.clicked(f'[aria-label="{label}"]')
        return self.browser.wait(
            "navigator.clipboard.readText().then((text) => text !== 'nothing' && text)", f"what “{label}” copies"
        )

    def rows(self, caption):
        """The texts of a table's cells, row by row; none where there is no such table."""
        return self.browser.run(
            f"""(() => {{ const table = [...document.querySelectorAll("main table")]
              .find((each) => each.caption.textContent.startsWith({json.dumps(caption)}));
            return [...(table?.tBodies[0].rows ?? [])].map((row) => [...row.cells].map((cell) => cell.textContent.trim())); }})()"""
        )

    def facts(self, title):
        """What a card says: its terms with their texts."""
        return self.browser.run(
            f"""(() => {{ const card = [...document.querySelectorAll("main section.card")]
              .find((each) => each.querySelector("h2")?.textContent === {json.dumps(title)});
            return Object.fromEntries([...(card?.querySelectorAll("dl.facts dt") ?? [])]
              .map((each) => [each.textContent, each.nextElementSibling.textContent])); }})()"""
        )

    def tiles(self):
        """The figures at the top of a page: each with its note."""
        return self.browser.run(
            """Object.fromEntries([...document.querySelectorAll("main .tile")].map((each) =>
            [each.querySelector("dt").textContent, [...each.querySelectorAll("dd")].map((d) => d.textContent)]))"""
        )

    def becomes(self, found, what, seconds=30):
        """Waits until what a function gives is true, and says so, or that it never was."""
        try:
            self.browser.until(found, what, seconds)
        except TimeoutError:
            self.failures.expect(False, what)
            raise
        self.failures.expect(True, what)

    def anew(self, address, found, what, seconds=60):
        """Goes to a page again and again until what it shows is so: figures move between the page's question and ours."""

        def is_so():
            self.go(address)
            return found()

        self.becomes(is_so, what, seconds)

    def told(self, path):
        """What the API answers."""
        return self.browser.run(f"fetch({json.dumps(path)}).then((a) => a.json())")

    def sign_in(self, node=0, *options):
        self.browser.open("about:blank")
        self.browser.open(self.net.link(node, *options))
        self.browser.wait(
            "document.getElementById('main')?.dataset.ready !== undefined", "the overview after signing in"
        )
        self.browser.wait("document.getElementById('live').textContent === 'Live'", "the node's events")

    def search(self, words):
        """By the keyboard: a slash, words, and Enter."""
        self.browser.run("document.activeElement.blur()")
        self.key("/", "Slash")
        self.browser.wait("document.activeElement.id === 'find-text'", "the search to have the focus")
        self.browser.run("document.activeElement.value = ''")
        self.browser.send("Input.insertText", {"text": words})
        self.key("Enter")

    def look(self, name, theme, width, faults=(), is_kept=True):
        """What is shown now: axe, contrast, nothing cut off; and its picture."""
        browser = self.browser
        faults = list(faults) + [f"contrast {each}" for each in browser.run(CONTRAST)] + browser.run(CLIPPED)
        faults += self.by_axe()
        self.failures.expect(
            not faults, f"{name}, {theme}, {width}: " + ("clean" if not faults else "; ".join(faults)[:700])
        )
        browser.run("document.activeElement.blur(); document.getElementById('notes').replaceChildren()")
        if self.options.pictures and is_kept:
            self.keep(f"dashboard-{name}-{theme}-{width}", browser.picture())

    def glance(self, name):
        """The same at a moment, in two shapes, without a picture that is kept."""
        for theme, width, height in (SHAPES[0], SHAPES[-1]):
            self.browser.theme(theme)
            self.browser.size(width, height)
            self.look(name, theme, width, is_kept=False)
        self.browser.theme("light")
        self.browser.size(1440, 900)

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
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        frequent = sorted(picture.getcolors(1 << 24), reverse=True)[:14]
        between = picture.quantize(10, method=Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * 10]
        colors = [part for _, color in frequent for part in color] + between
        palette = Image.new("P", (1, 1))
        palette.putpalette(colors)
        small = picture.quantize(palette=palette, dither=Image.Dither.NONE)
        small.save(root / "docs" / "pictures" / f"{name}.png", optimize=True)
