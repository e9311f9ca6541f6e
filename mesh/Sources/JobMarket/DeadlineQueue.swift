import Determinism
import HeapModule
import MeshTypes

/// Named deadlines in order: setting a name again moves it; equal instants come in the order in which they were set.
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
    /// The end of an originated job's phase.
    case phase(JobID)
    /// The end of the bid window.
    case window(JobID)
    /// The time up to which it is worth waiting for those that have not bid.
    case worth(JobID)
    /// The next announcement of the job.
    case reannounce(JobID)
    /// The end of the live attempt's lease.
    case lease(JobID)
    /// The time at which the live attempt of a job is slow.
    case hedge(JobID)
    /// The latest time for the outputs of the receipt that waits longest.
    case outputs(JobID)
    /// The end of the job's whole time.
    case whole(JobID)
    /// The end of sending a job's settlements.
    case notices(JobID)
    /// The latest time for publishing the anchored heads.
    case anchor(JobID, JobRole)
    /// The end of an open bid of this node.
    case bidExpiry(JobID)
    /// The next status update.
    case heartbeat(JobID)
    /// The latest time for a job's next blocks.
    case fetching(JobID)
    /// The time to give up a run.
    case giveUp(JobID)
    /// The end of offering a receipt.
    case receiptDelivery(JobID)
    /// The latest time for the settlement.
    case settlement(JobID)
    /// The time at which a result goes to the arbiter of its hold.
    case lodging(JobID)
    /// The end of remembering a run that ended.
    case linger(JobID)
    /// The time to retry a direct message, or to give it up.
    case delivery(DeliveryID)
}
