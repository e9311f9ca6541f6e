import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// What the events of this node's jobs show about executors: for their reputation, and for how often their results are
/// checked.
extension CheckingHalf {
    /// Only what this node ran itself, to the end, counts for what it believes unchecked later.
    func recordCheck(
        of receipt: CID, _ finding: VerificationFinding, _ id: JobID, _ context: inout MarketContext
    ) {
        guard finding.isOwnRun, let job = jobs[id], let candidate = job.receipts.candidate(receipt)?.accepted,
            !candidate.receipt.outcome.isCutShort
        else { return }
        context.records.wasRight(candidate.receipt.executorDID, worth: job.stake(of: candidate.assignmentCID))
    }

    func recordEvidence(of event: JobEvent, _ context: inout MarketContext) {
        guard let job = jobs[event.jobID], let accepted = job.receipt,
            let evidence = ReputationEvidence(
                receipt: accepted.receipt, receiptCID: accepted.cid, isChecked: job.isBorneOutHere,
                takenAt: accepted.cameAt)
        else { return }
        context.judge(evidence)
    }

    func recordEvidence(
        against attempt: Attempt, _ end: AttemptEnd, of event: JobEvent, _ context: inout MarketContext
    ) {
        let verdict: ReputationVerdict
        let receipt: CID
        switch end {
        // Whose doing a crash was shows when the job ends.
        case .nodeFailed(_, let outcome) where CrashedRun.way(outcome) != nil: return
        case .nodeFailed(let cid, _): (receipt, verdict) = (cid, .abandoned)
        case .receiptInvalid(let cid, _), .refuted(let cid, _, _): (receipt, verdict) = (cid, .invalid)
        default: return
        }
        if verdict == .invalid { context.records.wasWrong(attempt.assignment.executorDID) }
        record(verdict, of: attempt, receipt, of: event, &context)
    }

    /// A job that did not end by crashing engines shows that the one which crashed failed by itself.
    func recordCrashes(of event: JobEvent, _ context: inout MarketContext) {
        for attempt in jobs.read(event.jobID, \.assignments.all) ?? [] where attempt.crash != nil {
            guard case .nodeFailed(let receipt, _)? = attempt.end else { continue }
            record(.abandoned, of: attempt, receipt, of: event, &context)
        }
    }

    private func record(
        _ verdict: ReputationVerdict, of attempt: Attempt, _ receipt: CID, of event: JobEvent,
        _ context: inout MarketContext
    ) {
        context.judge(
            ReputationEvidence(
                subject: attempt.assignment.executorDID, payer: attempt.assignment.originatorDID,
                assignmentCID: attempt.cid, receiptCID: receipt, verdict: verdict, at: event.at))
    }
}

extension VerificationFinding {
    /// Whether this node's own run bore the receipt out.
    package var isOwnRun: Bool { self == .confirmed || self == .fuelUnknown }
}
