import Determinism
import MeshTypes

/// What the originators of runs are told of them, and what they are to be told next; nothing of it is written down.
///
/// One report of a run is under way at a time, and only the newest waits behind it. In the first moment of an
/// assignment there is none: most runs are over by then, and the receipt says more.
struct StatusReports: Sendable {
    private struct Run: Sendable {
        /// The number of the last report; it only grows, also over a restart.
        var sequence: UInt64 = 0
        /// Whether a report was sent and not answered yet.
        var isUnderWay = false
        /// The newest report, where one is under way.
        var waiting: JobStatusUpdateV1?
        /// Until when nothing is reported.
        var quietUntil = MonotonicInstant.zero
    }

    private var runs: [JobID: Run] = [:]

    /// From the assignment on, how long nothing is reported of its run.
    static func quietMilliseconds(_ assignment: Assignment, _ limits: MarketLimits) -> UInt64 {
        min(limits.statusQuietMilliseconds, assignment.leaseMilliseconds / 3)
    }

    /// An assignment was taken.
    mutating func begin(_ job: JobID, quietUntil: MonotonicInstant) {
        runs[job] = Run(quietUntil: quietUntil)
    }

    /// Numbers a report; gives it back where it is to be sent now.
    mutating func add(
        _ update: JobStatusUpdateV1, now: MonotonicInstant, steady: UnixMilliseconds
    ) -> JobStatusUpdateV1? {
        let job = update.jobID
        var run = runs[job] ?? Run()
        guard now >= run.quietUntil else { return nil }
        var update = update
        run.sequence = max(run.sequence &+ 1, steady.value)
        update.sequence = run.sequence
        let isFree = !run.isUnderWay
        run.isUnderWay = true
        if !isFree { run.waiting = update }
        runs[job] = run
        return isFree ? update : nil
    }

    /// A report was answered or lost; gives the one that waited behind it.
    mutating func answered(_ job: JobID) -> JobStatusUpdateV1? {
        let next = runs[job]?.waiting
        runs[job]?.waiting = nil
        runs[job]?.isUnderWay = next != nil
        return next
    }

    /// The next report goes out even where the last one was never answered; `false` where there was none yet.
    mutating func stopWaiting(_ job: JobID) -> Bool {
        runs[job]?.isUnderWay = false
        return runs[job]?.sequence ?? 0 > 0
    }

    /// The run is over.
    mutating func end(_ job: JobID) { runs[job] = nil }
}
