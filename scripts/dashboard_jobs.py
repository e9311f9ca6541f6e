"""Parts of scripts/dashboard-check.py: jobs and workflows, from the form to their end, and what they put out."""

import json
import select
import subprocess
import time

from dashboard_guests import speaker
from dashboard_net import root
from dashboard_probes import INTRUDERS, corpus

guests = root / "Examples" / "build"


class JobParts:
    def life_of_a_job(self):
        """From the form to a verified receipt, by the page alone."""
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
        self.bids()
        self.takings()

    def bids(self):
        """The bids on a job as the node knows them, each with its verdict; the one that was taken by its rank."""
        known = self.told(f"/v1/jobs/{self.job}/description")["bids"]
        words = {"taken": "taken", "acceptable": "acceptable", "refused": "refused", "displaced": "displaced"}
        shown = self.rows("Bids in the order")
        expect = self.failures.expect
        expect(
            [row[0][-8:] for row in shown] == [bid["bidder_did"][-8:] for bid in known]
            and [row[3] for row in shown] == [words[bid["verdict"]] for bid in known]
            and [row[2] for row in shown] == [f"{bid['price']:,} tk" for bid in known],
            f"job: its {len(shown)} bids, each with its price and its verdict",
        )
        taken = [row for row in shown if row[3] == "taken"]
        ranked = sum(row[4].startswith("rank") for row in shown)
        expect(
            len(taken) == 1 and taken[0][1] in ("eu", "us", "asia") and taken[0][4] == f"rank 1 of {ranked}",
            f"job: the bid that was taken, by its region and rank {taken}",
        )

    def takings(self):
        """What a job leaves for its owner: outputs and evidence to download, names to copy."""
        expect = self.failures.expect
        output = self.told(f"/v1/jobs/{self.job}")["result"]["stdout_cid"]
        link = "document.querySelector('[aria-label=\"Download standard output\"]').click()"
        text = self.downloaded(link, "standard output")
        expect(
            text == self.net.mesh("cat", output).encode() and b"PORTRAIT OF A TEXT" in text,
            "job: an output downloads, with the bytes of its CID",
        )
        name = f"receipt-{self.receipt[-8:]}.car"
        link = "[...document.querySelectorAll('main a')].find((a) => a.textContent === 'Evidence (CAR)').click()"
        evidence = self.work / name
        evidence.write_bytes(self.downloaded(link, name))
        said = subprocess.run([self.net.program, "receipt", "verify", "--offline", str(evidence)], capture_output=True)
        expect(
            said.returncode == 0 and self.receipt[-8:] in said.stdout.decode(),
            f"job: its evidence downloads, and holds without a network {said.stderr.decode()[-200:]}",
        )
        expect(self.copied("Copy the job's ID") == self.job, "job: its ID is copied")
        expect(self.copied("Copy the receipt's CID") == self.receipt, "job: the receipt's CID is copied")

    def form(self):
        """A form with every field filled in: each reaches the signed request. Files dropped, renamed and removed."""
        browser, expect = self.browser, self.failures.expect
        dids = [self.net.did(index) for index in range(4)]
        module = self.net.mesh("add", str(guests / "Sum.wasm")).split()[0]
        self.go("#/submit")
        files = {"numbers.txt": b"1 2 39\n", "second.txt": b"a second\n", "third.txt": b"a third\n"}
        self.dropped("document.querySelectorAll('.drop')[1]", files)
        self.becomes(
            lambda: [row[3][:1] for row in self.rows("Inputs")] == ["…"] * 3, "submit: input files are dropped, and sent"
        )
        browser.run(
            """(() => { const input = document.querySelector('[aria-label="Name of second.txt"]'); input.value = "renamed";
            input.dispatchEvent(new Event("input", { bubbles: true })); })()"""
        )
        self.clicked('[aria-label="Remove third.txt"]')
        expect([row[0] for row in self.rows("Inputs")] == ["numbers.txt", "second.txt"], "submit: one is removed")
        for label, value in {
            "CID of the module": module,
            "Label": "every field",
            "Function": "_start",
            "Arguments": "one\ntwo",
            "Environment": "A=1\nB=x=y",
            "Seconds": "40",
            "Memory in MiB": "64",
            "Fuel": "2000000000",
            "Budget in tokens": "90000",
            "Regions": "us, asia",
            "Least reputation": "1",
            "Check of the result": "replay",
            "Features": "special",
            "Executors in turn": "3",
            "Minutes until it is late": "9",
            "Only these executors": f"{dids[2]}\n{dids[3]}",
            "Never these executors": dids[1],
        }.items():
            self.fill(label, value)
        self.click("See who would run it")
        self.shows("would take it")
        able = {row[0][-8:] for row in self.rows("Offers for this job") if row[-1] == "yes"}
        expect(able == {did[-8:] for did in dids[2:]}, f"submit: who may not run it would not {able}")
        self.glance("submit with a job")
        self.click("Run the job")
        browser.wait("location.hash.startsWith('#/job/')", "the job's page")
        self.shows("Succeeded")
        asked = self.facts("Request")
        wanted = {
            "Entry": "_start",
            "Arguments": "one two",
            "Environment": "A=1B=x=y",
            "Time": "40 s",
            "Fuel": "2,000,000,000",
            "Memory": "64 MiB",
            "Budget": "90,000 tk",
            "regions": "us, asia",
            "features": "special",
            "reputation at least": "1",
            "only": f"{dids[2]}, {dids[3]}",
            "not": dids[1],
            "attempts at most": "3",
        }
        wrong = {name: asked.get(name) for name, text in wanted.items() if asked.get(name) != text}
        expect(not wrong, f"submit: every field reaches the signed request {wrong}")
        expect("promised by" in asked, f"submit: and so do the minutes {asked.get('promised by')}")
        expect(
            asked["Module"].startswith(f"…{module[-8:]}")
            and all(name in asked["Inputs"] for name in ("stdin", "renamed"))
            and "third" not in asked["Inputs"] and "second" not in asked["Inputs"],
            f"submit: a module by its CID, with the inputs that are left, by their names {asked['Inputs']}",
        )
        result = self.facts("Result")
        expect(result["Check"] == "A second run gave the same", f"submit: the check that was chosen {result['Check']}")
        expect(
            any(result["Executor"].endswith(did[-8:]) for did in dids[2:]), "submit: one of the executors that may"
        )
        browser.run("[...document.querySelectorAll('main details')].forEach((d) => { d.open = true; })")
        self.says("42", "submit: and its output is that of the file called stdin", within="main pre")

    def attempts(self):
        """A job whose first executor throws it out: two attempts, and why the first ended."""
        dids = [self.net.did(index) for index in range(4)]
        loop = self.work / "moving.wasm"
        loop.write_bytes(speaker(b"still here\n", [], isEndless=True))
        job = self.net.mesh(
            "run", str(loop), "--label", "moves on", "--max-fuel", "900000000000", "--timeout", "600s",
            "--allow", dids[2], "--allow", dids[3], "--detach",
        ).split()[-1]
        self.go(f"#/job/{job}")
        live = "[aria-label='What the job writes']"
        self.shows("still here", within=live, seconds=60)
        first = self.told(f"/v1/jobs/{job}/description")["attempts"][-1]["executor_did"]
        index = dids.index(first)
        self.net.mesh("peers", "ban", dids[0], node=index)
        self.becomes(lambda: len(self.rows("Attempts")) == 2, "job: two attempts", 90)
        rows = self.rows("Attempts")
        self.failures.expect(
            rows[0][0].endswith(first[-8:]) and not rows[1][0].endswith(first[-8:]) and rows[0][3] != rows[1][3],
            f"job: by two executors, and why the first one ended: {rows[0][3]}",
        )
        self.glance("attempts")
        self.click("Cancel")
        self.click("Cancel the job", within="dialog")
        self.shows("Cancelled")
        self.net.mesh("peers", "allow", dids[0], node=index)

    def bids_come(self):
        """Bids are seen while the node still waits for others."""
        job = self.net.mesh(
            "run", str(guests / "Sum.wasm"), "--stdin", str(self.work / "a text.txt"), "--bid-window", "20s",
            "--sufficient-bids", "9", "--label", "waits for bids", "--detach",
        ).split()[-1]
        self.go(f"#/job/{job}")
        self.becomes(lambda: len(self.rows("Bids")) == 3, "job: bids are shown as they come", 15)
        told = self.told(f"/v1/jobs/{job}/description")
        self.failures.expect(
            not told["attempts"] and all(row[2].endswith(" tk") and row[3] == "acceptable" for row in self.rows("Bids")),
            f"job: each with its price, before one is taken {self.rows('Bids')}",
        )
        self.glance("bids")
        self.click("Cancel")
        self.click("Cancel the job", within="dialog")
        self.shows("Cancelled")

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
        job = self.browser.run("location.hash.slice(6)")
        self.under_way(job)
        self.go(f"#/job/{job}")
        self.shows("Running")
        self.click("Cancel")
        self.browser.wait("document.querySelector('dialog[open]') !== null", "the question")
        self.glance("question")
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

    def under_way(self, job):
        """A job that runs, on its own page, the overview, and the page of money."""
        for theme, width, _ in self.shaped():
            self.go(f"#/job/{job}")
            self.shows("<b>alive</b>", within="[aria-label='What the job writes']")
            self.look("running", theme, width)
        self.go("#/")
        held = self.told("/v1/wallet")["held"]
        self.becomes(
            lambda: (self.tiles()["Running"][0], self.tiles()["Waiting"][1]) == ("1", f"{held:,} tk held"),
            "overview: what runs, and what is held for it",
        )
        self.failures.expect(
            any(job[-8:] in row[0] and "Running" in row[1] for row in self.rows("Jobs")), "overview: the job under way"
        )
        for theme, width, _ in self.shaped():
            self.go("#/money")
            self.shows(job[-8:])
            self.look("held", theme, width)
        hold = next(each for each in self.told("/v1/wallet")["holds"] if each["job_id"] == job)
        self.failures.expect(
            [f"…{job[-8:]}", f"{hold['amount']:,} tk"] in self.rows("Holds")
            and self.tiles()["Held"][0] == f"{held:,}" and held >= hold["amount"] > 0,
            f"money: what is held for a job while it runs {self.rows('Holds')}",
        )

    def others(self):
        """More to look at: a job that nobody takes, one that several check, a workflow over files of hostile names."""
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
        self.named = self.told("/v1/workflows")[0]["workflow_id"]
        self.stages()

    def stages(self):
        """A workflow of five stages, each of which needs others."""
        folder = self.work / "pages"
        folder.mkdir()
        for name in ("README.md", "docs/jobs.md", "docs/earning.md"):
            (folder / name.split("/")[-1]).write_text((root / name).read_text())
        common = {"limits": {"fuel": 1_000_000_000}, "job_budget": 50_000}
        count = {"module": str(guests / "WordCount.wasm"), "workdir": "/job", "collect": {"words": "words.tsv"}, **common}
        portrait = {"module": str(guests / "TextPortrait.wasm"), **common}
        plan = self.work / "plan.json"
        plan.write_text(json.dumps({
            "version": 1, "name": "words of some pages", "budget": 900_000, "inputs": {"pages": {"folder": str(folder)}},
            "stages": [
                {"id": "count", **count, "for_each": {"folder": "inputs.pages"}, "args": ["/in/page"],
                 "mounts": [{"path": "/in/page", "from": "item"}]},
                {"id": "portraits", **portrait, "for_each": {"folder": "inputs.pages"}, "stdin": "item"},
                {"id": "spread", **count, "args": ["/words"],
                 "mounts": [{"path": "/words", "from": "stages.count.words"}]},
                {"id": "portrait", **portrait, "stdin": "stages.spread.words"},
                {"id": "gallery", **count, "args": ["/portraits"],
                 "mounts": [{"path": "/portraits", "from": "stages.portraits.stdout"}],
                 "when": [{"stage": "spread", "exit_codes": [0]}]},
            ],
            "outputs": {"portrait": "stages.portrait.stdout"},
        }))
        self.net.mesh("workflow", "run", "--quiet", str(plan))
        self.workflow = self.told("/v1/workflows")[0]["workflow_id"]

    def workflow_page(self):
        """The graph of a workflow, its stages one by one, its receipt; and one over files of hostile names."""
        browser, expect = self.browser, self.failures.expect
        self.go(f"#/workflow/{self.workflow}")
        drawn = browser.run(
            """[...document.querySelectorAll("main svg")].map((s) => [s.querySelectorAll("path.edge").length,
            s.querySelectorAll("rect.stage").length, s.getAttribute("aria-label")]).find(([, stages]) => stages)"""
        )
        words = "Stages: count; portraits; spread after count; portrait after spread; gallery after spread and portraits"
        expect(drawn == [4, 5, words], f"workflow: its graph, with a line for each need {drawn}")
        expect(self.tiles()["Done"][0] == "9 of 9", "workflow: what is done")
        items = {stage: sum(row[1] == stage for row in self.rows("Items")) for stage in ("count", "spread", "portrait")}
        expect(items == {"count": 3, "spread": 1, "portrait": 1}, f"workflow: the items of every stage {items}")
        for stage, count in (("count", 3), ("spread", 1), ("", 9)):
            self.fill("Stage", stage)
            self.becomes(
                lambda: [row[1] for row in self.rows("Items")] == [stage] * count
                or (stage == "" and len(self.rows("Items")) == count),
                f"workflow: the items of {stage or 'all stages'}",
            )
        self.click("Verify")
        self.says("All checks hold", "workflow: its receipt verified")
        self.clicked("main table td:nth-child(4) a[href^='#/job/']")
        self.shows("A job of a workflow")
        self.click("a workflow")
        self.shows("words of some pages")
        self.is_true(
            f"location.hash === '#/workflow/{self.workflow}'", "workflow: a job of it leads back to it"
        )
        self.go(f"#/workflow/{self.named}")
        self.shows("onerror")
        intruders = browser.run(INTRUDERS)
        expect(not intruders, f"workflow: files of hostile names are text {intruders[:3]}")

    def agreed(self):
        """A job that three executors ran, and the reasons why another found nobody."""
        expect = self.failures.expect
        jobs = {job.get("label"): job["job_id"] for job in self.told("/v1/jobs?limit=50")["jobs"]}
        self.go(f"#/job/{jobs['three must agree']}")
        said = self.facts("Result")
        expect(said.get("Check") == "Several executors gave the same", f"job: that several executors agree {said}")
        others = self.told(f"/v1/jobs/{jobs['three must agree']}/description")["replicas"]
        rows = self.rows("Jobs")
        expect(
            len(rows) >= 1 and sorted(row[0][-8:] for row in rows) == sorted(each["job_id"][-8:] for each in others),
            f"job: the others that did its work {[row[0] for row in rows]}",
        )
        self.go(f"#/job/{jobs['too small a budget']}")
        self.shows("No acceptable bid")
        rows = self.rows("Bids in the order")
        expect(
            rows and all(row[3] == "refused" and "20" in row[4] for row in rows),
            f"job: every refused bid with its reason {[row[4] for row in rows][:2]}",
        )


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
            self.glance("workflow under way")
            self.click("Cancel")
            self.click("Cancel the workflow", within="dialog")
            browser.wait(f"{head}.includes('Cancelled')", "the workflow to end", 60)
            self.glance("workflow cancelled")
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
        self.click("Compile it here")
        self.says("a job of this module begins at once here", "submit: it is compiled for later", within="#notes")
        self.go(f"#/workflow/{self.workflow}")
        self.click("Run again")
        self.click("Begin it", within="dialog")
        browser.wait(
            f"/^#.workflow.bafyrei/.test(location.hash) && location.hash !== '#/workflow/{self.workflow}'", "the new workflow"
        )
        again = browser.run("location.hash.split('/')[2]")
        self.becomes(
            lambda: self.told(f"/v1/workflows/{again}")["status"] == "succeeded", "workflow: a new one of the same definition", 180
        )
        old, new = (
            {each["name"]: each["cid"] for each in self.told(f"/v1/workflows/{each}")["outputs"]} for each in (self.workflow, again)
        )
        self.failures.expect(old == new and old, f"workflow: with the same outputs {new}")

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
                "run", str(guests / "Sum.wasm"), "--stdin", str(self.work / "a"), "--allow", liar,
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
        self.glance("proof")
        self.go(f"#/audit/{proof['receipt_cid']}")
        self.says("The receipt says what is not so", "audit: a receipt names the proof against it")
        self.glance("receipt with a proof")

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

    @staticmethod
    def writable():
        """What is text: bytes with a zero among them are shown as numbers."""
        return [name for name in corpus() if "\x00" not in name]

    def live(self):
        """What happens is shown as it happens, and not when the page asks next, after half a minute."""
        self.go("#/jobs")
        module, text = guests / "Sum.wasm", self.work / "a"
        text.write_text("1\n2\n")
        self.browser.wait("document.getElementById('live').textContent === 'Live'", "the node's events", 60)
        begun = time.monotonic()
        self.net.mesh("run", str(module), "--stdin", str(text), "--label", "seen at once", "--detach")
        self.shows("seen at once", seconds=20)
        self.failures.expect(time.monotonic() - begun < 25, "jobs: a new one is shown by its event, without a poll")
