public import Determinism
public import Multiformats
import OrderedCollections

/// A node of the Kademlia DHT without sockets and clocks: facts go in, actions come out.
///
/// It holds the routing table, the two stores and the operations under way. Operations walk iteratively (`Lookup`);
/// peers that answer enter the table, peers that do not answer lose their place. The validator of a value's namespace
/// checks it when this node puts it, stores it for others and returns it; a namespace without a validator is refused
/// everywhere. The node repeats what it puts and provides in time. The source is the kad-dht specification of libp2p,
/// with two differences: FIND_NODE names this node itself when it knows no other (go-libp2p drops servers that name
/// nobody), and the stores evict by `ShareBook`.
///
/// At a limit: a further operation fails with `tooManyOperations`; a further publication displaces the oldest of its
/// kind (`PublicationBook`); the stores and the table follow their own rules.
public struct KademliaCore: Core {
    struct Pending: Sendable {
        let peer: PeerInfo
        let question: KademliaMessage
        let query: QueryID?
        let deadline: MonotonicInstant
    }

    /// Settings and bounds.
    public let configuration: KademliaConfiguration
    /// This node.
    public let localPeer: PeerID
    /// The servers this node knows.
    public internal(set) var table: RoutingTable
    /// Records kept for others and of our own.
    public internal(set) var records: RecordStore
    /// Provider records kept for others.
    public internal(set) var providers: ProviderStore
    /// What happened so far.
    public internal(set) var counters = KademliaCounters()
    /// Where this node listens; sent to others with its provider records.
    public var localAddresses: [Multiaddr] = []
    /// Peers that may be two processes, and what others say of this one.
    var doubles = DoubleKeys()

    let rules: RecordRules
    var generator: SeededGenerator
    var clients: OrderedDictionary<PeerID, PeerInfo> = [:]
    var queries: OrderedDictionary<QueryID, KademliaQuery> = [:]
    var pending: OrderedDictionary<RequestID, Pending> = [:]
    var publications: PublicationBook
    var refreshTargets: [[UInt8]] = []
    var wholeAnswers: WholeAnswers
    private var nextNumber: UInt64 = 1
    private var refreshAt: MonotonicInstant
    private var sweepAt: MonotonicInstant
    private var nextProbeAt: MonotonicInstant

    /// A node that knows no other yet; `seed` feeds the random walks.
    public init(
        localPeer: PeerID, configuration: KademliaConfiguration = KademliaConfiguration(),
        validators: [RecordValidator], seed: UInt64, now: MonotonicInstant
    ) {
        let localKey = KademliaKey(of: localPeer)
        self.localPeer = localPeer
        self.configuration = configuration
        table = RoutingTable(localPeer: localPeer, limits: configuration.table)
        records = RecordStore(localKey: localKey, limits: configuration.records)
        providers = ProviderStore(localKey: localKey, limits: configuration.providers)
        publications = PublicationBook(configuration: configuration)
        wholeAnswers = WholeAnswers(configuration)
        rules = RecordRules(validators, limits: configuration.messages)
        generator = SeededGenerator(seed: seed)
        refreshAt = now.advanced(milliseconds: configuration.refreshIntervalMilliseconds)
        sweepAt = now.advanced(milliseconds: configuration.sweepIntervalMilliseconds)
        nextProbeAt = now
    }

    /// Notes what identify said about a connected peer; `isServer` if it speaks our protocol.
    public mutating func peerIdentified(_ peer: PeerInfo, isServer: Bool, now: MonotonicInstant) -> [KademliaAction] {
        guard peer.peerID != localPeer else { return [] }
        doubles.identified(peer, before: table.member(peer.peerID) ?? clients[peer.peerID])
        guard isServer else {
            table.remove(peer.peerID, now: now)
            clients.removeValue(forKey: peer.peerID)
            if clients.count >= configuration.clientsMax { clients.removeFirst() }
            clients[peer.peerID] = peer
            return []
        }
        clients.removeValue(forKey: peer.peerID)
        return admit(peer, now: now)
    }

    /// Notes that the last connection to a peer is gone. Servers stay in the table, because they can be dialed again.
    public mutating func peerDisconnected(_ peer: PeerID) {
        wholeAnswers.forget(peer)
        doubles.disconnected(peer)
        clients.removeValue(forKey: peer)
    }

