import Determinism
import OrderedCollections

/// What failed lately, each for a while, the newest ones: executors that accepted a job and delivered nothing, whose
/// bids rank last; modules that crashed the engine. Not journalled: it only orders and declines, and forgetting it in a
/// restart does little harm.
struct RecentFailures<Key: Hashable & Sendable>: Sendable {
    private var until: OrderedDictionary<Key, MonotonicInstant> = [:]

    /// Whether it failed lately.
    func contains(_ key: Key, now: MonotonicInstant) -> Bool {
        until[key].map { now < $0 } ?? false
    }

    /// Notes a failure, which shortens no earlier one; beyond `max`, forgets the one that is oldest.
    mutating func insert(_ key: Key, until date: MonotonicInstant, max: Int) {
        let known = until.removeValue(forKey: key) ?? date
        until[key] = known < date ? date : known
        if until.count > max { until.removeFirst() }
    }

    /// Notes that it did its part after all.
    mutating func remove(_ key: Key) { until[key] = nil }
}
