import Determinism
import OrderedCollections
import SignedObjects

/// Executors that took a job lately and gave nothing for it: their bids rank last for a while. Not written down, since
/// it only orders bids, and a restart costs an attacker nothing but its own time.
struct FailedExecutors: Sendable {
    private var until: OrderedDictionary<DID, MonotonicInstant> = [:]

    /// Whether an executor's bids rank last now.
    func contains(_ executor: DID, now: MonotonicInstant) -> Bool {
        until[executor].map { now < $0 } ?? false
    }

    /// An executor failed; beyond `max` the one whose failure is longest ago is forgotten.
    mutating func insert(_ executor: DID, until date: MonotonicInstant, max: Int) {
        until[executor] = nil
        until[executor] = date
        if until.count > max { until.removeFirst() }
    }

    /// An executor did its part after all.
    mutating func remove(_ executor: DID) { until[executor] = nil }
}
