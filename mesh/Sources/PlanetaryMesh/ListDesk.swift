import Determinism
import JobMarket
import MeshStore
package import Multiformats
package import NodeAPI
import Synchronization

/// Lists and counts what the store has of the past.
package final class ListDesk: Sendable {
    /// The bounds of what is kept of answers.
    struct Limits {
        /// Counts that are kept, by their questions.
        var countsMax = 8
        /// How long a count serves everybody who asks the same, in milliseconds, where its parts are short.
        var freshMilliseconds: Int64 = 5_000
        /// The same, where a part is an hour or more.
        var longFreshMilliseconds: Int64 = 60_000
    }

    private struct Counted {
        let view: ActivityView
        let at: Int64
    }

    private let auditor: ReceiptAuditor
    private let limits: Limits
    private let counts = Mutex<[ActivityQuery: Counted]>([:])

    init(auditor: ReceiptAuditor, limits: Limits = Limits()) {
        self.auditor = auditor
        self.limits = limits
    }

    /// How many counts are kept.
    var countsKept: Int { counts.withLock(\.count) }

    /// Outcomes of bids that came to nothing.
    private static let lostBids: [JobOutcome] = [.lost, .refused, .lapsed, .undelivered, .declined]

    /// What ended and what was booked in a time. Counting reads each row, so dashboards that ask the same within some
    /// seconds share one answer.
    func activity(_ query: ActivityQuery) async throws(NodeServiceError) -> ActivityView {
        let now = NodeClock.now.nanoseconds / 1_000_000
        let hour: UInt64 = 3_600_000
        let age = query.stepMilliseconds < hour ? limits.freshMilliseconds : limits.longFreshMilliseconds
        if let kept = counts.withLock({ $0[query] }), now - kept.at < age { return kept.view }
        var filter = JobFilter()
        filter.withoutKeysFrom = ReplicaKey.prefix
        let store = auditor.store
        let rows = try await stored { [filter] () throws(MeshStoreError) in
            try await store.persisted()
            return try await ActivityRows(
                from: query.from, step: query.stepMilliseconds, parts: query.parts, of: filter,
                without: Self.lostBids.map(\.rawValue), in: store)
        }
        let parts = rows.parts.map { row in
            var part = ActivityView.Part()
            (part.succeeded, part.endedOtherwise) = (row.succeeded, row.endedOtherwise)
            (part.earned, part.paid) = (row.earned, row.paid)
            return part
        }
        let view = ActivityView(
            from: query.from, stepMilliseconds: query.stepMilliseconds, parts: parts, isWhole: rows.isWhole)
        counts.withLock { counts in
            if counts[query] == nil, counts.count >= limits.countsMax,
                let oldest = counts.min(by: { $0.value.at < $1.value.at })?.key
            {
                counts[oldest] = nil
            }
            counts[query] = Counted(view: view, at: now)
        }
        return view
    }

    /// The proofs of fraud that this node made, newest first; or those against one receipt.
    func proofs(against receipt: CID?, limit: Int) async throws(NodeServiceError) -> [ProofView] {
        try await ProofDesk(auditor: auditor).proofs(against: receipt, limit: limit)
    }
}

/// Who lists and counts what its store has, by the desk for that.
package protocol ListKeeper: Sendable {
    /// Lists and counts.
    var lists: ListDesk { get }
}

extension ListKeeper {
    package func activity(_ query: ActivityQuery) async throws(NodeServiceError) -> ActivityView {
        try await lists.activity(query)
    }

    package func proofs(against receipt: CID?, limit: Int) async throws(NodeServiceError) -> [ProofView] {
        try await lists.proofs(against: receipt, limit: limit)
    }
}
