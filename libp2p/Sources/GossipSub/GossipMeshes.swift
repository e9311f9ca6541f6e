import Determinism
import Multiformats
import OrderedCollections

/// The meshes of this node's topics: which peers get every message at once, and the back-offs that keep others out.
///
/// The router asks it who may come in and who has to go, and tells the peers.
struct GossipMeshes: Sendable {
    /// What becomes of a peer's GRAFT.
    enum Graft: Hashable {
        /// This node does not follow the topic.
        case unknownTopic
        /// It is in the mesh already.
        case known
        /// It did not wait for the end of its back-off, or not even as long as nobody sends by mistake.
        case tooSoon(isFlood: Bool)
        /// It is pruned: its score is negative, or the mesh is full.
        case refused
        /// It is in the mesh.
        case taken
    }

    private let parameters: GossipSubParameters
    private let limits: GossipSubRouter.Limits
    /// The meshes by topic, in the order in which this node subscribed.
    private(set) var all = TopicTable<OrderedSet<PeerID>>()
    private var backoffs: BackoffTable

    init(parameters: GossipSubParameters, limits: GossipSubRouter.Limits) {
        self.parameters = parameters
        self.limits = limits
        backoffs = BackoffTable(entriesMax: limits.backoffsMax)
    }

    var topics: [String] { all.keys }
    var count: Int { all.count }
    var backoffCount: Int { backoffs.count }

    /// The mesh of a topic; nil where this node does not follow it.
    subscript(topic: String) -> OrderedSet<PeerID>? { all[topic] }

    // MARK: Topics

    /// Begins an empty mesh.
    mutating func begin(_ topic: String) { all[topic] = [] }

    /// Ends a mesh: the peers that were in it, each with a back-off.
    mutating func end(_ topic: String, now: MonotonicInstant) -> OrderedSet<PeerID>? {
        guard let mesh = all.removeValue(forKey: topic) else { return nil }
        for peer in mesh {
            startBackoff(topic, peer, milliseconds: parameters.unsubscribeBackoffMilliseconds, now: now)
        }
        return mesh
    }

    // MARK: Peers

    /// Puts a peer into a mesh that has room; whether it is new in it.
    mutating func add(_ peer: PeerID, to topic: String) -> Bool {
        guard let mesh = all[topic], mesh.count < limits.meshPeersMax else { return false }
        return all[topic]?.append(peer).inserted ?? false
    }

    /// Takes a peer out of one mesh, without a back-off.
    mutating func remove(_ peer: PeerID, from topic: String) { all[topic]?.remove(peer) }

    /// Takes a peer out of all meshes.
    mutating func remove(_ peer: PeerID) { for topic in all.keys { all[topic]?.remove(peer) } }

    /// Takes a peer out, which is pruned and may not come back for a while.
    mutating func prune(_ peer: PeerID, from topic: String, now: MonotonicInstant) {
        all[topic]?.remove(peer)
        startBackoff(topic, peer, milliseconds: parameters.pruneBackoffMilliseconds, now: now)
    }

    /// A peer asks to be in a mesh.
    mutating func graftArrived(
        _ topic: String, from peer: PeerID, _ peers: PeerTable, _ scoring: PeerScoring, now: MonotonicInstant
    ) -> Graft {
        guard let mesh = all[topic] else { return .unknownTopic }
        if mesh.contains(peer) { return .known }
        if let end = backoffs.end(topic: topic, peer: peer), end > now {
            let sinceFlood = now.advanced(
                milliseconds: parameters.pruneBackoffMilliseconds - parameters.graftFloodMilliseconds)
            return .tooSoon(isFlood: end > sinceFlood)
        }
        // The specification admits every outbound peer to a full mesh. A node that dialed all its peers would then
        // admit them all, prune most at the heartbeat, and be in back-off with the rest of the network for a minute.
        // D_out of them are enough against strangers that fill the mesh.
        let isFull =
            mesh.count >= parameters.meshDegreeHigh
            && (peers[peer]?.isOutbound != true || outboundCount(in: topic, peers) >= parameters.meshDegreeOutbound)
        guard scoring.score(of: peer) >= 0, !isFull, add(peer, to: topic) else { return .refused }
        return .taken
    }

    /// A peer takes itself out, and asks for a back-off of so many seconds.
    mutating func pruneArrived(
        _ topic: String, from peer: PeerID, backoffSeconds: UInt64?, now: MonotonicInstant
    ) {
        // A back-off for a topic that this node never joined would let strangers fill memory.
        guard all[topic] != nil else { return }
        all[topic]?.remove(peer)
        let asked = backoffSeconds ?? 0
        let secondsMax = UInt64(max(0, parameters.pruneBackoffMillisecondsMax)) / 1_000
        let milliseconds =
            asked == 0 ? parameters.pruneBackoffMilliseconds : Int64(min(asked, secondsMax)) * 1_000
        startBackoff(topic, peer, milliseconds: milliseconds, now: now)
    }

    /// How many of a mesh's peers this node dialed.
    func outboundCount(in topic: String, _ peers: PeerTable) -> Int {
        (all[topic] ?? []).reduce(0) { $0 + (peers[$1]?.isOutbound == true ? 1 : 0) }
    }

    // MARK: Back-offs

    mutating func startBackoff(_ topic: String, _ peer: PeerID, milliseconds: Int64, now: MonotonicInstant) {
        let bounded = min(max(0, milliseconds), parameters.pruneBackoffMillisecondsMax)
        backoffs.start(topic: topic, peer: peer, until: now.advanced(milliseconds: bounded))
    }

    mutating func expireBackoffs(now: MonotonicInstant) {
        backoffs.expire(now: now, slackMilliseconds: parameters.backoffSlackMilliseconds)
    }

    /// Whether this node may graft the peer itself.
    func isGraftable(
        _ peer: PeerID, in topic: String, _ peers: PeerTable, _ scoring: PeerScoring, now: MonotonicInstant
    ) -> Bool {
        guard peers[peer]?.version.hasMesh == true, scoring.score(of: peer) >= 0 else { return false }
        guard let end = backoffs.end(topic: topic, peer: peer) else { return true }
        return end.advanced(milliseconds: parameters.backoffSlackMilliseconds) <= now
    }

    // MARK: Invariants

    func checkInvariants(_ peers: PeerTable) {
        backoffs.checkInvariants()
        precondition(count <= limits.ownTopicsMax, "\(count) own topics of \(limits.ownTopicsMax)")
        for (topic, mesh) in all {
            precondition(mesh.count <= limits.meshPeersMax, "mesh of \(topic) has \(mesh.count) peers")
            for peer in mesh {
                precondition(peers[peer]?.version.hasMesh == true, "mesh of \(topic) has the stranger \(peer)")
            }
        }
    }
}
