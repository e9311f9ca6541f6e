package import Determinism
import JobMarket
package import MeshTypes
package import Multiformats

/// One output to fetch from its executor.
package struct OutputRequest: Hashable, Sendable {
    /// The receipt that names it.
    package let receipt: CID
    /// The root of a file or folder.
    package let cid: CID
    /// Its executor.
    package let peer: PeerID
    /// The most bytes it may have; of a folder, its blocks together.
    package let bytesMax: Int
    /// The job, for which its blocks are kept.
    package var job: JobID?
    /// Whether it may be a folder, because the job has files.
    package var mayBeFolder = false
    /// When nobody waits for it any more; the fetch of a folder ends there.
    package var until: MonotonicInstant?
}

/// The result of asking for an output.
package enum OutputAnswer: Sendable {
    /// It is here, with this many bytes; these of its blocks are not on the disk yet.
    case here(bytes: Int, blocks: [MadeBlock])
    /// It is not here, and whether a retry may succeed.
    case missing(mayPass: Bool)
}

/// Why an output is not here.
package enum OutputObstacle: Hashable, Sendable {
    /// Nobody asked has it, or nobody answered.
    case notFound
    /// The node's disk has no room for it.
    case noRoom
    /// What came under its CID is not a file, or too large a one.
    case noFile
    /// The node's disk failed.
    case storageFailed
}

extension OutputAnswer {
    /// An output is not here; a retry may succeed if its executor is restarting or the node's disk is full.
    package static func missing(_ obstacle: OutputObstacle) -> OutputAnswer {
        switch obstacle {
        case .notFound, .noRoom: .missing(mayPass: true)
        case .noFile, .storageFailed: .missing(mayPass: false)
        }
    }
}

/// The outputs of receipts, fetched one after another until all are here, their time is over, or nobody waits for them
/// any more. It retries an unavailable one after growing pauses: the executor may be restarting.
struct OutputFetches: Sendable {
    /// The bounds of retries.
    struct Limits: Sendable {
        /// The pause between two attempts to fetch an output, in milliseconds; doubles up to the maximum.
        var pauseMilliseconds: Int64 = 100
        /// The longest pause between two attempts, in milliseconds.
        var pauseMillisecondsMax: Int64 = 5_000
    }

    /// The result for a receipt's outputs once none is left to fetch.
    struct End: Sendable {
        let job: JobID
        let receipt: CID
        let missing: [CID]
        let blocks: [MadeBlock]
    }

    /// What to do next.
    enum Step: Sendable {
        case ask(OutputRequest)
        case end(End)
    }

    private struct Fetch: Sendable {
        let job: JobID
        let peer: PeerID
        let mayBeFolders: Bool
        let until: MonotonicInstant
        var wanted: ArraySlice<CID>
        var bytesLeft: Int
        var missing: [CID] = []
        var blocks: [MadeBlock] = []
        var pause: RetryPause
        var askAgainAt: MonotonicInstant?
    }

    let limits: Limits
    private var fetches: [CID: Fetch] = [:]

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// When to retry the next output.
    var nextDeadline: MonotonicInstant? { fetches.values.lazy.compactMap(\.askAgainAt).min() }

    /// The job of a receipt whose outputs are being fetched.
    func job(of receipt: CID) -> JobID? { fetches[receipt]?.job }

    /// Begins with the outputs of a receipt, with this bound on their bytes together.
    mutating func begin(
        _ job: JobID, receipt: CID, from peer: PeerID, _ cids: [CID], bytesMax: Int, mayBeFolders: Bool = false,
        until: MonotonicInstant
    ) -> Step? {
        guard fetches[receipt] == nil else { return nil }
        fetches[receipt] = Fetch(
            job: job, peer: peer, mayBeFolders: mayBeFolders, until: until, wanted: cids[...], bytesLeft: bytesMax,
            pause: RetryPause(
                milliseconds: limits.pauseMilliseconds, millisecondsMax: limits.pauseMillisecondsMax, until: until))
        return next(receipt)
    }

    /// Notes the result of asking for an output.
    mutating func answered(_ request: OutputRequest, _ answer: OutputAnswer, now: MonotonicInstant) -> Step? {
        guard var fetch = fetches[request.receipt], fetch.wanted.first == request.cid, fetch.askAgainAt == nil else {
            return nil
        }
        switch answer {
        case .here(let bytes, let blocks):
            fetch.bytesLeft = max(0, fetch.bytesLeft - bytes)
            fetch.blocks += blocks
        case .missing(let mayPass):
            if mayPass, let pause = fetch.pause.next(now: now) {
                fetch.askAgainAt = now.advanced(milliseconds: pause)
                fetches[request.receipt] = fetch
                return nil
            }
            fetch.missing.append(request.cid)
        }
        fetch.wanted.removeFirst()
        fetch.pause.reset()
        fetches[request.receipt] = fetch
        return next(request.receipt)
    }

    /// The outputs whose pause is over.
    mutating func due(now: MonotonicInstant) -> [Step] {
        let receipts = fetches.filter { $0.value.askAgainAt.map { $0 <= now } ?? false }.keys.sorted()
        return receipts.compactMap { receipt in
            fetches[receipt]?.askAgainAt = nil
            return next(receipt)
        }
    }

    /// Drops the outputs of a receipt: nobody waits for them any more.
    mutating func drop(_ receipt: CID) { fetches[receipt] = nil }

    private mutating func next(_ receipt: CID) -> Step? {
        guard let fetch = fetches[receipt] else { return nil }
        if let cid = fetch.wanted.first {
            return .ask(
                OutputRequest(
                    receipt: receipt, cid: cid, peer: fetch.peer, bytesMax: fetch.bytesLeft, job: fetch.job,
                    mayBeFolder: fetch.mayBeFolders, until: fetch.until))
        }
        fetches[receipt] = nil
        return .end(End(job: fetch.job, receipt: receipt, missing: fetch.missing, blocks: fetch.blocks))
    }
}
