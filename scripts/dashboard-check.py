#!/usr/bin/env python3
"""Drives the dashboard of real nodes in Chromium: every page, every action, names that would like to be scripts.

It needs Debian's `chromium`, a built mesh (`make build guests cheat`) and Python 3 with venv; everything else it puts into
.build/dashboard-venv by pip: websocket-client, pillow and axe-core-python, which carries axe.min.js.

    python3 scripts/dashboard-check.py               # fails with what it found; takes about a minute
    python3 scripts/dashboard-check.py --pictures    # also writes docs/pictures/dashboard-*.png

It starts a devnet of its own in a temporary folder, signs in by the link of `mesh dashboard`, and ends it.
"""

import argparse
import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "scripts"))
from dashboard_guests import speaker  # noqa: E402
from dashboard_net import Net, within_venv  # noqa: E402

if __name__ == "__main__":
    within_venv()
from dashboard_browser import Browser  # noqa: E402
from dashboard_crowd import crowd  # noqa: E402
from dashboard_probes import CLIPPED, CONTRAST, INTRUDERS, SHIFTS, TAMPER, corpus  # noqa: E402

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
        self.browser.send("Page.addScriptToEvaluateOnNewDocument", {"source": SHIFTS})
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

    def sign_in(self, node=0, *options):
        self.browser.open("about:blank")
        self.browser.open(self.net.link(node, *options))
        self.browser.wait(
            "document.getElementById('main')?.dataset.ready !== undefined", "the overview after signing in"
        )
        self.browser.wait("document.getElementById('live').textContent === 'Live'", "the node's events")

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
        self.says("All checks hold", "job: replayed")
        self.click("Logged as")
        self.says("c2sp.org/tlog-proof", "job: the proof that the log has its receipt")
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
        live = "[aria-label='What the job writes']"
        self.says("<b>alive</b>", "job: what it writes is shown while it runs", within=live)
        self.click("Cancel")
        self.browser.wait("document.querySelector('dialog[open]') !== null", "the question")
        self.key("Escape")
        self.holds("document.querySelector('dialog') === null", "a question is left with Escape")
        self.shows("Running")
        self.click("Cancel")
        self.browser.wait("document.querySelector('dialog[open]') !== null", "the question")
        self.failures.expect(
            self.browser.run("document.activeElement.textContent") == "Cancel the job", "and has the focus"
        )
        self.key("Enter")
        self.says("Cancelled", "job: cancelled after a question, by the keyboard")
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
        # One whose label, outputs and standard output are names that would like to be scripts.
        hostile = self.work / "hostile.wasm"
        named = [each.encode() for each in corpus() if len(each.encode()) <= 256][:256]
        hostile.write_bytes(speaker("\n".join(self.writable()).encode(), named))
        label = next(name for name in corpus() if "img src=x onerror" in name)
        self.net.mesh("run", str(hostile), "--label", label, "--max-fuel", "90000000000")
        self.hostile = self.browser.run(
            "fetch('/v1/jobs?limit=1').then((a) => a.json()).then((l) => l.jobs[0].job_id)"
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
        alert = "document.querySelector('main [role=alert]').textContent"
        said = re.search(
            r"bafyreidykg\w+ (is neither on this node nor found in the mesh|cannot be had)", browser.run(alert)
        )
        expect(said is not None, "audit: an unknown CID is said to be so")
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
        self.holds(
            "/Removed|nothing to remove/.test(document.getElementById('notes').textContent)",
            "settings: clean up says what it freed",
        )
        self.go("#/jobs")
        self.fill("Role", "executor")
        self.says("No job fits this", "jobs: filtered by role: a node that only asks runs none for others")
        self.go("#/jobs")
        self.fill("Label", "three must")
        self.shows("three must agree")
        expect(browser.run("document.querySelectorAll('main tbody tr').length") == 1, "jobs: filtered by label")
        self.search("portrait of a")
        self.shows("Jobs of this name")
        expect("portrait of a text" in browser.run("document.querySelector('main tbody').textContent"), "the search")
        browser.run("document.getElementById('find-text').value = ''")
        self.go("#/money")
        self.fill("Show", "settle")
        movements = "[...document.querySelectorAll('main table')].find((t) => /^Movements/.test(t.caption.textContent))"
        kinds = f"[...{movements}.querySelectorAll('td:nth-child(2)')].map((c) => c.textContent)"
        self.holds(f"{kinds}.length > 0 && {kinds}.every((each) => each === 'Paid')", "money: filtered by kind")
        browser.run("document.getElementById('theme').click()")
        browser.run("document.getElementById('theme').click()")
        expect(browser.run("document.documentElement.dataset.theme") == "dark", "theme: the toggle")
        browser.run("document.getElementById('theme').click()")

    def search(self, words):
        """By the keyboard: a slash, words, and Enter."""
        self.browser.run("document.activeElement.blur()")
        self.key("/", "Slash")
        self.browser.wait("document.activeElement.id === 'find-text'", "the search to have the focus")
        self.browser.run("document.activeElement.value = ''")
        self.browser.send("Input.insertText", {"text": words})
        self.key("Enter")

    def settings(self):
        """Settings that change at once: saved, taken, refused, and back."""
        browser, expect = self.browser, self.failures.expect
        self.go("#/settings")
        enter = """(() => { const input = document.querySelector('input[aria-label="KEY"]'); input.value = "VALUE";
            input.closest("form").requestSubmit(); })()"""
        shown = """[...document.querySelectorAll("main tr")].find((r) => r.textContent.includes("KEY"))"""
        browser.run(enter.replace("KEY", "originator.bid_window_ms").replace("VALUE", "700"))
        said = "document.getElementById('notes').textContent"
        self.holds(
            f"{said}.includes('originator.bid_window_ms is changed, and the node has taken it')",
            "settings: one that changes at once is saved and taken",
        )
        browser.wait(
            """document.querySelector('[aria-label="Save originator.bid_window_ms"]').disabled === false""", "its button"
        )
        file = json.loads((self.net.base / "node-0" / "config.json").read_text())
        expect(file["originator"]["bid_window_ms"] == 700, "and stands in the file")
        browser.run(enter.replace("KEY", "originator.bid_window_ms").replace("VALUE", "<b>soon</b>"))
        self.holds(f"{said}.includes('whole number')", "one that is not allowed is refused by its bounds")
        default = """document.querySelector('[aria-label="Default of originator.bid_window_ms"]')"""
        browser.wait(f"{default}?.disabled === false", "the button that goes back")
        browser.run(f"{default}.click()")
        self.holds(
            shown.replace("KEY", "originator.bid_window_ms") + "?.children[2].textContent === 'default'",
            "and goes back to its default",
        )
        hours = enter.replace("KEY", "executor.hours")
        browser.run(hours.replace("VALUE", "22:00-06:00, 12:00-13:00"))
        self.holds(f"{said}.includes('executor.hours is changed')", "a list is saved, with commas between")
        file = json.loads((self.net.base / "node-0" / "config.json").read_text())
        expect(file["executor"]["hours"] == ["22:00-06:00", "12:00-13:00"], "and each of its elements stands in the file")
        button = """document.querySelector('[aria-label="Default of executor.hours"]')"""
        browser.wait(f"{button}?.disabled === false", "the list to be shown")
        browser.run("document.getElementById('notes').replaceChildren()")
        browser.run(hours.replace("VALUE", ","))
        self.holds(f"{said}.includes('Nothing is changed')", "a comma alone is no empty list")
        browser.wait("""document.querySelector('[aria-label="Save executor.hours"]').disabled === false""", "its button")
        browser.run(hours.replace("VALUE", ""))
        self.click("Back", within="dialog")
        browser.wait("document.querySelector('dialog') === null", "the question to go")
        file = json.loads((self.net.base / "node-0" / "config.json").read_text())
        expect(len(file["executor"]["hours"]) == 2, "an empty one is saved only after a question")
        browser.wait(f"{button}?.disabled === false", "the button that goes back")
        browser.run(f"{button}.click()")
        self.click("Run at all hours", within="dialog")
        self.holds(
            shown.replace("KEY", "executor.hours") + "?.children[2].textContent === 'default'",
            "and so is the default of such a list",
        )
        browser.run("document.querySelector('details.more').open = true")
        expect(
            browser.run(shown.replace("KEY", "mdns_network") + ".querySelector('input') === null"),
            "one that needs a restart is shown, and has no field",
        )

    def peers(self):
        """Connect, ban, allow, forget: the other end is a node of the devnet."""
        browser = self.browser
        self.go("#/mesh")
        self.says("/icn/mesh/capabilities/v1", "mesh: the topics")
        self.fill("Address of a node", "/ip4/127.0.0.1/tcp/1")
        browser.run("document.getElementById('notes').replaceChildren()")
        self.click("Connect")
        self.holds("/127\\.0\\.0\\.1|refused|reach/.test(document.getElementById('notes').textContent)",
            "mesh: why a node cannot be connected")
        browser.run("document.getElementById('notes').replaceChildren()")
        address = json.loads(self.net.mesh("status", "--json", node=3))["addresses"][0]
        identifier = address.split("/p2p/")[1]
        peer = identifier[-8:]
        self.fill("Address of a node", address)
        self.click("Connect")
        notes = "document.getElementById('notes').textContent"
        self.holds(f"{notes}.includes('Connected to …{peer}')", "mesh: a node is connected")
        own = f"document.querySelector('[data-key=\"dealings {identifier}\"]')"
        browser.wait(f"{own}?.textContent === 'Ban'", "the row of the peer")
        browser.run(own + ".click()")
        self.click("Ban", within="dialog")
        self.holds(own + "?.textContent === 'Allow'", "mesh: a peer is banned after a question")
        browser.run(own + ".click()")
        self.holds(own + "?.textContent === 'Ban'", "mesh: and allowed again")
        forget = own + ".parentElement.querySelector('[data-key^=forget]')"
        browser.run(forget + ".click()")
        self.click("Forget", within="dialog")
        self.holds(f"{notes}.includes('is forgotten')", "mesh: a peer is forgotten after a question")

    def plans(self):
        """A workflow that is cancelled, resumed, and cancelled again; a module that is dropped."""
        browser = self.browser
        loop = self.work / "endless.wasm"
        loop.write_bytes(speaker(b"still here\n", [], isEndless=True))
        folder = self.work / "plan"
        folder.mkdir()
        for name in ("a", "b"):
            (folder / name).write_text(name)
        newest = "fetch('/v1/workflows').then((a) => a.json()).then((l) => l[0].workflow_id)"
        before = browser.run(newest)
        limits = ["--max-fuel", "900000000000", "--timeout", "600s"]
        command = [self.net.program, "map", str(loop), "--each", str(folder / "*"), *limits]
        follower = subprocess.Popen(
            [*command, "--home", str(self.net.base / "node-0")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            plan = browser.until(
                lambda: browser.run(newest) not in (before, None) and browser.run(newest), "the workflow"
            )
            self.go(f"#/workflow/{plan}")
            head = "document.querySelector('main .head').textContent"
            self.click("Cancel")
            self.click("Cancel the workflow", within="dialog")
            self.holds(f"{head}.includes('Cancelled')", "workflow: cancelled after a question", 60)
            follower.wait(60)
            self.click("Resume")
            self.holds(f"{head}.includes('Running')", "workflow: resumed", 60)
            self.click("Cancel")
            self.click("Cancel the workflow", within="dialog")
            browser.wait(f"{head}.includes('Cancelled')", "the workflow to end", 60)
        finally:
            follower.kill()
            follower.wait()
        self.go("#/submit")
        hexed = loop.read_bytes().hex()
        browser.run(
            f"""(() => {{ const bytes = Uint8Array.from("{hexed}".match(/../g), (b) => parseInt(b, 16));
            const data = new DataTransfer(); data.items.add(new File([bytes], "<i>dropped</i>.wasm"));
            document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {{ bubbles: true, cancelable: true,
              dataTransfer: data }})); }})()"""
        )
        self.says("<i>dropped</i>.wasm", "submit: a module is dropped")
        self.says("mesh_host_v1", "and its imports are told")

    def live(self):
        """What happens is shown as it happens, and not when the page asks next, after half a minute."""
        self.go("#/jobs")
        module, text = root / "Examples" / "build" / "Sum.wasm", self.work / "a"
        text.write_text("1\n2\n")
        self.browser.wait("document.getElementById('live').textContent === 'Live'", "the node's events", 60)
        begun = time.monotonic()
        self.net.mesh("run", str(module), "--stdin", str(text), "--label", "seen at once", "--detach")
        self.shows("seen at once", seconds=20)
        self.failures.expect(time.monotonic() - begun < 25, "jobs: a new one is shown by its event, without a poll")

    def fraud(self):
        """A liar's receipt: what proves it false, beside the receipt and by itself, checked by the page."""
        browser = self.browser
        entrance = json.loads(self.net.mesh("status", "--json"))["addresses"][0]
        cheat = subprocess.Popen(
            [self.options.cheat, "--bootstrap", entrance], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            is_up = select.select([cheat.stdout], [], [], 60)[0]
            words = cheat.stdout.readline().split() if is_up else []
            if len(words) < 2:
                self.failures.expect(False, f"the liar says who it is: {words}")
                return
            liar = words[1]
            self.net.mesh(
                "run", str(root / "Examples" / "build" / "Sum.wasm"), "--stdin", str(self.work / "a"), "--allow", liar,
                "--verify", "replay", "--label", "given to a liar", check=False,
            )
        finally:
            cheat.terminate()
            cheat.wait()
        proof = browser.run("fetch('/v1/proofs').then((a) => a.json()).then((l) => l[0])")
        is_found = proof is not None and proof["executor_did"] == liar
        self.failures.expect(is_found, "a liar is found out")
        if not is_found:
            return
        self.go(f"#/audit/{proof['proof_cid']}")
        self.shows("A proof against a receipt")
        self.click("Verify by running the job again")
        self.says("The proof holds", "audit: a proof of fraud holds")
        self.go(f"#/audit/{proof['receipt_cid']}")
        self.says("The receipt says what is not so", "audit: a receipt names the proof against it")

    def lists(self):
        """Longer lists than a page: older, newest, more."""
        browser, expect = self.browser, self.failures.expect
        folder = self.work / "many"
        folder.mkdir()
        for count in range(48):
            (folder / f"{count}.txt").write_text(f"{count}\n")
        self.net.mesh("map", str(root / "Examples" / "build" / "Sum.wasm"), "--each", str(folder / "*"))
        first = "document.querySelector('main tbody tr a').href"
        self.go("#/jobs")
        newest = browser.run(first)
        self.click("Older")
        self.shows("Page 2")
        expect(browser.run(first) != newest, "jobs: older ones")
        self.click("Newest")
        self.shows("Page 1")
        expect(browser.run(first) == newest, "jobs: back to the newest")
        self.go("#/money")
        row = "document.querySelector('main tbody tr').textContent"
        before = browser.run(row)
        self.click("Older")
        self.shows("Page 2")
        expect(browser.run(row) != before, "money: older movements")
        self.click("Newest")
        self.shows("Page 1")

    def keyboard(self):
        browser = self.browser
        self.go("#/")
        browser.run("document.activeElement.blur()")
        seen = []
        for _ in range(14):
            self.key("Tab")
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

        for name, address in self.pages():
            self.go(address)
            browser.run("document.getElementById('main').focus()")
            stops = browser.run("[...document.querySelectorAll('main :is(a[href], button, input, select, summary, "
                "textarea, [tabindex=\"0\"])')].filter((e) => e.checkVisibility() && !e.disabled).length")
            faults, reached = [], 0
            for _ in range(min(stops, 30)):
                self.key("Tab")
                is_new, is_seen, inside = browser.run(
                    """(() => { const e = document.activeElement, b = e.getBoundingClientRect();
                    const isNew = !e.wasReached;
                    e.wasReached = true;
                    return [isNew, getComputedStyle(e).outlineStyle !== "none" && b.bottom > 0
                      && b.top < innerHeight, e.closest("main") !== null]; })()"""
                )
                reached += is_new
                if not is_seen or not inside:
                    faults.append(browser.run("document.activeElement.outerHTML.slice(0, 80)"))
            if reached < min(stops, 30):
                faults.append(f"{reached} of {stops} were reached")
            self.failures.expect(not faults, f"keyboard, {name}: {reached} stops {faults[:2]}")

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
        self.says("Takes jobs", "executor: pause, drain and resume")
        for theme in ("light", "dark"):
            self.browser.theme(theme)
            for width, height in ((1440, 860), (768, 860), (360, 700)):
                self.browser.size(width, height)
                self.go("#/executor")
                self.look("executor", theme, width)
        self.browser.theme("light")
        self.browser.size(1440, 900)

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
                    browser.run("new Promise((done) => { window.shift = 0; window.moved = []; setTimeout(done, 150); })")
                    shift, moved = browser.run("[window.shift, window.moved]")
                    if name == "job" and width != 360:
                        self.click("Verify")
                        self.shows("All checks hold")
                    if name == "submit":
                        browser.run("document.querySelector('details.further').open = true")
                    if name == "reputation":
                        self.click("Why")
                        self.shows("= 1,000 ×")
                    faults = [] if shift < 0.02 else [f"what is seen moved by {shift:.3f}: {moved[:3]}"]
                    is_once = name in ("failed", "missing")
                    # The executor's picture is that of a node which is one.
                    is_kept = name != "executor" and (not is_once or (theme, width) == ("light", 1440))
                    self.look(name, theme, width, faults, is_kept)
                    browser.size(width, height)
        browser.theme("light")
        browser.size(1440, 900)

    def look(self, name, theme, width, faults=(), is_kept=True):
        """What is shown now: axe, contrast, nothing cut off; and its picture."""
        browser = self.browser
        faults = list(faults) + [f"contrast {each}" for each in browser.run(CONTRAST)] + browser.run(CLIPPED)
        if width != 768:
            faults += self.by_axe()
        self.failures.expect(
            not faults, f"{name}, {theme}, {width}: " + ("clean" if not faults else "; ".join(faults)[:700])
        )
        browser.run("document.activeElement.blur(); document.getElementById('notes').replaceChildren()")
        if self.options.pictures and is_kept:
            self.keep(f"dashboard-{name}-{theme}-{width}", browser.picture())

    def states(self):
        """What is seen before there is anything: the page that asks for a link, lists without entries, loading."""
        browser = self.browser
        shapes = [(theme, width, height) for theme in ("light", "dark") for width, height in ((1440, 860), (360, 700))]
        browser.open(self.net.link().split("#")[0])
        self.shows("mesh dashboard")
        for theme, width, height in shapes:
            browser.theme(theme)
            browser.size(width, height)
            self.look("sign-in", theme, width)
        browser.theme("light")
        browser.size(1440, 900)
        self.sign_in()
        self.shows("No job has ended yet")
        for theme, width, height in shapes:
            browser.theme(theme)
            browser.size(width, height)
            self.go("#/")
            self.look("empty", theme, width)
        for name, text in (("jobs", "No jobs yet"), ("workflows", "No workflows yet"), ("money", "Nothing is held")):
            self.go(f"#/{name}")
            self.says(text, f"{name}: that there are none")
        browser.run("window.asked = window.fetch; window.fetch = () => new Promise(() => {})")
        for theme, width, height in shapes:
            browser.theme(theme)
            browser.size(width, height)
            browser.run("location.hash = location.hash === '#/jobs' ? '#/money' : '#/jobs'")
            browser.wait("document.querySelector('main .wait') !== null", "the page to wait")
            self.look("loading", theme, width)
        browser.run("window.fetch = window.asked")
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

    @staticmethod
    def writable():
        """What is text: bytes with a zero among them are shown as numbers."""
        return [name for name in corpus() if "\x00" not in name]

    def outputs(self):
        """The corpus as a real job wrote it: its label, its standard output, and the names of its outputs."""
        browser = self.browser
        self.go(f"#/job/{self.hostile}")
        self.shows("Succeeded")
        browser.run("[...document.querySelectorAll('main details')].slice(0, 40).forEach((d) => { d.open = true; })")
        browser.wait("!document.querySelector('main .wait')", "the outputs")
        seen = browser.run("document.querySelector('main').textContent")
        wanted = [int(name[1:].split("n")[0]) for name in self.writable()]
        missing = [number for number in wanted if f"n{number}n" not in seen]
        self.failures.expect(not missing, f"a job's own output shows every name as text {missing[:9]}")
        named = browser.run("[...document.querySelectorAll('main strong.name')].map((n) => n.textContent)")
        told = sum(1 for number in range(len(corpus())) if any(f"n{number}n" in each for each in named))
        self.failures.expect(told >= 200, f"{told} outputs are called by one of the names")
        heading = browser.run("document.querySelector('main h1').textContent")
        self.failures.expect("onerror" in heading, "its label is one, as text")
        intruders = browser.run(INTRUDERS)
        self.failures.expect(not intruders, f"and nothing of it is markup {intruders[:3]}")

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
            for _, address in self.pages() + [("outputs", f"#/job/{self.hostile}")]:
                browser.run(f"window.everything = {'true' if rounds % 2 else 'false'}")
                self.go(address)
                browser.run("[...document.querySelectorAll('main details')].slice(0, 40).forEach((d) => { d.open = true; })")
                browser.wait("!document.querySelector('main .wait')", "what was opened")
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
        expect(browser.run("document.querySelector('main form.setting') === null"), "it sees settings without fields")
        answer = browser.run(
            """fetch('/v1/settings', { method: 'POST', headers: { 'content-type': 'application/json' },
            body: '{"changes": [{"key": "drain_seconds", "value": ["5"]}]}' }).then((a) => a.status)"""
        )
        expect(answer == 403, f"and is refused a setting: {answer}")
        self.click("Sign out")
        self.shows("mesh dashboard")
        expect(browser.run("fetch('/v1/status').then((a) => a.status)") == 401, "signed out")
        self.sign_in()
        link = self.net.link()
        self.browser.open("about:blank")
        self.browser.open(link)
        self.holds("location.hash === '#/'", "the code of the link leaves the address")

    def end(self):
        self.go("#/settings")
        self.click("Stop the node")
        self.click("Stop the node", within="dialog")
        self.browser.wait("document.getElementById('live').className.includes('off')", "that the node is gone", 60)
        # Between the end of its events and its own, a node says that it is stopping.
        self.browser.until(lambda: not self.net.answers(), "that nobody listens any more", 60)
        self.go("#/jobs")
        self.says("does not answer", "a node that stopped: the page says so")
        if self.options.pictures:
            self.keep("dashboard-gone-light-1440", self.browser.picture())

    @staticmethod
    def is_wanted(complaint):
        """Whether the browser tells of an answer that a part asked for: by its status, and by its path for a 400."""
        if not complaint.startswith("network:"):
            return False
        found = re.search(r"status of (\d{3})", complaint)
        if not found:
            return "ERR_" in complaint
        is_settings = re.search(r"/v1/settings$", complaint.strip()) is not None
        return found[1] in ("401", "404", "422", "502", "504") or (found[1] == "400" and is_settings)

    def run(self):
        browser = self.browser
        try:
            for part in (
                self.states,
                self.life_of_a_job,
                self.cancel,
                self.others,
                self.actions,
                self.settings,
                self.peers,
                self.live,
                self.looks,
                self.outputs,
                self.plans,
                self.fraud,
                self.lists,
                lambda: crowd(self, root, self.options.crowd),
                self.keyboard,
                self.weight,
            ):
                part()
            # Failures that a page asked for itself are told in the console by the browser.
            bad = [each for each in browser.complaints if not self.is_wanted(each)]
            self.failures.expect(not bad, f"the console has no errors {bad[:4]}")
            self.executor()
            self.names()
            self.sessions()
            bad = [each for each in browser.complaints if each.startswith(("exception", "dialog", "security"))]
            self.failures.expect(not bad, f"nothing was thrown, and no rule for contents was broken {bad[:4]}")
            self.end()
        except Exception:
            try:
                print("FAILED at this page:", browser.run("location.href"), browser.run("document.body.innerText")[:1000])
                print("The console has:", browser.complaints[-5:])
            except Exception as error:
                print("FAILED, and the page does not say where:", error)
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
    parser.add_argument("--cheat", default=str(root / ".build" / "debug" / "mesh-cheat"), help="a liar, for the proof")
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--crowd", type=int, default=10_000, help="the jobs of a node that has had many")
    parser.add_argument("--pictures", action="store_true")
    sys.exit(Check(parser.parse_args()).run())