    /// The addresses that servers named as this node's own since the last call, and that are not: another process may
    /// run there with the same key. At most eight, and hearsay.
    package mutating func takeForeignAddresses() -> [Multiaddr] { doubles.takeForeign() }

    /// Begins an operation; its end arrives as `.finished`, perhaps among the actions returned here.
    public mutating func start(
        _ operation: KademliaOperation, now: MonotonicInstant
    ) -> (id: QueryID, actions: [KademliaAction]) {
        start(operation, owner: .caller, now: now)
    }

    /// Ends an operation early; it finishes as cancelled.
    public mutating func cancel(_ id: QueryID, now: MonotonicInstant) -> [KademliaAction] {
        guard queries[id] != nil else { return [] }
        return finish(id, .failed(.cancelled), now: now)
    }

    /// Whether the core still waits for a request; drop it otherwise.
    public func isUnderWay(_ id: RequestID) -> Bool { pending[id] != nil }

    /// Whether this node repeats the announcement of a multihash.
    public func isProviding(multihash: [UInt8]) -> Bool { publications.isProvided(multihash) }

    /// How many values and multihashes this node announces again and again.
    package var announcedCount: Int { publications.count }

    /// Stops repeating an announcement, by the value's key or the provided multihash.
    public mutating func withdraw(key: [UInt8]) {
        publications.remove(key)
    }

    /// Walks to this node's own key and to random keys of each bucket, to fill the table.
    public mutating func bootstrap(now: MonotonicInstant) -> [KademliaAction] {
        guard table.count > 0 || !table.formerMembers.isEmpty else { return [] }
        refreshAt = now.advanced(milliseconds: configuration.refreshIntervalMilliseconds)
        refreshTargets = [localPeer.bytes]
        let buckets = min(table.bucketCounts.count, configuration.refreshBucketsMax)
        for bucket in 0..<buckets { refreshTargets.append(randomKey(inBucket: bucket)) }
        return continueRefresh(now: now)
    }

    /// The next time `deadlineReached` has something to do.
    public var nextDeadline: MonotonicInstant? {
        var earliest = min(refreshAt, sweepAt)
        // All operations have the same time limit, and so have all requests: the oldest is due first.
        if let query = queries.values.first { earliest = min(earliest, query.deadline) }
        if let request = pending.values.first { earliest = min(earliest, request.deadline) }
        return min(earliest, publications.nextDeadline ?? earliest)
    }

    /// Ends what took too long, refreshes the table, drops what expired, repeats announcements that are due.
    public mutating func deadlineReached(now: MonotonicInstant) -> [KademliaAction] {
        var actions: [KademliaAction] = []
        for (id, request) in pending where request.deadline <= now {
            actions.append(.cancel(id, .timedOut))
            actions += requestFailed(id, now: now)
        }
        for (id, query) in queries where query.deadline <= now {
            actions += finish(id, outcomeSoFar(of: query) ?? .failed(.timedOut), now: now)
        }
        if sweepAt <= now {
            sweepAt = now.advanced(milliseconds: configuration.sweepIntervalMilliseconds)
            records.expire(now: now)
            providers.expire(now: now)
        }
        if refreshAt <= now {
            refreshAt = now.advanced(milliseconds: configuration.refreshIntervalMilliseconds)
            actions += bootstrap(now: now)
        }
        actions += republish(now: now)
        return actions
    }

    /// Stops the process if the core contradicts itself; tests and the simulator call it after every input.
    public func checkInvariants() {
        table.checkInvariants()
        records.checkInvariants()
        providers.checkInvariants()
        precondition(queries.count <= configuration.queriesMax, "\(queries.count) operations")
        publications.checkInvariants()
        wholeAnswers.checkInvariants()
        precondition(clients.count <= configuration.clientsMax, "\(clients.count) clients")
        for (id, query) in queries {
            query.lookup.checkInvariants()
            precondition(!query.requests.isEmpty, "operation \(id.number) waits for nothing")
            for request in query.requests {
                precondition(pending[request]?.query == id, "request \(request.number) is not pending")
            }
        }
        for (id, request) in pending {
            guard let query = request.query else { continue }
            precondition(queries[query]?.requests.contains(id) == true, "request \(id.number) belongs to nobody")
        }
    }

