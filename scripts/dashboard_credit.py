"""A part of scripts/dashboard-check.py: an issuer, its member and its officers, by the pages of credit."""

import json


class CreditParts:
    def credit(self):
        """A member asks an issuer, is given a line, pays, checks its statement; an officer proposes and approves."""
        browser, expect = self.browser, self.failures.expect
        own, self.issuer, second, third = (self.net.did(index) for index in range(4))
        self.net.mesh(
            "issuer", "found", "--unit", "hours", "--decimals", "2", "--approvals", "2",
            *(word for did in (own, second, third) for word in ("--officer", did)), node=1,
        )
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
            lines == {own[-8:]: "owes 2.50 hours", third[-8:]: "is owed 2.50 hours"}, f"credit: with all lines {lines}"
        )
        self.go("#/credit")
        row = self.rows("Issuers")[0]
        expect(
            row[0].endswith(self.issuer[-8:]) and row[1] == "hours" and row[2] == "owes 2.50 hours",
            f"credit: the issuer in the list {row}",
        )
        self.refused()

    def ordered(self, *words):
        """Two officers order something by command."""
        self.net.mesh("issuer", "order", *words, "--issuer", self.issuer, node=2)
        self.net.mesh("issuer", "approve", self.waiting(3), "--issuer", self.issuer, node=3)

    def waiting(self, node):
        """The order that waits for an officer."""
        orders = json.loads(self.net.mesh("issuer", "orders", "--json", "--issuer", self.issuer, node=node))
        return orders[0]["order_cid"]

    def refused(self):
        """A node cannot be an issuer of which it is an officer; with others it can."""
        dids = [self.net.did(index) for index in range(4)]
        self.browser.run("document.querySelector('details.further').open = true")
        self.fill("Name of the unit", "meals")
        for officers, verdict in (([dids[0], dids[2]], None), ([dids[2], dids[3]], "This node is an issuer")):
            self.fill("DIDs of the officers", "\n".join(officers))
            before = self.browser.run("document.getElementById('notes').textContent")
            self.click("Found the issuer")
            self.click("Found the issuer", within="dialog")
            if verdict:
                self.says(verdict, "credit: an issuer is founded", within="#notes")
                self.says("This node's own book", "credit: and its book is shown")
            else:
                told = "document.getElementById('notes').textContent"
                self.becomes(lambda: self.browser.run(told) != before, "credit: what is wrong with its officers is told")
