public import Determinism
public import Multiformats
import OrderedCollections
public import PeerIdentity

/// The router of GossipSub v1.1: who is told of which message, and by whom this node wants to be told.
///
/// A value without clock, sockets or randomness of its own: every input takes `now` and returns actions. Per topic it
/// keeps a *mesh* of a few peers that get every message at once. Once per heartbeat it tells some of the others which
/// messages exist (IHAVE), so that they can ask for what they missed (IWANT). Specification: libp2p/specs,
/// `pubsub/gossipsub/gossipsub-v1.0.md` and `gossipsub-v1.1.md`.
///
/// What differs from it, and why:
/// - The router neither sends nor follows peer exchange: addresses come from the DHT and identify, never from a
///   stranger's PRUNE.
/// - Opportunistic grafting is missing until there is a full score (`PeerScoring`).
/// - The router grafts a peer that subscribes while the mesh is under D_lo at once, not at the next heartbeat.
/// - A full mesh admits outbound peers only until it has D_out of them.
/// - This node's subscribers do not get its own messages.
/// - The router remembers a message as seen only after it checked the signature, so a forgery cannot suppress the
///   original.
///
/// `Limits` says what happens at each limit; `PeerScoring` counts peers that reach one.
public struct GossipSubRouter: Core {
    /// Every bound of a router, and what happens when a peer reaches it.
    public struct Limits: Sendable, Hashable {
        /// Bytes of one RPC on the wire, as in go-libp2p. A longer one is refused before its body is read and the
        /// stream is reset; a message that would not fit is refused at `publish`.
        public var rpcBytesMax = 1_048_576
        /// Protobuf fields of one RPC, counted over all nested messages; one more refuses the whole RPC.
        public var rpcElementsMax = 32_768
        /// Subscription entries of one RPC that are looked at; the others are left out and counted as a flood.
        public var subscriptionsPerRPCMax = 512
        /// Messages of one RPC that are looked at; the others are left out and counted.
        public var messagesPerRPCMax = 1_024
        /// GRAFT, PRUNE, IHAVE and IWANT entries of one RPC that are looked at, each kind separately; the others are
        /// left out and counted as a flood.
        public var controlEntriesPerRPCMax = 256
        /// Bytes of a topic's name; an entry with a longer one is left out and counted.
        public var topicBytesMax = 512
        /// Bytes of a message ID in IHAVE and IWANT; a longer one is left out.
        public var messageIDBytesMax = 256
        /// Topics remembered per peer; a subscription beyond is ignored and counted as a flood.
        public var topicsPerPeerMax = 512
        /// Topics this node subscribes to; one more is refused to the caller.
        public var ownTopicsMax = 1_024
        /// Topics that this node publishes to without a subscription; the one used longest ago makes room.
        public var fanoutTopicsMax = 256
        /// Peers; one more is not served, and what it sends is ignored.
        public var peersMax = 1_024
        /// Peers per topic in a mesh, whatever the parameters; the router answers a GRAFT beyond with PRUNE.
        public var meshPeersMax = 64
        /// IHAVE entries per peer and heartbeat; more are ignored and counted as a flood.
        public var ihaveEntriesPerHeartbeatMax = 10
        /// Message IDs asked of one peer per heartbeat; IDs beyond are not asked for.
        public var ihaveIDsPerHeartbeatMax = 5_000
        /// Message IDs announced to a peer per topic and heartbeat; a random choice of more.
        public var ihaveIDsSentMax = 5_000
        /// Message IDs that one peer may ask for per heartbeat; more are ignored and counted as a flood.
        public var iwantIDsPerHeartbeatMax = 5_000
        /// Bytes that one peer may fetch with IWANT per heartbeat; the rest is not sent.
        public var iwantBytesPerHeartbeatMax = 8_388_608
        /// IWANT requests whose answer is awaited; further ones are sent, and nobody is blamed when they go unanswered.
        public var promisesMax = 4_096
        /// Message IDs remembered as seen; the oldest makes room.
        public var seenEntriesMax = 65_536
        /// Messages in the cache; the oldest makes room.
        public var cacheMessagesMax = 8_192
        /// Bytes of messages in the cache; the oldest make room.
        public var cacheBytesMax = 16_777_216
        /// Messages waiting for the application's verdict; a message beyond is dropped unseen, so it can come again.
        public var pendingValidationsMax = 1_024
        /// Bytes of messages waiting for a verdict; likewise.
        public var pendingValidationBytesMax = 16_777_216
        /// Back-offs; the one that ends soonest makes room.
        public var backoffsMax = 8_192
        /// Peers whose score is kept after they left; the one that left longest ago makes room.
        public var departedScoresMax = 4_096
        /// Bytes waiting to be sent to one peer. Forwarded and gossiped messages beyond are dropped, newest first.
        public var outgoingBytesMax = 4_194_304
        /// Control bytes (subscriptions, GRAFT, PRUNE, IHAVE, IWANT) waiting for one peer, kept apart so that they get
        /// through when messages do not. A peer that reaches this reads nothing at all, and its stream is reset.
        public var outgoingControlBytesMax = 1_048_576

