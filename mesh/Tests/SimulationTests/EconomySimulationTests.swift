import Testing

@testable import MeshSimulation

/// Members of several issuers, some of whom play strategies, and the statistics over their rounds.
@Suite("An economy in the simulation")
struct EconomySimulationTests {
    /// Of a hundred nodes two play each strategy; `mesh-sim market` plays a thousand.
    @Test("No event breaks an invariant, and every strategy is played", arguments: Seeds.some([1, 2], of: 1...12))
    func round(seed: UInt64) throws {
        let report = try EconomyScenario(nodes: 100, jobs: 5).run(seed: seed)
        print(report.summary)
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.results > report.submitted / 2 && report.taken > report.results, "\(report.summary)")
        #expect(report.isProved && report.forged > 0 && report.wrong > 0, "\(report.summary)")
        #expect(report.outcomes.map(\.strategy) == EconomyStrategy.allCases)
        #expect(report.outcomes.allSatisfy { $0.nodes > 0 && $0.found <= $0.lies && $0.lies <= $0.runs })
        #expect(report.outcomes.reduce(0) { $0 + $1.found } > 0, "\(report.summary)")
        #expect(report.outcome(of: .honest)?.lies == 0)
    }

    @Test("The same seed gives the same report, whether or not the books check signatures again")
    func twice() throws {
        let plain = try EconomyScenario(nodes: 50, jobs: 5)
        let checked = try EconomyScenario(nodes: 50, jobs: 5, checksSignatures: true)
        let report = try plain.run(seed: 3)
        #expect(try plain.run(seed: 3) == report)
        #expect(try checked.run(seed: 3) == report)
        #expect(try plain.run(seed: 4).digest != report.digest)
    }

    @Test(
        "Student's distribution is that of the tables",
        arguments: [
            (9, 1.833, 0.05), (9, 2.821, 0.01), (19, 1.729, 0.05), (3, 2.353, 0.05), (29, 2.462, 0.01),
            (199, 1.653, 0.05), (199, 2.345, 0.01), (10, 4.144, 0.001),
        ])
    func student(freedom: Int, t: Double, tail: Double) {
        let student = StudentT(freedom: freedom)
        #expect(abs(student.above(t) - tail) < tail / 100)
        #expect(abs(student.above(-t) - (1 - tail)) < tail / 100)
        #expect(abs(student.quantile(above: tail) - t) < 0.002)
        #expect(student.above(0) == 0.5 && student.above(.infinity) == 0 && student.above(-.infinity) == 1)
    }

    /// The example of Holm's procedure with the levels 0.01, 0.04, 0.03 and 0.005.
    @Test("Holm's correction is that of the example")
    func holm() {
        let adjusted = Holm.adjusted([0.01, 0.04, 0.03, 0.005])
        for (found, wanted) in zip(adjusted, [0.03, 0.06, 0.06, 0.02]) { #expect(abs(found - wanted) < 1e-12) }
        #expect(Holm.adjusted([0.9, 0.8]) == [1, 1])
        #expect(Holm.adjusted([]).isEmpty)
    }

    @Test("Numbers and pictures are written the same everywhere")
    func texts() throws {
        #expect(EconomyText.number(-0.04, places: 1) == "0.0")
        #expect(EconomyText.number(-1_234.56, places: 1) == "-1234.6")
        #expect(EconomyText.number(0.05, places: 2) == "0.05")
        #expect(EconomyText.number(.infinity, places: 2) == "-")
        #expect(EconomyText.probability(0.00001) == "< 0.0001" && EconomyText.probability(0.0312) == "0.0312")
        #expect(EconomyPlot.ticks(-30, 70) == [-30, -20, -10, 0, 10, 20, 30, 40, 50, 60, 70])
        let scenario = try EconomyScenario(nodes: 50, jobs: 5)
        let statistics = EconomyStatistics(try (1...4).map { try scenario.run(seed: $0) })
        #expect(statistics.rows.map(\.strategy) == EconomyStrategy.attacks)
        for row in statistics.rows {
            #expect(abs(row.gain - row.honest - row.mean) < 1e-6 && row.meanMax >= row.mean)
            #expect(row.less <= 1 && row.more <= 1)
        }
        let plot = EconomyPlot(statistics, command: "a < b & c")
        for svg in [plot.means, plot.seeds] {
            #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n") && svg.contains("a &lt; b &amp; c"))
        }
    }
}
