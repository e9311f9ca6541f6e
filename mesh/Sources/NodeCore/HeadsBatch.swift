import Determinism
import MeshTypes

/// The heads of the anchored DAG not yet announced, and the jobs they came from: one announcement covers all that came
/// within `pauseMilliseconds`.
struct HeadsBatch: Sendable {
    /// From the first job to the announcement, in milliseconds.
    static let pauseMilliseconds: Int64 = 100

    private var heads: AnchorHeadsV1?
    private var jobs: [JobID] = []
    /// When to announce them.
    private(set) var nextDeadline: MonotonicInstant?

    /// Takes the heads that a job made.
    mutating func add(_ heads: AnchorHeadsV1, of job: JobID, now: MonotonicInstant) {
        self.heads = heads
        jobs.append(job)
        if nextDeadline == nil { nextDeadline = now.advanced(milliseconds: Self.pauseMilliseconds) }
    }

    /// What to announce now.
    mutating func due(now: MonotonicInstant) -> (heads: AnchorHeadsV1, jobs: [JobID])? {
        guard let at = nextDeadline, at <= now, let heads else { return nil }
        defer { self = HeadsBatch() }
        return (heads, jobs)
    }
}
