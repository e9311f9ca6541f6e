import Multiformats
import NodeAPI
import Synchronization

/// The results of jobs that the market has forgotten, as listings read them from their journals: nothing changes them.
final class EndedResults: Sendable {
    /// How many are kept; with more, all are read again.
    static let resultsMax = 4_096

    private let known = Mutex<[CID: JobResult]>([:])

    /// How many are kept now.
    var count: Int { known.withLock(\.count) }

    /// The result of a job that was read before.
    subscript(job: CID) -> JobResult? { known.withLock { $0[job] } }

    /// Keeps the result of a job.
    func keep(_ result: JobResult, of job: CID) {
        known.withLock { known in
            if known.count >= Self.resultsMax { known.removeAll() }
            known[job] = result
        }
    }
}
