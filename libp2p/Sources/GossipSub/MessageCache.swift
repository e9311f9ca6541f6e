import DequeModule
import Multiformats

/// The messages of the last heartbeats, for IHAVE and IWANT; bounded in number and bytes.
struct MessageCache: Sendable {
    private struct Entry: Sendable {
        var encoded: [UInt8]
        var retransmissions: [PeerID: Int] = [:]
    }

    private struct Place: Sendable {
        var id: MessageID
        var topic: String
        var window: UInt64
    }

    private let historyWindows: UInt64
    private let gossipWindows: UInt64
    private let messagesMax: Int
    private let bytesMax: Int
    private var entries: [MessageID: Entry] = [:]
    private var order: Deque<Place> = []
    private var window: UInt64 = 0
    private(set) var bytes = 0

    init(parameters: GossipSubParameters, limits: GossipSubRouter.Limits) {
        historyWindows = UInt64(max(1, parameters.historyWindows))
        gossipWindows = UInt64(max(1, parameters.gossipWindows))
        messagesMax = limits.cacheMessagesMax
        bytesMax = limits.cacheBytesMax
    }

    var count: Int { order.count }

    mutating func insert(_ id: MessageID, topic: String, encoded: [UInt8]) {
        guard entries[id] == nil, encoded.count <= bytesMax, messagesMax > 0 else { return }
        while order.count >= messagesMax || bytes + encoded.count > bytesMax { removeOldest() }
        entries[id] = Entry(encoded: encoded)
        order.append(Place(id: id, topic: topic, window: window))
        bytes += encoded.count
    }

    private mutating func removeOldest() {
        guard let oldest = order.popFirst(), let entry = entries.removeValue(forKey: oldest.id) else { return }
        bytes -= entry.encoded.count
    }

    /// The IDs to announce, by topic, oldest first.
    func recentIDs() -> [ExactText: [MessageID]] {
        var found: [ExactText: [MessageID]] = [:]
        for place in order.reversed() {
            guard place.window + gossipWindows > window else { break }
            found[ExactText(place.topic), default: []].append(place.id)
        }
        return found.mapValues { $0.reversed() }
    }

    /// The message for an IWANT of `peer`, and how often the peer got it before; `nil` if it is gone.
    func message(_ id: MessageID, for peer: PeerID) -> (encoded: [UInt8], retransmissions: Int)? {
        entries[id].map { ($0.encoded, $0.retransmissions[peer] ?? 0) }
    }

    mutating func retransmitted(_ id: MessageID, to peer: PeerID) {
        entries[id]?.retransmissions[peer, default: 0] += 1
    }

    /// Opens a new window at a heartbeat, and drops what is older than the history.
    mutating func shift() {
        window += 1
        while let oldest = order.first, oldest.window + historyWindows <= window { removeOldest() }
    }

    func checkInvariants() {
        precondition(entries.count == order.count, "message cache has \(entries.count) entries, \(order.count) places")
        precondition(order.count <= messagesMax, "message cache holds \(order.count) messages of \(messagesMax)")
        precondition(bytes <= bytesMax, "message cache holds \(bytes) bytes of \(bytesMax)")
    }
}
