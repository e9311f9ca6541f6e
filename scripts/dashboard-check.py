#!/usr/bin/env python3
"""Drives the dashboard of real nodes in Chromium: every page, every action, names that would like to be scripts.

It needs Debian's `chromium`, a built mesh (`make build guests cheat`) and Python 3 with venv; everything else it puts into
.build/dashboard-venv by pip: websocket-client, pillow and axe-core-python, which carries axe.min.js.

    python3 scripts/dashboard-check.py               # fails with what it found; takes three minutes on a quiet machine
    python3 scripts/dashboard-check.py --pictures    # also writes docs/pictures/dashboard-*.png

It starts a devnet of its own in a temporary folder, signs in by the link of `mesh dashboard`, and ends it. Its parts are in
dashboard_jobs.py (jobs and workflows), dashboard_nodes.py (the node, its peers, its executor) and dashboard_credit.py; what they are made of is in
dashboard_steps.py, what is asked of every page in dashboard_probes.py.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import sys

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "scripts"))
from dashboard_net import within_venv  # noqa: E402

if __name__ == "__main__":
    within_venv()
from dashboard_credit import CreditParts  # noqa: E402
from dashboard_crowd import crowd  # noqa: E402
from dashboard_jobs import JobParts, guests  # noqa: E402
from dashboard_nodes import NodeParts  # noqa: E402
from dashboard_probes import INTRUDERS, TAMPER, corpus  # noqa: E402
from dashboard_steps import Steps  # noqa: E402


class Check(JobParts, NodeParts, CreditParts, Steps):
    # The pages that ask the node for something at once.
    TOP = ("", "jobs", "submit", "workflows", "mesh", "executor", "reputation", "money", "credit", "settings")

    def actions(self):
        browser, expect = self.browser, self.failures.expect
        self.go("#/audit")
        browser.run(
            f"""(() => {{ const input = document.getElementById("audit-cid"); input.focus();
            input.value = {json.dumps(self.receipt)}; }})()"""
        )
        self.click("Look")
        self.says("A receipt", "audit: a CID that is typed is looked for")
        self.go(f"#/audit/{self.receipt}")
        self.shows("A receipt")
        self.click("Verify")
        self.shows("All checks hold")
        expect(
            browser.run("document.querySelector('main').textContent.includes('The object itself')"),
            "audit: a receipt by its CID alone",
        )
        self.click("Replay")
        self.says("The job ran again here", "audit: a receipt is replayed")
        self.go("#/audit/bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae")
        browser.wait(
            "document.querySelector('main [role=alert]') !== null", "what audit says of an unknown CID", 120
        )
        alert = "document.querySelector('main [role=alert]').textContent"
        said = re.search(
            r"bafyreidykg\w+ (is neither on this node nor found in the mesh|cannot be had)", browser.run(alert)
        )
        expect(said is not None, "audit: an unknown CID is said to be so")
        receipt = self.told(f"/v1/workflows/{self.workflow}")["receipt_cid"]
        folder = self.net.mesh("add", "-r", str(self.work / "pages")).split()[0]
        file = self.net.mesh("add", str(self.work / "a text.txt")).split()[0]
        for name, words, more in (
            (self.job, "A job", "Its story, bids and outputs"),
            (self.workflow, "A workflow", "Its stages and items"),
            (receipt, "A workflow's receipt", "count, portraits, spread, portrait, gallery"),
            (folder, "A file or folder", "A folder: mesh get fetches it"),
            (file, "A file or folder", "Download"),
        ):
            self.go(f"#/audit/{name}")
            self.shows(more)
            titles = browser.run("[...document.querySelectorAll('main section.card h2')].map((each) => each.textContent)")
            expect(words in titles, f"audit: {words.lower()} by its CID")
        self.search(self.job[-8:])
        self.shows("Jobs of this name")
        expect("portrait of a text" in self.rows("Jobs")[0][0], f"the search, by the end of an ID {self.rows('Jobs')}")
        self.submitted()
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

    def submitted(self):
        """Jobs by their date: all are new, until the browser believes that it is three hours later."""
        browser = self.browser
        self.go("#/jobs")
        self.fill("Submitted", "1")
        browser.wait("location.hash.includes('since=1')", "the filter in the address")
        self.says("portrait of a text", "jobs: filtered by date: those of the last hour")
        browser.run("window.now = Date.now; Date.now = () => window.now() + 3 * 3_600_000")
        self.go("#/jobs?since=1")
        self.says("No job fits this", "jobs: three hours later there are none of the last hour")
        self.fill("Submitted", "24")
        self.says("portrait of a text", "jobs: and all are of the last day")
        browser.run("Date.now = window.now")

    def failing(self):
        """A page whose node does not answer, and tries again when it is told to."""
        browser = self.browser
        browser.run("window.asked = window.fetch; window.fetch = () => Promise.reject(new TypeError('no way'))")
        for name in [*self.TOP, f"workflow/{self.workflow}", f"job/{self.job}", f"credit/{self.issuer}"]:
            self.go(f"#/{name}")
            self.shows("The node is out of reach")
            self.glance(f"error of {name.split('/')[0] or 'overview'}")
        self.go("#/workflows")
        self.shows("The node is out of reach")
        for theme, width, _ in self.shaped():
            self.look("error", theme, width)
        browser.run("window.fetch = window.asked")
        self.click("Try again")
        self.says("words of some pages", "a page that failed tries again")

    def phone(self):
        """The menu of a narrow window."""
        browser = self.browser
        for width in (768, 360):
            browser.size(width, 700)
            self.go("#/")
            shown = "document.getElementById('nav').checkVisibility()"
            expanded = "document.getElementById('menu').getAttribute('aria-expanded')"
            self.is_true(f"!{shown} && {expanded} === 'false'", f"menu, {width}: closed at first")
            browser.run("document.getElementById('menu').click()")
            self.is_true(f"{shown} && {expanded} === 'true'", f"menu, {width}: opens")
            self.look("menu", "light", width)
            browser.run("document.querySelector('#nav a[data-page=money]').click()")
            browser.wait("document.getElementById('main').dataset.ready === '#/money'", "the page of money")
            self.is_true(f"!{shown} && {expanded} === 'false'", f"menu, {width}: leads to a page, and closes")
        browser.size(1440, 900)

    def lists(self):
        """Longer lists than a page: older, newest, more."""
        browser, expect = self.browser, self.failures.expect
        folder = self.work / "many"
        folder.mkdir()
        for count in range(101):
            (folder / f"{count}.txt").write_text(f"{count}\n")
        self.net.mesh("map", str(guests / "Sum.wasm"), "--each", str(folder / "*"))
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
        self.go(f"#/workflow/{self.told('/v1/workflows')[0]['workflow_id']}")
        self.click("Next")
        self.shows("Page 2, 1 item")
        expect(len(self.rows("Items")) == 1, "workflow: the items behind the first hundred")
        self.click("First")
        self.shows("Page 1, 100 items")
        expect(len(self.rows("Items")) == 100, "workflow: back to the first")
        self.plans_of_nothing(50)
        self.go("#/workflows")
        newest = browser.run(first)
        self.click("Older")
        self.shows("Page 2")
        expect(
            browser.run(first) not in (newest, None) and self.rows("Workflows")[0][0].startswith("Sum"),
            f"workflows: older ones {self.rows('Workflows')[0]}",
        )
        self.click("Newest")
        self.shows("Page 1")
        expect(browser.run(first) == newest, "workflows: back to the newest")

    def plans_of_nothing(self, count):
        """Workflows over a folder without files, which have no job and end at once."""
        folder = self.work / "nothing"
        folder.mkdir()
        plan = self.work / "nothing.json"
        stage = {"id": "sum", "module": str(guests / "Sum.wasm"), "for_each": {"folder": "inputs.files"}, "stdin": "item"}
        plan.write_text(json.dumps({
            "version": 1, "name": "nothing to do", "budget": 1_000, "inputs": {"files": {"folder": str(folder)}},
            "stages": [{**stage, "job_budget": 100, "limits": {"fuel": 1_000_000}}],
        }))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: self.net.mesh("workflow", "run", "--quiet", str(plan)), range(count)))

    def thousands(self):
        """What a node shows that has had very many jobs."""
        crowd(self, root, self.options.crowd)

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
            ("credit", "#/credit"),
            ("issuer", f"#/credit/{self.issuer}"),
            ("audit", f"#/audit/{self.receipt}"),
            ("settings", "#/settings"),
            ("failed", "#/jobs?status=failed&label=too%20small%20a%20budget"),
            ("missing", "#/job/bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae"),
        ]

    def looks(self):
        """Every page, in both themes and three widths: axe, contrast, nothing cut off; and pictures."""
        browser = self.browser
        for theme, width, height in self.shaped():
            for name, address in self.pages():
                self.go(address)
                # What a page has to ask others for may come a moment later; once that is drawn, nothing moves any more.
                # What moved before is told of later, with its time.
                browser.run(
                    "new Promise((done) => { const end = Date.now() + 10000; const look = () => "
                    "document.querySelector('main .wait') && Date.now() < end ? setTimeout(look, 20) : "
                    "requestAnimationFrame(() => requestAnimationFrame(done)); look(); })"
                )
                browser.run(
                    "new Promise((done) => { window.shiftFrom = performance.now(); window.shift = 0; window.moved = []; "
                    "setTimeout(done, 150); })"
                )
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
                # The executor's picture is that of a node which is one.
                self.look(name, theme, width, faults, name != "executor")
                browser.size(width, height)

    def states(self):
        """What is seen before there is anything: the page that asks for a link, lists without entries, loading."""
        browser = self.browser
        browser.open(self.net.link().split("#")[0])
        self.shows("mesh dashboard")
        for theme, width, _ in self.shaped():
            self.look("sign-in", theme, width)
        self.sign_in()
        self.shows("No job has ended yet")
        for theme, width, _ in self.shaped():
            self.go("#/")
            self.look("empty", theme, width)
        for name, text in (("jobs", "No jobs yet"), ("workflows", "No workflows yet"), ("money", "Nothing is held")):
            self.go(f"#/{name}")
            self.says(text, f"{name}: that there are none")
        for name in (*self.TOP, "audit"):
            self.go(f"#/{name}")
            self.glance(f"{name or 'overview'} of a new node")
        browser.run("window.asked = window.fetch; window.fetch = () => new Promise(() => {})")
        for name in self.TOP:
            browser.run(f"location.hash = '#/{name}'")
            browser.wait(
                f"location.hash === '#/{name}' && document.querySelector('main .wait') !== null", "the page to wait"
            )
            self.glance(f"loading of {name or 'overview'}")
        for theme, width, _ in self.shaped():
            browser.run("location.hash = location.hash === '#/jobs' ? '#/money' : '#/jobs'")
            browser.wait("document.querySelector('main .wait') !== null", "the page to wait")
            self.look("loading", theme, width)
        browser.run("window.fetch = window.asked")

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
        for theme, width, _ in self.shaped():
            self.look("gone", theme, width)

    @staticmethod
    def is_wanted(complaint):
        """Whether the browser tells of an answer that a part asked for: by its status, and by its path for a 400."""
        if not complaint.startswith("network:"):
            return False
        found = re.search(r"status of (\d{3})", complaint)
        if not found:
            return "ERR_" in complaint
        is_asked_for = re.search(r"/v1/(settings|credit/own|credit/tokens)$", complaint.strip()) is not None
        return found[1] in ("401", "404", "422", "502", "504") or (found[1] == "400" and is_asked_for)

    def run(self):
        browser = self.browser
        needed = (self.sign_in, self.life_of_a_job, self.others)
        try:
            for part in (*needed, *(getattr(self, name) for name in self.options.only)) if self.options.only else (
                self.states,
                self.life_of_a_job,
                self.cancel,
                self.others,
                self.agreed,
                self.workflow_page,
                self.form,
                self.overview,
                self.map,
                self.actions,
                self.settings,
                self.anchors,
                self.gateway,
                self.peers,
                self.credit,
                self.live,
                self.bids_come,
                self.looks,
                self.failing,
                self.phone,
                self.outputs,
                self.attempts,
                self.plans,
                self.fraud,
                self.lists,
                self.thousands,
                self.keyboard,
                self.weight,
            ):
                part()
            # Failures that a page asked for itself are told in the console by the browser.
            bad = [each for each in browser.complaints if not self.is_wanted(each)]
            self.failures.expect(not bad, f"the console has no errors {bad[:4]}")
            if self.options.only:
                return 1 if self.failures else 0
            self.executor()
            self.names()
            self.sessions()
            bad = [each for each in browser.complaints if each.startswith(("exception", "dialog", "security"))]
            self.failures.expect(not bad, f"nothing was thrown, and no rule for contents was broken {bad[:4]}")
            self.end()
        except Exception:
            try:
                print("FAILED at this page:", browser.run("location.href"), browser.run("document.body.innerText")[:2500])
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
    parser.add_argument("--crowd", type=int, default=1_000, help="the jobs of a node that has had many; 10000 takes minutes")
    parser.add_argument("--pictures", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], help="parts by their names, such as credit or form, and what they need")
    sys.exit(Check(parser.parse_args()).run())
