import Determinism
import MeshTypes

/// The heads of the anchored DAG that were not announced yet, and the jobs that they came from: one announcement tells
/// of all that came within `pauseMilliseconds`.
struct HeadsBatch: Sendable {
    /// From the first job to the announcement, in milliseconds.
    static let pauseMilliseconds: Int64 = 100

    private var heads: AnchorHeadsV1?
    private var jobs: [JobID] = []
    /// When they are to be announced.
    private(set) var nextDeadline: MonotonicInstant?

    /// Takes the heads as a job has made them.
    mutating func add(_ heads: AnchorHeadsV1, of job: JobID, now: MonotonicInstant) {
        self.heads = heads
        jobs.append(job)
        if nextDeadline == nil { nextDeadline = now.advanced(milliseconds: Self.pauseMilliseconds) }
    }

    /// What is to be announced now.
    mutating func due(now: MonotonicInstant) -> (heads: AnchorHeadsV1, jobs: [JobID])? {
        guard let at = nextDeadline, at <= now, let heads else { return nil }
        defer { self = HeadsBatch() }
        return (heads, jobs)
    }
}
