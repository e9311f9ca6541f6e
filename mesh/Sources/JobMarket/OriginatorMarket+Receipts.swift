import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// From a receipt to the end of a job's journal: outputs, payment, anchoring.
extension OriginatorMarket {
    /// Takes in a receipt from anybody: it proves itself. The ack follows once the receipt is durable and changes
    /// nothing more.
    mutating func receiptArrived(_ bytes: [UInt8], of id: JobID, _ context: inout MarketContext) -> MeshProtocolReply {
        let limits = context.limits
        switch jobs.read(id, { ReceiptArrival(of: bytes, on: $0, limits) }) {
        case nil: return refuse(.jobUnknown, &context)
        case .repeated:
            context.counters.duplicates += 1
            jobs.visit(id) { $0.settleAgain(CID.hashing(bytes, codec: .dagCBOR), &context) }
            return .ack
        case .refused(let refusal): return refuse(refusal, &context)
        case .second(let signed):
            contradicted(by: signed, of: id, &context)
            context.counters.refused("receipt_second")
            return .refused(Refusal(.secondReceipt, "another receipt of this assignment came first"))
        case .invalid(let signed, let refusal, let isAttemptOpen):
            if isAttemptOpen {
                if bytes.count <= limits.evidenceBytesMax { context.keep(signed, of: id) }
                let end = AttemptEnd.receiptInvalid(receipt: signed.cid, reason: refusal)
                endAttempt(signed.body.assignmentCID, of: id, end, &context)
            }
            return refuse(refusal, &context)
        case .late(let signed):
            context.keep(signed, of: id)
            recordLate(signed, of: id, &context)
        case .givenUp(let signed):
            context.keep(signed, of: id)
            let end = AttemptEnd.nodeFailed(receipt: signed.cid, outcome: signed.body.outcome)
            endAttempt(signed.body.assignmentCID, of: id, end, &context)
        case .acceptable(let signed) where cameAfterDecision(signed.body, of: id):
            guard jobs.read(id, \.receipts.late.count) ?? .max < limits.lateReceiptsMax else {
                return refuse(.tooManyLate(max: UInt64(limits.lateReceiptsMax)), &context)
            }
            context.keep(signed, of: id)
            recordLate(signed, of: id, &context)
        case .acceptable(let signed) where ranOutOfTimeBesideAnother(signed.body, of: id, limits):
            context.keep(signed, of: id)
            endAttempt(signed.body.assignmentCID, of: id, .executionTimedOut, &context)
            recordLate(signed, of: id, &context)
        case .acceptable(let signed):
            let isOverclaimed = jobs.read(id) { TimedClaim.isOverclaimed(signed.body, on: $0, context) } ?? false
            context.keep(signed, of: id, isContradiction: isOverclaimed)
            if isOverclaimed { recordInvalid(signed.body, signed.cid, &context) }
            accept(signed, of: id, &context)
        }
        return .ack
    }

    /// Keeps the first receipt that contradicts another of its assignment, and counts both as an invalid one: whoever
    /// signs two accounts of a run is believed in neither. Further ones show nothing new.
    private mutating func contradicted(
        by signed: SignedObject<ExecutionReceipt>, of id: JobID, _ context: inout MarketContext
    ) {
        let assignment = signed.body.assignmentCID
        guard signed.bytes.count <= context.limits.evidenceBytesMax, contradicted.insert(assignment).inserted else {
            return
        }
        context.keep(signed, of: id, isContradiction: true)
        recordInvalid(signed.body, signed.cid, &context)
    }

    /// Whether a run claims that its time was over while a second one of it goes on: that is no result, or whoever says
    /// so at once would end, and be paid for, what the other one is about to give.
    private func ranOutOfTimeBesideAnother(
        _ receipt: ExecutionReceipt, of id: JobID, _ limits: MarketLimits
    ) -> Bool {
        guard receipt.outcome == .limitExceeded(.wallClock) else { return false }
        return jobs.read(id) {
            $0.cancelReason == nil && $0.hasRival(of: receipt.assignmentCID)
                && $0.receipts.late.count < limits.lateReceiptsMax
        } ?? false
    }

