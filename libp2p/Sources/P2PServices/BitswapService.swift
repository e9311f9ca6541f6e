public import Bitswap
import DequeModule
import Determinism
public import Kademlia
public import LibP2P
public import Logging
public import Multiformats
import OrderedCollections

/// A node's exchange of blocks: one `BitswapCore` on the streams of a host.
///
///     let exchange = BitswapService(host: swarm, store: store, logger: logger)
///     await exchange.register()
///     async let _ = exchange.run()               // owns all tasks, until cancelled
///     let block = try await exchange.fetch(cid, from: providers, maxBytes: 1 << 20, timeout: .seconds(10))
///
/// Wants and answers to a peer go over one stream that this node opens and keeps, as go-bitswap does. The node accepts
/// answers on streams that the peer opens, and on its own stream, where py-libp2p sends them. It hashes every block
/// before anybody sees it, and holds at most one block per peer in memory for sending.
public actor BitswapService: Service {
    /// The service's bounds; the protocol's are in `BitswapCore.Limits`.
    public struct Limits: Sendable {
        /// Bounds of the protocol.
        public var core = BitswapCore.Limits()
        /// Streams of one peer that are read at once; the next waits if the peer was asked for a block, else it is
        /// reset.
        public var inboundStreamsPerPeerMax = 4
        /// Streams of one peer that was asked for blocks, which wait to be read; the next is reset.
        public var inboundWaitingPerPeerMax = 64
        /// Streams of all peers that are read at once; the next is reset.
        public var inboundStreamsMax = 1_024
        /// Bytes of a message from a peer that was asked for nothing, so it holds only wants.
        public var unaskedMessageBytesMax = 256 * 1024
        /// Messages that wait for one peer; with one more the peer counts as lost, and others are asked for its blocks.
        public var queuedMessagesPerPeerMax = 1_024
        /// Wants and presences that one message sent to a peer joins, before it takes no further waiting message.
        public var joinedEntriesMax = 512
        /// Silence after which a stream that a peer opened is reset.
        public var inboundIdleMilliseconds: Int64 = 120_000
        /// Silence after which the node closes its own stream; shorter than py-libp2p's wait.
        public var outboundIdleMilliseconds: Int64 = 30_000
        /// How long sending one message may take; after that its stream is reset and the peer counts as lost.
        public var sendTimeoutMilliseconds: Int64 = 60_000
        /// Tasks that send to peers or read the streams opened for that, including waiting ones; a peer that needs one
        /// more counts as lost.
        public var jobsMax = 4_096
        /// Bytes of blocks that one peer gets in a second, and at once after a silence; what it wants beyond that
        /// waits. Nil: no bound.
        public var servedBytesPerSecondPerPeerMax: Int?
        /// The shortest time between two checks of the core's deadline: how late a deadline may be met.
        public var tickMilliseconds: Int64 = 100
        /// How often the service looks for silent streams.
        public var sweepMilliseconds: Int64 = 1_000

        /// The defaults.
        public init() {}
    }

    /// What waits for a peer, and the stream it goes over.
    struct Outbox {
        var messages = Deque<BitswapMessage>()
        var isRunning = false
        var stream: (any PeerStream)?
        var streamID: UInt64 = 0
        /// Whether sending took too long, so that the stream was reset.
        var isOverdue = false
        var activeAt: MonotonicInstant
    }

    /// The work for which `run` starts a child task.
    enum Job: Sendable {
        case send(PeerID)
        case read(any PeerStream, streamID: UInt64)
    }

    /// A block, and who gave it; `nil` if it was in the store.
    public struct Fetched: Sendable {
        /// The block.
        public let block: [UInt8]
        /// Who gave it.
        public let source: PeerID?

        /// A block with its giver.
        public init(block: [UInt8], source: PeerID?) {
            self.block = block
            self.source = source
        }
    }

    /// The protocol of version 1.2.
    public static let protocolID = "/ipfs/bitswap/1.2.0"

    nonisolated let host: any StreamHost
    nonisolated let store: any BlockSource
    nonisolated let limits: Limits
    nonisolated let logger: Logger
    var core: BitswapCore
    var outboxes: OrderedDictionary<PeerID, Outbox> = [:]
    var inbound: InboundStreams
    var nextStreamID: UInt64 = 0
    /// Unreadable messages, messages larger than the peer may send, and refused streams.
    public internal(set) var refusedMessages = 0
    /// What happened to streams at the service's limits.
    public internal(set) var streamCounters = ServiceStreamCounters()
    /// Peers given up: `Limits.queuedMessagesPerPeerMax`.
    public private(set) var overflowingPeers = 0
    /// Peers given up: `Limits.jobsMax`.
    public private(set) var refusedJobs = 0
    /// How often serving a peer had to wait: `Limits.servedBytesPerSecondPerPeerMax`.
    public internal(set) var servingPauses = 0
    var servingRates: [PeerID: ServingRate] = [:]
    private var servingAt: MonotonicInstant?
    private var jobsUnderWay = 0
    private var waiters: [BlockFetchID: AsyncStream<Result<Fetched, BlockFetchError>>.Continuation] = [:]
    private var isRegistered = false
    private var sweepAt = MonotonicInstant.zero
    let jobs: JobQueue<Job>
    var alarm: DeadlineAlarm

    /// A service that does nothing before `run`.
    public init(host: any StreamHost, store: any BlockSource, limits: Limits = Limits(), logger: Logger) {
        self.host = host
        self.store = store
        self.limits = limits
        inbound = InboundStreams(
            perPeerMax: limits.inboundStreamsPerPeerMax, inAllMax: limits.inboundStreamsMax,
            waitingPerPeerMax: limits.inboundWaitingPerPeerMax)
        self.logger = logger
        core = BitswapCore(limits: limits.core)
        jobs = JobQueue(waitingMax: limits.jobsMax)
        alarm = DeadlineAlarm(resolutionMilliseconds: limits.tickMilliseconds)
    }

    /// Registers the protocol with the host. Call it before peers connect; `run` calls it too.
    public func register() async {
        guard !isRegistered else { return }
        isRegistered = true
        await host.handle(Self.protocolID) { [weak self] stream in
            guard let self else {
                await stream.reset()
                return
            }
            await self.serve(stream)
        }
    }

    /// Works until the task is cancelled; fetches under way then end as cancelled.
    public func run() async {
        let events = await host.peerEvents()
        await register()
        await drive(following: events)
        for waiter in waiters.values { waiter.finish() }
        for outbox in outboxes.values { await outbox.stream?.reset() }
        outboxes = [:]
    }

    /// The block of a CID, verified against it: from the store, else from the peers, asked in this order.
    ///
    /// Callers that want the same block at the same time share the requests, each with its own peers, bound and end;
    /// cancelling one leaves the others alone. The service does not store a fetched block; whoever stores it calls
    /// `blocksAdded`.
    public func fetch(
        _ cid: CID, from peers: [PeerID], maxBytes: Int = 2 * 1024 * 1024, timeout: Duration = .seconds(30)
    ) async throws(BlockFetchError) -> [UInt8] {
        try await fetched(cid, from: peers, maxBytes: maxBytes, timeout: timeout).block
    }

    /// Like `fetch`, and also returns who gave the block.
    public func fetched(
        _ cid: CID, from peers: [PeerID], maxBytes: Int = 2 * 1024 * 1024, timeout: Duration = .seconds(30)
    ) async throws(BlockFetchError) -> Fetched {
        if let block = await store.block(cid) {
            guard block.count <= maxBytes else { throw .tooLarge(bytes: block.count, bytesMax: maxBytes) }
            return Fetched(block: block, source: nil)
        }
        let others = peers.filter { $0 != host.localPeer }
        let now = SwarmClock.now
        let deadline = now.advanced(milliseconds: Int64(clamping: Int128(timeout / .milliseconds(1))))
        let (results, input) = AsyncStream<Result<Fetched, BlockFetchError>>.makeStream(
            bufferingPolicy: .bufferingNewest(1))
        let started = core.fetch(cid, from: others, bytesMax: maxBytes, deadline: deadline, now: now)
        waiters[started.id] = input
        carryOut(started.actions)
        for await result in results { return try result.get() }
        // The caller's task was cancelled, or `run` has ended.
        waiters[started.id] = nil
        carryOut(core.cancel(started.id, now: SwarmClock.now))
        throw .cancelled
    }

    /// The block of a CID: from the store, else from providers as `KademliaService.findProviders` returns them.
    public func fetch(
        _ cid: CID, from providers: [PeerInfo], maxBytes: Int = 2 * 1024 * 1024, timeout: Duration = .seconds(30)
    ) async throws(BlockFetchError) -> [UInt8] {
        let connected = Set(await host.connectedPeers())
        for provider in providers where !connected.contains(provider.peerID) {
            await host.addAddresses(provider.addresses, for: provider.peerID)
        }
        return try await fetch(cid, from: providers.map(\.peerID), maxBytes: maxBytes, timeout: timeout)
    }

    /// Reports new blocks in the store, and serves peers that wait for them.
    public func blocksAdded(_ cids: [CID]) {
        for cid in cids { carryOut(core.blockAdded(cid)) }
    }

    /// What happened so far.
    public func counters() -> BitswapCounters { core.counters }

    /// Whether a peer was asked for a block and has not answered yet.
    public func isAsking(_ peer: PeerID) -> Bool { core.isAsked(peer) }

    // MARK: Actions

    func carryOut(_ actions: [BitswapAction]) {
        for action in actions {
            switch action {
            case .send(let peer, let message): enqueue(message, to: peer)
            case .serve(let peer): startSending(to: peer)
            case .fetched(let id, let block, let peer): finish(id, .success(Fetched(block: block, source: peer)))
            case .failed(let id, let error): finish(id, .failure(error))
            case .peerMisbehaved(let peer, let violation):
                logger.debug("block dropped", metadata: ["peer": "\(peer)", "violation": "\(violation)"])
            }
        }
        rearm()
    }

    /// Starts a child task of `run`; `false` when there are too many.
    func start(_ job: Job) -> Bool {
        guard jobsUnderWay < limits.jobsMax, jobs.start(job) else {
            refusedJobs += 1
            return false
        }
        jobsUnderWay += 1
        return true
    }

    func peerEvent(_ event: PeerEvent) {
        if case .disconnected(let peer) = event { peerLost(peer) }
    }

    func peerLost(_ peer: PeerID) {
        outboxes[peer]?.messages.removeAll()
        if outboxes[peer]?.isRunning == false { outboxes.removeValue(forKey: peer) }
        carryOut(core.peerLost(peer, now: SwarmClock.now))
    }

    private func finish(_ id: BlockFetchID, _ result: Result<Fetched, BlockFetchError>) {
        guard let waiter = waiters.removeValue(forKey: id) else { return }
        waiter.yield(result)
        waiter.finish()
    }

    private func enqueue(_ message: BitswapMessage, to peer: PeerID) {
        var outbox = outboxes[peer] ?? Outbox(activeAt: SwarmClock.now)
        guard outbox.messages.count < limits.queuedMessagesPerPeerMax else {
            overflowingPeers += 1
            peerLost(peer)
            return
        }
        outbox.messages.append(message)
        outboxes[peer] = outbox
        startSending(to: peer)
    }

    /// Serves the peers whose wants rest because they had been served enough for a while.
    private func serveAgain(now: MonotonicInstant) {
        guard let due = servingAt, due <= now else { return }
        servingAt = nil
        for (peer, rate) in servingRates {
            if rate.isPaid(now: now) { servingRates[peer] = nil } else { servingChanges(rate, now: now) }
            if rate.freeAt <= now, core.hasWants(of: peer) { startSending(to: peer) }
        }
    }

    /// Makes `serveAgain` check when a peer may be served again, or owes nothing any more.
    func servingChanges(_ rate: ServingRate, now: MonotonicInstant) {
        servingAt = min(servingAt ?? .distantFuture, rate.changesAt(now: now))
    }

    private func startSending(to peer: PeerID) {
        var outbox = outboxes[peer] ?? Outbox(activeAt: SwarmClock.now)
        guard !outbox.isRunning else { return }
        outbox.isRunning = start(.send(peer))
        outboxes[peer] = outbox
        if !outbox.isRunning { peerLost(peer) }
    }

    func perform(_ job: Job) async {
        defer { jobsUnderWay -= 1 }
        switch job {
        case .send(let peer): await send(to: peer)
        case .read(let stream, let streamID): await readAnswers(on: stream, streamID: streamID)
        }
    }

    // MARK: Time

    func carryOutDue(_ actions: [BitswapAction]) { carryOut(actions) }

    var ownDeadline: MonotonicInstant? {
        guard !inbound.isEmpty || !outboxes.isEmpty else { return servingAt }
        return min(sweepAt, servingAt ?? .distantFuture)
    }

    func ownDeadlineReached(now: MonotonicInstant) async {
        serveAgain(now: now)
        guard sweepAt <= now else { return }
        sweepAt = now.advanced(milliseconds: limits.sweepMilliseconds)
        await sweep(now: now)
    }

    /// Closes silent streams, and resets those on which a send takes too long, which fails the send.
    private func sweep(now: MonotonicInstant) async {
        let silent = inbound.takeSilent(
            milliseconds: limits.inboundIdleMilliseconds, now: now, counters: &streamCounters)
        for stream in silent { await stream.reset() }
        for peer in outboxes.keys {
            // Looked up anew for each peer: a send may have begun while another stream was being closed.
            guard let outbox = outboxes[peer] else { continue }
            let silence = now.milliseconds(since: outbox.activeAt)
            if outbox.isRunning {
                guard silence > limits.sendTimeoutMilliseconds, let stream = outbox.stream else { continue }
                streamCounters.sendsTimedOut += 1
                outboxes[peer]?.isOverdue = true
                await stream.reset()
            } else if silence > limits.outboundIdleMilliseconds {
                outboxes.removeValue(forKey: peer)
                guard let stream = outbox.stream else { continue }
                streamCounters.ownIdle += 1
                try? await stream.closeWrite()
            }
        }
    }
}
