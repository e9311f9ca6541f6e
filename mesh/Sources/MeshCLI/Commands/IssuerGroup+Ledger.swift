import ArgumentParser
import MeshHTTP
import NodeAPI

extension IssuerGroup {
    /// How a ledger is written.
    enum LedgerFormat: String, ExpressibleByArgument, CaseIterable {
        /// As ledger-cli and hledger read it.
        case ledger
        /// Comma-separated values.
        case csv
    }

    /// `mesh issuer ledger`.
    struct Ledger: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write an issuer's book as double entry, for the treasurer.",
            discussion: """
                The book is audited first, so the issuer itself and its auditors have it: every amount follows from \
                entries that were replayed with every signature. The format ledger is read by ledger-cli and hledger, \
                where what members are owed is a liability; csv has a row for each posting, with a sign that is above \
                zero where the issuer owes more. A period begins with the balances before it.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Option(help: "The form: ledger or csv; --json has its own.")
        var format = LedgerFormat.ledger

        @Option(
            help: ArgumentHelp("Only from then on: 30d, or a date in UTC such as 2026-11-01.", valueName: "when"),
            transform: JobDate.since)
        var from: UInt64?

        @Option(
            help: ArgumentHelp("Only before then; the same forms.", valueName: "when"), transform: JobDate.since)
        var until: UInt64?

        func validate() throws {
            if let from, let until, from >= until {
                throw ValidationError("--from is not before --until, so there is no time between them.")
            }
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            var query = LedgerQuery(issuer: try await at.did(node))
            (query.from, query.until) = (from, until)
            var whole: LedgerView?
            repeat {
                let page = try await node.ledger(query)
                if global.json {
                    whole = whole.map { Self.joined($0, page) } ?? page
                } else {
                    console.out(text(page, isFirst: query.after == nil))
                }
                query.after = page.next
            } while query.after != nil
            if let whole { try console.json(whole) }
            return .success
        }

        private static func joined(_ first: LedgerView, _ next: LedgerView) -> LedgerView {
            var whole = first
            whole.entries += next.entries
            (whole.closing, whole.next, whole.size) = (next.closing, next.next, next.size)
            return whole
        }

        private func text(_ page: LedgerView, isFirst: Bool) -> String {
            switch format {
            case .csv:
                (isFirst ? LedgerText.header + LedgerText.rows(opening: page.opening, at: begun(page)) : "")
                    + page.entries.map { LedgerText.rows($0) }.joined()
            case .ledger:
                (isFirst ? begin(page) : "") + page.entries.map(LedgerText.journal).joined()
                    + (page.next == nil ? LedgerText.closing(page.closing) : "")
            }
        }

        private func begin(_ page: LedgerView) -> String {
            "; The book of \(page.issuer), of whose \(page.size) entries each was checked.\n\n"
                + LedgerText.opening(page.opening, at: begun(page))
        }

        private func begun(_ page: LedgerView) -> UInt64 { from ?? page.entries.first?.at ?? 0 }
    }

    /// `mesh issuer balance`.
    struct Balance: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what every account of an issuer's book has: its trial balance.",
            discussion: """
                All lines, and the issuer's own accounts: fees, losses, cash and exchange. In each unit they come to \
                zero. Above zero, the issuer owes it. The book is audited first, so the issuer and its auditors have it.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Option(
            help: ArgumentHelp(
                "What they had then: 30d, or a date in UTC such as 2026-11-01. Now, unless given.", valueName: "when"),
            transform: JobDate.since)
        var before: UInt64?

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            var query = LedgerQuery(issuer: try await at.did(node))
            // No entry is shown, so that the balances are those before the date.
            (query.from, query.until) = (before ?? UInt64(Int64.max), before)
            let ledger = try await node.ledger(query)
            if global.json {
                try console.json(ledger.closing)
                return .success
            }
            if let cid = ledger.balanceCID { console.note("The trial balance is \(cid).") }
            guard !ledger.closing.isEmpty else {
                console.note("Nothing has moved: all accounts are at zero.")
                return .success
            }
            var table = Table([("ACCOUNT", .left), ("BALANCE", .right), ("UNIT", .left)])
            for posting in ledger.closing {
                table.add([
                    posting.did ?? posting.account.rawValue, CreditWords.text(posting.amount, posting.decimals),
                    posting.unit,
                ])
            }
            for unit in Set(ledger.closing.map(\.unit)).sorted() {
                let sum = ledger.closing.filter { $0.unit == unit }.reduce(Int128(0)) { $0 + Int128($1.amount) }
                let decimals = ledger.closing.first { $0.unit == unit }?.decimals ?? 0
                table.add(["all together", CreditWords.text(sum, decimals), unit])
            }
            console.out(table.text)
            return .success
        }
    }
}
