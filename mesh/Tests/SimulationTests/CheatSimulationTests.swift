import MeshSimulation
import MeshTypes
import Testing

/// A third of the executors lie, each in its own way, on a network that loses messages and nodes.
@Suite("Cheats in the simulation")
struct CheatSimulationTests {
    private func scenario(_ seed: UInt64) -> MarketScenario {
        var scenario = MarketScenario(seed: seed, lossPermille: 50)
        scenario.nodes = 24
        scenario.jobs = 24
        scenario.submissionMilliseconds = 12_000
        scenario.advertises = false
        scenario.cheats = [.lazy, .failureClaimer, .fuelPadder, .wrong(permille: 500)]
        return scenario
    }

    @Test("With replay no wrong result counts or is paid", arguments: Seeds.some([201], of: 201...206))
    func replay(seed: UInt64) throws {
        var scenario = scenario(seed)
        scenario.verification = .replay
        scenario.failedCheckPermille = 50
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.wrongResults == 0, "\(report.summary)")
        #expect(report.refuted > 0, "nobody was caught, seed \(seed)")
        #expect(report.tokensFound == report.tokensIssued)
    }

    @Test("Where other executors check, no wrong result counts or is paid", arguments: Seeds.some([211], of: 211...216))
    func executors(seed: UInt64) throws {
        var scenario = scenario(seed)
        scenario.verification = .byExecutor(.replay)
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.wrongResults == 0, "\(report.summary)")
        #expect(report.refuted > 0, "nobody was caught, seed \(seed)")
        #expect(report.tokensFound == report.tokensIssued)
    }

    @Test("Who is overtaken on purpose earns no more than honesty", arguments: [UInt64(221)])
    func losersOfHedges(seed: UInt64) throws {
        func round(_ cheats: [MarketCheat]) throws -> MarketReport {
            var scenario = scenario(seed)
            scenario.jobs = 30
            scenario.submissionMilliseconds = 30_000
            scenario.originatorCount = 2
            scenario.hedges = true
            scenario.cheats = cheats
            return try scenario.run()
        }
        let (honest, lying) = (try round([]), try round([.hedgeLoser]))
        #expect(lying.hedges > 0, "nothing was slow: \(lying.summary)")
        for report in [honest, lying] {
            #expect(report.violations.isEmpty, "\(report.summary)")
            #expect(report.wrongResults == 0, "\(report.summary)")
            #expect(report.tokensFound == report.tokensIssued, "\(report.summary)")
        }
        func earnedByCheats(_ report: MarketReport) -> UInt64 {
            report.earned.indices.filter(MarketScenario.mayCheat).reduce(0) { $0 + report.earned[$1] }
        }
        #expect(earnedByCheats(lying) <= earnedByCheats(honest), "seed \(seed)")
    }

    @Test("Without a check wrong results count: the cheats are real", arguments: [UInt64(201)])
    func unchecked(seed: UInt64) throws {
        let report = try scenario(seed).run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.wrongResults > 0, "\(report.summary)")
        #expect(report.refuted == 0)
    }
}
