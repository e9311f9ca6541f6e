package import MeshTypes
package import Multiformats
package import SignedObjects

/// The assignments of a job in order; at most one is live.
struct Attempts: Hashable, Sendable {
    private(set) var all: [Attempt] = []

    /// The attempt that may still give the result.
    var live: Attempt? { all.last(where: \.isLive) }
    var hasLive: Bool { all.contains(where: \.isLive) }
    var isEmpty: Bool { all.isEmpty }
    var count: UInt64 { UInt64(all.count) }
    /// How the latest one ended.
    var lastEnd: AttemptEnd? { all.last?.end }
    /// Whether a superseded executor may still be running the job.
    var hasUnknown: Bool { all.contains(where: \.fateIsUnknown) }
    /// Attempts that ended with a receipt saying `node_failed`.
    var nodeFailures: Int {
        all.count { attempt in
            if case .nodeFailed(_, .nodeFailed) = attempt.end { !attempt.wasDeclined } else { false }
        }
    }

    /// Attempts that count against the number that a job may have: so many that were declined are none, nor are those
    /// that ended because the owner banned the executor.
    func used(declinesMax: UInt64) -> UInt64 {
        let declined = all.count { $0.wasDeclined && $0.end != .dropped }
        let dropped = all.count { $0.end == .dropped }
        return count - min(UInt64(declined), declinesMax) - UInt64(dropped)
    }

    /// Attempts that ended with a receipt saying that the engine crashed, one per executor.
    var crashes: [Attempt] {
        var executors: Set<DID> = []
        return all.filter { $0.crash != nil && executors.insert($0.assignment.executorDID).inserted }
    }

    subscript(assignment: CID) -> Attempt? { all.first { $0.cid == assignment } }

    /// Executors that had the job and did not deliver.
    func isExcluded(_ did: DID) -> Bool {
        all.contains { !$0.isLive && $0.assignment.executorDID == did }
    }

    /// Whether a bid was taken up already.
    func isTaken(_ bid: CID) -> Bool { all.contains { $0.assignment.bidCID == bid } }

    /// Whether a receipt ended one of them.
    func isEnded(by receipt: CID) -> Bool {
        all.contains { attempt in
            switch attempt.end {
            case .nodeFailed(let known, _), .receiptInvalid(let known, _), .outputsMissing(let known, _),
                .refuted(let known, _, _), .unverified(let known, _):
                known == receipt
            default: false
            }
        }
    }

    /// Whether a second executor was asked because one was slow.
    private(set) var wasHedged = false

    // MARK: Steps

    mutating func made(_ signed: SignedObject<Assignment>, at date: UnixMilliseconds) {
        all.append(Attempt(signed: signed, madeAt: date))
    }

    /// Changes one in place; `nil` if it was never made.
    mutating func update<Value>(_ assignment: CID, _ body: (inout Attempt) -> Value) -> Value? {
        guard let index = all.firstIndex(where: { $0.cid == assignment }) else { return nil }
        return body(&all[index])
    }

    /// Notes that one ended because it is slow.
    mutating func hedged() { wasHedged = true }

    /// Makes one live again that ended because it is slow, as the latest; returns the state of its run.
    mutating func resumed(_ assignment: CID) -> JobStatus? {
        guard !hasLive, let index = all.firstIndex(where: { $0.cid == assignment }),
            let status = all[index].resumed()
        else { return nil }
        all.append(all.remove(at: index))
        return status
    }

    /// Notes that the job failed: the node waits for nobody who still has it.
    mutating func abandoned() {
        for index in all.indices where all[index].isLive { all[index].ended(.unconfirmed) }
    }
}

extension AttemptEnd {
    /// Whether the attempt goes on beside another.
    package var isHedge: Bool { if case .hedged = self { true } else { false } }

    /// Whether an executor that accepted the assignment broke its word, as far as its originator can tell. How long
    /// blocks take to come is perhaps the originator's own doing, and so is a loss of outputs that it had no room for.
    var isBrokenWord: Bool {
        switch self {
        case .leaseExpired, .executionTimedOut, .receiptTimedOut, .forgotten: true
        case .declined, .unconfirmed, .fetchTimedOut, .nodeFailed, .receiptInvalid, .refuted, .unverified,
            .outputsMissing, .overtaken, .hedged, .dropped:
            false
        }
    }
}

