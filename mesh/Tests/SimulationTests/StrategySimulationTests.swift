import MeshTypes
import Testing

@testable import MeshSimulation

/// One executor of twenty lies on a market that checks: what that lets through, what it costs, and whether it pays.
@Suite("Strategies in the simulation")
struct StrategySimulationTests {
    /// Of those that are played by `make simulate`, a few.
    private static let some: [StrategyScenario.Strategy] = [.lazy, .copier, .wrongWhenUnlikelyToBeChecked]

    @Test("It does not pay, and hardly a wrong result counts", arguments: some)
    func strategy(_ strategy: StrategyScenario.Strategy) throws {
        var scenario = StrategyScenario(strategy, seed: 7)
        scenario.jobs = strategy == .copier ? 20 : 40
        let report = try scenario.run()
        print(report.summary)
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.cheatsReceipts > 0, "nobody cheated: \(report.summary)")
        #expect(report.refuted > 0, "nobody was caught: \(report.summary)")
        #expect(report.cheatEarned < report.honestEarned, "\(report.summary)")
    }

    /// The first key has a name, so that its lies come on top.
    @Test("New keys without end have as many lies found as they may have jobs, and no more")
    func manyKeys() throws {
        var scenario = StrategyScenario(.cheapAndLazy, seed: 7)
        (scenario.jobs, scenario.keys) = (60, 30)
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect((1...8).contains(report.refuted), "\(report.summary)")
        scenario.unprovenJobsMax = 1_000
        let unbounded = try scenario.run()
        #expect(unbounded.refuted > 8, "\(unbounded.summary)")
    }

    @Test("Where nothing is checked the same lies count and are paid: they are real")
    func unchecked() throws {
        var scenario = StrategyScenario(.lazy, seed: 7)
        scenario.jobs = 40
        scenario.level = VerificationLevel.none
        let report = try scenario.run()
        #expect(report.wrong > 0 && report.cheatEarned > 0 && report.refuted == 0, "\(report.summary)")
    }

    @Test("Over several rounds the aims hold as they are written, and chance excuses less than in one")
    func means() throws {
        var scenario = StrategyScenario(.wrongAtOnePercent, seed: 7)
        scenario.jobs = 20
        var good = try scenario.run()
        (good.results, good.runs, good.checks, good.wrong) = (1_000, 1_000, 100, 1)
        (good.cheatEarned, good.honestEarned) = (1_100, 1_000)
        #expect(StrategyMeans([good, good, good, good]).violations.isEmpty, "\(StrategyMeans([good]).summary)")
        func broken(_ change: (inout StrategyReport) -> Void) -> [String] {
            var bad = good
            change(&bad)
            return StrategyMeans([good, bad, bad, bad]).violations
        }
        #expect(broken { $0.wrong = 2 } == ["more than one wrong result in 1,000 counts"])
        #expect(broken { $0.checks = 120 } == ["more than 100 of 1,000 results were run again"])
        #expect(
            broken { ($0.results, $0.runs, $0.checks, $0.wrong) = (900, 900, 126, 0) }.isEmpty, "it is a short round")
        #expect(broken { $0.cheatEarned = 1_200 } == ["it pays to cheat"])
        #expect(StrategyMeans([good]).violations.isEmpty)
    }
}
