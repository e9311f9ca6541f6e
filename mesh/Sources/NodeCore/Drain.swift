import Determinism
import JobMarket
import MeshTypes
import Multiformats

/// What a node that stops still waits for: the runs that were going on when it was asked to stop, until they have ended
/// and their receipts were answered, or their time is over.
struct Drain: Sendable {
    private let runs: [(assignment: CID, job: JobID)]
    private let until: MonotonicInstant
    private var isOver = false

    init(runs: [(assignment: CID, job: JobID)], until: MonotonicInstant) {
        self.runs = runs
        self.until = until
    }

    /// When it is over at the latest.
    var nextDeadline: MonotonicInstant? { isOver ? nil : until }

    /// The number of runs that are waited for, by what the market knows of them.
    func unfinishedCount(_ market: JobMarket, isUnderWay: (CID) -> Bool) -> Int {
        runs.count { assignment, id in
            if isUnderWay(assignment) { return true }
            guard let job = market.executedJob(id), job.assignmentCID == assignment, !job.isClosed else { return false }
            return job.receipt == nil || job.delivery == nil
        }
    }

    /// Whether nothing is waited for any more; said once, with the number of runs that are left.
    mutating func ended(unfinished: Int, now: MonotonicInstant) -> Int? {
        guard !isOver, unfinished == 0 || now >= until else { return nil }
        isOver = true
        return unfinished
    }
}
