import MeshSimulation
import P2PTesting
import Testing

/// Nodes with the real cores, a tenth of all messages lost, nodes killed and paused: every job ends, money is
/// conserved, nobody is paid twice, and the same seed gives the same trace.
@Suite("Market simulation")
struct MarketSimulationTests {
    /// Fifty nodes with the last seed, and sixteen with the others: a round of fifty takes ten times as long, so it is
    /// `make simulate` that plays it, optimised.
    @Test(arguments: Seeds.some([1, 2, 3, 4], of: 1...20))
    func everyJobEndsAndMoneyIsConserved(seed: UInt64) throws {
        var scenario = MarketScenario(seed: seed)
        scenario.nodes = seed == 20 ? 50 : 16
        scenario.jobs = 6
        scenario.submissionMilliseconds = 6000
        scenario.advertises = seed == 1
        scenario.faults.pauses = 3
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.jobs == 6, "\(report.summary)")
        #expect(report.tokensFound == report.tokensIssued)
        let statistics = report.statistics
        let lostOnLinks = statistics.lost - statistics.lostInConnections
        let sentOnLinks = statistics.sent - statistics.controls - statistics.lostInConnections
        #expect(lostOnLinks * 100 >= sentOnLinks * 8, "the links lost too little")
        guard seed % 10 == 1 else { return }
        let again = try scenario.run()
        #expect(again.trace == report.trace, "seed \(seed) gave two traces")
        #expect(again == report, "seed \(seed) gave two reports")
    }

    /// Rounds in which many nodes move: whoever was to stay connected to one of them dials where it was, now and then.
    @Test(arguments: Seeds.some([3], of: 1...8))
    func addressesOfNodesThatMovedAreDialedSeldom(seed: UInt64) throws {
        var scenario = MarketScenario(seed: seed)
        scenario.nodes = 16
        scenario.jobs = 12
        scenario.checksMesh = true
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.statistics.dialsFailed > 0, "nobody moved: \(report.summary)")
    }

    @Test func anotherSeedGivesAnotherTrace() throws {
        var traces: Set<String> = []
        for seed: UInt64 in 1...2 {
            var scenario = MarketScenario(seed: seed, lossPermille: 0)
            scenario.nodes = 8
            scenario.jobs = 3
            let report = try scenario.run()
            #expect(report.violations.isEmpty, "\(report.summary)")
            traces.insert(report.trace)
        }
        #expect(traces.count == 2)
    }

    /// Few nodes and much that goes wrong with their connections, also unseen: afterwards the mesh is whole again, and
    /// what was handed in is done.
    @Test(arguments: Seeds.some([101, 102, 103, 104], of: 101...108))
    func aMeshWhoseConnectionsDieIsWholeAgain(seed: UInt64) throws {
        var scenario = MarketScenario(seed: seed, lossPermille: 20)
        scenario.nodes = 12
        scenario.dialsPerNode = 2
        scenario.jobs = 6
        scenario.faults.crashes = 3
        scenario.faults.pauses = 1
        scenario.faults.cuts = 12
        scenario.faults.partitions = 2
        scenario.checksMesh = true
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.jobs == 6, "\(report.summary)")
        #expect(report.statistics.lostInConnections > 0, "no connection died unseen: \(report.summary)")
        guard seed == 101 else { return }
        #expect(try scenario.run() == report, "seed \(seed) gave two reports")
    }

    /// What once went wrong, played on a few nodes.
    @Test(arguments: Situation.allCases, Seeds.some([1, 2], of: 1...4))
    func whatWentWrongOnceGoesWell(_ situation: Situation, seed: UInt64) throws {
        let report = try situation.run(seed: seed)
        #expect(report.violations.isEmpty, "\(situation.rawValue): \(report.summary)")
        guard seed == 1 else { return }
        #expect(try situation.run(seed: seed) == report, "\(situation.rawValue) gave two reports")
    }

    /// Where nobody executes jobs are not waited for: the originator tells soon that nobody can be expected to bid.
    @Test func whereNobodyExecutesJobsFailSoon() throws {
        var scenario = MarketScenario(seed: 201, lossPermille: 0)
        scenario.nodes = 5
        scenario.jobs = 2
        scenario.submissionMilliseconds = 1_000
        scenario.hasExecutors = false
        scenario.faults = .none
        let report = try scenario.run()
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.jobs == 2)
        #expect(report.durationMilliseconds <= 20_000, "\(report.summary)")
    }
}
