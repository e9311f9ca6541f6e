import Determinism
import Multiformats

/// Until when this node and a peer may not graft each other in a topic; bounded, the back-off that ends soonest makes
/// room.
struct BackoffTable: Sendable {
    struct Key: Hashable, Comparable, Sendable {
        var topic: ExactText
        var peer: PeerID

        static func < (left: Key, right: Key) -> Bool {
            if left.topic == right.topic { return left.peer < right.peer }
            return left.topic.text.utf8.lexicographicallyPrecedes(right.topic.text.utf8)
        }
    }

    private let entriesMax: Int
    private var ends: [Key: MonotonicInstant] = [:]

    init(entriesMax: Int) {
        self.entriesMax = max(1, entriesMax)
    }

    var count: Int { ends.count }

    func end(topic: String, peer: PeerID) -> MonotonicInstant? {
        ends[Key(topic: ExactText(topic), peer: peer)]
    }

    /// Starts a back-off, or extends a running one; never shortens it.
    mutating func start(topic: String, peer: PeerID, until: MonotonicInstant) {
        let key = Key(topic: ExactText(topic), peer: peer)
        if let running = ends[key], running >= until { return }
        if ends[key] == nil, ends.count >= entriesMax {
            // The key breaks ties, so that two runs of a simulation forget the same entry.
            if let soonest = ends.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }) { ends[soonest.key] = nil }
        }
        ends[key] = until
    }

    /// Forgets what ended at least `slackMilliseconds` ago.
    mutating func expire(now: MonotonicInstant, slackMilliseconds: Int64) {
        ends = ends.filter { $0.value.advanced(milliseconds: slackMilliseconds) > now }
    }

    func checkInvariants() {
        precondition(ends.count <= entriesMax, "\(ends.count) back-offs of \(entriesMax)")
    }
}