        public init() {}
    }

    struct Fanout: Sendable {
        var peers: OrderedSet<PeerID> = []
        var lastPublished: MonotonicInstant
    }

    /// This node.
    public let localPeer: PeerID
    /// The parameters of meshes and gossip.
    public let parameters: GossipSubParameters
    /// The bounds.
    public let limits: Limits
    /// What the router has seen and done.
    public internal(set) var counters = GossipSubCounters()
    /// What is known of the peers' behaviour.
    public internal(set) var scoring: PeerScoring

    var generator: SeededGenerator
    var peers: PeerTable
    var meshes: GossipMeshes
    var fanouts = TopicTable<Fanout>()
    var cache: MessageCache
    var seen: SeenCache
    var promises: PromiseTable
    var pending: PendingValidations
    var nextHeartbeat: MonotonicInstant
    private var sequenceNumber: UInt64

    /// A router without peers or topics.
    ///
    /// - Parameters:
    ///   - localPeer: whose router it is, and the author of its own messages.
    ///   - parameters: the protocol's numbers.
    ///   - limits: what a peer can make it hold.
    ///   - firstSequenceNumber: the number of the first own message; it must grow over restarts, so shells take the
    ///     wall clock in nanoseconds, as go-libp2p does.
    ///   - seed: for the choice of peers.
    ///   - now: from when on heartbeats are counted.
    public init(
        localPeer: PeerID, parameters: GossipSubParameters = .init(), limits: Limits = .init(),
        firstSequenceNumber: UInt64, seed: UInt64, now: MonotonicInstant
    ) {
        self.localPeer = localPeer
        self.parameters = parameters
        self.limits = limits
        sequenceNumber = firstSequenceNumber
        generator = SeededGenerator(seed: seed)
        scoring = PeerScoring(parameters: parameters.scoring, departedMax: limits.departedScoresMax)
        peers = PeerTable(limits: limits)
        meshes = GossipMeshes(parameters: parameters, limits: limits)
        cache = MessageCache(parameters: parameters, limits: limits)
        seen = SeenCache(entriesMax: limits.seenEntriesMax, lifetimeMilliseconds: parameters.seenMilliseconds)
        promises = PromiseTable(entriesMax: limits.promisesMax)
        pending = PendingValidations(parameters: parameters, limits: limits)
        nextHeartbeat = now.advanced(milliseconds: parameters.firstHeartbeatMilliseconds)
    }

    /// The next heartbeat.
    public var nextDeadline: MonotonicInstant? { nextHeartbeat }

    // MARK: Peers

    /// A stream to a peer is open: tells it this node's topics.
    public mutating func connected(
        _ peer: PeerID, version: GossipSubVersion, isOutbound: Bool, now: MonotonicInstant
    ) -> [GossipSubAction] {
        let isKnown = peers[peer] != nil
        guard peer != localPeer, peers.insert(peer, version: version, isOutbound: isOutbound) else {
            counters.unknownPeerInputs += 1
            return []
        }
        if !isKnown { scoring.connected(peer) }
        if !version.hasMesh {
            // It spoke a newer version before; meshes no longer concern it.
            meshes.remove(peer)
            for topic in fanouts.keys { fanouts[topic]?.peers.remove(peer) }
        }
        return hello(to: peer)
    }

