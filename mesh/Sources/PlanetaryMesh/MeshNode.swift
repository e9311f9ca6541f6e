import CoVM
import Crypto
import Economics
import JobMarket
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NIOCore
import NIOPosix
import PeerIdentity
import Synchronization

/// A node of the mesh (RFC 2.1): one key, one store, one swarm, one machine, and the market that decides.
///
/// The actor owns the `JobMarket` core. Its body is one loop: an input arrives (a message, a finished run, a command,
/// the alarm), the core makes a transition of it, the transition's events are queued for the disk in this very order,
/// and once they are durable its actions are carried out in child tasks of `run`. Nothing here decides anything.
public actor MeshNode {
    /// The bounds of the node's own queues; those of the market, the swarm and the machine are theirs.
    struct Limits: Sendable {
        /// How long a peer may take to answer a direct message, in milliseconds.
        var replyMilliseconds: Int64 = 10_000
        /// After how long without an answer to a direct message the connection has to prove that it is alive, in
        /// milliseconds.
        var doubtMilliseconds: Int64 = 2_000
        /// How long a peer may be looked for in the DHT, in milliseconds.
        var findPeerMilliseconds: Int64 = 10_000
        /// How often this node looks which addresses it has, in milliseconds.
        var addressMilliseconds: Int64 = 5_000
        /// How long a peer may take to send a direct message on a stream that it opened, in milliseconds.
        var requestMilliseconds: Int64 = 10_000
        /// When this node tells what it offers.
        var advertisement = AdvertisementSchedule.Limits()
        /// How long an advertisement is good for, in milliseconds.
        var capabilityMilliseconds: UInt64 = 120_000
        /// How long a stop waits for the word that this node executes nothing any more to go out, in milliseconds.
        var farewellMilliseconds: Int64 = 100
        /// Receipts, the newest ones, that a start reads reputations from.
        static let evidenceAtStartMax = 10_000
        /// The longest note about a peer's fault, in bytes.
        var noteBytesMax = 200
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
        /// Between two attempts to fetch an output, in milliseconds; doubles up to the maximum.
        var outputPauseMilliseconds: Int64 = 100
        /// The longest pause between two attempts to fetch an output, in milliseconds.
        var outputPauseMillisecondsMax: Int64 = 5_000
        /// Between two looks at whether the runs have ended that a stop waits for, in milliseconds.
        var drainLookMilliseconds: Int64 = 50
        /// Between two announcements of the anchored heads, in milliseconds: one tells of all that came before it.
        var headsMilliseconds: Int64 = 100
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
    nonisolated let machine: CoVM
    nonisolated let fetcher: ContentFetcher
    nonisolated let runner: JobRunner
    nonisolated let limits = Limits()
    nonisolated let startedAt = NodeClock.now
    nonisolated let crashPoint = CrashPoint.fromEnvironment()
    nonisolated let failure = Mutex<NodeServiceError?>(nil)
    /// Transitions whose events are on their way to the disk.
    nonisolated let unwritten = Atomic<Int>(0)
    /// Whether a commit of `peerNotes` is on its way to the disk.
    nonisolated let areNotesUnderway = Atomic<Bool>(false)

    var market: JobMarket
    var alarm: DeadlineAlarm
    var board = ProgressBoard()
    var tallies: [String: UInt64] = [:]
    var conduct = PeerConduct()
    var peerNotes = PeerNotes()
    /// Open jobs that the start left out.
    var leftOut: [LeftOutJob] = []
    /// Whether the log says that the clock of this machine is wrong.
    var hasToldOfClock = false
    var running: [CID: RunningJob] = [:]
    var capabilities = CapabilityBook()
    /// Whether others were told what this node offers, and not yet that it does not any more.
    var isAdvertised = false
    var unpublishedHeads = UnpublishedHeads()
    var solitude = Solitude()
    var rootAnnouncements: RootAnnouncements
    let actions: AsyncStream<MarketAction>
    let actionsIn: AsyncStream<MarketAction>.Continuation
    let provided: AsyncStream<CID>
    let providing: AsyncStream<CID>.Continuation
    /// What this node waits for before it stops; nil until it was asked to.
    var drain: Drain?
    /// Whether the node is going: what still runs is left to the next start, and nothing is written about it.
    var isLeaving = false
    let draining: AsyncStream<Void>
    let drainBegins: AsyncStream<Void>.Continuation
    let addedBlocks: AsyncStream<[CID]>
    let stopping: AsyncStream<Void>
    nonisolated let stop: AsyncStream<Void>.Continuation

    /// A run in progress.
    struct RunningJob {
        let jobID: JobID
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
        parts: Parts, identity: Identity, configuration: NodeConfiguration, market: JobMarket, logger: Logger
    ) {
        self.identity = identity
        self.configuration = configuration
        self.logger = logger
        self.market = market
        rootAnnouncements = RootAnnouncements(limits: limits.announcements)
        store = parts.store
        swarm = parts.swarm
        gossip = parts.gossip
        dht = parts.dht
        bitswap = parts.bitswap
        peerService = PeerService(host: parts.swarm, logger: logger)
        machine = parts.machine
        fetcher = ContentFetcher(store: parts.store, bitswap: parts.bitswap, dht: parts.dht, host: parts.swarm)
        runner = JobRunner(
            machine: parts.machine, fetcher: fetcher, store: parts.store,
            moduleBytesMax: configuration.limits.moduleBytesMax, inputBytesMax: configuration.limits.fileBytesMax)
        alarm = DeadlineAlarm(eventLoop: parts.eventLoop)
        (actions, actionsIn) = AsyncStream.makeStream(of: MarketAction.self)
        (provided, providing) = AsyncStream.makeStream(
            of: CID.self, bufferingPolicy: .bufferingOldest(limits.filesToAnnounceMax))
        (draining, drainBegins) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
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
                group.addTask { await self.carryOutActions() }
                group.addTask { await self.keepTime() }
                group.addTask { await self.takePart() }
                group.addTask { await self.endOfDrain() }
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
        drainBegins.finish()
        alarm.finish()
        actionsIn.finish()
        providing.finish()
        writeNotes()
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
