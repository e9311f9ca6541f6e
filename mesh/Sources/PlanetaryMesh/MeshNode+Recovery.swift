import Economics
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore

/// An open job that a start left out, since its journal does not read.
struct LeftOutJob: Sendable {
    /// The job.
    let id: JobID
    /// On which side of it this node stands.
    let role: StoreRole
    /// Why, as a clause.
    let reason: String
    /// Whether no version of this program can ever take it up.
    let isOver: Bool
    /// The row of it.
    let row: JobRow
}

/// What a start takes up.
///
/// A journal that does not read is no reason not to start: its job is left out, and its rows are kept. Where rows of it
/// are damaged, or the time of any job is over (`JobRules.lifetimeMillisecondsMax` and the skew), the job is closed as
/// failed, since nothing can take it up any more; else it may be that a later version of this program reads it.
///
/// What is held for such a job was not paid, whatever became of the job: what was paid is booked, and the book has
/// digests of its own. So a hold that stands for no job that is known, and none that may be taken up, comes back.
extension MeshNode {
    /// Takes up what the journal says was going on, before the first message can arrive.
    func recover() async throws(NodeServiceError) {
        do {
            for role in [StoreRole.originator, .executor] {
                for row in try await store.openJobs(role: role) {
                    replay(try await store.readableJournal(of: row.jobID, role: role), of: row)
                }
            }
            let reference = "genesis"
            let amount = TokenAmount(configuration.creditGrant)
            let grant = try core.prepare { market throws(LedgerRefusal) in
                try market.grant(amount, reference: reference, wallClock: NodeClock.wallClock)
            }
            if let grant {
                try await store.commit([.ledger(LedgerRow(grant, jobID: nil))])
            }
            let closing = try closeLeftOut()
            if !closing.isEmpty { try await store.commit(closing) }
        } catch let error as MeshStoreError {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .storageFailed, "The ledger contradicts itself: \(error).",
                hint: "Restore the home folder from a copy, or move it away and run mesh init for a fresh one.")
        }
        carryOut(core.recover(at: moment))
    }

    /// Folds the journal of one side of a job in, or leaves the job out.
    private func replay(_ journal: ReadableJournal, of row: JobRow) {
        let id = JobID(row.jobID)
        if let damaged = journal.damaged.first {
            return leaveOut(row, "row \(damaged) of its journal is damaged", isOver: true)
        }
        if journal.entries.isEmpty { return leaveOut(row, "its journal is gone", isOver: true) }
        do throws(JobEventError) {
            for entry in journal.entries {
                let event = try JobEvent.decode(entry.bytes)
                try core.prepare { market throws(JobEventError) in try market.replay(event) }
            }
        } catch {
            core.prepare { $0.discard(id, role: row.role == .originator ? .originator : .executor) }
            let rules = core.market.configuration.rules
            let end = UnixMilliseconds(row.updatedAt).advanced(
                milliseconds: rules.lifetimeMillisecondsMax + rules.clockSkewMilliseconds)
            leaveOut(row, "its journal does not read: \(error)", isOver: end < NodeClock.wallClock)
        }
    }

    private func leaveOut(_ row: JobRow, _ reason: String, isOver: Bool) {
        leftOut.append(LeftOutJob(id: JobID(row.jobID), role: row.role, reason: reason, isOver: isOver, row: row))
        tally("journals_left_out")
        logger.error(
            "A job is left out of the start.",
            metadata: ["job": "\(row.jobID)", "role": "\(row.role.rawValue)", "reason": "\(reason)"])
    }

    /// What closes the jobs that nothing takes up any more, and gives back what is held for nobody.
    private func closeLeftOut() throws(LedgerRefusal) -> [StoreWrite] {
        let now = NodeClock.wallClock
        var writes: [StoreWrite] = []
        let kept = Set(leftOut.filter { !$0.isOver && $0.role == .originator }.map(\.id))
        for hold in core.market.holdsOfNobody(but: kept) {
            let refund = try core.prepare { market throws(LedgerRefusal) in
                try market.giveBack(holdOf: hold.job, wallClock: now)
            }
            writes.append(.ledger(LedgerRow(refund, jobID: hold.job)))
            tally("holds_given_back")
            logger.error(
                "Tokens that were held for a job come back, since nothing takes the job up any more.",
                metadata: ["job": "\(hold.job)", "tokens": "\(refund.amount)"])
        }
        for job in leftOut where job.isOver {
            var row = job.row
            row.status = JobStatus.failed.rawValue
            row.isTerminal = true
            row.reason = "left out: \(job.reason)"
            row.updatedAt = now.value
            writes.append(.job(row))
        }
        return writes
    }

    /// What the owner is to be told of jobs that the start left out; nil where there are none.
    var journalWarning: String? {
        guard let first = leftOut.first else { return nil }
        let others = leftOut.count - 1
        let rest = others == 0 ? "" : ", and \(others) more that the log names"
        return "A job was left out of the start, and what was held for it came back unless a later version may take it "
            + "up: \(first.id), \(first.reason)\(rest)."
    }
}