    mutating func newNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// Offers a live server to the table; the first one ever starts a walk for more.
    mutating func admit(_ peer: PeerInfo, now: MonotonicInstant) -> [KademliaAction] {
        guard configuration.admitsPrivatePeers || !AddressGroup.groups(of: peer.addresses).isEmpty else {
            counters.peersRefusedAsPrivate += 1
            return []
        }
        let wasEmpty = table.count == 0
        switch table.insert(peer, now: now) {
        case .added: return wasEmpty ? bootstrap(now: now) : []
        case .refreshed, .isLocal: return []
        case .groupFull:
            counters.peersRefusedByGroup += 1
            return []
        case .waiting(let oldest):
            guard nextProbeAt <= now, !pending.values.contains(where: { $0.peer.peerID == oldest.peerID }) else {
                return []
            }
            nextProbeAt = now.advanced(milliseconds: configuration.probeIntervalMilliseconds)
            return [send(KademliaMessage(kind: .ping), to: oldest, for: nil, now: now)]
        }
    }

    mutating func send(
        _ message: KademliaMessage, to peer: PeerInfo, for query: QueryID?, now: MonotonicInstant
    ) -> KademliaAction {
        let id = RequestID(number: newNumber())
        let deadline = now.advanced(milliseconds: configuration.requestTimeoutMilliseconds)
        pending[id] = Pending(peer: peer, question: message, query: query, deadline: deadline)
        if let query { queries[query]?.requests.append(id) }
        return .send(KademliaRequest(id: id, peer: peer, message: message))
    }

    mutating func continueRefresh(now: MonotonicInstant) -> [KademliaAction] {
        guard !refreshTargets.isEmpty, !queries.values.contains(where: { $0.owner == .refresh }) else { return [] }
        let target = refreshTargets.removeFirst()
        return start(.findClosest(key: target), owner: .refresh, now: now).actions
    }

    mutating func republish(now: MonotonicInstant) -> [KademliaAction] {
        var actions: [KademliaAction] = []
        while let operation = nextRepublication(now: now) {
            remember(operation, now: now)
            counters.republished += 1
            let started = start(operation, owner: .republication, now: now)
            actions += started.actions
            // The table is empty: the retry is set, and the rest wait for theirs too.
            if queries[started.id] == nil { break }
        }
        return actions
    }

    private func nextRepublication(now: MonotonicInstant) -> KademliaOperation? {
        let running = queries.values.count { $0.owner == .republication }
        guard running < configuration.republishParallelMax, queries.count < configuration.queriesMax else { return nil }
        return publications.due(now: now)
    }

    /// Notes how an announcement went; one that reached nobody is tried again soon.
    mutating func published(_ operation: KademliaOperation, _ outcome: KademliaOutcome, now: MonotonicInstant) {
        guard publications.contains(operation) else { return }
        guard case .failed(let failure) = outcome else { return }
        if case .recordRefused = failure {
            withdraw(key: operation.key)
            return
        }
        publications.retry(operation.key, at: now.advanced(milliseconds: configuration.republishRetryMilliseconds))
    }

    /// Keeps an announcement for repetition.
    mutating func remember(_ operation: KademliaOperation, now: MonotonicInstant) {
        let dueAt = now.advanced(milliseconds: configuration.republishIntervalMilliseconds)
        counters.publicationsDropped += publications.add(operation, dueAt: dueAt)
    }

    /// Keeps a checked record, of others or of this node; `false` if the store has no room.
    mutating func keep(_ record: KademliaRecord, holder: PeerID, now: MonotonicInstant) -> Bool {
        guard let displaced = records.put(record, holder: holder, now: now) else {
            counters.recordsRefusedAsFull += 1
            return false
        }
        counters.recordsDisplaced += displaced
        return true
    }

    /// A key that falls into a bucket of the table, found by trial; only near it for buckets too deep to hit.
    private mutating func randomKey(inBucket bucket: Int) -> [UInt8] {
        let localKey = KademliaKey(of: localPeer)
        var best: (key: [UInt8], shared: Int) = ([], -1)
        for _ in 0..<(16 << min(bucket, 8)) {
            // The shape of an Ed25519 peer ID, because some servers insist on one.
            var key: [UInt8] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20]
            for _ in 0..<4 {
                let word: UInt64 = generator.next()
                for shift in stride(from: 0, to: 64, by: 8) { key.append(UInt8(truncatingIfNeeded: word >> shift)) }
            }
            let shared = localKey.commonPrefixLength(with: KademliaKey(hashing: key))
            if shared == bucket { return key }
            if shared < bucket, shared > best.shared { best = (key, shared) }
        }
        return best.key.isEmpty ? localPeer.bytes : best.key
    }
}
