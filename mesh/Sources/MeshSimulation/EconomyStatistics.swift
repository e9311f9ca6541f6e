/// Student's t distribution, by the integral that it is: the density of `u = t / √(ν + t²)` is as
/// `(1 - u²)^((ν - 2) / 2)`.
package struct StudentT: Sendable {
    /// The degrees of freedom.
    package let freedom: Int

    /// - Parameter freedom: from 3 on, where the density is smooth.
    package init(freedom: Int) {
        precondition(freedom >= 3, "\(freedom) degrees of freedom")
        self.freedom = freedom
    }

    private static let steps = 4_096

    private func density(_ u: Double) -> Double {
        let base = max(0, 1 - u * u)
        var power = freedom % 2 == 1 ? base.squareRoot() : 1
        var (factor, exponent) = (base, (freedom - 2) / 2)
        while exponent > 0 {
            if exponent % 2 == 1 { power *= factor }
            factor *= factor
            exponent /= 2
        }
        return power
    }

    /// Simpson's rule.
    private func integral(_ from: Double, _ to: Double) -> Double {
        let width = (to - from) / Double(Self.steps)
        var sum = density(from) + density(to)
        for step in 1..<Self.steps { sum += density(from + Double(step) * width) * (step % 2 == 1 ? 4 : 2) }
        return sum * width / 3
    }

    /// The probability of more than `t`.
    package func above(_ t: Double) -> Double {
        guard t.isFinite else { return t > 0 ? 0 : 1 }
        let u = (t * t / (Double(freedom) + t * t)).squareRoot()
        let tail = integral(u, 1) / (2 * integral(0, 1))
        return t >= 0 ? tail : 1 - tail
    }

    /// The value above which there is so much probability, less than a half.
    package func quantile(above probability: Double) -> Double {
        var (low, high) = (0.0, 1_000.0)
        for _ in 0..<100 {
            let middle = (low + high) / 2
            if above(middle) > probability { low = middle } else { high = middle }
        }
        return high
    }
}

/// Holm's correction: adjusted probabilities of several tests, in the order of these.
package enum Holm {
    /// The least levels at which each is rejected while the chance that any is wrong stays within the level.
    package static func adjusted(_ probabilities: [Double]) -> [Double] {
        var adjusted = probabilities
        var least = 0.0
        for (rank, place) in probabilities.indices.sorted(by: { probabilities[$0] < probabilities[$1] }).enumerated() {
            least = max(least, min(1, Double(probabilities.count - rank) * probabilities[place]))
            adjusted[place] = least
        }
        return adjusted
    }
}

/// What strategies earned beside honest nodes of the same rounds, over many seeds.
package struct EconomyStatistics: Sendable {
    /// The level of the tests.
    package static let level = 0.05

    /// What the seeds say of a strategy.
    package enum Verdict: String, Sendable {
        /// It earns less than honesty.
        case less
        /// It earns more.
        case more
        /// Neither is shown.
        case open
    }

    /// A strategy's row.
    package struct Row: Sendable {
        /// The strategy.
        package let strategy: EconomyStrategy
        /// Its gain and that of an honest node, on average over the seeds.
        package let (gain, honest): (Double, Double)
        /// What it has more than that, in each seed.
        package let differences: [Double]
        /// The mean of these, their deviation, and the most that the mean is with 95 %.
        package let (mean, deviation, meanMax): (Double, Double, Double)
        /// Adjusted: how likely it is to find so little of somebody that earns no less.
        package fileprivate(set) var less = 1.0
        /// Adjusted: how likely it is to find so much of somebody that earns no more.
        package fileprivate(set) var more = 1.0

        /// What is shown.
        package var verdict: Verdict {
            if less < EconomyStatistics.level { return .less }
            return more < EconomyStatistics.level ? .more : .open
        }
    }

    /// How many seeds there are.
    package let seeds: Int
    /// The strategies.
    package private(set) var rows: [Row] = []

    /// - Parameter reports: of at least four seeds, each of as many nodes.
    package init(_ reports: [EconomyReport]) {
        precondition(reports.count >= 4, "\(reports.count) seeds")
        seeds = reports.count
        let student = StudentT(freedom: seeds - 1)
        let critical = student.quantile(above: Self.level)
        var (less, more): ([Double], [Double]) = ([], [])
        for strategy in EconomyStrategy.attacks {
            let pairs = reports.compactMap { report -> (Double, Double)? in
                guard let own = report.outcome(of: strategy), let honest = report.outcome(of: .honest) else {
                    return nil
                }
                return (own.mean, honest.mean)
            }
            let differences = pairs.map { $0.0 - $0.1 }
            let count = Double(differences.count)
            let mean = differences.reduce(0, +) / count
            let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            let deviation = (squares / (count - 1)).squareRoot()
            let error = deviation / count.squareRoot()
            rows.append(
                Row(
                    strategy: strategy, gain: pairs.reduce(0) { $0 + $1.0 } / count,
                    honest: pairs.reduce(0) { $0 + $1.1 } / count, differences: differences, mean: mean,
                    deviation: deviation, meanMax: mean + critical * error))
            less.append(student.above(-mean / error))
            more.append(student.above(mean / error))
        }
        for (place, value) in Holm.adjusted(less).enumerated() { rows[place].less = value }
        for (place, value) in Holm.adjusted(more).enumerated() { rows[place].more = value }
    }

    /// A table in Markdown.
    package var table: String {
        let head = """
            | strategy | gain of a node | of an honest one | more than that | standard deviation | \
            at most, with 95 % | p (earns no less) | p (earns no more) | shown |
            | --- | --- | --- | --- | --- | --- | --- | --- | --- |
            """
        let lines = rows.map { row in
            let numbers = [row.gain, row.honest, row.mean, row.deviation, row.meanMax]
                .map { EconomyText.number($0, places: 1) }
            let shown = row.verdict == .open ? "neither" : row.verdict.rawValue
            return """
                | \(row.strategy.rawValue) | \(numbers.joined(separator: " | ")) | \
                \(EconomyText.probability(row.less)) | \(EconomyText.probability(row.more)) | \(shown) |
                """
        }
        return ([head] + lines).joined(separator: "\n")
    }
}
