import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh issuer`: the credit lines of a cooperative.
struct IssuerGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issuer",
        abstract: "Found an issuer of credit, order as its officer, and check its book.",
        discussion: """
            An issuer keeps a book of what its members owe and are owed. Its officers, on their own nodes, set how far \
            each may owe; every payment is an order that its debtor signed; every entry is in a log that nobody can \
            rewrite unseen. docs/issuers.md shows it from the beginning. mesh pay pays; mesh wallet shows the lines.
            """,
        subcommands: [
            Found.self, Show.self, Members.self, Statement.self, Audit.self, Ledger.self, Balance.self, Propose.self,
            Orders.self, Approve.self,
        ])

    /// `mesh issuer found`.
    struct Found: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make this node an issuer, for good.",
            discussion: """
                The charter that it signs does not change: neither the unit nor the officers, nor how many of them \
                have to approve, nor the witnesses. All of these are other nodes: mesh status prints their DIDs. Of \
                its witnesses a quorum (2 of 3, 3 of 4, 5 of 7) has to run, or nothing more is held after 10 minutes.
                """)

        @OptionGroup var global: GlobalOptions

        @Option(help: "The name of the unit: 1 to 16 letters, digits and hyphens.")
        var unit: String

        @Option(help: "Decimal places of the unit, from 0 to 9.", transform: Quantity.whole("a number from 0 to 9"))
        var decimals: UInt64 = 2

        @Option(help: ArgumentHelp("An officer; once for each, 2 to 16.", valueName: "did"))
        var officer: [String] = []

        @Option(
            help: "How many officers have to approve an order, from 2.", transform: Quantity.whole("a number from 2"))
        var approvals: UInt64 = 2

        @Option(help: ArgumentHelp("Who may decide disputes about holds; once for each.", valueName: "did"))
        var arbiter: [String] = []

        @Option(
            help: ArgumentHelp(
                "Who says when a claim was lodged while this node is away; once for each, up to 16.", valueName: "did"))
        var witness: [String] = []

        func perform(_ console: Console) async throws -> ExitCode {
            let founding = IssuerFounding(
                unit: unit, decimals: decimals, officers: officer, approvals: approvals,
                arbiters: arbiter.isEmpty ? nil : arbiter, witnesses: witness.isEmpty ? nil : witness)
            let issuer = try await global.node.found(founding)
            if global.json {
                try console.json(issuer)
            } else {
                console.out(IssuerGroup.text(issuer))
                console.note(
                    "Next an officer opens a line: mesh issuer order limit DID --owed N --issuer \(issuer.did)")
            }
            return .success
        }
    }

    /// `mesh issuer show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask an issuer for its rules, its head, your lines and its sums.",
            discussion: "Without --issuer it shows this node's own book, if it is an issuer.")

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("The issuer; by default this node, or the only one it knows.", valueName: "did"))
        var issuer: String?

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let view: IssuerView
            if let issuer {
                view = try await node.issuer(issuer)
            } else {
                do throws(NodeServiceError) {
                    view = try await node.ownIssuer()
                } catch {
                    guard error.code == .noIssuer, let only = try await node.issuers().first,
                        try await node.issuers().count == 1
                    else { throw error }
                    view = try await node.issuer(only.did)
                }
            }
            if global.json { try console.json(view) } else { console.out(IssuerGroup.text(view)) }
            return .success
        }
    }

    /// `mesh issuer members`.
    struct Members: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "List all lines of this node's own book.")

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let issuer = try await global.node.ownIssuer()
            if global.json {
                try console.json(issuer.lines)
            } else if issuer.lines.isEmpty {
                console.note("No line is open: mesh issuer order limit, on an officer's node, opens one.")
            } else {
                console.out(CreditWords.table(issuer.lines, with: "MEMBER").text)
            }
            return .success
        }
    }

    /// `mesh issuer statement`.
    struct Statement: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask an issuer for your bookings, and check each.",
            discussion: """
                Each has to be in the log under the issuer's newest head, which has to continue the last one that it \
                showed you; a payment needs its debtor's order, a change of a line enough officers. All of them have \
                to come to the balance.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let statement = try await node.statement(at: at.did(node))
            if global.json { try console.json(statement) } else { console.out(IssuerGroup.text(statement)) }
            if statement.isComplete == false {
                console.note("The bookings that the issuer shows do not come to the balances that it tells.")
                return ExitCode(ExitStatus.verificationFailed.rawValue)
            }
            if statement.isComplete == nil {
                console.note(
                    "This node gave up a claim or lost a dispute. What that cost is not in its entries, so whether the "
                        + "bookings come to the balances was not checked; an auditor of the issuer can.")
                return ExitCode(ExitStatus.verificationIncomplete.rawValue)
            }
            return .success
        }
    }

    /// `mesh issuer audit`.
    struct Audit: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check an issuer's book against its log.",
            discussion: """
                An auditor, whom the officers appointed, is shown all entries, and replays them with every signature; \
                everybody else checks the log and its own entries.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let audit = try await node.audit(at.did(node))
            if global.json {
                try console.json(audit)
            } else {
                console.out(IssuerGroup.text(audit))
            }
            return audit.finding == nil ? .success : ExitCode(ExitStatus.verificationFailed.rawValue)
        }
    }

    /// `mesh issuer orders`.
    struct Orders: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the officers' orders that wait for approvals.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let orders = try await node.officerOrders(at: at.did(node))
            if global.json {
                try console.json(orders)
            } else if orders.isEmpty {
                console.note("No order waits.")
            } else {
                for order in orders { console.out(IssuerGroup.text(order)) }
            }
            return .success
        }
    }

    /// `mesh issuer approve`.
    struct Approve: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Approve an order that waits, as an officer, or as whose line it moves.",
            discussion: "mesh issuer orders lists them. An approval counts for 7 days.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Argument(help: ArgumentHelp("The order's CID.", valueName: "cid"))
        var order: String

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let order = try await node.approve(order, at: at.did(node))
            if global.json { try console.json(order) } else { console.out(IssuerGroup.text(order)) }
            return .success
        }
    }

    // MARK: Words

    static func text(_ issuer: IssuerView) -> String {
        var facts = [
            ("issuer", issuer.did), ("unit", "\(issuer.unit), \(issuer.decimals) decimal places"),
            ("officers", "\(issuer.approvals) of \(issuer.officers.count) approve"),
        ]
        facts += issuer.officers.map { ("", $0) }
        if !issuer.arbiters.isEmpty { facts.append(("arbiters", issuer.arbiters.joined(separator: " "))) }
        if !issuer.witnesses.isEmpty { facts.append(("witnesses", issuer.witnesses.joined(separator: " "))) }
        if let until = issuer.caughtUpUntil { facts.append(("caught up until", Readable.date(until))) }
        if let warning = issuer.witnessWarning { facts.append(("holds", warning)) }
        if let pays = issuer.pays, !pays.isEmpty { facts.append(("pays members of", pays.joined(separator: " "))) }
        facts.append(("entries", Readable.count(issuer.entries)))
        facts += standing(issuer)
        if let obstacle = issuer.obstacle { facts.append(("closed", obstacle)) }
        if issuer.fault != nil {
            facts.append(("fault", "it signed two heads of one size; --json has them, for anybody to check"))
        }
        var text = Table.facts(facts)
        if !issuer.lines.isEmpty { text += "\n" + CreditWords.table(issuer.lines, with: "LINE").text }
        if !issuer.totals.isEmpty { text += "\n" + CreditWords.table(issuer.totals).text }
        return text
    }

    private static func standing(_ issuer: IssuerView) -> [(String, String)] {
        var facts: [(String, String)] = []
        if let until = issuer.closedUntil, let balance = issuer.balanceCID {
            facts.append(("closed before", "\(Readable.date(until)), trial balance \(balance)"))
        }
        if let end = issuer.endedAt {
            facts.append(("ended", Readable.date(end)))
        } else if let since = issuer.windsDownSince {
            facts.append(("winds down", "since \(Readable.date(since)): settle what you owe and are owed"))
        }
        if let successor = issuer.successor { facts.append(("successor", successor)) }
        if !facts.isEmpty {
            facts.append(
                ("by its word", "ask an officer before you act on it; mesh issuer statement shows what they signed"))
        }
        return facts
    }

    static func text(_ statement: StatementView) -> String {
        var text = CreditWords.table(statement.lines, with: "LINE").text
        var table = Table([("ENTRY", .right), ("WHEN", .left), ("AMOUNT", .right), ("UNIT", .left), ("WHAT", .left)])
        for booking in statement.bookings {
            let amount = booking.amount.map { CreditWords.text($0, booking.decimals ?? 0) } ?? ""
            table.add([
                "\(booking.number)", Readable.date(booking.at), amount, booking.unit ?? "",
                words(booking),
            ])
        }
        if !statement.bookings.isEmpty { text += "\n" + table.text }
        return text
    }

    private static func words(_ booking: BookingView) -> String {
        let job = booking.jobID.map { "job \(Readable.short($0))" }
        return [booking.kind, booking.other, job, booking.note].compactMap { $0 }.joined(separator: " ")
    }

    static func text(_ audit: IssuerAuditView) -> String {
        if let finding = audit.finding { return Terminal.safe("The book does not hold: \(finding).") + "\n" }
        let shown =
            audit.isWhole
            ? "all \(Readable.count(audit.entries)) entries were replayed with every signature"
            : "\(Readable.count(audit.opened)) of \(Readable.count(audit.entries)) entries were shown to this node"
        var text = "Head, log and entries agree: \(shown).\n"
        if !audit.lines.isEmpty { text += "\n" + CreditWords.table(audit.lines, with: "MEMBER").text }
        if !audit.totals.isEmpty { text += "\n" + CreditWords.table(audit.totals).text }
        return text
    }

    static func text(_ order: OfficerOrderView) -> String {
        var facts = [
            ("order", order.orderCID), ("number", "\(order.number)"), ("what", order.text),
            ("approved by", order.approvers.joined(separator: " ")),
        ]
        if let owner = order.countersigner { facts.append(("also needs", owner)) }
        let waits = "waits: \(order.counted) of \(order.needed) officers approve it"
        // Whose own line it moves may approve it, and does not count.
        let isOwn = order.counted < order.approvers.count { $0 != order.countersigner }
        facts.append(
            (
                "state",
                order.entry.map { "carried out, entry \($0)" }
                    ?? (isOwn ? "\(waits); who approves what is about their own line does not count" : waits)
            ))
        return Table.facts(facts)
    }
}
