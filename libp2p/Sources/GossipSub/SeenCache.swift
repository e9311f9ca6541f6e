import DequeModule
import Determinism

/// Recently seen messages; bounded in time and number, the oldest make room.
struct SeenCache: Sendable {
    private let entriesMax: Int
    private let lifetimeMilliseconds: Int64
    private var members: Set<MessageID> = []
    private var order: Deque<(id: MessageID, expires: MonotonicInstant)> = []

    init(entriesMax: Int, lifetimeMilliseconds: Int64) {
        self.entriesMax = max(1, entriesMax)
        self.lifetimeMilliseconds = lifetimeMilliseconds
    }

    var count: Int { members.count }

    func contains(_ id: MessageID) -> Bool { members.contains(id) }

    /// Remembers an ID from its first sight; seeing it again prolongs nothing.
    mutating func insert(_ id: MessageID, now: MonotonicInstant) {
        guard members.insert(id).inserted else { return }
        order.append((id, now.advanced(milliseconds: lifetimeMilliseconds)))
        if order.count > entriesMax, let oldest = order.popFirst() { members.remove(oldest.id) }
    }

    mutating func expire(now: MonotonicInstant) {
        while let oldest = order.first, oldest.expires <= now {
            order.removeFirst()
            members.remove(oldest.id)
        }
    }

    func checkInvariants() {
        precondition(members.count == order.count, "seen cache has \(members.count) members, \(order.count) in order")
        precondition(members.count <= entriesMax, "seen cache holds \(members.count) of \(entriesMax)")
    }
}
