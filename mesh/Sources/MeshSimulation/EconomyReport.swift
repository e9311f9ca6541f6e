import Credit
import MeshTypes
import SignedObjects

/// What came of the rounds of one seed of a simulated economy.
package struct EconomyReport: Hashable, Sendable {
    /// What the nodes of a strategy came to.
    package struct Outcome: Hashable, Sendable {
        /// What they do.
        package let strategy: EconomyStrategy
        /// How many they are.
        package internal(set) var nodes = 0
        /// What one of them has more than before, on average: on its lines, by its results, less its costs.
        package internal(set) var mean = 0.0
        /// Runs of all of them.
        package internal(set) var runs: UInt64 = 0
        /// Lies among these.
        package internal(set) var lies: UInt64 = 0
        /// Lies that were found.
        package internal(set) var found: UInt64 = 0

        init(_ strategy: EconomyStrategy) { self.strategy = strategy }
    }

    /// The seed.
    package let seed: UInt64
    /// Nodes, and jobs of each.
    package let (nodes, jobs): (Int, Int)
    /// Jobs that were handed in, that had a result, and results that were wrong and counted.
    package let (submitted, results, wrong): (Int, Int, Int)
    /// Events that the books took.
    package let taken: Int
    /// Events that they refused, by reason.
    package let refused: [String: Int]
    /// Forged or impossible orders and settlements that no book took.
    package let forged: Int
    /// Whether the issuer that told two histories was proved to.
    package let isProved: Bool
    /// Debts that were left behind.
    package private(set) var leftBehind: Int64 = 0
    /// Those of the issuer that was frozen.
    package private(set) var frozenDebt: Int64 = 0
    /// What each strategy came to, the honest first.
    package private(set) var outcomes: [Outcome] = []
    /// What does not hold; empty in a good round.
    package private(set) var violations: [String]
    /// A hash of what everybody came to, and of all books: equal for equal rounds.
    package private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325

    init(_ round: EconomyRound) {
        (seed, nodes, jobs) = (round.seed, round.nodes.count, round.jobs)
        (submitted, results, wrong) = (round.submitted, round.results, round.wrong)
        (taken, refused, forged) = (round.books.taken, round.books.refused, round.forged)
        isProved = round.isProved
        violations = round.books.violations + round.nodes.flatMap(\.violations)
        var outcomes = EconomyStrategy.allCases.map { Outcome($0) }
        var sums = outcomes.map { _ in Int64(0) }
        for node in round.nodes {
            let net = net(of: node, in: round)
            guard let place = EconomyStrategy.allCases.firstIndex(of: node.strategy) else { continue }
            sums[place] += net
            outcomes[place].nodes += 1
            outcomes[place].runs += node.runs
            outcomes[place].lies += node.lies
            outcomes[place].found += node.liesFound
            digest(UInt64(bitPattern: net))
        }
        for place in outcomes.indices {
            outcomes[place].mean = Double(sums[place]) / Double(max(1, outcomes[place].nodes))
        }
        self.outcomes = outcomes
        for (issuer, book) in round.books.books.enumerated() {
            for (_, line) in book.accounts.sorted { digest(UInt64(bitPattern: line.balance)) }
            digest(book.count)
            guard issuer != EconomyTown.rogue else { continue }
            frozenDebt += max(0, -(book.accounts[round.town.line(ofIssuer: EconomyTown.rogue)]?.balance ?? 0))
        }
        if jobs > jobs / 2 + 2, !isProved { violations.append("nobody proved that an issuer told two histories") }
    }

    private mutating func digest(_ number: UInt64) { digest = (digest ^ number) &* 0x0000_0100_0000_01B3 }

    /// Who gives a key up leaves its debts.
    private mutating func net(of node: EconomyNode, in round: EconomyRound) -> Int64 {
        let book = round.books[node.issuer]
        func balance(_ did: DID) -> Int64 { book.accounts[LineID(did, EconomyTerms.unit)]?.balance ?? 0 }
        var net = node.gained + balance(node.did)
        // A key that was bought is the node's own or a sock, which somebody else would have to answer for.
        let others = Set(node.past + round.town.socks[node.index].map(\.did)).subtracting([node.did])
        for other in others.sorted() {
            net += max(0, balance(other))
            leftBehind += max(0, -balance(other))
        }
        return net
    }

    /// What a strategy came to.
    package func outcome(of strategy: EconomyStrategy) -> Outcome? { outcomes.first { $0.strategy == strategy } }

    /// What happened over several seeds, in Markdown: a table of the lies, and a paragraph.
    package static func totals(_ reports: [EconomyReport]) -> String {
        func sum(_ value: (EconomyReport) -> Int) -> Int { reports.reduce(0) { $0 + value($1) } }
        var lines = ["| strategy | runs | lies | found |", "| --- | --- | --- | --- |"]
        for strategy in EconomyStrategy.allCases {
            let all = reports.compactMap { $0.outcome(of: strategy) }
            let (runs, lies, found) = all.reduce((UInt64(0), UInt64(0), UInt64(0))) {
                ($0.0 + $1.runs, $0.1 + $1.lies, $0.2 + $1.found)
            }
            lines.append("| \(strategy.rawValue) | \(runs) | \(lies) | \(found) |")
        }
        var reasons: [String: Int] = [:]
        for report in reports { reasons.merge(report.refused, uniquingKeysWith: +) }
        let why = reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) × \($0.key)" }
        return lines.joined(separator: "\n") + """


            Of \(sum(\.submitted)) jobs \(sum(\.results)) had a result, of which \(sum(\.wrong)) were wrong and \
            counted. The books took \(sum(\.taken)) entries and refused \
            \(reasons.values.reduce(0, +)) events (\(why.joined(separator: "; "))); \
            \(sum(\.forged)) forged or impossible ones were among these. Debts left behind: \
            \(sum { Int($0.leftBehind) }), and \(sum { Int($0.frozenDebt) }) of the frozen issuer. Seeds in which an \
            invariant was violated: \(sum { $0.violations.isEmpty ? 0 : 1 }).
            """
    }

    /// A line for people.
    package var summary: String {
        let broken = violations.isEmpty ? "" : "\n  seed \(seed) VIOLATED: " + violations.joined(separator: "; ")
        let means = outcomes.map { "\($0.strategy.rawValue) \(EconomyText.number($0.mean, places: 0))" }
        return """
            seed \(seed): \(nodes) nodes, of \(submitted) jobs \(results) have a result, \(wrong) wrong; \
            \(taken) entries, \(refused.values.reduce(0, +)) refused, \(forged) of them forged; \
            \(leftBehind) left behind, \(frozenDebt) frozen; a node's gain: \(means.joined(separator: ", ")); \
            digest \(String(digest, radix: 16))\(broken)
            """
    }

    /// The same as one line of JSON.
    package var json: String {
        let rows = outcomes.map { row in
            """
            {"strategy": "\(row.strategy.rawValue)", "nodes": \(row.nodes), "gain": \
            \(EconomyText.number(row.mean, places: 2)), "runs": \(row.runs), "lies": \(row.lies), "found": \(row.found)}
            """
        }
        let reasons = refused.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        return """
            {"seed": \(seed), "nodes": \(nodes), "jobs": \(jobs), "submitted": \(submitted), "results": \(results), \
            "wrong": \(wrong), "entries": \(taken), "refused": {\(reasons.joined(separator: ", "))}, \
            "forged": \(forged), "left_behind": \(leftBehind), "frozen": \(frozenDebt), \
            "outcomes": [\(rows.joined(separator: ", "))], "digest": "\(String(digest, radix: 16))", \
            "violations": [\(violations.map { "\"\($0)\"" }.joined(separator: ", "))]}
            """
    }
}