    /// The stream to a peer was opened anew, and some of what was sent may be lost: tells it this node's topics and the
    /// meshes it is in again, and the recent messages by IHAVE, because heartbeats do not tell peers in a mesh.
    public mutating func streamReopened(_ peer: PeerID, now: MonotonicInstant) -> [GossipSubAction] {
        guard let known = peers[peer] else { return [] }
        var rpc = greeting(to: peer)
        if known.version.hasMesh, scoring.mayGossip(peer) {
            let recent = cache.recentIDs()
            for topic in meshes.topics where known.topics.contains(ExactText(topic)) {
                // Half of what a peer accepts per heartbeat; the next heartbeat may need the rest.
                guard rpc.ihave.count < limits.ihaveEntriesPerHeartbeatMax / 2 else { break }
                guard let ids = recent[ExactText(topic)] else { continue }
                rpc.ihave.append(.init(topic: topic, messageIDs: Array(ids.suffix(limits.ihaveIDsSentMax))))
            }
        }
        // One RPC: where each lost RPC opens the stream anew, two of them would double at every loss.
        return rpc.isEmpty ? [] : [.send(rpc, to: [peer])]
    }

    private func hello(to peer: PeerID) -> [GossipSubAction] {
        let rpc = greeting(to: peer)
        return rpc.isEmpty ? [] : [.send(rpc, to: [peer])]
    }

    /// This node's topics and the meshes that the peer is in.
    private func greeting(to peer: PeerID) -> GossipSubRPC {
        var rpc = GossipSubRPC()
        for (topic, mesh) in meshes.all {
            rpc.subscriptions.append(.init(subscribes: true, topic: topic))
            if mesh.contains(peer) { rpc.graft.append(topic) }
        }
        return rpc
    }

    /// The last connection to a peer is gone: drops everything kept for it except back-offs and a bad score.
    public mutating func disconnected(_ peer: PeerID, now: MonotonicInstant) {
        guard peers[peer] != nil else { return }
        meshes.remove(peer)
        for topic in fanouts.keys { fanouts[topic]?.peers.remove(peer) }
        peers.remove(peer)
        promises.disconnected(peer)
        scoring.disconnected(peer, now: now)
    }

    // MARK: Commands

    /// Joins a topic: tells peers, and grafts some into a mesh.
    public mutating func subscribe(
        _ topic: String, now: MonotonicInstant
    ) throws(SubscribeRefusal) -> [GossipSubAction] {
        if meshes[topic] != nil { return [] }
        let bytes = topic.utf8.count
        guard bytes > 0, bytes <= limits.topicBytesMax else {
            throw .badTopic(bytes: bytes, bytesMax: limits.topicBytesMax)
        }
        guard meshes.count < limits.ownTopicsMax else { throw .tooManyTopics(topicsMax: limits.ownTopicsMax) }
        meshes.begin(topic)
        let former = fanouts.removeValue(forKey: topic)?.peers ?? []
        let preferred = former.filter { meshes.isGraftable($0, in: topic, peers, scoring, now: now) }
        let others = graftCandidates(topic, now: now).filter { !former.contains($0) }
        let chosen = Array((Array(preferred) + others).prefix(parameters.meshDegree))
        for peer in chosen { _ = meshes.add(peer, to: topic) }
        counters.graftsSent += UInt64(chosen.count)
        return announce(.init(subscribes: true, topic: topic), grafting: chosen, pruning: [])
    }

    /// Leaves a topic: prunes the mesh and tells peers.
    public mutating func unsubscribe(_ topic: String, now: MonotonicInstant) -> [GossipSubAction] {
        guard let mesh = meshes.end(topic, now: now) else { return [] }
        counters.prunesSent += UInt64(mesh.count)
        return announce(.init(subscribes: false, topic: topic), grafting: [], pruning: Array(mesh))
    }

    /// Tells every peer about a change, peers in the mesh together with their GRAFT or PRUNE.
    private func announce(
        _ change: GossipSubRPC.Subscription, grafting: [PeerID], pruning: [PeerID]
    ) -> [GossipSubAction] {
        var plain = GossipSubRPC()
        plain.subscriptions = [change]
        let special = OrderedSet(grafting + pruning)
        var actions: [GossipSubAction] = []
        let ordinary = Array(peers.peers.keys).filter { !special.contains($0) }
        if !ordinary.isEmpty { actions.append(.send(plain, to: ordinary)) }
        for peer in special {
            var rpc = plain
            if grafting.contains(peer) { rpc.graft = [change.topic] }
            if pruning.contains(peer) {
                rpc.prune = [prune(change.topic, for: peer, milliseconds: parameters.unsubscribeBackoffMilliseconds)]
            }
            actions.append(.send(rpc, to: [peer]))
        }
        return actions
    }

