import CoVM
import Crypto
import Economics
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NIOCore
import NIOPosix
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import Synchronization

/// A node of the mesh (RFC 2.1): one key, one store, one swarm, one machine, and the core that decides.
///
/// The actor only loops: an input arrives (a message, a finished run, a command, the alarm), the core makes effects of
/// it, and they are carried out; those that wait for something are child tasks of `run`. Nothing here decides anything.
public actor MeshNode {
    /// The bounds of the node's own queues; those of the market, the swarm and the machine are theirs.
    struct Limits: Sendable {
        /// How long a peer may be looked for in the DHT, in milliseconds.
        var findPeerMilliseconds: Int64 = 10_000
        /// How often this node looks which addresses it has, in milliseconds.
        var addressMilliseconds: Int64 = 5_000
        /// How long a stop waits for the word that this node executes nothing any more to go out, in milliseconds.
        var farewellMilliseconds: Int64 = 100
        /// Receipts, the newest ones, that a start reads reputations from.
        static let evidenceAtStartMax = 10_000
        /// Files that wait to be announced to the DHT; beyond that a file is kept, and announced with the others.
        var filesToAnnounceMax = 1_024
        /// How files, outputs and receipts are announced.
        var announcements = RootAnnouncements.Limits()
        /// Transactions whose blocks wait to be offered to peers that want them; of more the oldest are left out.
        var addedBlocksMax = 1_024
        /// Between two looks at what is free on the disk, and whether a store that stands full has room again, in
        /// milliseconds.
        var roomMilliseconds: Int64 = 1_000
        /// Between two reports of a module's own progress, in milliseconds.
        var progressMilliseconds: Int64 = 200
        /// An output that is held in memory until it goes to the disk with the job's result, in bytes; a longer one
        /// goes there by itself.
        var fetchedBytesHeldMax = 16 << 10
        /// Between two looks at who is connected and listens, in milliseconds.
        var lookMilliseconds: Int64 = 250
        /// Reports to the core from threads without an actor; there is one at a time, of the faults of peers.
        var reportsMax = 16
    }

    nonisolated let identity: Identity
    nonisolated let configuration: NodeConfiguration
    nonisolated let logger: Logger
    nonisolated let store: MeshStore
    nonisolated let swarm: Swarm
    nonisolated let gossip: GossipService
    nonisolated let dht: KademliaService
    nonisolated let bitswap: BitswapService
    nonisolated let peerService: PeerService
    nonisolated let messages: DirectMessages
    nonisolated let receipts: VerifiedReceipts
    nonisolated let machine: CoVM
    nonisolated let fetcher: ContentFetcher
    nonisolated let runner: JobRunner
    nonisolated let limits = Limits()
    nonisolated let startedAt = NodeClock.now
    nonisolated let crashPoint = CrashPoint.fromEnvironment()
    nonisolated let failure = Mutex<NodeServiceError?>(nil)
    var core: NodeCore
    var alarm: DeadlineAlarm
    var board = ProgressBoard()
    /// What is counted besides the core's counters.
    var tallies: [String: UInt64] = [:]
    /// Modules that were looked at, with the entries for which they are good.
    var inspected = InspectedModules()
    /// Open jobs that the start left out.
    var leftOut: [LeftOutJob] = []
    var running: [CID: RunningJob] = [:]
    var rootAnnouncements: RootAnnouncements
    /// Requests of peers that wait for their answers, by number.
    var asked: [UInt64: CheckedContinuation<MeshProtocolReply?, Never>] = [:]
    var askedCount: UInt64 = 0
    /// Commands of the owner that wait until a write of that number, or a later one, is on the disk.
    var patient: [(number: UInt64, continuation: CheckedContinuation<Void, Never>)] = []
    /// Effects that wait for something, and so are child tasks.
    let work: AsyncStream<NodeEffect>
    let workIn: AsyncStream<NodeEffect>.Continuation
    /// The newest number that is on the disk.
    let written: AsyncStream<UInt64>
    nonisolated let writtenIn: AsyncStream<UInt64>.Continuation
    /// What threads without an actor report to the core.
    let reports: AsyncStream<NodeInput>
    nonisolated let reportsIn: AsyncStream<NodeInput>.Continuation
    let provided: AsyncStream<CID>
    let providing: AsyncStream<CID>.Continuation
    let addedBlocks: AsyncStream<[CID]>
    let stopping: AsyncStream<Void>
    nonisolated let stop: AsyncStream<Void>.Continuation

    /// A run in progress.
    struct RunningJob {
        let cancellation: ExecutionCancellation
        var workspace: JobWorkspace?
        /// Whether the market gave it a place to run.
        var hasPlace = false
        /// How the run, which has all its blocks, is told that it has a place, or that it will have none.
        var waiting: CheckedContinuation<Bool, Never>?

        /// Ends the wait for a place.
        mutating func stopWaiting(_ hasPlace: Bool) {
            self.hasPlace = hasPlace
            waiting?.resume(returning: hasPlace)
            waiting = nil
        }
    }

    init(
        parts: Parts, identity: Identity, configuration: NodeConfiguration, core: NodeCore, logger: Logger
    ) {
        self.identity = identity
        self.configuration = configuration
        self.logger = logger
        self.core = core
        rootAnnouncements = RootAnnouncements(limits: limits.announcements)
        store = parts.store
        swarm = parts.swarm
        gossip = parts.gossip
        dht = parts.dht
        bitswap = parts.bitswap
        peerService = PeerService(host: parts.swarm, logger: logger)
        messages = DirectMessages(host: parts.swarm)
        receipts = parts.receipts
        machine = parts.machine
        fetcher = ContentFetcher(store: parts.store, bitswap: parts.bitswap, dht: parts.dht, host: parts.swarm)
        runner = JobRunner(
            machine: parts.machine, fetcher: fetcher, store: parts.store,
            moduleBytesMax: configuration.limits.moduleBytesMax, inputBytesMax: configuration.limits.fileBytesMax)
        alarm = DeadlineAlarm(eventLoop: parts.eventLoop)
        // BOUNDED: what waits here comes from the tables of the market, which are bounded (`MarketLimits`).
        (work, workIn) = AsyncStream.makeStream(of: NodeEffect.self)
        (written, writtenIn) = AsyncStream.makeStream(of: UInt64.self, bufferingPolicy: .bufferingNewest(1))
        (reports, reportsIn) = AsyncStream.makeStream(
            of: NodeInput.self, bufferingPolicy: .bufferingOldest(limits.reportsMax))
        (provided, providing) = AsyncStream.makeStream(
            of: CID.self, bufferingPolicy: .bufferingOldest(limits.filesToAnnounceMax))
        let (added, adding) = AsyncStream.makeStream(
            of: [CID].self, bufferingPolicy: .bufferingNewest(limits.addedBlocksMax))
        addedBlocks = added
        parts.store.onBlocksAdded { _ = adding.yield($0) }
        (stopping, stop) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// The machinery that a node is made of.
    struct Parts: Sendable {
        let store: MeshStore
        let swarm: Swarm
        let gossip: GossipService
        let dht: KademliaService
        let bitswap: BitswapService
        let receipts: VerifiedReceipts
        let machine: CoVM
        let eventLoop: any EventLoop
    }

    /// Runs the node until it is asked to stop, its task is cancelled, or its disk fails; then closes the store.
    ///
    /// - Throws: the one sentence that says why it could not go on.
    public func run() async throws(NodeServiceError) {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                addServices(to: &group)
                group.addTask { await self.carryOutWork() }
                group.addTask { await self.followWrites() }
                group.addTask { await self.followReports() }
                group.addTask { await self.keepTime() }
                group.addTask { await self.takePart() }
                group.addTask { [bitswap, addedBlocks] in
                    for await cids in addedBlocks { await bitswap.blocksAdded(cids) }
                }
                group.addTask {
                    for await _ in self.stopping { break }
                    await self.leave()
                    throw CancellationError()
                }
                while try await group.next() != nil {}
            }
        } catch is CancellationError {
            // Asked to stop.
        } catch {
            giveUp(error as? NodeServiceError ?? NodeServiceError(.internalError, "The node stopped: \(error)."))
        }
        finish()
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    private func addServices(to group: inout ThrowingTaskGroup<Void, any Error>) {
        group.addTask { [swarm] in try await swarm.run() }
        group.addTask { [gossip] in await gossip.run() }
        group.addTask { [dht] in await dht.run() }
        group.addTask { [bitswap] in await bitswap.run() }
        group.addTask { [peerService] in await peerService.run() }
    }

    /// Stops what waits for the node, then closes the store; what was accepted before is written.
    private func finish() {
        for (assignment, job) in running {
            job.cancellation.cancel()
            running[assignment]?.stopWaiting(false)
        }
        board.finish()
        alarm.finish()
        workIn.finish()
        writtenIn.finish()
        reportsIn.finish()
        providing.finish()
        let faults = core.takeFaults()
        if !faults.isEmpty { store.enqueue(faults.map(StoreWrite.init), urgency: .idle) { _ in } }
        do {
            try store.close()
        } catch {
            logger.error("The store did not close cleanly.", metadata: ["error": "\(error)"])
        }
    }

    /// Stops the node because it cannot keep its word any more; the first reason is the one that counts.
    nonisolated func giveUp(_ error: NodeServiceError) {
        let isFirst = failure.withLock { failure in
            defer { failure = failure ?? error }
            return failure == nil
        }
        if isFirst { logger.critical("The node stops: \(error)") }
        store.waitNoLonger()
        stop.yield(())
    }

    func tally(_ name: String) {
        tallies[name, default: 0] += 1
    }
}
