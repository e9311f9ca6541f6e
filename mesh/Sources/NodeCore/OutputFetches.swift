import Determinism
import JobMarket
import MeshTypes
import Multiformats

/// One output to fetch from its executor.
package struct OutputRequest: Hashable, Sendable {
    /// The receipt that names it.
    package let receipt: CID
    /// The file.
    package let cid: CID
    /// Its executor.
    package let peer: PeerID
    /// The most bytes that it may have.
    package let bytesMax: Int
}

/// What came of asking for an output.
package enum OutputAnswer: Sendable {
    /// It is here, of so many bytes; these of its blocks are not on the disk yet.
    case here(bytes: Int, blocks: [MadeBlock])
    /// It is not here; whether that may be different in a while.
    case missing(mayPass: Bool)
}

/// The outputs of receipts, fetched one after the other until all are here, or their time is over, or nobody waits for
/// them any more. One that cannot be had is asked for again with a growing pause: its executor may be starting again.
struct OutputFetches: Sendable {
    /// The bounds of asking again.
    struct Limits: Sendable {
        /// Between two attempts to fetch an output, in milliseconds; doubles up to the maximum.
        var pauseMilliseconds: Int64 = 100
        /// The longest pause between two attempts, in milliseconds.
        var pauseMillisecondsMax: Int64 = 5_000
    }

    /// What is known of a receipt's outputs once none is left to fetch.
    struct End: Sendable {
        let job: JobID
        let receipt: CID
        let missing: [CID]
        let blocks: [MadeBlock]
    }

    /// What is to be done next.
    enum Step: Sendable {
        case ask(OutputRequest)
        case end(End)
    }

    private struct Fetch: Sendable {
        let job: JobID
        let peer: PeerID
        let until: MonotonicInstant
        var wanted: ArraySlice<CID>
        var bytesLeft: Int
        var missing: [CID] = []
        var blocks: [MadeBlock] = []
        var pauseMilliseconds: Int64
        var askAgainAt: MonotonicInstant?
    }

    let limits: Limits
    private var fetches: [CID: Fetch] = [:]

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// When the next output is to be asked for again.
    var nextDeadline: MonotonicInstant? { fetches.values.lazy.compactMap(\.askAgainAt).min() }

    /// The job of a receipt whose outputs are being fetched.
    func job(of receipt: CID) -> JobID? { fetches[receipt]?.job }

    /// Begins with the outputs of a receipt, of at most so many bytes together.
    mutating func begin(
        _ job: JobID, receipt: CID, from peer: PeerID, _ cids: [CID], bytesMax: Int, until: MonotonicInstant
    ) -> Step? {
        guard fetches[receipt] == nil else { return nil }
        fetches[receipt] = Fetch(
            job: job, peer: peer, until: until, wanted: cids[...], bytesLeft: bytesMax,
            pauseMilliseconds: limits.pauseMilliseconds)
        return next(receipt)
    }

    /// An output was asked for.
    mutating func answered(_ request: OutputRequest, _ answer: OutputAnswer, now: MonotonicInstant) -> Step? {
        guard var fetch = fetches[request.receipt], fetch.wanted.first == request.cid, fetch.askAgainAt == nil else {
            return nil
        }
        switch answer {
        case .here(let bytes, let blocks):
            fetch.bytesLeft = max(0, fetch.bytesLeft - bytes)
            fetch.blocks += blocks
        case .missing(let mayPass):
            let again = now.advanced(milliseconds: fetch.pauseMilliseconds)
            if mayPass, again < fetch.until {
                fetch.pauseMilliseconds = min(2 * fetch.pauseMilliseconds, limits.pauseMillisecondsMax)
                fetch.askAgainAt = again
                fetches[request.receipt] = fetch
                return nil
            }
            fetch.missing.append(request.cid)
        }
        fetch.wanted.removeFirst()
        fetch.pauseMilliseconds = limits.pauseMilliseconds
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

    /// Nobody waits for the outputs of a receipt any more.
    mutating func drop(_ receipt: CID) { fetches[receipt] = nil }

    private mutating func next(_ receipt: CID) -> Step? {
        guard let fetch = fetches[receipt] else { return nil }
        if let cid = fetch.wanted.first {
            return .ask(OutputRequest(receipt: receipt, cid: cid, peer: fetch.peer, bytesMax: fetch.bytesLeft))
        }
        fetches[receipt] = nil
        return .end(End(job: fetch.job, receipt: receipt, missing: fetch.missing, blocks: fetch.blocks))
    }
}
