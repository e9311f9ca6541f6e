import MeshSimulation
import P2PTesting
import Testing

/// Fifty nodes with the real cores on a virtual network that loses and reorders.
@Suite struct OverlaySimulationTests {
    @Test(arguments: Seeds.some([1], of: 1...2)) func gossipReachesAllAndTheDHTFindsWhatWasPut(seed: UInt64) throws {
        let report = try OverlayScenario(seed: seed).run()
        #expect(report.missedBy.joined().isEmpty, "seed \(seed): \(report.missedBy)")
        #expect(report.valuesNotFound.isEmpty, "seed \(seed)")
        #expect(report.providersNotFound.isEmpty, "seed \(seed)")
        #expect(report.degreesOutOfBounds.isEmpty, "seed \(seed)")
        #expect(report.statistics.lost > 100, "seed \(seed): the links lost nothing")
        #expect(report.statistics.heldBack > 100, "seed \(seed): the links reordered nothing")
        print("overlay seed \(seed): \(report.statistics), slowest gossip \(report.slowestDeliveryMilliseconds) ms")
    }

    /// Blocks come to those who missed many, whose peers fell silent, and who asked too early; and no want lasts.
    @Test(arguments: [UInt64(1), 2, 3, 4]) func blocksAreExchanged(seed: UInt64) throws {
        let report = try BlockScenario(seed: seed).run()
        #expect(report.findings.isEmpty, "seed \(seed)")
        guard seed == 1 else { return }
        #expect(try BlockScenario(seed: seed).run() == report)
    }

    @Test func theSameSeedGivesTheSameTraceTwice() throws {
        var scenario = OverlayScenario(seed: 3)
        scenario.messages = 2
        scenario.values = 2
        scenario.providers = 2
        let (first, second) = (try scenario.run(), try scenario.run())
        #expect(first == second)
        #expect(first.trace.count == 64)
    }
}
