import Credit
package import Determinism
package import Economics
package import MerkleLog
package import MeshTypes
package import Multiformats
import Receipts
package import Reputation
package import SignedObjects

extension JobMarket {
    /// What an operator can set; changes apply to later decisions.
    package var configuration: MarketConfiguration {
        get { context.configuration }
        set { context.configuration = newValue }
    }

    /// The node's ledger.
    package var ledger: Ledger { context.ledger }

    /// What receipts say about executors.
    package var reputation: ReputationBook { context.reputation }
    /// How originators paid this node.
    package var payers: ReputationBook { context.payers }
    /// Whether one of the two books has something of somebody.
    package func hasJudged(_ did: DID) -> Bool {
        !context.reputation.evidence(about: did).isEmpty || !context.payers.evidence(about: did).isEmpty
    }
    /// A record that was heard, if it may show something new of somebody else.
    package func unchecked(_ notice: ReputationRecordAvailableV1) -> ReputationRecord? {
        guard let record = try? SignedObject<ReputationRecord>(verifiedBefore: notice.record).body,
            ![record.subjectDID, record.raterDID].contains(context.did),
            !context.reputation.elsewhere.hasReceipt(record.receiptCID, of: record.subjectDID)
        else { return nil }
        return record
    }

    /// When the chain of its receipts began again, since the home was restored; nil if it never did.
    package var chainOpenedAt: UnixMilliseconds? { context.chainOpenedAt }
    /// What it found of executors when it ran their jobs again.
    package var records: TrackRecords { context.records }

    /// What is counted besides the journal.
    package var counters: MarketCounters { context.counters }

    /// The receipt that this node signed last.
    package var lastReceipt: CID? { context.lastReceipt }

    /// The heads of the anchored DAG, sorted, and the greatest height among them.
    package var anchorHeads: (heads: [CID], height: UInt64) { (context.anchors.heads, context.anchors.height) }
    /// The tree over this node's entries in the anchored DAG.
    package var log: MerkleTree { context.anchors.tree }

    /// Why what an executor claims for a receipt is not due, as far as this node knows; `nil` if nothing speaks against
    /// it.
    ///
    /// A receipt is not due if it breaks a rule, if a check found it wrong, less due or unproved, or if its executor
    /// signed another one of the same run; nor if it differs from the one that counts, though one engine gave both.
    ///
    /// - Parameter isLast: whether it can be disputed for a short time only: what is being checked then is left to the
    ///   arbiter.
    package func reasonNotDue(_ receipt: SignedObject<ExecutionReceipt>, isLast: Bool) -> String? {
        guard let job = originator.jobs[receipt.body.jobID],
            let attempt = job.assignments[receipt.body.assignmentCID]
        else { return nil }
        let rules = ReceiptRules()
        if let fault = rules.fault(of: receipt.body, assignment: attempt.assignment, manifest: job.manifest) {
            return "\(ReceiptRefusal(fault))"
        }
        if let end = attempt.end {
            switch end {
            case .refuted(receipt.cid, _, let reason): return reason
            case .receiptInvalid(receipt.cid, let reason): return "\(reason)"
            case .unverified(receipt.cid, let reason): return reason
            default: break
            }
        }
        if attempt.hasReceipt, !job.receipts.contains(receipt.cid), !job.assignments.isEnded(by: receipt.cid) {
            return "its executor signed another receipt of the same run"
        }
        if isLast, let candidate = job.receipts.candidate(receipt.cid), candidate.check == .replay {
            return "its check is not over"
        }
        if job.receipts.chosen?.cid == receipt.cid, job.settlementCID != nil,
            let hold = job.holds.certificate(of: attempt.assignment)?.body,
            job.paid < min(receipt.body.price, hold.amount)
        {
            return "less than it says was found due"
        }
        guard let chosen = job.receipts.chosen, chosen.cid != receipt.cid, chosen.receipt.engine == receipt.body.engine,
            chosen.receipt.determinism == .deterministic, receipt.body.determinism == .deterministic,
            !chosen.receipt.outcome.isCutShort, !receipt.body.outcome.isCutShort,
            ComparedResult(chosen.receipt) != ComparedResult(receipt.body)
        else { return nil }
        return "another run of the job gave something else"
    }

    /// A job that this node originated, as long as it is remembered.
    package func originatedJob(_ id: JobID) -> OriginatedJob? { originator.jobs[id] }

    /// A number that a job of this node has as long as nothing in it changes, and that no other state of a job of this
    /// node ever has; `nil` if it is not remembered.
    package func originatedRevision(of id: JobID) -> UInt64? { originator.jobs.revision(of: id) }

    /// The jobs that do the same work as a job of this node, for the check of its result.
    package func replicas(of id: JobID) -> [JobID] { Array(originator.quorums.replicas(of: id)) }

