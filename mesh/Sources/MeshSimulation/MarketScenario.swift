import Determinism
import Economics
import JobMarket
package import MeshTypes
import Multiformats
import OrderedCollections
package import P2PTesting
import SignedObjects
import Workflows

/// A round of the job market: nodes that originate and execute, jobs submitted over a while, and a network with losses,
/// pauses, kills, moves and partitions, whose connections die for one of their ends alone (`FaultPlan`).
package struct MarketScenario: Sendable {
    /// Nodes; every other one executes, the first fifth also originates.
    package var nodes = 50
    /// Connections that each node opens to random others.
    package var dialsPerNode = 4
    /// Jobs.
    package var jobs = 20
    /// Virtual time over which the jobs are submitted, in milliseconds.
    package var submissionMilliseconds: UInt64 = 20_000
    /// What goes wrong while jobs run.
    package var faults = FaultPlan()
    /// Whether the mesh has to be whole again some time after the last fault.
    package var checksMesh = false
    /// Whether every other node executes, or none does.
    package var hasExecutors = true
    /// Whether executors advertise, and originators look whether anybody executes.
    package var advertises = true
    /// Workflows and jobs that several executors run (`CompositeJobs`), beside the simple jobs.
    package var compositeJobs = 0
    /// Nodes that submit; nil for the first fifth.
    package var originatorCount: Int?
    /// Whether every node executes but the second.
    package var isCrowded = false
    /// How results are checked.
    package var verification: VerificationLevel?
    /// How a third of the executors lie, in turn; none if it is empty.
    package var cheats: [MarketCheat] = []
    /// Whether every other simple job allows a second copy of a slow run; these are of one module.
    package var hedges = false
    /// Checks that originators cannot make, of a thousand.
    package var failedCheckPermille = 0
    /// The seed of everything random.
    package var seed: UInt64
    /// The links.
    package var link: LinkProfile

    /// A round of fifty nodes on links that lose a tenth of all messages.
    package init(seed: UInt64, lossPermille: Int = 100) {
        self.seed = seed
        link = LinkProfile(
            latencyMicroseconds: 5_000...40_000, lossPermille: lossPermille, reorderPermille: 50,
            silentFailurePermille: 100)
    }

    /// A round of composite jobs on eight nodes, two of which are cheats of one kind, with all faults.
    package static func composite(seed: UInt64, jobs: Int = 50) -> MarketScenario {
        var scenario = MarketScenario(seed: seed, lossPermille: 30)
        scenario.nodes = 8
        scenario.dialsPerNode = 3
        scenario.jobs = 0
        scenario.compositeJobs = jobs
        scenario.originatorCount = 2
        scenario.isCrowded = true
        scenario.advertises = false
        scenario.submissionMilliseconds = 1_200 * UInt64(jobs)
        scenario.failedCheckPermille = 30
        let kinds: [MarketCheat] = [
            .lazy, .wrong(permille: 10), .wrong(permille: 500), .failureClaimer, .fuelPadder, .colluder,
            .farmer(honestUpTo: 50), .hedgeLoser,
        ]
        scenario.cheats = [kinds[Int(seed % UInt64(kinds.count))]]
        scenario.faults.crashes = 4
        scenario.faults.pauses = 1
        return scenario
    }

    /// Runs the round until every job is closed and every executor has nothing left to do, or an hour has passed.
    package func run() throws -> MarketReport {
        let directory = try OverlayDirectory(count: nodes, seed: seed)
        var network = VirtualNetwork<MarketNode>(VirtualNetworkConfiguration(seed: seed, link: link))
        var dice = SeededGenerator(seed: seed &* 0xD1CE &+ 1)
        for index in 0..<nodes {
            network.add(
                MarketNode(SimulatedNodeID(index), directory: directory, setup: setup(index, &dice), seed: seed))
        }
        connect(&network, directory, &dice)
        network.run(milliseconds: 5000)
        let requests = try handIn(&network, directory, &dice)
        let composites = handInComposites(&network, directory, &dice)
        var faults = faults
        faults.milliseconds = submissionMilliseconds
        faults.disturb(&network, &dice)
        let mendedAt = network.now
        // The clients ask again: the same key is the same job, and a node that was down gets it now.
        for (number, request) in requests.enumerated() {
            network.command(.submit(request), to: SimulatedNodeID(number % originators))
        }
        for (number, job) in composites.enumerated() {
            network.command(Self.command(job), to: SimulatedNodeID(number % originators))
        }
        let end = network.now.advanced(milliseconds: 3_600_000)
        var unreplaced: Set<String> = []
        while network.now < end {
            network.run(milliseconds: 1_000)
            let isSettled = network.now.milliseconds(since: mendedAt) > 2 * MeshHealth.replacementMilliseconds
            if checksMesh, isSettled { unreplaced.formUnion(MeshHealth.unreplaced(in: network)) }
            if isQuiet(network) { break }
        }
        var report = MarketReport(network, seed: seed)
        report.add(CompositeReport(composites, in: network, originators: originators))
        report.add(unreplaced.sorted())
        if checksMesh {
            network.run(until: mendedAt.advanced(milliseconds: MeshHealth.milliseconds))
            report.add(MeshHealth.findings(in: network))
        }
        return report
    }

    /// Whether a node lies, where any does.
    package static func mayCheat(_ index: Int) -> Bool { index / 2 % 3 == 1 }

    private var originators: Int { originatorCount ?? max(1, nodes / 5) }

    /// The engine of all nodes, where several have to run the same.
    private static let engine = EngineDescription(name: "sim", version: "1", configurationDigest: "00")

    private func setup(_ index: Int, _ dice: inout SeededGenerator) -> MarketNode.Setup {
        var setup = MarketNode.Setup()
        if !advertises { setup.lookMilliseconds = nil }
        var executor = ExecutorConfiguration()
        executor.basePrice = TokenAmount(5 + dice.next() % 40)
        executor.pricePerMillionFuel = TokenAmount(dice.next() % 5)
        executor.priceMax = TokenAmount(executor.basePrice.units + 20 + dice.next() % 60)
        executor.region = ["north", "east", "south", "west"][Int(dice.next() % 4)]
        executor.concurrentRunsMax = 1 + Int(dice.next() % 3)
        executor.queuedRunsMax = 4
        executor.limitsMax.maxFuel = 10_000_000_000
        // Everybody is back within a minute, and whose calendar was set ahead believes after a restart that up to two
        // more have passed; waiting longer for what does not come would only simulate heartbeats.
        executor.settlementMilliseconds = 210_000
        executor.receiptDeliveryMilliseconds = 210_000
        setup.market.originator.settlementDeliveryMilliseconds = 210_000
        setup.market.originator.fetchingMilliseconds = 20_000
        // As a node's: a lost answer is waited for for ten seconds, and three in a row are lost now and then.
        setup.market.originator.receiptMilliseconds = 60_000
        setup.market.originator.checkQueueMilliseconds = 20_000
        setup.failedCheckPermille = failedCheckPermille
        let place = index / 2
        if !cheats.isEmpty, Self.mayCheat(index) { setup.cheat = cheats[place / 3 % cheats.count] }
        if compositeJobs > 0 || verification?.executorsMost ?? 1 > 1 {
            setup.market.originator.engine = Self.engine
            executor.engine = Self.engine
            executor.features = [
                JobFiles.feature, HedgedJob.feature, ExecutionIdentity.feature(of: Self.engine),
            ].sorted()
        }
        if hedges, executor.features.isEmpty { executor.features = [HedgedJob.feature] }
        // Some have no room to write down the bids that they make.
        if index % 8 == 2 { setup.market.limits.bidJournalBytesMax = 1_024 }
        // Every other node only forwards and originates.
        let executes = isCrowded ? index != 1 : index % 2 == 0
        if executes, hasExecutors { setup.market.executor = executor }
        // Some announce by CID alone, so that executors have to fetch the manifest.
        if index % 4 == 1 { setup.market.originator.announcedManifestBytesMax = 0 }
        return setup
    }

    /// Everybody dials a few random others, one of which joined earlier, so that the network is connected.
    private func connect(
        _ network: inout VirtualNetwork<MarketNode>, _ directory: OverlayDirectory, _ dice: inout SeededGenerator
    ) {
        for id in network.nodeIDs {
            var chosen: [Int] = id.index > 0 ? [Int.random(in: 0..<id.index, using: &dice)] : []
            while chosen.count < min(dialsPerNode, nodes - 1) {
                let other = Int.random(in: 0..<nodes, using: &dice)
                if other != id.index, !chosen.contains(other) { chosen.append(other) }
            }
            // Some are known only by their address.
            let addresses = chosen.map { other in
                let address = OverlayDirectory.address(other)
                return other % 5 == 0 ? address : address.withPeerID(directory.peer(SimulatedNodeID(other)))
            }
            network.command(.join(addresses), to: id)
        }
    }

    private func handIn(
        _ network: inout VirtualNetwork<MarketNode>, _ directory: OverlayDirectory, _ dice: inout SeededGenerator
    ) throws -> [JobRequest] {
        var requests: [JobRequest] = []
        for number in 0..<jobs {
            let node = SimulatedNodeID(number % originators)
            var params = MeshJobParams(wasmCID: CID.hashing(Array("module \(number)".utf8), codec: .raw))
            params.maxFuel = 100_000_000 + dice.next() % 900_000_000
            params.timeoutSeconds = 20
            params.maxAcceptableBidTokens = TokenAmount(40 + dice.next() % 120)
            var policy = ExecutionPolicy()
            policy.bidWindowMilliseconds = 500 + dice.next() % 2000
            if dice.next() % 2 == 0 { policy.regionFilter = ["north", "east"] }
            if hedges, number % 2 == 0 {
                params.wasmCID = CID.hashing(Array("hedged".utf8), codec: .raw)
                params.maxFuel = 600_000_000
                policy.hedge = true
                policy.require(HedgedJob.feature)
            }
            params.executionPolicy = policy
            let at = network.now.advanced(milliseconds: Int64(dice.next() % max(1, submissionMilliseconds)))
            var request = JobRequest(
                requesterDID: directory.identities[node.index].did, submittedAt: .epoch, params: params,
                idempotencyKey: "job \(number)")
            request.verification = verification
            network.command(.submit(request), to: node, at: at)
            if dice.next() % 12 == 0 {
                network.command(.cancel(key: request.idempotencyKey), to: node, at: at.advanced(milliseconds: 1500))
            }
            requests.append(request)
        }
        return requests
    }

    /// Submits the composite jobs over the same while; some are cancelled, and some run again after their end.
    private func handInComposites(
        _ network: inout VirtualNetwork<MarketNode>, _ directory: OverlayDirectory, _ dice: inout SeededGenerator
    ) -> [CompositeJobs.Job] {
        (0..<compositeJobs).map { number in
            let node = SimulatedNodeID(number % originators)
            let job = CompositeJobs.job(number, of: directory.identities[node.index].did, &dice)
            let at = network.now.advanced(milliseconds: Int64(dice.next() % max(1, submissionMilliseconds)))
            network.command(Self.command(job), to: node, at: at)
            let choice = dice.next() % 12
            let later = at.advanced(milliseconds: Int64(dice.next() % 8_000))
            switch job {
            case .quorum where choice == 0: network.command(.cancel(key: job.key), to: node, at: later)
            case .workflow where choice == 0: network.command(.order(.cancelled, key: job.key), to: node, at: later)
            case .workflow where choice < 3:
                network.command(
                    .order(.resumed, key: job.key), to: node, at: later.advanced(milliseconds: 30_000))
            default: break
            }
            return job
        }
    }

    private static func command(_ job: CompositeJobs.Job) -> MarketNode.Command {
        switch job {
        case .workflow(let definition, let key): .begin(definition, key: key)
        case .quorum(let request): .submit(request)
        }
    }

    private func isQuiet(_ network: borrowing VirtualNetwork<MarketNode>) -> Bool {
        for id in network.nodeIDs {
            let market = network[id].market
            if market.openCounts.originated > 0 || market.openCounts.executed > 0 { return false }
            if !network[id].workflows.open.isEmpty { return false }
        }
        return true
    }
}
