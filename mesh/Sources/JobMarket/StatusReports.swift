import Determinism
import MeshTypes

/// The reports on runs to their originators, sent and waiting. Not journalled.
///
/// One report of a run is under way at a time, and only the newest waits behind it. There is none in the first moments
/// of an assignment: most runs end within them, and the receipt says more. Every report has the latest progress.
struct StatusReports: Sendable {
    private struct Run: Sendable {
        /// The number of the last report; it only grows, also across a restart.
        var sequence: UInt64 = 0
        /// Whether a report was sent and not answered yet.
        var isUnderWay = false
        /// The newest report, while another is under way.
        var waiting: JobStatusUpdateV1?
        /// Until when nothing is reported.
        var quietUntil = MonotonicInstant.zero
        /// When the last report was made.
        var reportedAt: MonotonicInstant?
        /// What the module last said about its progress.
        var progressPermille: UInt64?
    }

    private var runs: [JobID: Run] = [:]

    /// How long after the assignment nothing is reported.
    static func quietMilliseconds(_ assignment: Assignment, _ limits: MarketLimits) -> UInt64 {
        min(limits.statusQuietMilliseconds, assignment.leaseMilliseconds / 3)
    }

    /// Notes an accepted assignment.
    mutating func begin(_ job: JobID, quietUntil: MonotonicInstant) {
        runs[job] = Run(quietUntil: quietUntil)
    }

    /// Notes what a module said about its progress.
    mutating func progressed(_ job: JobID, permille: UInt64) { runs[job, default: Run()].progressPermille = permille }

    /// Numbers a report; returns it if it has to be sent now.
    mutating func add(
        _ update: JobStatusUpdateV1, now: MonotonicInstant, steady: UnixMilliseconds
    ) -> JobStatusUpdateV1? {
        let job = update.jobID
        var run = runs[job] ?? Run()
        guard now >= run.quietUntil else { return nil }
        var update = update
        run.sequence = max(run.sequence &+ 1, steady.value)
        update.sequence = run.sequence
        run.reportedAt = now
        update.progressPermille = run.progressPermille
        let isFree = !run.isUnderWay
        run.isUnderWay = true
        if !isFree { run.waiting = update }
        runs[job] = run
        return isFree ? update : nil
    }

    /// Whether a report was made since then.
    func hasReported(_ job: JobID, since: MonotonicInstant) -> Bool {
        runs[job]?.reportedAt.map { $0 > since } ?? false
    }

    /// Notes that a report was answered or lost; returns the one that waited behind it.
    mutating func answered(_ job: JobID) -> JobStatusUpdateV1? {
        let next = runs[job]?.waiting
        runs[job]?.waiting = nil
        runs[job]?.isUnderWay = next != nil
        return next
    }

    /// Lets the next report leave even if the last one was never answered; `false` if there was none yet.
    mutating func stopWaiting(_ job: JobID) -> Bool {
        runs[job]?.isUnderWay = false
        return runs[job]?.sequence ?? 0 > 0
    }

    /// Drops the reports of a run that ended.
    mutating func end(_ job: JobID) { runs[job] = nil }
}
