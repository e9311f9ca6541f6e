import Determinism
import Economics
import JobMarket
package import MeshTypes
import Multiformats
import P2PTesting
import Reputation
import SignedObjects

/// A round in which one executor of twenty, or two of forty, plays a strategy against an originator that checks, while
/// the others are honest: all are equally fast and ask for the same price. Nothing else goes wrong.
///
/// The honest ones begin with a record of results that this originator checked, as after a warm-up. Whoever lies from
/// the beginning has none, but at first a name as good as theirs, or nobody would give it anything; and it has further
/// keys, without a name: each comes when the one before was proved a liar.
package struct StrategyScenario: Sendable {
    /// What a cheat does.
    package enum Strategy: String, CaseIterable, Sendable {
        /// Does not cheat, and has neither a name nor a record: what a new key is worth.
        case honestNewcomer = "honest-newcomer"
        /// Runs nothing, and says at once that the module exited.
        case lazy
        /// Waits for somebody else's receipt of the same work, in a quorum.
        case copier
        /// Gives one wrong result in a hundred.
        case wrongAtOnePercent = "wrong-at-1%"
        /// Was honest until one result in ten is checked, and is wrong from then on, until it is caught.
        case wrongWhenUnlikelyToBeChecked = "wrong-when-unlikely-to-be-checked"
        /// Is honest until twenty of its results were checked, and wrong from then on, until it is caught.
        case wrongAfterAWhile = "wrong-after-a-while"
        /// Says that the job failed by its own fault.
        case failureClaimer = "failure-claimer"
        /// Claims more fuel than its runs used.
        case fuelPadder = "fuel-padder"
        /// Comes late, to be paid for what a second copy does.
        case loserOfHedges = "loser-of-hedges"
        /// Two that agree on a lie, where another executor checks.
        case pair
        /// Is honest with cheap jobs, and wrong with dear ones.
        case farmerOfCheapJobs = "farmer-of-cheap-jobs"
        /// Runs nothing either, and asks for half the price.
        case cheapAndLazy = "cheap-and-lazy"
        /// A pair that was honest until it was believed, and asks for half the price then, to have both jobs of a work.
        case believedPair = "believed-and-cheap-pair"
    }

    /// The strategy.
    package let strategy: Strategy
    /// How the results are checked.
    package var level: VerificationLevel
    /// The seed of everything random.
    package var seed: UInt64
    /// Jobs for every twenty executors, one after the other; every tenth may cost ten times as much.
    package var jobs = 300
    /// Right results of each honest executor that this originator checked before.
    package var rightBefore: UInt64 = 950
    /// Keys of a cheat.
    package var keys = 3
    /// Jobs that executors without a name may have together; nil for what a node gives them.
    package var unprovenJobsMax: Int?

    package init(_ strategy: Strategy, seed: UInt64) {
        (self.strategy, self.seed) = (strategy, seed)
        switch strategy {
        case .copier: level = .quorum(agreeing: 2, of: 3)
        case .pair, .believedPair: level = .byExecutor(.adaptive)
        default: level = .adaptive
        }
    }

    // MARK: Who takes part

    /// What most jobs may cost, and every tenth.
    private static let (cheap, dear): (UInt64, UInt64) = (40, 400)
    private static let engine = EngineDescription(name: "sim", version: "1", configurationDigest: "00")

    /// Executors at once, of which the first are cheats.
    var executors: Int { 20 * cheats }
    var cheats: Int { strategy == .pair || strategy == .believedPair ? 2 : 1 }
    /// Keys of cheats: the first are there from the beginning, the others come for them.
    var allKeys: Int { isBelieved ? cheats : max(keys, cheats) }

    private var cheat: MarketCheat? {
        switch strategy {
        case .honestNewcomer: nil
        case .lazy, .cheapAndLazy: .lazy
        case .copier: .copier
        case .wrongAtOnePercent: .wrong(permille: 10)
        case .wrongWhenUnlikelyToBeChecked: .turncoat(after: rightWhenUnlikely)
        case .wrongAfterAWhile: .turncoat(after: 20)
        case .failureClaimer: .failureClaimer
        case .fuelPadder: .fuelPadder
        case .loserOfHedges: .hedgeLoser
        case .pair, .believedPair: .colluder
        case .farmerOfCheapJobs: .farmer(honestUpTo: Self.cheap)
        }
    }

    /// Whether the cheat was honest before, and is believed as far as it wants to be.
    private var isBelieved: Bool {
        [.wrongWhenUnlikelyToBeChecked, .believedPair, .loserOfHedges].contains(strategy)
    }
    private var isCheap: Bool { strategy == .cheapAndLazy || strategy == .believedPair }
    /// Right results after which one result in ten is checked.
    private var rightWhenUnlikely: UInt64 { 9 * TrackRecords.Rates().trust }
    private var cheatsRightBefore: UInt64 {
        switch strategy {
        case .wrongWhenUnlikelyToBeChecked, .believedPair: rightWhenUnlikely
        case .loserOfHedges: rightBefore
        // As many as it has on average before it is caught.
        case .wrongAtOnePercent: 100
        default: 0
        }
    }

    /// The results that it takes to have so many checked, each with the probability that the rule then gives: these
    /// belong to what a cheat did before it turned.
    static func resultsNeeded(for right: UInt64) -> UInt64 {
        let rates = TrackRecords.Rates()
        return (0..<right).reduce(0) { sum, known in
            sum + 1_000 * 1_000 / max(rates.floorPermille, 1_000 * rates.trust / (rates.trust + known))
        } / 1_000
    }

    /// Results that the cheats gave, honestly, before the round begins.
    var cheatsResultsBefore: UInt64 {
        isBelieved && strategy != .loserOfHedges ? Self.resultsNeeded(for: rightWhenUnlikely) : 0
    }

    /// Whether a node is a cheat's key.
    func isCheat(_ index: Int) -> Bool { (1...cheats).contains(index) || index > executors }

    private func setup(_ index: Int, _ directory: OverlayDirectory) -> MarketNode.Setup {
        var setup = MarketNode.Setup()
        (setup.nodeFailurePermille, setup.lostOutputPermille, setup.stalledFetchPermille) = (0, 0, 0)
        setup.lookMilliseconds = nil
        setup.publishesReceipts = strategy == .copier
        // What is closed is in the journal; invariants are checked of what is remembered.
        setup.forgetsClosed = true
        setup.market.limits.closedJobsMax = 16
        setup.market.limits.closedBidsMax = 256
        guard index > 0 else { return originator(setup, directory) }
        var executor = ExecutorConfiguration()
        executor.basePrice = TokenAmount(isCheap && isCheat(index) ? 5 : 10)
        executor.pricePerMillionFuel = TokenAmount(1)
        executor.priceMax = TokenAmount(isCheap && isCheat(index) ? 20 : 40)
        executor.concurrentRunsMax = 1
        executor.queuedRunsMax = 1
        executor.limitsMax.maxFuel = 10_000_000_000
        executor.engine = Self.engine
        executor.features = [HedgedJob.feature, ExecutionIdentity.feature(of: Self.engine)].sorted()
        setup.market.executor = executor
        if isCheat(index) { (setup.cheat, setup.rightBefore) = (cheat, cheatsRightBefore) }
        return setup
    }

    private func originator(_ plain: MarketNode.Setup, _ directory: OverlayDirectory) -> MarketNode.Setup {
        var setup = plain
        setup.market.originator.engine = Self.engine
        setup.market.limits.checksAtOnceMax = 16
        if let unprovenJobsMax { setup.market.limits.unprovenJobsMax = unprovenJobsMax }
        setup.grant = TokenAmount(100_000_000)
        let payer = directory.identities[0].did
        let start = UnixMilliseconds(VirtualNetworkConfiguration(seed: seed).wallClockStartMilliseconds)
        for index in 1...executors {
            let did = directory.identities[index].did
            for number in 0..<(isCheat(index) ? cheatsRightBefore : rightBefore) {
                setup.records.wasRight(did, worth: number % 10 == 0 ? Self.dear : Self.cheap)
            }
            // All of them have a name, or nobody would give a cheat anything.
            for number in 0..<(isCheat(index) && strategy == .honestNewcomer ? 0 : 32) {
                let cid = CID.hashing(Array("\(index) \(number)".utf8), codec: .raw)
                setup.reputation.record(
                    ReputationEvidence(
                        subject: did, payer: payer, assignmentCID: cid, receiptCID: cid, verdict: .fulfilled,
                        at: start))
            }
        }
        return setup
    }

    // MARK: The round

    /// Runs the round until every job is closed.
    package func run() throws -> StrategyReport {
        let count = 1 + executors + allKeys - cheats
        let directory = try OverlayDirectory(count: count, seed: seed)
        var network = VirtualNetwork<MarketNode>(
            VirtualNetworkConfiguration(seed: seed, link: LinkProfile(latencyMicroseconds: 2_000...10_000)))
        for index in 0..<count {
            let id = SimulatedNodeID(index)
            network.add(MarketNode(id, directory: directory, setup: setup(index, directory), seed: seed))
            if index <= executors { join(id, &network) }
        }
        network.run(milliseconds: 3_000)
        var dice = SeededGenerator(seed: seed &* 0xD1CE &+ 1)
        var nextKey = executors + 1
        var caught = 0
        for number in 0..<jobs * cheats {
            network.command(.submit(request(number, of: directory.identities[0].did, &dice)), to: SimulatedNodeID(0))
            network.run(milliseconds: level.executorsMost > 2 ? 300 : 100)
            // Who was proved a liar comes back as somebody else.
            guard nextKey < count, network[SimulatedNodeID(0)].knowledge.refutedCount > caught else { continue }
            caught = network[SimulatedNodeID(0)].knowledge.refutedCount
            join(SimulatedNodeID(nextKey), &network)
            nextKey += 1
        }
        let end = network.now.advanced(milliseconds: 3_600_000)
        while network.now < end, network.nodeIDs.contains(where: { !Self.isQuiet(network[$0].market) }) {
            network.run(milliseconds: 5_000)
        }
        return StrategyReport(network, of: self, keys: nextKey - 1 - executors + cheats)
    }

    /// Whether a market waits for nothing.
    static func isQuiet(_ market: JobMarket) -> Bool {
        market.openCounts.originated == 0 && market.openCounts.executed == 0
    }

    /// Everybody is connected to the originator, and to the first cheat, which hears of receipts.
    private func join(_ id: SimulatedNodeID, _ network: inout VirtualNetwork<MarketNode>) {
        let others = [0, 1].filter { $0 < id.index }
        network.command(.join(others.map(OverlayDirectory.address)), to: id)
    }

    private func request(_ number: Int, of requester: DID, _ dice: inout SeededGenerator) -> JobRequest {
        let isHedged = strategy == .loserOfHedges
        let name = isHedged ? "hedged" : "module \(number)"
        var params = MeshJobParams(wasmCID: CID.hashing(Array(name.utf8), codec: .raw))
        params.maxFuel = 100_000_000
        params.timeoutSeconds = 20
        params.maxAcceptableBidTokens = TokenAmount(dice.next() % 10 == 0 ? Self.dear : Self.cheap)
        var policy = ExecutionPolicy()
        policy.bidWindowMilliseconds = 300
        if isHedged {
            policy.hedge = true
            policy.require(HedgedJob.feature)
        }
        params.executionPolicy = policy
        var request = JobRequest(
            requesterDID: requester, submittedAt: .epoch, params: params, idempotencyKey: "job \(number)")
        request.verification = level
        return request
    }
}
