import ArgumentParser
import MeshHTTP
import NodeAPI

/// Which issuer a command is about.
struct IssuerOption: ParsableArguments {
    @Option(help: ArgumentHelp("The issuer; needed where this node knows several, or none.", valueName: "did"))
    var issuer: String?

    /// The issuer that was named, or the only one that the node knows.
    func did(_ node: NodeClient) async throws -> String { try await view(node)?.did ?? issuer ?? "" }

    /// The same with its unit, which amounts on the command line are in.
    func unit(_ node: NodeClient) async throws -> IssuerView {
        if let known = try await view(node) { return known }
        return try await node.issuer(issuer ?? "")
    }

    /// What is known of it without asking; nil if it was never asked.
    private func view(_ node: NodeClient) async throws -> IssuerView? {
        var known = try await node.issuers()
        // A node that is an issuer needs not name itself.
        if let own = try? await node.ownIssuer(), !known.contains(where: { $0.did == own.did }) { known.append(own) }
        if let issuer { return known.first { $0.did == issuer } }
        guard let only = known.first, known.count == 1 else {
            throw NodeServiceError(
                .invalidRequest,
                known.isEmpty ? "This node has asked no issuer yet." : "This node knows \(known.count) issuers.",
                hint: "Name one with --issuer DID.")
        }
        return only
    }
}

/// Amounts of credit on the command line and in what it prints.
enum CreditWords {
    /// The smallest units of an amount as it was typed. No comma is part of it: what people mean by one differs, and
    /// what is paid is booked for good.
    static func units(_ text: String, at issuer: IssuerView) throws -> UInt64 {
        try units(text, unit: issuer.unit, decimals: issuer.decimals)
    }

    static func units(_ text: String, unit: String, decimals: UInt64) throws -> UInt64 {
        guard let units = CreditAmount.units(text, decimals: decimals) else {
            let example = CreditAmount.text(1_234_567, decimals: decimals)
            throw NodeServiceError(
                .invalidRequest, "\(text) is no amount of \(unit).",
                hint: "It is a number with at most \(decimals) decimal places and no commas, such as \(example)."
            )
        }
        return units
    }

    /// An amount: `-12.50`.
    static func text(_ amount: some BinaryInteger, _ decimals: UInt64) -> String {
        CreditAmount.text(amount, decimals: decimals)
    }

    /// Lines, one a row.
    static func table(_ lines: [CreditLineView], with name: String) -> Table {
        var table = Table([
            (name, .left), ("BALANCE", .right), ("UNIT", .left), ("CAN PAY", .right), ("MAY OWE", .right),
            ("MAY BE OWED", .right), ("STATE", .left),
        ])
        for line in lines {
            let states = [
                line.isFrozen ? "frozen" : nil, line.isIssuer ? "issuer" : nil,
                line.leaving > 0 ? "\(text(line.leaving, line.decimals)) held" : nil,
            ].compactMap { $0 }
            table.add([
                line.did, text(line.balance, line.decimals), line.unit, text(line.spendable, line.decimals),
                text(line.owedMax, line.decimals), text(line.owingMax, line.decimals), states.joined(separator: ", "),
            ])
        }
        return table
    }

    /// Sums, one a row.
    static func table(_ totals: [CreditTotalView]) -> Table {
        var table = Table([
            ("UNIT", .left), ("LINES", .right), ("OWED TO MEMBERS", .right), ("OWED BY MEMBERS", .right),
            ("MAY BE OWED BY MEMBERS", .right),
        ])
        for total in totals {
            table.add([
                total.unit, Readable.count(total.lines), text(total.owed, total.decimals),
                text(total.owing, total.decimals), text(total.owedMax, total.decimals),
            ])
        }
        return table
    }
}
