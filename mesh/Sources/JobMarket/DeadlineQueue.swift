import Determinism
import HeapModule
import MeshTypes

/// Named deadlines with one earliest: setting a name again moves it; equal instants come in the order in which they
/// were set.
struct DeadlineQueue<Name: Hashable & Sendable>: Sendable {
    private struct Item: Comparable, Sendable {
        let at: MonotonicInstant
        let order: UInt64
        let name: Name

        static func < (left: Item, right: Item) -> Bool {
            left.at != right.at ? left.at < right.at : left.order < right.order
        }

        static func == (left: Item, right: Item) -> Bool {
            left.at == right.at && left.order == right.order
        }
    }

    private var heap = Heap<Item>()
    private var current: [Name: UInt64] = [:]
    private var order: UInt64 = 0

    /// The earliest deadline that is still set.
    var next: MonotonicInstant? { heap.min?.at }

    /// The number of deadlines that are set.
    var count: Int { current.count }

    func contains(_ name: Name) -> Bool { current[name] != nil }

    mutating func set(_ name: Name, at instant: MonotonicInstant) {
        order += 1
        current[name] = order
        heap.insert(Item(at: instant, order: order, name: name))
        dropStale()
        if heap.count > 64 + 4 * current.count { rebuild() }
    }

    mutating func clear(_ name: Name) {
        guard current.removeValue(forKey: name) != nil else { return }
        dropStale()
    }

    /// Takes out the earliest deadline that is not after `now`.
    mutating func popDue(_ now: MonotonicInstant) -> Name? {
        guard let item = heap.min, item.at <= now else { return nil }
        heap.removeMin()
        current.removeValue(forKey: item.name)
        dropStale()
        return item.name
    }

    private mutating func dropStale() {
        while let item = heap.min, current[item.name] != item.order { heap.removeMin() }
    }

    private mutating func rebuild() {
        var live = Heap<Item>()
        for item in heap.unordered where current[item.name] == item.order { live.insert(item) }
        heap = live
    }
}

/// What the market waits for.
enum MarketTimer: Hashable, Sendable {
    /// The phase of an originated job is over.
    case phase(JobID)
    /// The bid window is over.
    case window(JobID)
    /// The job is announced again.
    case reannounce(JobID)
    /// The lease of the live attempt is over.
    case lease(JobID)
    /// The outputs of the receipt that waits longest are overdue.
    case outputs(JobID)
    /// The job's whole time is over.
    case whole(JobID)
    /// The settlements of a job were told long enough.
    case notices(JobID)
    /// The anchored heads should have been published.
    case anchor(JobID, JobRole)
    /// An open bid of this node lapses.
    case bidExpiry(JobID)
    /// The next status update is due.
    case heartbeat(JobID)
    /// The blocks of a job have not come fast enough.
    case fetching(JobID)
    /// A run is given up.
    case giveUp(JobID)
    /// A receipt was offered long enough.
    case receiptDelivery(JobID)
    /// The settlement is overdue.
    case settlement(JobID)
    /// An ended run need not be remembered any longer.
    case linger(JobID)
    /// A direct message is due again, or given up.
    case delivery(DeliveryID)
}
