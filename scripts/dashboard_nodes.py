"""Parts of scripts/dashboard-check.py: the node itself, its peers, its executor, its settings, its figures."""

import json
import urllib.error
import urllib.request


class NodeParts:
    def overview(self):
        """The overview's figures are those of the node."""
        self.go("#/")
        formats = "import('/dashboard/formats.js')"
        tile = """(name) => [...document.querySelectorAll("main .tile")].find((each) =>
            each.querySelector("dt").textContent === name).querySelector("dd").textContent"""
        for name, path, figure in (
            ("Peers", "/v1/status", "number(it.connected_peers)"),
            ("Stored", "/v1/status", "bytes(it.storage.block_bytes)"),
            ("Paid, last hour", "/v1/wallet", "brief(it.paid)"),
            ("Earned, last hour", "/v1/wallet", "brief(it.earned)"),
        ):
            self.anew(
                "#/", lambda: self.browser.run(f"""Promise.all([{formats}, fetch("{path}").then((a) => a.json())]).then(([f, it]) => {{
                const {{ number, bytes, brief }} = f; return ({tile})("{name}") === {figure}; }})"""),
                f"overview: {name}, as {path} has it",
            )
        self.failures.expect(
            self.told("/v1/wallet")["paid"] > 0 and self.told("/v1/status")["connected_peers"] >= 3,
            "overview: and these are not nothing",
        )
        # Jobs that were lost, refused or declined are bids and no jobs; this node makes none.
        self.anew(
            "#/", lambda: self.browser.run("""fetch("/v1/jobs?status=ended&limit=500").then((a) => a.json()).then(({ jobs }) => {
            const good = jobs.filter((job) => job.outcome === "succeeded").length;
            return document.querySelector('main svg[aria-label^="Jobs that ended"]').getAttribute("aria-label")
              === `Jobs that ended: ${good} succeeded, ${jobs.length - good} ended otherwise`; })"""),
            "overview: the chart of jobs counts those that ended",
        )
        self.anew(
            "#/", lambda: self.browser.run("""Promise.all([import('/dashboard/formats.js'), fetch("/v1/wallet").then((a) => a.json())])
            .then(([{ brief }, { earned, paid }]) => document.querySelector('main svg[aria-label^="Tokens"]')
              .getAttribute("aria-label") === `Tokens: ${brief(earned)} earned, ${brief(paid)} paid`)"""),
            "overview: the chart of tokens has what was paid",
        )

    def map(self):
        """The map: who is known, of what region, how far, and with whom this node is connected; what it does for the DHT."""
        self.anew(
            "#/mesh", lambda: self.browser.run("""Promise.all([fetch("/v1/offers"), fetch("/v1/peers")].map((a) => a.then((b) => b.json())))
            .then(([{ offers }, peers]) => {
              const map = document.querySelector('main svg[aria-label^="This node and"]');
              const others = offers.filter((each) => !each.here);
              const end = (text) => `…${text.slice(-8)}`;
              const dots = [...map.querySelectorAll("circle.node:not(.here)")];
              const names = new Set([...others.map(({ did }) => did), ...peers.map(({ did, peer_id }) => did ?? peer_id)]);
              const titles = dots.map((dot) => dot.querySelector("title").textContent);
              const placed = others.every(({ did, region, round_trip_ms }) => {
                const dot = dots[titles.indexOf(`${end(did)}, ${region}`)];
                const away = Math.hypot(dot.getAttribute("cx") - 190, dot.getAttribute("cy") - 190);
                const steps = Math.round(Math.log2(1 + (round_trip_ms ?? 0)) * 2) / 2;
                return dot.classList.contains("able")
                  && Math.abs(away - (round_trip_ms === undefined ? 140 : Math.min(52 + steps * 11, 140))) < 1;
              });
              const written = [...map.querySelectorAll("text.strong")].map((each) => each.textContent).sort();
              return placed && dots.length === names.size && others.length === 3
                && map.querySelectorAll("line.link").length === peers.filter(({ connected }) => connected).length
                && written.join() === "asia,eu,us" && map.querySelectorAll("circle.ring").length === 3
                && ["asia", "eu", "us"].every((region) => map.getAttribute("aria-label").includes(`1 in ${region}`));
            })"""),
            "mesh: the map has every node by region and distance, and a line for each connection",
        )
        rows = self.rows("Executors and their prices")
        offers = {each["did"][-8:]: each for each in self.told("/v1/offers")["offers"]}
        self.failures.expect(
            len(rows) == 3
            and all(row[2] == f"{offers[row[0][-8:]]['base_price']} tk" and row[5].endswith(" ms") for row in rows),
            f"mesh: executors with their prices, and how far they are {[row[5] for row in rows]}",
        )
        self.anew(
            "#/mesh", lambda: self.facts("Topics and DHT") == {
                title: str(self.told("/v1/network")["dht"][name])
                for title, name in (
                    ("Nodes in the DHT's table", "table_nodes"), ("Values kept for others", "records"),
                    ("Places kept for others", "providers"), ("Announced by this node", "announced"),
                )
            },
            "mesh: the figures of the DHT",
        )
        self.failures.expect(self.told("/v1/network")["dht"]["table_nodes"] >= 3, "mesh: its table has the others")
        address = self.told("/v1/status")["addresses"][0]
        self.failures.expect(self.copied("Copy the address") == address, "mesh: the node's address is copied")

    def anchors(self):
        """What this node anchored, and the log of another that it fetches, keeps and forgets."""
        expect, other = self.failures.expect, self.net.did(1)
        self.go("#/audit")
        log = self.told("/v1/dag/log?limit=10")
        rows = self.rows("Entries of this node's log")
        expect(
            len(rows) == len(log) > 0
            and all(row[0] == f"{entry['number']:,}" and entry["entry_cid"][-8:] in row[3]
                    and all(cid[-8:] in row[2] for cid in entry["anchors"][:4]) for row, entry in zip(rows, log)),
            f"log: each entry with what it anchors {rows[:1]}",
        )
        button = "[...document.querySelectorAll('main button')].find((each) => each.textContent === 'Save the signed head').click()"
        head = self.downloaded(button, "log.head").decode()
        expect(head.splitlines()[0] == self.told("/v1/dag/head")["origin"], f"log: its signed head is saved {head[:90]!r}")
        self.net.mesh("config", "set", "log.follow", other)
        mine = lambda: [row for row in self.rows("Logs of others") if other[-8:] in row[0]]
        self.anew("#/audit", lambda: mine() and "followed" in mine()[0][3], "log: another's is followed")
        self.clicked(f'[data-key="fetch {other}"]')
        self.says("of …" + other[-8:], "log: what is new of it is fetched", within="#notes")
        for theme, width, _ in self.shaped():
            self.look("log", theme, width)
        self.net.mesh("config", "set", "log.follow", "--default")
        entries = {each["author"]: each["entries"] for each in self.told("/v1/dag/logs")}
        expect(entries.get(other, 0) > 0, f"log: and is here {entries}")
        self.anew("#/audit", lambda: mine() and "followed" not in mine()[0][3], "log: it is followed no more")
        self.clicked(f'[data-key="forget log {other}"]')
        self.click("Forget it", within="dialog")
        self.becomes(
            lambda: {each["author"]: each["entries"] for each in self.told("/v1/dag/logs")}.get(other, 0) == 0
            and (not mine() or mine()[0][1].startswith("0")),
            "log: and forgotten after a question",
        )

    def gateway(self):
        """A file that its owner makes public, for anyone over HTTP, and private again."""
        path = self.work / "for all.txt"
        path.write_text("for all")
        cid = self.net.mesh("add", str(path)).split()[0]
        address = self.told("/v1/status")["gateway"]["address"]

        def answer():
            try:
                return urllib.request.urlopen(f"{address}/ipfs/{cid}?format=raw").read()
            except urllib.error.HTTPError as error:
                return error.code

        self.go("#/settings")
        button = f'[data-key="public {cid}"]'
        who = f"document.querySelector('{button}')?.closest('tr').children[1].textContent"
        self.holds(f"{who} === 'nodes that ask by its CID'", "settings: a file that was added is private")
        self.failures.expect(answer() == 404, "and nobody has it over HTTP")
        self.clicked(button)
        self.holds(f"{who} === 'anyone, over HTTP'", "settings: it is made public")
        self.failures.expect(answer() == b"for all", "and anyone has it over HTTP")
        self.clicked(button)
        self.holds(f"{who} === 'nodes that ask by its CID'", "settings: and private again")
        self.failures.expect(answer() == 410, "and it is gone over HTTP")
        status = self.told("/v1/status")
        self.failures.expect(self.copied("Copy the DID") == status["did"], "settings: the node's DID is copied")
        self.failures.expect(
            self.copied("Copy the address") == status["addresses"][0], "settings: the node's address is copied"
        )

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
        self.holds(
            """Promise.all([import('/dashboard/formats.js'), fetch("/v1/wallet").then((a) => a.json())])
            .then(([{ brief }, { earned }]) => earned > 0 && document.querySelector('main svg[aria-label^="Tokens earned"]')
              .getAttribute("aria-label") === `Tokens earned by day: ${brief(earned)} tokens`)""",
            "executor: what it earned by day is what its wallet has",
        )
        bars = """[...document.querySelectorAll('main svg[aria-label^="Tokens earned"] rect')].length"""
        self.failures.expect(self.browser.run(bars) in (1, 2), "executor: on the day of this check")
        own = self.facts("State")
        offer = next(each for each in self.told("/v1/offers")["offers"] if each.get("here"))
        slots = next(each["amount"] for each in offer["limits"] if each["name"] == "jobs_at_once")
        self.failures.expect(
            (own["Base price"], own["Slots"]) == (f"{offer['base_price']} tk", str(slots)),
            "executor: its price and its slots",
        )
        lost = self.told("/v1/jobs?role=executor&status=lost&limit=12")["jobs"]
        shown = self.rows("Lost bids")
        self.failures.expect(
            0 < len(shown) == len(lost)
            and all(row[3] == job["reason"] != "" and row[1] == f"{job['price']:,} tk" for row, job in zip(shown, lost)),
            f"executor: {len(shown)} lost bids, each with the reason {shown[0][3] if shown else lost}",
        )
        for theme, width, _ in self.shaped():
            self.go("#/executor")
            self.look("executor", theme, width)
