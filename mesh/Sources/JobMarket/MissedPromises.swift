import DequeModule
import Determinism
import SignedObjects

/// Executors that lately gave a result, or began a run, later than their bids had promised, as this node measured it.
/// Not journalled: it is forgotten with a restart, after a while, and with the next promise that is kept.
///
/// By how much an executor was late is added to what its next bids promise, where a job has a deadline; and its
/// reputation counts half when bids are compared. No more follows: it did the work.
struct MissedPromises: Sendable {
    /// The bounds of what is remembered.
    struct Limits: Sendable {
        /// Executors; for one more the eldest is forgotten.
        var executorsMax = 1_024
        /// How long it is remembered, in milliseconds.
        var rememberedMilliseconds: Int64 = 3_600_000
        /// What is no miss, in milliseconds: messages take their time.
        var slackMilliseconds: UInt64 = 1_000
    }

    /// When things were promised and when they came, in milliseconds since the assignment.
    struct Measured: Hashable, Sendable {
        /// When the run was to begin at the latest, with fetching and compiling as the bidder planned them.
        let beginsBy: UInt64
        /// When the result was to be here; `nil` if that is its user's doing.
        let endsBy: UInt64?
        /// When the run began, as far as this node heard.
        let began: UInt64
        /// When the receipt came.
        let ended: UInt64

        /// By how much it was later than promised.
        var lateMilliseconds: UInt64 {
            let late = began - min(began, beginsBy)
            return max(late, endsBy.map { ended - min(ended, $0) } ?? 0)
        }
    }

    let limits: Limits
    private var late: [DID: (milliseconds: UInt64, until: MonotonicInstant)] = [:]
    private var order = Deque<DID>()

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// How many executors are remembered.
    var count: Int { late.count }

    /// Notes how an executor kept its promise.
    mutating func measured(_ executor: DID, _ measured: Measured, now: MonotonicInstant) {
        let milliseconds = measured.lateMilliseconds
        guard milliseconds > limits.slackMilliseconds else {
            if late.removeValue(forKey: executor) != nil { order.removeAll { $0 == executor } }
            return
        }
        let until = now.advanced(milliseconds: limits.rememberedMilliseconds)
        if late.updateValue((milliseconds, until), forKey: executor) == nil {
            order.append(executor)
            if order.count > limits.executorsMax, let eldest = order.popFirst() { late[eldest] = nil }
        }
    }

    /// By how much an executor was late the last time, if that was not long ago.
    func lateMilliseconds(of executor: DID, now: MonotonicInstant) -> UInt64 {
        guard let known = late[executor], now < known.until else { return 0 }
        return known.milliseconds
    }
}