/// One assignment of a job.
package struct Attempt: Hashable, Sendable {
    /// Its stage, with what exists only at that stage.
    enum State: Hashable, Sendable {
        /// The executor has it, or has to accept it.
        case live(Run)
        /// A valid receipt of it waits for its outputs.
        case delivered
        /// Its receipt counts.
        case won
        /// It ended without a result.
        case ended(AttemptEnd)
    }

    /// What is known of a run under way.
    struct Run: Hashable, Sendable {
        /// The executor accepted the assignment.
        var isConfirmed = false
        /// The state of the run.
        var status = JobStatus.awaitingAssignmentConfirmation
        /// What the module reported about itself.
        var progressPermille: UInt64?
    }

    /// The assignment as this node signed it.
    package let signed: SignedObject<Assignment>
    /// When this node made it, by its clock that only moves forward.
    let madeAt: UnixMilliseconds
    private var state = State.live(Run())
    /// Whether a receipt of it came, counting or not.
    package private(set) var hasReceipt = false
    /// The executor's signed acceptance of it; nil as long as none came.
    var acceptance: CID?
    /// Whether its executor declined it, whatever it signed later.
    private(set) var wasDeclined = false

    init(signed: SignedObject<Assignment>, madeAt: UnixMilliseconds) {
        self.signed = signed
        self.madeAt = madeAt
    }

    /// Names the assignment.
    package var cid: CID { signed.cid }
    /// What it says.
    package var assignment: Assignment { signed.body }
    /// Whether it is paid by the credit of an issuer, and not by tokens.
    package var isCredited: Bool { assignment.terms.payment != nil }
    /// The executor's peer.
    package var executorPeerID: PeerID { assignment.executorDID.peerID }

    /// The state of its run, while it may still give the result.
    var run: Run? { if case .live(let run) = state { run } else { nil } }
    /// Whether it may still give the result.
    package var isLive: Bool { run != nil }
    /// Whether it may still give the result, and the executor accepted it.
    package var isConfirmed: Bool { run?.isConfirmed ?? false }
    /// How it ended without a result.
    package var end: AttemptEnd? { if case .ended(let end) = state { end } else { nil } }
    /// In which way its run crashed the engine, by its receipt; `nil` if it did not.
    var crash: String? { if case .nodeFailed(_, let outcome)? = end { CrashedRun.way(outcome) } else { nil } }
    /// A valid receipt of it waits for its outputs.
    package var awaitsOutputs: Bool { state == .delivered }
    /// Its receipt counts.
    package var hasWon: Bool { state == .won }
    /// Whether its executor may still be running it although nobody waits for it.
    package var fateIsUnknown: Bool {
        guard let end, !hasReceipt else { return false }
        switch end {
        case .declined, .forgotten, .nodeFailed, .receiptInvalid, .outputsMissing, .refuted, .unverified: return false
        case .unconfirmed, .leaseExpired, .fetchTimedOut, .executionTimedOut, .receiptTimedOut, .overtaken,
            .hedged, .dropped:
            return true
        }
    }

    /// Whether its executor goes on, and another was asked because it is slow.
    var isHedged: Bool { if case .hedged? = end { !hasReceipt } else { false } }

    /// Whether it has a part in its job's result, or may come to have one.
    var mayStillGive: Bool { isLive || awaitsOutputs || hasWon || fateIsUnknown }

    // MARK: Steps

    /// Notes that the executor accepted it; `false` if nobody waits for that any more.
    mutating func confirmed() -> Bool {
        guard case .live(var run) = state else { return false }
        run.isConfirmed = true
        run.status = .assigned
        state = .live(run)
        return true
    }

    /// Notes the run's state that the executor reported; `false` if nobody waits for that any more.
    mutating func reported(_ status: JobStatus, progressPermille: UInt64?) -> Bool {
        guard case .live(var run) = state else { return false }
        run.status = status
        run.progressPermille = progressPermille
        state = .live(run)
        return true
    }

    /// Notes a valid receipt, perhaps after the end; returns whether the attempt was live.
    mutating func delivered() -> Bool {
        defer { state = .delivered }
        hasReceipt = true
        return isLive
    }

    /// Notes that it is waited for again; returns the state of its run, or `nil` if it had not ended as a slow one.
    mutating func resumed() -> JobStatus? {
        guard isHedged, case .hedged(_, _, let status, _)? = end else { return nil }
        state = .live(Run(isConfirmed: true, status: status))
        return status
    }

    mutating func won() { state = .won }

    mutating func ended(_ end: AttemptEnd) {
        switch end {
        case .nodeFailed, .receiptInvalid: hasReceipt = true
        case .declined: wasDeclined = true
        default: break
        }
        state = .ended(end)
    }

    /// Notes that a receipt of it came too late.
    mutating func wasLate() { hasReceipt = true }
}
