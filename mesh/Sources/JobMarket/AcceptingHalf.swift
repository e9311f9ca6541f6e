import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// A half of the market that keeps what executors sign when they take a job, and judges their silence by that.
protocol AcceptingHalf: MarketHalf where Job == OriginatedJob {}

extension AcceptingHalf {
    /// The executor's signed word that it took an assignment, from its answer; nil where it gave none, as executors of
    /// earlier versions do, whose silence shows nothing.
    func acceptance(
        of attempt: Attempt, _ block: [UInt8]?
    ) throws(AcceptanceFault) -> SignedObject<AssignmentAcceptance>? {
        guard let block else { return nil }
        return try AssignmentAcceptance.of(attempt.cid, by: attempt.assignment.executorDID, in: block)
    }

    /// Keeps the executor's word, once.
    mutating func keep(
        _ acceptance: SignedObject<AssignmentAcceptance>, of id: JobID, _ context: inout MarketContext
    ) {
        guard let attempt = jobs.read(id, { $0.isOpen ? $0.assignments[acceptance.body.assignmentCID] : nil }) ?? nil,
            attempt.acceptance == nil
        else { return }
        context.keep(acceptance, of: id)
        record(.acceptanceSigned(acceptance: acceptance), of: id, &context)
    }

    /// Takes the executor's word from an answer that came after its first report, which confirmed the assignment.
    mutating func acceptanceCame(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard case .accepted(let cid, let block) = reply, cid == id.subject,
            let attempt = jobs.read(id.jobID, { $0.assignments[cid] }) ?? nil,
            let acceptance = try? acceptance(of: attempt, block)
        else {
            context.counters.duplicates += 1
            return
        }
        keep(acceptance, of: id.jobID, &context)
    }

    /// Counts an attempt that ended in silence against the executor that signed that it took it: here alone, as nobody
    /// else can know who was silent. What it delivers after all takes the place of that.
    func recordSilence(
        of attempt: Attempt, _ end: AttemptEnd, of event: JobEvent, _ context: inout MarketContext
    ) {
        guard end.isBrokenWord, let acceptance = attempt.acceptance, !context.isReplaying,
            // Of a slow run and its copy one was not needed.
            jobs.read(event.jobID, { $0.cancelReason == nil && !$0.assignments.wasHedged }) ?? false,
            context.hearsOthers(
                than: attempt.executorPeerID, inLastThirdOf: attempt.assignment.leaseMilliseconds)
        else { return }
        context.judge(
            ReputationEvidence(
                subject: attempt.assignment.executorDID, payer: attempt.assignment.originatorDID,
                assignmentCID: attempt.cid, receiptCID: acceptance, verdict: .undelivered, at: event.at))
    }
}
