"""A part of scripts/dashboard-check.py: an issuer, its members, its officers and its tokens, by the pages of credit."""

import json
import subprocess

from dashboard_jobs import guests


class CreditParts:
    def credit(self):
        """A member asks an issuer, is given a line, pays, checks its statement; an officer proposes and approves."""
        browser, expect = self.browser, self.failures.expect
        own, self.issuer, second, third = (self.net.did(index) for index in range(4))
        # Who decides disputes is nobody of these, and is not asked.
        home = self.work / "arbiter"
        made = subprocess.run([self.net.program, "init", "--json", "--home", str(home)], check=True, capture_output=True)
        self.arbiter = json.loads(made.stdout)["did"]
        self.founded(1, own, second, third)
        self.go("#/credit")
        self.says("This node has asked no issuer yet", "credit: that there is none")
        for theme, width, _ in self.shaped():
            self.look("credit-empty", theme, width, is_kept=False)
        self.fill("DID of the issuer", self.issuer)
        self.click("Ask")
        self.says("This node has no line there", "credit: an issuer that is asked, without a line")
        expect(
            f"{self.facts('Charter')['Have to approve']}" == "2 of them"
            and all(did[-8:] in self.facts("Charter")["Officers"] for did in (own, second, third)),
            f"credit: its charter {self.facts('Charter')}",
        )
        self.ordered("limit", own, "--owed", "40.00", "--owing", "80.00")
        # It asks its issuer every two seconds whether it has a line, and bids once it has (`paid_by_credit`).
        self.ordered("limit", second, "--owed", "0", "--owing", "50", by=(0, 3))
        self.click("Ask again")
        self.becomes(lambda: self.tiles().get("It can pay", [""])[0] == "40.00", "credit: a line that officers opened")

        # This node is an officer, too: one order it proposes, and one it approves.
        self.shows("Propose an order")
        for label, value in {"DID": third, "It may owe": "10", "It may be owed": "90.5"}.items():
            self.fill(label, value)
        self.click("Propose it")
        self.becomes(lambda: len(self.rows("Orders that wait")) == 1, "credit: an order that is proposed waits")
        row = self.rows("Orders that wait")[0]
        expect(own[-8:] in row[1] and "1 of 2 count" in row[1] and third[-8:] in row[0], f"credit: with who approves it {row}")
        self.net.mesh("issuer", "approve", self.waiting(2), "--issuer", self.issuer, node=2)
        self.net.mesh("issuer", "order", "appoint", second, "--issuer", self.issuer, node=3)
        self.click("Ask again")
        self.becomes(lambda: ["all entries" in row[0] for row in self.rows("Orders that wait")] == [True], "credit: another's order")
        self.click("Approve")
        self.click("Approve it", within="dialog")
        self.shows("Carried out, as entry", within="#notes")
        self.says("No order waits", "credit: an order is approved, and carried out")

        self.ordered("appoint", own)
        self.fill("Whom", third)
        self.fill("How much, in hours", "2.555")
        self.click("Pay")
        self.says("is no amount", "credit: what is no amount is told", within="#notes")
        self.fill("How much, in hours", "2.50")
        self.click("Pay")
        self.click("Pay it", within="dialog")
        self.says("Paid 2.50 hours, entry", "credit: a payment", within="#notes")
        self.becomes(lambda: self.tiles().get("This node owes", [""])[0] == "2.50", "credit: and what it leaves")
        self.click("Check my bookings")
        self.says("together they come to the balance", "credit: the statement")
        paid = [row for row in self.rows("Bookings") if row[2] == "Paid"]
        expect(
            len(paid) == 1 and paid[0][4] == "−2.50 hours" and third[-8:] in paid[0][3],
            f"credit: with the payment {paid}",
        )
        self.click("Audit the book")
        self.says("were replayed with every signature, and agree", "credit: the audit of an auditor")
        lines = {row[0][-8:]: row[1] for row in self.rows("Lines")}
        expect(
            lines
            == {own[-8:]: "owes 2.50 hours", second[-8:]: "is owed 0.00 hours", third[-8:]: "is owed 2.50 hours"},
            f"credit: with all lines {lines}",
        )
        self.treasurer(own, third)
        self.go("#/credit")
        row = self.rows("Issuers")[0]
        expect(
            row[0].endswith(self.issuer[-8:]) and row[1] == "hours" and row[2] == "owes 2.50 hours",
            f"credit: the issuer in the list {row}",
        )
        self.tokens(own, second, third)
        self.paid_by_credit(own, second, third)
        self.across(own, second, third)
        self.refused()

    def treasurer(self, own, third):
        """The whole book as double entry: shown, of a period, and saved as the command writes it."""
        expect = self.failures.expect
        self.click("Show the book")
        self.becomes(lambda: len(self.rows("The book")) == 1, "ledger: an auditor sees what moved")
        row = self.rows("The book")[0]
        expect(
            row[2] == "Paid" and f"{own[-8:]} −2.50 hours" in row[3] and f"{third[-8:]} +2.50 hours" in row[3],
            f"ledger: with both sides of the payment {row}",
        )
        balances = {row[0][-8:]: row[1] for row in self.rows("Balances")}
        expect(balances == {own[-8:]: "−2.50 hours", third[-8:]: "2.50 hours"}, f"ledger: and what each has {balances}")
        file = f"ledger-{self.issuer[-8:]}"
        button = "[...document.querySelectorAll('main button')].find((each) => each.textContent === '{}').click()"
        ledger = ("issuer", "ledger", "--issuer", self.issuer)
        for title, ending, words in (
            ("Save for ledger and hledger", "ledger", ledger), ("Save as CSV", "csv", (*ledger, "--format", "csv")),
        ):
            saved = self.downloaded(button.format(title), f"{file}.{ending}").decode()
            expect(saved == self.net.mesh(*words), f"ledger: saved as {ending}, it is what mesh issuer ledger writes")
        saved = json.loads(self.downloaded(button.format("Save as JSON"), f"{file}.json"))
        expect(saved == json.loads(self.net.mesh(*ledger, "--json")), "ledger: and as JSON it is what --json writes")
        # A day that is over, before anything was booked.
        self.fill("Before, in UTC", "2026-01-02")
        self.fill("From, in UTC", "2026-01-02")
        self.click("Show the book")
        self.says("The period ends before it begins", "ledger: a period that is none is told", within="#notes")
        self.fill("From, in UTC", "2026-01-01")
        self.click("Show the book")
        self.says("Nothing moved in that time", "ledger: a time in which nothing moved")
        file = f"ledger-{self.issuer[-8:]}-2026-01-01-2026-01-02.csv"
        saved = self.downloaded(button.format("Save as CSV"), file).decode()
        expect(saved == self.net.mesh(*ledger, "--format", "csv", "--from", "2026-01-01", "--until", "2026-01-02"),
            f"ledger: the file of a time is named so, and as the command's {saved!r}")
        self.fill("From, in UTC", "")
        self.fill("Before, in UTC", "")
        self.click("Show the book")
        self.becomes(lambda: len(self.rows("The book")) == 1, "ledger: and the whole book again")
        for theme, width, _ in self.shaped():
            self.browser.run("document.getElementById('c-for-the-treasurer').scrollIntoView(); scrollBy(0, -80)")
            self.look("ledger", theme, width)

    def tokens(self, own, second, third):
        """This node gives a token, saves it for its holder, asks what is left of it and revokes it; it takes one, and
        hands a part of that on."""
        expect = self.failures.expect
        self.says("This node holds no token, and gave none", "credit: that no token is here")
        self.go(f"#/credit/{self.issuer}")
        self.fill("Its holder", second)
        self.fill("Worth, in hours", "3.00")
        self.fill("Only jobs that keep to", "eu\nus")
        self.click("Give it")
        self.says("is given", "credit: a token is given", within="#notes")
        given = self.told("/v1/credit/tokens")[0]
        expect(
            given["holder"] == second and given["amount"] == 300 and given["scope"] == {"regions": ["eu", "us"]}
            and 0 <= given["expires_at"] - self.browser.run("Date.now()") - 86_000_000 <= 400_000,
            f"credit: as its form says {given}",
        )
        self.go("#/credit")
        row = self.rows("Tokens")[0]
        expect(
            given["token"][-8:] in row[0] and own[-8:] in row[1] and second[-8:] in row[2] and row[3] == "3.00 hours",
            f"credit: the token in the list {row}",
        )
        self.click("What is left")
        self.becomes(lambda: self.facts(f"Token …{given['token'][-8:]}").get("Left") == "3.00 hours", "credit: what is left of it")
        script = "[...document.querySelectorAll('main button')].find((each) => each.textContent === 'Save').click()"
        file = self.downloaded(script, f"token-{given['token'][-8:]}")
        taken = self.net.mesh("token", "import", "-", node=2, data=file).strip()
        expect(taken == given["token"], f"credit: its holder takes the file {taken}")
        self.click("Revoke")
        self.click("Revoke it", within="dialog")
        self.says("Revoked, as entry", "credit: it is revoked", within="#notes")
        shown = json.loads(self.net.mesh("token", "show", "--json", given["token"], node=2))
        expect("revoked_by" in shown, f"credit: and its holder is told so {shown}")

        theirs = self.net.mesh("token", "give", own, "1.50", "--issuer", self.issuer, node=3).strip()
        path = self.work / "theirs.token"
        self.net.mesh("token", "export", theirs, str(path), node=3)
        self.browser.files("#f-its-file", [path])
        self.browser.wait("document.getElementById('f-or-its-text').value !== ''", "the file's text")
        self.click("Take it")
        self.says("is here, up to 1.50 hours", "credit: a token is taken from its file", within="#notes")
        held = [row for row in self.rows("Tokens") if theirs[-8:] in row[0]]
        expect(len(held) == 1 and third[-8:] in held[0][1] and held[0][2] == "this node", f"credit: it is in the list {held}")
        self.click("Hand on")
        self.fill("Its holder", second)
        self.fill("Worth, in hours", "2.00")
        self.click("Give it")
        self.says("allows no more than the one above it", "credit: more than a token has is refused", within="#notes")
        self.fill("Worth, in hours", "0.40")
        self.click("Give it")
        self.becomes(lambda: len(self.rows("Tokens")) == 3, "credit: a part of it is handed on")
        parts = [(each["holder"], each["amount"]) for each in self.told("/v1/credit/tokens") if each["givers"] == [third, own]]
        expect(parts == [(second, 40)], f"credit: to whom it says {parts}")
        self.lent = theirs
        for theme, width, _ in self.shaped():
            self.browser.run("document.getElementById('c-tokens').scrollIntoView(); scrollBy(0, -80)")
            self.look("tokens", theme, width)

    def paid_by_credit(self, own, second, third):
        """Two jobs that an executor is paid for by an issuer: one on this node's line, one on another's by a token."""
        expect = self.failures.expect
        module = self.net.mesh("add", str(guests / "Sum.wasm")).split()[0]
        for name, payer in (("its line", "Its line at"), ("a token", f"A token of …{third[-8:]}, up to 1.50 hours")):
            self.go("#/submit")
            self.fill("CID of the module", module)
            number = self.browser.run(
                f"""[...document.getElementById("f-paid-by").options].find((each) => each.text.startsWith({json.dumps(payer)}))?.value"""
            )
            self.fill("Paid by", number)
            self.fill("Fuel", "20000000")
            self.fill("Budget in hours", "0.75")
            self.click("See who would run it")
            self.says("Only bids tell what it costs in hours", f"submit: what {name} costs is not told beforehand")
            self.click("Run the job")
            self.browser.wait("location.hash.startsWith('#/job/')", "the job's page")
            self.says("Succeeded", f"submit: a job is paid by {name}", seconds=60)
            result = lambda: self.facts("Result")
            # The page hears of it: it polls every 30 s while it is told of events.
            self.becomes(
                lambda: "paid by the issuer" in result().get("Holds", ""), f"job: what was held by {name} is paid, as seen live", 15
            )
            expect(
                result()["Due by credit"].endswith("hours") and second[-8:] in result()["Executor"],
                f"job: by credit, and to whom {result()}",
            )
        left = json.loads(self.net.mesh("token", "show", "--json", self.lent))["left"]
        expect(left < 150, f"credit: the token has {left} of 150 left")

    def across(self, own, second, third):
        """A job of a member of one issuer, run by an executor that trusts another issuer alone: what pays it is held by
        both, and the page hears when the first one has booked that."""
        expect = self.failures.expect
        # The second issuer is an executor of the first one's members; the third node trusts it alone.
        self.founded(2, own, self.issuer, third)
        self.ordered("limit", third, "--owed", "40.00", by=(0, 1), at=second)
        self.net.mesh("connect", json.loads(self.net.mesh("status", "--json", node=2))["addresses"][0], node=1)
        self.ordered("limit", second, "--owed", "100.00", "--of-issuer", by=(0, 3))
        self.ordered("limit", self.issuer, "--owed", "100.00", "--of-issuer", by=(0, 3), at=second)
        book = lambda node: {
            (line["did"], line["is_issuer"]): line["balance"]
            for line in json.loads(self.net.mesh("issuer", "members", "--json", node=node))
        }
        before = book(1)[second, True]
        self.anew(
            f"#/credit/{self.issuer}", lambda: second[-8:] in self.facts("Charter").get("Pays members of", ""),
            # It asks the other one every minute whether it has a line there.
            "credit: an issuer pays members of another", seconds=90,
        )
        self.go("#/submit")
        self.fill("CID of the module", self.net.mesh("add", str(guests / "Sum.wasm")).split()[0])
        lines = '[...document.getElementById("f-paid-by").options].find((each) => each.text.startsWith("Its line at …{}"))?.value'
        self.fill("Paid by", self.browser.run(lines.format(self.issuer[-8:])))
        self.fill("Fuel", "20000000")
        self.fill("Budget in hours", "0.75")
        self.fill("Only these executors", third)
        self.click("Run the job")
        self.browser.wait("location.hash.startsWith('#/job/')", "the job's page")
        self.says("Succeeded", "across: a job by the credit of two issuers", seconds=60)
        self.becomes(
            lambda: "paid by the issuer" in self.facts("Result").get("Holds", ""), "across: what was held for it is paid, as seen live", 15
        )
        expect(third[-8:] in self.facts("Result")["Executor"], f"across: by whom {self.facts('Result')}")
        self.says(f"had the issuer …{second[-8:]} hold it for the executor", "across: its story names both issuers")
        job = self.browser.run("location.hash.split('/')[2]")
        paid = self.told(f"/v1/jobs/{job}")["result"]["paid"]
        expect(book(2) == {(third, False): paid, (self.issuer, True): -paid}, f"across: the second book has it {book(2)}")
        self.becomes(lambda: book(1)[second, True] - before == paid, "across: and the first owes it to the second")
        self.glance("job across two issuers")

    def founded(self, node, *officers):
        """A node becomes an issuer, with the arbiter of all."""
        self.net.mesh(
            "issuer", "found", "--unit", "hours", "--decimals", "2", "--approvals", "2", "--arbiter", self.arbiter,
            *(word for did in officers for word in ("--officer", did)), node=node,
        )

    def ordered(self, *words, by=(2, 3), at=None):
        """Two officers order something by command; one that an order is about does not count."""
        issuer = at or self.issuer
        self.net.mesh("issuer", "order", *words, "--issuer", issuer, node=by[0])
        self.net.mesh("issuer", "approve", self.waiting(by[1], issuer), "--issuer", issuer, node=by[1])

    def waiting(self, node, at=None):
        """The order that waits for an officer."""
        orders = json.loads(self.net.mesh("issuer", "orders", "--json", "--issuer", at or self.issuer, node=node))
        return orders[0]["order_cid"]

    def refused(self):
        """A node cannot be an issuer of which it is an officer or a witness; with others it can."""
        dids = [self.net.did(index) for index in range(4)]
        self.go("#/credit")
        self.browser.run("document.querySelector('details[data-key=found]').open = true")
        self.fill("Name of the unit", "meals")
        others = [dids[2], dids[3]]
        for officers, witness, verdict in (
            ([dids[0], dids[2]], "", None), (others, dids[0], None), (others, "", "This node is an issuer")
        ):
            self.fill("DIDs of the officers", "\n".join(officers))
            self.fill("DIDs of the witnesses", witness)
            before = self.browser.run("document.getElementById('notes').textContent")
            self.click("Found the issuer")
            self.click("Found the issuer", within="dialog")
            if verdict:
                self.says(verdict, "credit: an issuer is founded", within="#notes")
                self.says("This node's own book", "credit: and its book is shown")
            else:
                told = "document.getElementById('notes').textContent"
                self.becomes(lambda: self.browser.run(told) != before, "credit: what is wrong with it is told")