    /// The most that others than the executor of a job of this node are paid for the same work: what was paid for its
    /// replicas, and all that those may cost that are open or no longer known; `nil` if the job is not remembered.
    package func mostPaidForReplicas(of id: JobID) -> TokenAmount? {
        guard let job = originator.jobs[id] else { return nil }
        let price = job.manifest.params.maxAcceptableBidTokens ?? .zero
        let replicas = originator.quorums.replicas(of: id)
        var most = TokenAmount.zero
        for replica in replicas {
            let (isOver, paid) = originator.jobs.read(replica) { (!$0.isOpen, $0.paid) } ?? (false, .zero)
            most = most.addingSaturated(isOver ? paid : price)
        }
        for _ in replicas.count..<max(replicas.count, job.replicaCount) { most = most.addingSaturated(price) }
        return most
    }

    /// How far the module of a job of this node says it is, in thousandths; nil if nobody runs it or it said nothing.
    package func progressPermille(of id: JobID) -> UInt64? {
        guard let live = originator.jobs.read(id, \.assignments.live) ?? nil else { return nil }
        return originator.leases.progressPermille(of: live.cid)
    }

    /// What a run of a job of this node has cost at least, by what its executor says it has used; nil if that said
    /// nothing.
    package func priceSoFar(of id: JobID) -> TokenAmount? {
        guard let live = originator.jobs.read(id, \.assignments.live) ?? nil,
            let fuel = originator.leases.fuelSoFar(of: live.cid)
        else { return nil }
        return live.assignment.terms.due(fuel: fuel)
    }

    /// How far the executor of a job of this node is with what comes before the run, as it said last; nil if it said
    /// nothing of it, or the run has begun.
    package func preparation(of id: JobID, now: MonotonicInstant) -> Preparation? {
        guard let assignment = assignmentInPreparation(of: id) else { return nil }
        return originator.leases.preparation(of: assignment, now: now)
    }

    /// The live assignment of a job whose run is accepted and has not begun.
    private func assignmentInPreparation(of id: JobID) -> CID? {
        guard let live = originator.jobs.read(id, \.assignments.live) ?? nil, let run = live.run else { return nil }
        return run.status.progressRank < JobStatus.running.progressRank ? live.cid : nil
    }

    /// How far this node is with what comes before its run of a job.
    package func ownPreparation(of id: JobID, now: MonotonicInstant) -> Preparation? {
        guard executor.jobs[id]?.status == .preparingExecution else { return nil }
        return executor.runs.places.preparation(of: id, now: now)
    }

    /// Bids held in memory, of all jobs remembered.
    package var bidsHeld: Int { originator.jobs.all.reduce(0) { $0 + $1.bids.count + $1.refusedBids.count } }

    /// Accepted jobs of others that run here, and those that fetch or wait for a place.
    package var placesTaken: (running: Int, waiting: Int) {
        let running = executor.runs.places.running.count
        return (running, executor.runs.places.accepted.total - running)
    }

    /// A job that this node bid on or runs, as long as it is remembered.
    package func executedJob(_ id: JobID) -> ExecutedJob? { executor.jobs[id] }

    /// The same for a job that this node bid on or runs, among those.
    package func executedRevision(of id: JobID) -> UInt64? { executor.jobs.revision(of: id) }

    /// All originated jobs that are remembered, oldest first.
    package var originatedJobs: [OriginatedJob] {
        originator.jobs.all.sorted { ($0.manifest.submittedAt, $0.id) < ($1.manifest.submittedAt, $1.id) }
    }

    /// All executed jobs that are remembered, oldest first.
    package var executedJobs: [ExecutedJob] {
        executor.jobs.all.sorted { ($0.manifest.submittedAt, $0.id) < ($1.manifest.submittedAt, $1.id) }
    }

    /// The last jobs that this node did not bid on, oldest first, with the reasons.
    package var recentDeclines: [DeclinedJob] { Array(executor.announcements.recentDeclines) }

    /// How full this executor's places and queue are, in thousandths.
    package var loadPermille: UInt64 {
        context.configuration.executor.map { executor.runs.loadPermille($0) } ?? 0
    }

    /// How far the peers' clocks are ahead of this node's, by what they signed, in milliseconds; `nil` if that is no
    /// more than clocks may differ, or fewer than three peers were heard lately.
    package var clockOffsetMilliseconds: Int64? { context.clockWatch.offsetMilliseconds }

    /// Runs ordered and not ended, and accepted ones that wait.
    package var runCounts: (running: Int, waiting: Int) {
        let running = executor.runs.places.running.count
        return (running, executor.runs.places.accepted.total - running)
    }

    /// Originated and executed jobs that are not closed, in no particular order.
    package var unclosedJobs: (originated: [OriginatedJob], executed: [ExecutedJob]) {
        (originator.jobs.all.filter { !$0.isClosed }, executor.jobs.all.filter { !$0.isClosed })
    }

    /// How many originated and executed jobs are not closed.
    package var openCounts: (originated: Int, executed: Int) { (originator.openCount, executor.openCount) }
}
