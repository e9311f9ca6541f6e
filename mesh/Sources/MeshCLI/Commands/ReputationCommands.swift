import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh reputation`: what this node thinks of executors and originators, and why.
struct Reputation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what this node thinks of executors and originators, and why.",
        discussion: """
            It thinks so by receipts that it verified itself, by its own waiting for what an executor signed that it \
            takes (undelivered), by whether an originator paid what it ran (unpaid), by pay that issuers which it \
            trusts booked for others' jobs, and by nobody's word. Without a \
            further word it lists all of whom it has any, as mesh reputation show does.
            """,
        subcommands: [ReputationShow.self, ReputationWhy.self], defaultSubcommand: ReputationShow.self)
}

/// `mesh reputation show`.
struct ReputationShow: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "List those of whom there is evidence, the best first.",
        discussion: """
            SCORE is from 0 to 1,000; --min-reputation of mesh run compares with it. RIGHT are results that this node \
            ran again and found right, since the last wrong one; CHECKED is how likely the next one is checked at \
            --verify adaptive. BY OTHERS is what pay for others' jobs adds that issuers proved: 1,000 for each payer \
            at most, 5,000 in all. ORIGINATOR are those whose jobs this node ran: executor.min_originator_reputation \
            compares with their SCORE.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let view = try await global.node.reputation(of: nil)
        if global.json {
            try console.json(view)
        } else if view.subjects.isEmpty, view.originators.isEmpty {
            console.note("There is no evidence yet: it comes from the receipts of this node's own jobs and runs.")
        } else {
            let tables = [ReputationWords.table(view), ReputationWords.originators(view)].compactMap(\.self)
            console.out(tables.joined(separator: "\n"))
        }
        return .success
    }
}

/// `mesh reputation why`.
struct ReputationWhy: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Say how a score comes about, receipt by receipt.",
        discussion: "Of somebody who gave this node jobs, too, there are two scores: as an executor, as an originator.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Who: a DID, a peer ID, or a name in mesh peers or mesh reputation.")
    var executor: String

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let view = try await node.reputation(of: Self.named(executor, node))
        guard let subject = view.subjects.first else { throw NodeServiceError(.internalError, "The answer is empty.") }
        if global.json {
            try console.json(view)
        } else {
            let pages =
                [ReputationWords.page(subject, now: view.at)]
                + view.originators.map { ReputationWords.originator($0, now: view.at) }
            console.out(pages.joined(separator: "\n"))
        }
        return .success
    }

    /// What the node is asked for: a name that a listing gives is that of one alone.
    private static func named(_ text: String, _ node: NodeClient) async throws(NodeServiceError) -> String {
        let name = text.hasPrefix(ShownName.ellipsis) ? String(text.dropFirst()) : text
        if name.hasPrefix("did:") || name.hasPrefix("12D3") { return name }
        let view = try await node.reputation(of: nil)
        let known = try await (view.subjects + view.originators).map(\.did) + node.peers().compactMap(\.did)
        return try ShownName.meant(by: name, among: known) ?? name
    }
}

/// What a person reads of reputations.
enum ReputationWords {
    /// The listing of executors; nil where there is none.
    static func table(_ view: ReputationView) -> String? {
        if view.subjects.isEmpty { return nil }
        var table = Table([
            ("NAME", .left), ("SCORE", .right), ("FULFILLED", .right), ("ABANDONED", .right),
            ("UNDELIVERED", .right), ("INVALID", .right), ("RIGHT", .right), ("CHECKED", .right),
            ("BY OTHERS", .right),
        ])
        for subject in view.subjects {
            table.add(
                [Readable.short(subject.did), Readable.count(subject.score)]
                    + ["fulfilled", "abandoned", "undelivered", "invalid"]
                    .map { Readable.count(subject.receipts[$0] ?? 0) }
                    + [
                        Readable.count(subject.rightResults), percent(subject.checkedPermille),
                        Readable.count(subject.goodElsewhere),
                    ])
        }
        return table.text
    }

    /// The listing of originators; nil where there is none.
    static func originators(_ view: ReputationView) -> String? {
        if view.originators.isEmpty { return nil }
        var table = Table([
            ("ORIGINATOR", .left), ("SCORE", .right), ("PAID", .right), ("UNPAID", .right), ("TWO HISTORIES", .right),
        ])
        for subject in view.originators {
            table.add(
                [Readable.short(subject.did), Readable.count(subject.score)]
                    + ["fulfilled", "unpaid", "equivocated"].map { Readable.count(subject.receipts[$0] ?? 0) })
        }
        return table.text
    }

    /// Everything about one originator.
    static func originator(_ subject: ReputationView.Subject, now: UInt64) -> String {
        let facts = [
            ("originator", subject.did), ("score", score(subject)),
            ("for it", "\(Readable.count(subject.good)): \(count(subject, "fulfilled")), each 1,000 when fresh"),
            (
                "against it",
                "\(Readable.count(subject.bad)): \(count(subject, "unpaid")), each as much as 5 fulfilled, and "
                    + "\(count(subject, "equivocated")), which counts as 10"
            ),
            ("to outweigh", "\(Readable.count(subject.prior)), as of everybody"),
        ]
        return Table.facts(facts) + "\n" + reasons(subject, now: now)
    }

    private static func score(_ subject: ReputationView.Subject) -> String {
        "\(Readable.count(subject.score)) = 1,000 × \(Readable.count(subject.good)) / "
            + "(\(Readable.count(subject.good)) + \(Readable.count(subject.bad)) + \(Readable.count(subject.prior)))"
    }

    private static func reasons(_ subject: ReputationView.Subject, now: UInt64) -> String {
        var table = Table([
            ("RECEIPT", .left), ("SHOWS", .left), ("TAKEN", .left), ("WEIGHS", .right), ("NOTE", .left),
        ])
        for reason in subject.reasons ?? [] {
            let isGood = reason.verdict == "fulfilled"
            table.add([
                reason.receiptCID, reason.verdict, Readable.ago(reason.at, now: now),
                "\(isGood || reason.weight == 0 ? "" : "-")\(Readable.count(reason.weight))",
                reason.isReset ? "a later lie took it away" : "",
            ])
        }
        return table.text
    }

    /// Everything about one executor: each number, and where it comes from.
    static func page(_ subject: ReputationView.Subject, now: UInt64) -> String {
        var facts = [
            ("executor", subject.did), ("score", score(subject)),
            ("for it", "\(Readable.count(subject.good)): \(count(subject, "fulfilled")), each 1,000 when fresh"),
            ("against it", "\(Readable.count(subject.bad)): \(against(subject))"),
            ("to outweigh", "\(Readable.count(subject.prior)), as of everybody"),
            ("confidence", percent(subject.confidence)),
        ]
        if subject.goodElsewhere > 0 {
            facts.insert(
                (
                    "by others",
                    "\(Readable.count(subject.goodElsewhere)) of that: others paid it, each payer 1,000 at most and "
                        + "all 5,000; less where it went back, was long ago, or less is at stake"
                ), at: 3)
        }
        let right = subject.rightResults
        facts.append(
            (
                "checked here",
                right == 0
                    ? "no result of it was checked and right lately, so each is checked at --verify adaptive"
                    : "\(right == 1 ? "one result" : "\(Readable.count(right)) results") right in a row, paid with "
                        + "\(Readable.tokens(subject.rightWorth)) in all; the next is checked with a probability of "
                        + "\(percent(subject.checkedPermille)) at --verify adaptive"
            ))
        var text = Table.facts(facts)
        if subject.reasons?.isEmpty == false {
            text += "\n" + Self.reasons(subject, now: now)
        } else {
            text += "There is no receipt of a job of this node.\n"
        }
        if let payers = subject.elsewhere, !payers.isEmpty { text += "\n" + Self.payers(payers, now: now) }
        return text
    }

    /// What others paid it.
    private static func payers(_ payers: [ReputationView.Payer], now: UInt64) -> String {
        var table = Table([
            ("PAID BY", .left), ("RECEIPT", .left), ("AMOUNT", .right), ("BOOKED BY", .left), ("BOOKED", .left),
            ("PAYER WEIGHS", .right), ("NOTE", .left),
        ])
        for payer in payers {
            for (index, receipt) in payer.receipts.enumerated() {
                table.add([
                    Readable.short(payer.did), receipt.receiptCID,
                    "\(CreditAmount.text(receipt.amount, decimals: receipt.decimals)) \(receipt.unit)",
                    Readable.short(receipt.issuer), Readable.ago(receipt.at, now: now),
                    index == 0 ? Readable.count(payer.weight) : "",
                    index == 0 && payer.keptPermille < 1_000
                        ? "\(percent(1_000 - payer.keptPermille)) of it went back" : "",
                ])
            }
        }
        return table.text
    }

    private static func count(_ subject: ReputationView.Subject, _ verdict: String) -> String {
        let count = subject.receipts[verdict] ?? 0
        return "\(Readable.count(count)) \(verdict)"
    }

    private static func against(_ subject: ReputationView.Subject) -> String {
        "\(count(subject, "abandoned")) and \(count(subject, "undelivered")), each as much as 5 fulfilled, and "
            + "\(count(subject, "invalid")) or \(count(subject, "equivocated")), each as 10"
    }

    private static func percent(_ permille: UInt64) -> String {
        permille % 10 == 0 ? "\(permille / 10) %" : "\(permille / 10).\(permille % 10) %"
    }
}
