import Multiformats
import OrderedCollections

/// What a router knows about one peer.
struct GossipPeer: Sendable {
    /// The version it speaks.
    var version: GossipSubVersion
    /// Whether this node opened the connection.
    var isOutbound: Bool
    /// Its subscriptions, in the order of arrival.
    var topics: OrderedSet<ExactText> = []
    /// IHAVE entries since the last heartbeat.
    var ihaveEntries = 0
    /// IDs asked of it since the last heartbeat.
    var idsAsked = 0
    /// IDs it asked for since the last heartbeat.
    var idsWanted = 0
    /// Bytes sent for its IWANTs since the last heartbeat.
    var bytesRetransmitted = 0
}

/// The peers, also by topic.
struct PeerTable: Sendable {
    private let peersMax: Int
    private let topicsPerPeerMax: Int
    private(set) var peers: OrderedDictionary<PeerID, GossipPeer> = [:]
    /// The peers that get every message of their topics.
    private(set) var floodsubPeers: OrderedSet<PeerID> = []
    private var byTopic: [ExactText: OrderedSet<PeerID>] = [:]

    init(limits: GossipSubRouter.Limits) {
        peersMax = limits.peersMax
        topicsPerPeerMax = limits.topicsPerPeerMax
    }

    var count: Int { peers.count }
    var topicCount: Int { byTopic.count }

    subscript(peer: PeerID) -> GossipPeer? { peers[peer] }

    /// The peers of a topic, in the order they subscribed.
    func peers(of topic: String) -> OrderedSet<PeerID> { byTopic[ExactText(topic)] ?? [] }

    /// `false` when there is no room.
    mutating func insert(_ peer: PeerID, version: GossipSubVersion, isOutbound: Bool) -> Bool {
        guard peers[peer] != nil || peers.count < peersMax else { return false }
        peers[peer, default: GossipPeer(version: version, isOutbound: isOutbound)].version = version
        peers[peer]?.isOutbound = isOutbound
        if version.hasMesh { floodsubPeers.remove(peer) } else { floodsubPeers.append(peer) }
        return true
    }

    mutating func remove(_ peer: PeerID) {
        guard let gone = peers.removeValue(forKey: peer) else { return }
        floodsubPeers.remove(peer)
        for topic in gone.topics { leave(topic, peer) }
    }

    private mutating func leave(_ topic: ExactText, _ peer: PeerID) {
        byTopic[topic]?.remove(peer)
        if byTopic[topic]?.isEmpty == true { byTopic[topic] = nil }
    }

    /// `nil` when the peer may not subscribe to more; `false` when it was subscribed already.
    mutating func subscribe(_ peer: PeerID, to topic: String) -> Bool? {
        guard let known = peers[peer] else { return nil }
        let topic = ExactText(topic)
        if known.topics.contains(topic) { return false }
        guard known.topics.count < topicsPerPeerMax else { return nil }
        peers[peer]?.topics.append(topic)
        byTopic[topic, default: []].append(peer)
        return true
    }

    mutating func unsubscribe(_ peer: PeerID, from topic: String) {
        let topic = ExactText(topic)
        guard peers[peer]?.topics.remove(topic) != nil else { return }
        leave(topic, peer)
    }

    mutating func update(_ peer: PeerID, _ change: (inout GossipPeer) -> Void) {
        guard let index = peers.index(forKey: peer) else { return }
        change(&peers.values[index])
    }

    /// Resets the counts per heartbeat.
    mutating func heartbeat() {
        for index in peers.values.indices {
            peers.values[index].ihaveEntries = 0
            peers.values[index].idsAsked = 0
            peers.values[index].idsWanted = 0
            peers.values[index].bytesRetransmitted = 0
        }
    }

    func checkInvariants() {
        precondition(peers.count <= peersMax, "\(peers.count) peers of \(peersMax)")
        var subscriptions = 0
        for (peer, known) in peers {
            precondition(known.topics.count <= topicsPerPeerMax, "\(peer) has \(known.topics.count) topics")
            subscriptions += known.topics.count
        }
        let indexed = byTopic.values.reduce(0) { $0 + $1.count }
        precondition(indexed == subscriptions, "\(indexed) subscriptions by topic, \(subscriptions) by peer")
    }
}