    /// Counts a receipt that cannot be true against its executor.
    private func recordInvalid(_ body: ExecutionReceipt, _ cid: CID, _ context: inout MarketContext) {
        context.counters.refused("receipt_untrue")
        context.records.wasWrong(body.executorDID)
        context.judge(
            ReputationEvidence(
                subject: body.executorDID, payer: body.originatorDID, assignmentCID: body.assignmentCID,
                receiptCID: cid, verdict: .invalid, at: context.steady))
    }

    private func refuse(_ refusal: ReceiptRefusal, _ context: inout MarketContext) -> MeshProtocolReply {
        context.counters.refused("receipt_\(refusal.name.rawValue)")
        return .refused(refusal.refusal)
    }

    private mutating func accept(
        _ signed: SignedObject<ExecutionReceipt>, of id: JobID, _ context: inout MarketContext
    ) {
        // A receipt is not yet a result: its outputs may never come, so nothing else ends because of it.
        let candidates = jobs.read(id, \.receipts.candidates) ?? []
        if candidates.count >= context.limits.candidateReceiptsMax, let first = candidates.first {
            stopChecks(of: id, [first.accepted.cid], &context)
            record(
                .attemptEnded(assignment: first.accepted.assignmentCID, end: first.outputsMissing), of: id, &context)
        }
        let until = context.date(inMilliseconds: context.configuration.originator.receiptMilliseconds)
        record(
            .receiptAccepted(assignment: signed.body.assignmentCID, receipt: signed, outputsUntil: until), of: id,
            &context)
        if signed.body.owedBlocks.isEmpty { outputsHere(id, receipt: signed.cid, &context) }
    }

    // MARK: Outputs

    /// Gives up the receipt that waits longest: its outputs did not come in time, or its check lasts too long.
    mutating func outputsElapsed(_ id: JobID, _ context: inout MarketContext) {
        let candidates = jobs.read(id, \.receipts.candidates) ?? []
        guard let overdue = candidates.min(by: { $0.outputsUntil < $1.outputsUntil }) else { return }
        if overdue.check != nil { return checkElapsed(id, overdue, &context) }
        endAttempt(overdue.accepted.assignmentCID, of: id, overdue.outputsMissing, &context)
    }

    /// Makes a receipt whose outputs are all here the job's result: tells executors that still run it to stop; receipts
    /// that waited with it are late.
    mutating func conclude(_ id: JobID, with cid: CID, _ context: inout MarketContext) {
        let state = jobs.read(id) { (candidates: $0.receipts.candidates, live: $0.assignments.live?.cid) }
        guard let (candidates, live) = state, let chosen = candidates.first(where: { $0.accepted.cid == cid })?.accepted
        else { return }
        if let live {
            record(.attemptEnded(assignment: live, end: .overtaken(receipt: cid)), of: id, &context)
        }
        let others = candidates.filter { $0.accepted.cid != cid }
        let trial = jobs.read(id, \.trial?.assignment) ?? nil
        stopChecks(of: id, others.map(\.accepted.cid) + [trial].compactMap(\.self), &context)
        if !others.isEmpty { record(.receiptChosen(receipt: cid), of: id, &context) }
        record(.resultReached(result: chosen.receipt.status, outcome: chosen.receipt.outcome), of: id, &context)
        for other in others {
            guard jobs.read(id, \.receipts.late.count) ?? .max < context.limits.lateReceiptsMax else { continue }
            recordLate(other.accepted.signed, of: id, &context)
        }
        settle(id, &context)
        if chosen.receipt.executorDID == chosen.receipt.originatorDID { memberEnded(id, &context) }
    }

    /// Records a receipt that came after the result, and tells its executor so: nothing is paid.
    private mutating func recordLate(
        _ signed: SignedObject<ExecutionReceipt>, of id: JobID, _ context: inout MarketContext
    ) {
        guard let settlement = context.sign(Settlement(late: signed, of: id, context)) else { return }
        context.keep(settlement, of: id)
        context.anchor([signed.cid, settlement.cid], of: id)
        let until = context.date(inMilliseconds: context.configuration.originator.settlementDeliveryMilliseconds)
        record(.lateReceipt(receipt: signed, settlement: settlement, notifyUntil: until), of: id, &context)
    }

