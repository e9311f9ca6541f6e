import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh reputation`: what this node thinks of executors, and why.
struct Reputation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what this node thinks of executors, and why.",
        discussion: """
            It thinks so by receipts that it verified itself, and by nobody's word. Without a further word it lists \
            all executors of which it has any, as mesh reputation show does.
            """,
        subcommands: [ReputationShow.self, ReputationWhy.self], defaultSubcommand: ReputationShow.self)
}

/// `mesh reputation show`.
struct ReputationShow: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "List the executors of which there is evidence, the best first.",
        discussion: """
            SCORE is from 0 to 1,000; --min-reputation of mesh run compares with it. RIGHT are results that this node \
            ran again and found right, since the last wrong one; CHECKED is how likely the next one is checked at \
            --verify adaptive.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let view = try await global.node.reputation(of: nil)
        if global.json {
            try console.json(view)
        } else if view.subjects.isEmpty {
            console.note("There is no evidence yet: it comes from the receipts of this node's own jobs.")
        } else {
            console.out(ReputationWords.table(view))
        }
        return .success
    }
}

/// `mesh reputation why`.
struct ReputationWhy: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Say how the score of an executor comes about, receipt by receipt.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The executor: its DID, its peer ID, or its name in mesh peers or mesh reputation.")
    var executor: String

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let view = try await node.reputation(of: Self.named(executor, node))
        guard let subject = view.subjects.first else { throw NodeServiceError(.internalError, "The answer is empty.") }
        if global.json {
            try console.json(subject)
        } else {
            console.out(ReputationWords.page(subject, now: view.at))
        }
        return .success
    }

    /// What the node is asked for: a name that a listing gives is that of one alone.
    private static func named(_ text: String, _ node: NodeClient) async throws(NodeServiceError) -> String {
        let name = text.hasPrefix(ShownName.ellipsis) ? String(text.dropFirst()) : text
        if name.hasPrefix("did:") || name.hasPrefix("12D3") { return name }
        let known = try await node.reputation(of: nil).subjects.map(\.did) + node.peers().compactMap(\.did)
        return try ShownName.meant(by: name, among: known) ?? name
    }
}

/// What a person reads of reputations.
enum ReputationWords {
    /// The listing.
    static func table(_ view: ReputationView) -> String {
        var table = Table([
            ("NAME", .left), ("SCORE", .right), ("FULFILLED", .right), ("ABANDONED", .right), ("INVALID", .right),
            ("RIGHT", .right), ("CHECKED", .right),
        ])
        for subject in view.subjects {
            table.add(
                [Readable.short(subject.did), Readable.count(subject.score)]
                    + ["fulfilled", "abandoned", "invalid"].map { Readable.count(subject.receipts[$0] ?? 0) }
                    + [Readable.count(subject.rightResults), percent(subject.checkedPermille)])
        }
        return table.text
    }

    /// Everything about one executor: each number, and where it comes from.
    static func page(_ subject: ReputationView.Subject, now: UInt64) -> String {
        let weights =
            "\(Readable.count(subject.good)) / (\(Readable.count(subject.good)) + "
            + "\(Readable.count(subject.bad)) + \(Readable.count(subject.prior)))"
        var facts = [
            ("executor", subject.did), ("score", "\(Readable.count(subject.score)) = 1,000 × \(weights)"),
            ("for it", "\(Readable.count(subject.good)): \(count(subject, "fulfilled")), each 1,000 when fresh"),
            ("against it", "\(Readable.count(subject.bad)): \(against(subject))"),
            ("to outweigh", "\(Readable.count(subject.prior)), as of everybody"),
        ]
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
        guard let reasons = subject.reasons, !reasons.isEmpty else {
            return Table.facts(facts) + "There is no receipt of it here.\n"
        }
        var table = Table([
            ("RECEIPT", .left), ("SHOWS", .left), ("ENDED", .left), ("WEIGHS", .right), ("NOTE", .left),
        ])
        for reason in reasons {
            let isGood = reason.verdict == "fulfilled"
            table.add([
                reason.receiptCID, reason.verdict, Readable.ago(reason.at, now: now),
                "\(isGood || reason.weight == 0 ? "" : "-")\(Readable.count(reason.weight))",
                reason.isReset ? "a later invalid receipt took it away" : "",
            ])
        }
        return Table.facts(facts) + "\n" + table.text
    }

    private static func count(_ subject: ReputationView.Subject, _ verdict: String) -> String {
        let count = subject.receipts[verdict] ?? 0
        return "\(Readable.count(count)) \(verdict)"
    }

    private static func against(_ subject: ReputationView.Subject) -> String {
        "\(count(subject, "abandoned")), each as much as 5 fulfilled, and \(count(subject, "invalid")), each as 10"
    }

    private static func percent(_ permille: UInt64) -> String {
        permille % 10 == 0 ? "\(permille / 10) %" : "\(permille / 10).\(permille % 10) %"
    }
}
