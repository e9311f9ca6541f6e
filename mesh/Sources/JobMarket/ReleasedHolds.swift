import Determinism
import Multiformats

/// Holds that this node gave up as it declined their assignments, as long as their bids can be taken up: else whoever
/// sends such an assignment again would have a run for nothing.
struct ReleasedHolds: Sendable {
    /// The most that are remembered; beyond, none is given up, and ends by itself.
    static let countMax = 1_024

    // BOUNDED: by `countMax`.
    private var until: [CID: MonotonicInstant] = [:]

    func contains(_ hold: CID) -> Bool { until[hold] != nil }

    /// Remembers one until a moment; `false` if there are too many.
    mutating func insert(_ hold: CID, until moment: MonotonicInstant, now: MonotonicInstant) -> Bool {
        if until.count >= Self.countMax { until = until.filter { $0.value > now } }
        guard until.count < Self.countMax else { return false }
        until[hold] = moment
        return true
    }
}
