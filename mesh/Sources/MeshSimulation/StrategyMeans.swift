/// What a strategy came to over several rounds, each of another seed: here the aims hold as they are written, where
/// one round may miss them by chance.
package struct StrategyMeans: Hashable, Sendable {
    /// Wrong results that may count, of a million.
    static let wrongPerMillionMax: UInt64 = 1_000
    /// Results that may be run again beyond what the level asks for, of a thousand: of rounds of so many jobs that what
    /// the first results of strangers and the lies of a cheat cost weighs little, and of shorter ones.
    static let moreWorkPermilleMax: UInt64 = 100
    static let moreWorkPermilleMaxOfShort: UInt64 = 150
    /// The fewest results of a round that is not short.
    static let longRoundMin: UInt64 = 1_000

    private let reports: [StrategyReport]

    /// - Parameter reports: of one strategy, at least one.
    package init(_ reports: [StrategyReport]) {
        precondition(!reports.isEmpty && reports.allSatisfy { $0.strategy == reports[0].strategy })
        self.reports = reports
    }

    private func mean(_ value: (StrategyReport) -> UInt64) -> UInt64 {
        reports.reduce(0) { $0 + value($1) } / UInt64(reports.count)
    }

    /// Wrong results that count, of a million.
    package var wrongPerMillion: UInt64 { mean(\.wrongPerMillion) }
    /// Runs beyond those that the level asks for, of a thousand results.
    package var moreWorkPermille: UInt64 { mean(\.moreWorkPermille) }
    /// What a cheat earned in a round.
    package var cheatEarned: UInt64 { mean(\.cheatEarned) }
    /// What an honest executor earned in a round.
    package var honestEarned: UInt64 { mean(\.honestEarned) }

    /// What does not hold.
    package var violations: [String] {
        var violations: [String] = []
        let strategy = reports[0].strategy
        if wrongPerMillion > Self.wrongPerMillionMax {
            violations.append("more than one wrong result in 1,000 counts")
        }
        let isShort = reports.contains { $0.results < Self.longRoundMin }
        let most = isShort ? Self.moreWorkPermilleMaxOfShort : Self.moreWorkPermilleMax
        if strategy.isBoundedByDraw, moreWorkPermille > most {
            violations.append("more than \(most) of 1,000 results were run again")
        }
        // Chance weighs less over several rounds, by the root of their number.
        let chance = UInt64(Double(strategy.chancePermille) / Double(reports.count).squareRoot())
        if cheatEarned > honestEarned * (1_000 + chance) / 1_000 { violations.append("it pays to cheat") }
        return violations
    }

    /// A line for people.
    package var summary: String {
        let first = reports[0]
        let broken = violations.isEmpty ? "" : "\n  VIOLATED: " + violations.joined(separator: "; ")
        return """
            \(first.strategy.rawValue), \(first.level), mean of \(reports.count): of \(mean(\.results)) results \
            \(wrongPerMillion) of 1,000,000 are wrong and count, \(moreWorkPermille / 10).\(moreWorkPermille % 10) % \
            more work; the cheat had \(mean(\.cheatsReceipts)) runs, \(mean(\.refuted)) refuted, \
            it earned \(cheatEarned), an honest executor \(honestEarned)\(broken)
            """
    }
}
