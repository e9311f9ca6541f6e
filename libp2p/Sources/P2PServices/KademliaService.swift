import DequeModule
import Determinism
public import Kademlia
public import LibP2P
public import Logging
public import Multiformats
import OrderedCollections

/// A node's DHT: one `KademliaCore` on the streams of a host.
///
///     let dht = KademliaService(host: swarm, validators: [receipts], logger: logger)
///     await dht.register()                       // before peers connect, so that identify names the protocol
///     async let _ = dht.run()                    // owns all tasks, until cancelled
///     await dht.bootstrap([address])
///     try await dht.putValue(key: key, value: value)
///
/// Operations wait for `run`. Peers enter the routing table when identify says that they speak the protocol. Requests
/// reuse idle streams, except after ADD_PROVIDER, which go-libp2p never answers. The service resets and counts the
/// stream of a peer that sends an unreadable or refused message.
public actor KademliaService: Service {
    /// The service's bounds; the protocol's are in `KademliaConfiguration`.
    public struct Limits: Sendable {
        /// Own requests under way at once; further ones queue.
        public var requestsUnderWayMax = 64
        /// Own requests that wait; further ones are dropped and counted, and not held against the peer.
        public var requestsQueuedMax = 4_096
        /// Streams of one peer that are served at once; the next is reset.
        public var inboundStreamsPerPeerMax = 16
        /// Streams of all peers that are served at once; the next is reset.
        public var inboundStreamsMax = 1_024
        /// Silence after which an inbound stream is reset.
        public var inboundIdleMilliseconds: Int64 = 60_000
        /// Idle streams kept for further requests to one peer; the next is closed after use.
        public var idleStreamsPerPeerMax = 4
        /// Idle streams kept for further requests to all peers; the next is closed after use.
        public var idleStreamsMax = 256
        /// How long an idle stream is kept; shorter than servers wait.
        public var idleStreamMilliseconds: Int64 = 20_000
        /// Bootstrap addresses that are dialed and remembered; further ones are ignored.
        public var bootstrapAddressesMax = 64
        /// How often they are dialed while the routing table is empty.
        public var bootstrapIntervalMilliseconds: Int64 = 10_000
        /// How often the service checks which addresses this node has.
        public var addressRefreshMilliseconds: Int64 = 15_000
        /// The shortest time between two checks of the core's deadline: how late a deadline may be met.
        public var tickMilliseconds: Int64 = 100
        /// Dials of bootstrap addresses that wait for their task.
        public var bootstrapJobsMax = 16
        /// How often the service looks for silent and idle streams.
        public var sweepMilliseconds: Int64 = 1_000

        /// The defaults.
        public init() {}
    }

    struct IdleStream {
        let id: UInt64
        let stream: any PeerStream
        let since: MonotonicInstant
    }

    /// The work for which `run` starts a child task.
    enum Job: Sendable {
        /// Performs this request, then queued ones.
        case work(KademliaRequest)
        case bootstrap([Multiaddr])
    }

    /// Settings and bounds of the protocol.
    public nonisolated let configuration: KademliaConfiguration
    nonisolated let host: any StreamHost
    nonisolated let limits: Limits
    nonisolated let logger: Logger
    var core: KademliaCore
    var waiters: [QueryID: AsyncStream<KademliaOutcome>.Continuation] = [:]
    var queue = Deque<KademliaRequest>()
    var requestsUnderWay = 0
    var active: [RequestID: any PeerStream] = [:]
    var idle: OrderedDictionary<PeerID, [IdleStream]> = [:]
    var idleCount = 0
    var inbound: InboundStreams
    var nextStreamID: UInt64 = 0
    var connected: Set<PeerID> = []
    /// Refused messages and streams of peers, and unreadable messages.
    public internal(set) var refusedMessages = 0
    /// What happened to streams at the service's limits.
    public internal(set) var streamCounters = ServiceStreamCounters()
    /// Own requests that were never sent: `Limits.requestsQueuedMax`.
    public private(set) var droppedRequests = 0
    private var bootstrapAddresses: [Multiaddr] = []
    private var bootstrapAt = MonotonicInstant.zero
    private var addressesAt = MonotonicInstant.zero
    private var sweepAt = MonotonicInstant.zero
    private var isRegistered = false
    private var events: AsyncStream<PeerEvent>?
    let jobs: JobQueue<Job>
    var alarm: DeadlineAlarm

    /// A service that does nothing before `run`.
    public init(
        host: any StreamHost, configuration: KademliaConfiguration = KademliaConfiguration(),
        validators: [RecordValidator], limits: Limits = Limits(), logger: Logger
    ) {
        self.host = host
        self.configuration = configuration
        self.limits = limits
        inbound = InboundStreams(
            perPeerMax: limits.inboundStreamsPerPeerMax, inAllMax: limits.inboundStreamsMax)
        self.logger = logger
        var generator = SystemRandomNumberGenerator()
        core = KademliaCore(
            localPeer: host.localPeer, configuration: configuration, validators: validators, seed: generator.next(),
            now: SwarmClock.now)
        jobs = JobQueue(waitingMax: limits.requestsUnderWayMax + limits.bootstrapJobsMax)
        alarm = DeadlineAlarm(resolutionMilliseconds: limits.tickMilliseconds)
    }

    /// Listens to the host's events, and registers the protocol if this node is a server. Call it before peers connect;
    /// `run` and `bootstrap` call it too.
    public func register() async {
        if events == nil {
            let subscribed = await host.peerEvents()
            // Another caller may have come first meanwhile; both then see all that comes.
            if events == nil { events = subscribed }
        }
        guard configuration.mode == .server, !isRegistered else { return }
        isRegistered = true
        await host.handle(configuration.protocolID) { [weak self] stream in
            guard let self else {
                await stream.reset()
                return
            }
            await self.serve(stream)
        }
    }

    /// Works until the task is cancelled; operations under way then end as cancelled.
    public func run() async {
        await register()
        guard let events else { return }
        core.localAddresses = await host.listenAddresses()
        await drive(following: events)
        for waiter in waiters.values { waiter.finish() }
        for streams in idle.values { for entry in streams { await entry.stream.reset() } }
        idle = [:]
        idleCount = 0
    }

    /// Dials bootstrap nodes, and remembers their addresses to dial them again if all peers are lost. Returns those
    /// that answered; the walk for more begins when identify shows that they are servers.
    @discardableResult
    public func bootstrap(_ addresses: [Multiaddr]) async -> [PeerID] {
        await register()
        for address in addresses where !bootstrapAddresses.contains(address) {
            guard bootstrapAddresses.count < limits.bootstrapAddressesMax else { break }
            bootstrapAddresses.append(address)
        }
        bootstrapAt = SwarmClock.now.advanced(milliseconds: limits.bootstrapIntervalMilliseconds)
        let peers = await dialAll(Array(addresses.prefix(limits.bootstrapAddressesMax)))
        carryOut(core.bootstrap(now: SwarmClock.now))
        return peers
    }

    // MARK: Operations

    /// A peer's addresses: from the routing table, else by asking the peers closest to it.
    public func findPeer(_ peer: PeerID) async throws(KademliaFailure) -> [Multiaddr] {
        guard case .peerFound(let info) = try await perform(.findPeer(peer)) else { throw .notFound(asked: 0) }
        return info.addresses
    }

    /// Stores a value at the servers closest to its key and keeps announcing it; returns those that confirmed.
    @discardableResult
    public func putValue(key: [UInt8], value: [UInt8]) async throws(KademliaFailure) -> [PeerID] {
        let operation = KademliaOperation.putValue(key: key, value: value)
        guard case .stored(let peers) = try await perform(operation) else { throw .storedNowhere(asked: 0) }
        return peers
    }

    /// The value under a key that its namespace's validator accepts.
    public func getValue(key: [UInt8]) async throws(KademliaFailure) -> [UInt8] {
        guard case .valueFound(let value, _) = try await perform(.getValue(key: key)) else {
            throw .notFound(asked: 0)
        }
        return value
    }

    /// Announces to the servers closest to a block that this node has it, and keeps announcing it; returns those told.
    @discardableResult
    public func provide(_ cid: CID) async throws(KademliaFailure) -> [PeerID] {
        core.localAddresses = await host.listenAddresses()
        let operation = KademliaOperation.provide(multihash: cid.multihash.bytes)
        guard case .provided(let peers) = try await perform(operation) else { throw .storedNowhere(asked: 0) }
        return peers
    }

    /// Whether the service keeps announcing a block.
    public func isProviding(_ cid: CID) -> Bool { core.isProviding(multihash: cid.multihash.bytes) }

    /// Ends the announcements of a value or of a provided block; what others hold expires by itself.
    public func withdraw(key: [UInt8]) {
        core.withdraw(key: key)
    }

    /// Up to `limit` providers of a block, with their addresses.
    public func findProviders(_ cid: CID, limit: Int = 20) async throws(KademliaFailure) -> [PeerInfo] {
        let operation = KademliaOperation.findProviders(multihash: cid.multihash.bytes, limit: limit)
        guard case .providersFound(let providers) = try await perform(operation) else { throw .notFound(asked: 0) }
        return providers
    }

    /// The live servers closest to a raw key, nearest first.
    public func findClosest(key: [UInt8]) async throws(KademliaFailure) -> [PeerInfo] {
        guard case .closest(let peers) = try await perform(.findClosest(key: key)) else { throw .notFound(asked: 0) }
        return peers
    }

    /// Asks the servers closest to this node's own key where it is; returns the addresses that they name and that are
    /// not its own. Another process may run there with the same key. At most eight, and hearsay.
    package func foreignAddresses() async -> [Multiaddr] {
        core.localAddresses = await host.listenAddresses()
        _ = try? await findClosest(key: host.localPeer.bytes)
        return core.takeForeignAddresses()
    }

    /// The members of the routing table.
    public func routingTable() -> [PeerInfo] { core.table.members }

    /// How many values, and entries of who has what, this node keeps for others, and how many it announces itself.
    package func holdings() -> (records: Int, providers: Int, announced: Int) {
        (core.records.count, core.providers.count, core.announcedCount)
    }

    /// What happened so far.
    public func counters() -> KademliaCounters { core.counters }

    private func perform(_ operation: KademliaOperation) async throws(KademliaFailure) -> KademliaOutcome {
        let (outcomes, input) = AsyncStream<KademliaOutcome>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let started = core.start(operation, now: SwarmClock.now)
        waiters[started.id] = input
        carryOut(started.actions)
        for await outcome in outcomes {
            if case .failed(let failure) = outcome { throw failure }
            return outcome
        }
        // The caller's task was cancelled, or `run` has ended.
        waiters[started.id] = nil
        carryOut(core.cancel(started.id, now: SwarmClock.now))
        throw .cancelled
    }

    // MARK: Actions

    func carryOut(_ actions: [KademliaAction]) {
        for action in actions {
            switch action {
            case .send(let request): enqueue(request)
            case .finished(let id, let outcome):
                guard let waiter = waiters.removeValue(forKey: id) else { continue }
                waiter.yield(outcome)
                waiter.finish()
            case .peerMisbehaved(let peer, let violation):
                logger.debug("DHT peer misbehaved", metadata: ["peer": "\(peer)", "violation": "\(violation)"])
            case .cancel:
                // Queued requests are dropped when their turn comes; `deadlineReached` resets the streams of those that
                // are too late, and the others may end by themselves.
                continue
            }
        }
        rearm()
    }

    private func enqueue(_ request: KademliaRequest) {
        if requestsUnderWay < limits.requestsUnderWayMax, jobs.start(.work(request)) {
            requestsUnderWay += 1
        } else if requestsUnderWay > 0, queue.count < limits.requestsQueuedMax {
            queue.append(request)
        } else {
            droppedRequests += 1
            carryOut(core.requestDropped(request.id, now: SwarmClock.now))
        }
    }

    func perform(_ job: Job) async {
        switch job {
        case .work(let request): await work(from: request)
        case .bootstrap(let addresses): _ = await dialAll(addresses)
        }
    }

    private nonisolated func dialAll(_ addresses: [Multiaddr]) async -> [PeerID] {
        await withTaskGroup(of: PeerID?.self) { group in
            for address in addresses {
                group.addTask { [host] in try? await host.dial(address) }
            }
            var peers: [PeerID] = []
            for await peer in group { if let peer { peers.append(peer) } }
            return peers.sorted()
        }
    }

    func begin(connected peers: [PeerID]) {
        connected.formUnion(peers)
    }

    func peerEvent(_ event: PeerEvent) {
        defer { rearm() }
        switch event {
        case .connected(let peer): connected.insert(peer)
        case .disconnected(let peer):
            connected.remove(peer)
            core.peerDisconnected(peer)
            idleCount -= idle.removeValue(forKey: peer)?.count ?? 0
        case .identified(let peer, let protocols, let addresses):
            let isServer = protocols.contains(configuration.protocolID)
            let info = PeerInfo(peerID: peer, addresses: addresses)
            carryOut(core.peerIdentified(info, isServer: isServer, now: SwarmClock.now))
        }
    }

    // MARK: Time

    func carryOutDue(_ actions: [KademliaAction]) async {
        carryOut(actions)
        for case .cancel(let id, .timedOut) in actions { await active[id]?.reset() }
    }

    var ownDeadline: MonotonicInstant? {
        var next = addressesAt
        if !inbound.isEmpty || idleCount > 0 { next = min(next, sweepAt) }
        if core.table.count == 0, !bootstrapAddresses.isEmpty { next = min(next, bootstrapAt) }
        return next
    }

    func ownDeadlineReached(now: MonotonicInstant) async {
        if core.table.count == 0, !bootstrapAddresses.isEmpty, bootstrapAt <= now {
            bootstrapAt = now.advanced(milliseconds: limits.bootstrapIntervalMilliseconds)
            _ = jobs.start(.bootstrap(bootstrapAddresses))
        }
        if sweepAt <= now {
            sweepAt = now.advanced(milliseconds: limits.sweepMilliseconds)
            await sweep(now: now)
        }
        if addressesAt <= now {
            addressesAt = now.advanced(milliseconds: limits.addressRefreshMilliseconds)
            core.localAddresses = await host.listenAddresses()
        }
    }

    /// Resets silent inbound streams and closes this node's idle ones.
    private func sweep(now: MonotonicInstant) async {
        let silent = inbound.takeSilent(
            milliseconds: limits.inboundIdleMilliseconds, now: now, counters: &streamCounters)
        for stream in silent { await stream.reset() }
        for peer in idle.keys {
            // Looked up anew for each peer: a request may have taken a stream while another was being closed.
            guard let held = idle[peer] else { continue }
            let over = held.filter { now.milliseconds(since: $0.since) > limits.idleStreamMilliseconds }
            guard !over.isEmpty else { continue }
            let kept = held.filter { entry in !over.contains { $0.id == entry.id } }
            idle[peer] = kept.isEmpty ? nil : kept
            idleCount -= over.count
            streamCounters.ownIdle += over.count
            for entry in over { try? await entry.stream.closeWrite() }
        }
    }
}
