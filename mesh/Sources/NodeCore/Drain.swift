import Determinism
import JobMarket
import MeshTypes
import Multiformats

/// What a stopping node still waits for: the runs under way when it was asked to stop, until they have ended and their
/// receipts are answered, or their time is over.
struct Drain: Sendable {
    private let runs: [(assignment: CID, job: JobID)]
    private let until: MonotonicInstant
    private var isOver = false

    init(runs: [(assignment: CID, job: JobID)], until: MonotonicInstant) {
        self.runs = runs
        self.until = until
    }

    /// When it ends at the latest.
    var nextDeadline: MonotonicInstant? { isOver ? nil : until }

    /// The number of runs to wait for, as far as the market knows.
    func unfinishedCount(_ market: JobMarket, isUnderWay: (CID) -> Bool) -> Int {
        runs.count { assignment, id in
            if isUnderWay(assignment) { return true }
            guard let job = market.executedJob(id), job.assignmentCID == assignment, !job.isClosed else { return false }
            return job.receipt == nil || job.delivery == nil
        }
    }

    /// Reports once that nothing is left to wait for, with the number of remaining runs.
    mutating func ended(unfinished: Int, now: MonotonicInstant) -> Int? {
        guard !isOver, unfinished == 0 || now >= until else { return nil }
        isOver = true
        return unfinished
    }
}
