import MeshSimulation
import OrderedCollections
import Testing

/// Workflows and quorums on nodes that are killed, parted and lied to.
@Suite("Composite jobs in the simulation")
struct CompositeSimulationTests {
    /// Each seed has another kind of cheat; `mesh-sim --composite 50 --seeds 200` plays ten thousand jobs.
    @Test("Every composite job ends, and nothing is lost or paid twice", arguments: [UInt64(1), 2, 5])
    func everyCompositeJobEnds(seed: UInt64) throws {
        let scenario = MarketScenario.composite(seed: seed, jobs: 12)
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.tokensFound == report.tokensIssued, "\(report.summary)")
        #expect(report.composites.values.reduce(0, +) == 12, "\(report.summary)")
        #expect(report.restarts > 0, "nobody was killed: \(report.summary)")
        guard seed == 1 else { return }
        #expect(try scenario.run() == report, "seed \(seed) gave two reports")
    }
}
