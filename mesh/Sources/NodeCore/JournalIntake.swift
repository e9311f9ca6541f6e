package import Economics
package import JobMarket
package import MeshTypes

/// What a start takes from the journals of open jobs.
///
/// An unreadable journal does not keep the node from starting: the start leaves its job out, and keeps its rows. If
/// rows are damaged, or the time of any job is over (`JobRules.lifetimeMillisecondsMax` plus the skew), it closes the
/// job as failed, since nothing can continue it; otherwise a later version of this program may read it.
///
/// What is held for such a job was not paid, whatever became of the job: payments are booked, and the ledger has its
/// own digests. So a hold for a job that is neither known nor may be continued is released.
///
/// The first start of a restored home leaves every undecided job out: what the original did after the backup is not
/// known, so a run might be answered, or a job paid, a second time; unreadable ones are over then, too.
package struct JournalIntake: Sendable {
    /// One side of a job.
    package struct Side: Hashable, Sendable {
        /// The job.
        package let job: JobID
        /// This node's side of it.
        package let role: JobRole

        /// One side of this job.
        package init(job: JobID, role: JobRole) {
            self.job = job
            self.role = role
        }
    }

    /// An open job left out because its journal is unreadable, or because the home was restored since.
    package struct LeftOut: Sendable {
        /// The job.
        package let side: Side
        /// The reason, as a clause.
        package let reason: String
        /// Whether no version of this program can ever continue it, so that the start closes it as failed.
        package let isOver: Bool
        /// Whether its journal reads, and it ends because the home was restored, as whoever did that wanted.
        package let isByRestoration: Bool
    }

    /// The time of the start.
    package let at: UnixMilliseconds
    /// Whether this is the first start of a home that was restored from a backup.
    package let isRestored: Bool
    /// The jobs left out, in the order of their journals.
    package private(set) var leftOut: [LeftOut] = []

    /// An empty intake.
    package init(at: UnixMilliseconds, isRestored: Bool = false) {
        self.at = at
        self.isRestored = isRestored
    }

    /// Folds in the journal of one side of a job, or leaves the job out and returns the reason as a clause.
    ///
    /// - Parameters:
    ///   - entries: the undamaged rows.
    ///   - damagedRow: the position of a damaged row.
    ///   - updatedAt: when the job last changed.
    package mutating func take(
        _ entries: [[UInt8]], damagedRow: Int64?, of side: Side, updatedAt: UnixMilliseconds, into core: inout NodeCore
    ) -> String? {
        if let damagedRow { return leaveOut(side, "row \(damagedRow) of its journal is damaged", isOver: true) }
        if entries.isEmpty { return leaveOut(side, "its journal is gone", isOver: true) }
        do throws(JobEventError) {
            for entry in entries { try core.market.replay(try JobEvent.decode(entry)) }
            if !isRestored || Self.isDecided(side, core.market) { return nil }
            core.market.discard(side.job, role: side.role)
            return leaveOut(
                side, "the home was restored from a backup, and what came of the job since is not known", isOver: true,
                isByRestoration: true)
        } catch {
            core.market.discard(side.job, role: side.role)
            let rules = core.market.configuration.rules
            let end = updatedAt.advanced(milliseconds: rules.lifetimeMillisecondsMax + rules.clockSkewMilliseconds)
            return leaveOut(side, "its journal does not read: \(error)", isOver: isRestored || end < at)
        }
    }

    /// Whether nothing is left but to tell others: a receipt is signed, or the job has its end and is paid.
    private static func isDecided(_ side: Side, _ market: JobMarket) -> Bool {
        switch side.role {
        case .originator:
            market.originatedJob(side.job).map {
                $0.phase == .over && ($0.receipt == nil || $0.settlementCID != nil)
            } ?? false
        case .executor: market.executedJob(side.job)?.receiptCID != nil
        }
    }

    private mutating func leaveOut(
        _ side: Side, _ reason: String, isOver: Bool, isByRestoration: Bool = false
    ) -> String {
        leftOut.append(LeftOut(side: side, reason: reason, isOver: isOver, isByRestoration: isByRestoration))
        return reason
    }

    /// Books a new ledger's opening grant; `nil` if booked before.
    package func grant(_ amount: TokenAmount, to core: inout NodeCore) throws(LedgerRefusal) -> LedgerEntry? {
        try core.market.grant(amount, reference: "genesis", wallClock: at)
    }

    /// Releases what is held for nobody, once all journals are taken in.
    package func refunds(from core: inout NodeCore) throws(LedgerRefusal) -> [(job: JobID, refund: LedgerEntry)] {
        let kept = Set(leftOut.filter { !$0.isOver && $0.side.role == .originator }.map(\.side.job))
        var refunds: [(job: JobID, refund: LedgerEntry)] = []
        for hold in core.market.holdsOfNobody(but: kept) {
            refunds.append((hold.job, try core.market.giveBack(holdOf: hold.job, wallClock: at)))
        }
        return refunds
    }

    /// What to tell the owner about jobs left out; nil if there are none but those that a restoration ends, which the
    /// log names.
    package var warning: String? {
        let unasked = leftOut.filter { !$0.isByRestoration }
        guard let first = unasked.first else { return nil }
        let others = unasked.count - 1
        let rest = others == 0 ? "" : ", and \(others) more that the log names"
        return "A job was left out of the start, and what was held for it came back unless a later version may take it "
            + "up: \(first.side.job), \(first.reason)\(rest)."
    }
}