    /// Signs a message and sends it to the peers of its topic; this node need not subscribe.
    public mutating func publish(
        _ data: [UInt8], topic: String, identity: Identity, now: MonotonicInstant
    ) throws(PublishRefusal) -> (id: MessageID, actions: [GossipSubAction]) {
        let topicBytes = topic.utf8.count
        guard topicBytes > 0, topicBytes <= limits.topicBytesMax else {
            throw .badTopic(bytes: topicBytes, bytesMax: limits.topicBytesMax)
        }
        let message = try GossipMessage.sign(data, topic: topic, sequenceNumber: sequenceNumber, identity: identity)
        let framed = message.encoded.count + GossipSubCodec.messageOverheadBytesMax
        guard framed <= limits.rpcBytesMax else { throw .tooLong(bytes: framed, bytesMax: limits.rpcBytesMax) }
        sequenceNumber &+= 1
        counters.messagesPublished += 1
        seen.insert(message.id, now: now)
        cache.insert(message.id, topic: topic, encoded: message.encoded)

        let relays = meshes[topic] ?? fanout(for: topic, now: now)
        var recipients = OrderedSet<PeerID>()
        for peer in peers.peers(of: topic) where scoring.mayPublish(peer) {
            if parameters.floodPublish || peers[peer]?.version.hasMesh == false { recipients.append(peer) }
        }
        recipients.formUnion(relays)
        return (message.id, forward(message.encoded, to: Array(recipients)))
    }

    /// The peers for a topic without a subscription.
    private mutating func fanout(for topic: String, now: MonotonicInstant) -> OrderedSet<PeerID> {
        if fanouts[topic] == nil, fanouts.count >= max(1, limits.fanoutTopicsMax) {
            let oldest = fanouts.enumerated().min { $0.element.value.lastPublished < $1.element.value.lastPublished }
            if let oldest { fanouts.remove(at: oldest.offset) }
        }
        var entry = fanouts.removeValue(forKey: topic) ?? Fanout(lastPublished: now)
        entry.lastPublished = now
        fillFanout(&entry.peers, topic: topic)
        fanouts[topic] = entry
        return entry.peers
    }

    func prune(_ topic: String, for peer: PeerID, milliseconds: Int64) -> GossipSubRPC.Prune {
        let seconds = peers[peer]?.version.hasBackoff == true ? UInt64(max(0, milliseconds)) / 1_000 : nil
        return .init(topic: topic, backoffSeconds: seconds)
    }

    func forward(_ encoded: [UInt8], to recipients: [PeerID]) -> [GossipSubAction] {
        guard !recipients.isEmpty else { return [] }
        var rpc = GossipSubRPC()
        rpc.messages = [encoded]
        return [.send(rpc, to: recipients)]
    }

    // MARK: Queries

    /// The topics that this node subscribes to, in order of subscription.
    public var topics: [String] { meshes.topics }

    /// The peers in the mesh of a topic.
    public func meshPeers(_ topic: String) -> [PeerID] { Array(meshes[topic] ?? []) }

    /// The peers known to be subscribed to a topic.
    public func peers(of topic: String) -> [PeerID] { Array(peers.peers(of: topic)) }

    /// Whether the router serves a peer.
    public func isConnected(_ peer: PeerID) -> Bool { peers[peer] != nil }

    /// All peers that the router serves.
    public var connectedPeers: [PeerID] { Array(peers.peers.keys) }

    /// How full the tables are.
    public var occupancy: GossipSubOccupancy {
        GossipSubOccupancy(
            peers: peers.count, peerTopics: peers.topicCount, meshes: meshes.count, fanouts: fanouts.count,
            backoffs: meshes.backoffCount, cachedMessages: cache.count, cachedBytes: cache.bytes, seen: seen.count,
            promises: promises.count, pendingValidations: pending.count, pendingBytes: pending.bytes,
            scores: scoring.recordCounts.connected, departedScores: scoring.recordCounts.departed)
    }
}
