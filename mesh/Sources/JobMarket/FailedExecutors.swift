import Determinism
import OrderedCollections
import SignedObjects

/// Executors that lately accepted a job and delivered nothing: their bids rank last for a while. Not journalled, since
/// it only orders bids, and forgetting it in a restart does little harm.
struct FailedExecutors: Sendable {
    private var until: OrderedDictionary<DID, MonotonicInstant> = [:]

    /// Whether an executor's bids rank last now.
    func contains(_ executor: DID, now: MonotonicInstant) -> Bool {
        until[executor].map { now < $0 } ?? false
    }

    /// Notes a failed executor; beyond `max`, forgets the one whose failure is oldest.
    mutating func insert(_ executor: DID, until date: MonotonicInstant, max: Int) {
        until[executor] = nil
        until[executor] = date
        if until.count > max { until.removeFirst() }
    }

    /// Notes that an executor did its part after all.
    mutating func remove(_ executor: DID) { until[executor] = nil }
}