/// A market among members of several issuers, some of whom play a strategy (`mesh-sim market`).
package struct EconomyScenario: Sendable {
    /// Jobs that each node hands in, one in a round.
    package let jobs: Int
    /// Whether the books check every signature, as a node does; who does not gets the same report.
    package let checksSignatures: Bool
    /// Whether friends and socks show receipts that they paid, as if each had been booked.
    package let hasHearsay: Bool
    private let town: EconomyTown

    /// - Parameters:
    ///   - nodes: members; of each fifty in a row one plays each strategy.
    ///   - jobs: what each hands in, one in a round.
    ///   - hasHearsay: whether friends and socks show receipts that they paid.
    ///   - checksSignatures: whether the books check every signature.
    package init(nodes: Int, jobs: Int, hasHearsay: Bool = false, checksSignatures: Bool = false) throws {
        (self.jobs, self.hasHearsay, self.checksSignatures) = (jobs, hasHearsay, checksSignatures)
        town = try EconomyTown(nodes: nodes)
    }

    /// Plays the rounds of a seed.
    package func run(seed: UInt64) throws -> EconomyReport {
        var round = EconomyRound(
            seed: seed, jobs: jobs, town: town, hasHearsay: hasHearsay, checksSignatures: checksSignatures)
        try round.run()
        return EconomyReport(round)
    }
}

/// How numbers are written, the same everywhere.
enum EconomyText {
    /// A number with so many places behind the point.
    static func number(_ value: Double, places: Int) -> String {
        guard value.isFinite else { return "-" }
        let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
        let whole = Int64((value.magnitude * scale).rounded())
        let sign = value < 0 && whole > 0 ? "-" : ""
        let digits = String(whole)
        guard places > 0 else { return sign + digits }
        let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
        return sign + padded.dropLast(places) + "." + padded.suffix(places)
    }

    /// A probability, as it is usual.
    static func probability(_ value: Double) -> String { value < 0.0001 ? "< 0.0001" : number(value, places: 4) }
}
