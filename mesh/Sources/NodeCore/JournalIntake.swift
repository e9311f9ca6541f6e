package import Economics
package import JobMarket
package import MeshTypes

/// What a start takes up of the journals of open jobs.
///
/// A journal that does not read is no reason not to start: its job is left out, and its rows are kept. Where rows of it
/// are damaged, or the time of any job is over (`JobRules.lifetimeMillisecondsMax` and the skew), the job is closed as
/// failed, since nothing can take it up any more; else it may be that a later version of this program reads it.
///
/// What is held for such a job was not paid, whatever became of the job: what was paid is booked, and the book has
/// digests of its own. So a hold that stands for no job that is known, and none that may be taken up, comes back.
package struct JournalIntake: Sendable {
    /// One side of a job.
    package struct Side: Hashable, Sendable {
        /// The job.
        package let job: JobID
        /// On which side of it this node stands.
        package let role: JobRole

        /// That side of a job.
        package init(job: JobID, role: JobRole) {
            self.job = job
            self.role = role
        }
    }

    /// An open job that was left out, since its journal does not read.
    package struct LeftOut: Sendable {
        /// The job.
        package let side: Side
        /// Why, as a clause.
        package let reason: String
        /// Whether no version of this program can ever take it up, so that it is to be closed as failed.
        package let isOver: Bool
    }

    /// When the start is.
    package let at: UnixMilliseconds
    /// The jobs that were left out, in the order of their journals.
    package private(set) var leftOut: [LeftOut] = []

    /// An intake of nothing yet.
    package init(at: UnixMilliseconds) {
        self.at = at
    }

    /// Folds the journal of one side of a job in, or leaves the job out and says why, as a clause.
    ///
    /// - Parameters:
    ///   - entries: the rows that are as they were written.
    ///   - damagedRow: the position of one that is not.
    ///   - updatedAt: when the job last changed.
    package mutating func take(
        _ entries: [[UInt8]], damagedRow: Int64?, of side: Side, updatedAt: UnixMilliseconds, into core: inout NodeCore
    ) -> String? {
        if let damagedRow { return leaveOut(side, "row \(damagedRow) of its journal is damaged", isOver: true) }
        if entries.isEmpty { return leaveOut(side, "its journal is gone", isOver: true) }
        do throws(JobEventError) {
            for entry in entries { try core.market.replay(try JobEvent.decode(entry)) }
            return nil
        } catch {
            core.market.discard(side.job, role: side.role)
            let rules = core.market.configuration.rules
            let end = updatedAt.advanced(milliseconds: rules.lifetimeMillisecondsMax + rules.clockSkewMilliseconds)
            return leaveOut(side, "its journal does not read: \(error)", isOver: end < at)
        }
    }

    private mutating func leaveOut(_ side: Side, _ reason: String, isOver: Bool) -> String {
        leftOut.append(LeftOut(side: side, reason: reason, isOver: isOver))
        return reason
    }

    /// Books what a new ledger begins with; `nil` where it was booked before.
    package func grant(_ amount: TokenAmount, to core: inout NodeCore) throws(LedgerRefusal) -> LedgerEntry? {
        try core.market.grant(amount, reference: "genesis", wallClock: at)
    }

    /// Gives back what is held for nobody, once all journals were taken.
    package func refunds(from core: inout NodeCore) throws(LedgerRefusal) -> [(job: JobID, refund: LedgerEntry)] {
        let kept = Set(leftOut.filter { !$0.isOver && $0.side.role == .originator }.map(\.side.job))
        var refunds: [(job: JobID, refund: LedgerEntry)] = []
        for hold in core.market.holdsOfNobody(but: kept) {
            refunds.append((hold.job, try core.market.giveBack(holdOf: hold.job, wallClock: at)))
        }
        return refunds
    }

    /// What the owner is to be told of jobs that were left out; nil where there are none.
    package var warning: String? {
        guard let first = leftOut.first else { return nil }
        let others = leftOut.count - 1
        let rest = others == 0 ? "" : ", and \(others) more that the log names"
        return "A job was left out of the start, and what was held for it came back unless a later version may take it "
            + "up: \(first.side.job), \(first.reason)\(rest)."
    }
}