    mutating func outputsFetched(_ id: JobID, receipt: CID, missing: [CID], _ context: inout MarketContext) {
        guard let candidate = jobs.read(id, { $0.receipts.candidate(receipt) }) ?? nil else { return }
        if missing.isEmpty {
            outputsHere(id, receipt: receipt, &context)
        } else {
            let end = AttemptEnd.outputsMissing(receipt: receipt, missing: UInt64(missing.count))
            endAttempt(candidate.accepted.assignmentCID, of: id, end, &context)
        }
    }

    // MARK: Payment and anchoring

    /// Makes the accepted receipt the job's result: pays by metered fuel, releases the rest, anchors. Skips each step
    /// whose event exists, so the same function continues after a restart.
    mutating func settle(_ id: JobID, _ context: inout MarketContext) {
        let state = jobs.read(id) { ($0.receipt, isOpen: $0.isOpen, isPaid: $0.settlementCID != nil) }
        guard case (let accepted?, let isOpen, let isPaid)? = state else { return }
        let receipt = accepted.receipt
        if isOpen { record(.resultReached(result: receipt.status, outcome: receipt.outcome), of: id, &context) }
        if !isPaid { pay(accepted, of: id, &context) }
        if receipt.outcome != .cancelled { bids.delivered(receipt.executorDID) }
        anchor(accepted, of: id, &context)
        closeIfDone(id, &context)
    }

    private mutating func pay(_ accepted: AcceptedReceipt, of id: JobID, _ context: inout MarketContext) {
        let payout = Payout(for: accepted, of: jobs[id], context)
        guard let signed = context.sign(payout.settlement) else { return }
        context.keep(signed, of: id)
        let until = context.date(inMilliseconds: context.configuration.originator.settlementDeliveryMilliseconds)
        record(.settled(settlement: signed, notifyUntil: until), of: id, ledger: payout.entries, &context)
        payByCredit(signed, of: id, &context)
    }

    private mutating func anchor(_ accepted: AcceptedReceipt, of id: JobID, _ context: inout MarketContext) {
        guard let settlement = jobs.read(id, { $0.anchor.isNone ? $0.settlementCID : nil }) ?? nil,
            let entry = context.anchorEntry(for: [accepted.cid, settlement], behind: accepted.receipt, of: id)
        else { return }
        context.keep(entry, of: id)
        let until = context.date(inMilliseconds: context.configuration.originator.anchoringMilliseconds)
        record(.anchored(entry: entry, publishUntil: until), of: id, &context)
    }

    mutating func settlementAnswered(_ delivery: DeliveryID, acknowledged: Bool, _ context: inout MarketContext) {
        let isOwed = jobs.read(delivery.jobID) { job in
            job.settlements.notices.contains { $0.receiptCID == delivery.subject }
        }
        guard isOwed ?? false else { return }
        record(
            .settlementDelivered(receipt: delivery.subject, acknowledged: acknowledged), of: delivery.jobID, &context)
        closeIfDone(delivery.jobID, &context)
    }

    mutating func anchorPublished(_ id: JobID, inTime: Bool, _ context: inout MarketContext) {
        guard jobs.read(id, \.anchor.isPending) ?? false else { return }
        record(.anchorPublished(inTime: inTime), of: id, &context)
        closeIfDone(id, &context)
    }

    // MARK: Closing

    /// Closes the journal of a job once it has its result, everybody is told, and no executor's receipt can still come
    /// within the job's time.
    mutating func closeIfDone(_ id: JobID, _ context: inout MarketContext) {
        if jobs.read(id, { $0.isDone(context) }) ?? false, !isHeldOpen(id, context) {
            record(.closed, of: id, &context)
        }
        guard !quorums.isReplica(id), !(jobs.read(id, \.isOpen) ?? true) else { return }
        for replica in quorums.replicas(of: id) where jobs.read(replica, { $0.isDone(context) }) ?? false {
            record(.closed, of: replica, &context)
        }
    }
}
