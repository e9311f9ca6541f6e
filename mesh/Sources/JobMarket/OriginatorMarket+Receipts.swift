import Economics
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

extension OriginatorMarket {
    /// A receipt arrived, from whomever: it proves itself. Answered with an ack once it is durable and changes nothing
    /// more.
    mutating func receiptArrived(_ bytes: [UInt8], of id: JobID, _ context: inout MarketContext) -> MeshProtocolReply {
        guard let job = jobs[id], !job.isClosed || job.receipt != nil else { return refuse(.jobUnknown, &context) }
        guard bytes.count <= context.limits.receiptBytesMax else {
            return refuse(.notVerified(reason: "longer than \(context.limits.receiptBytesMax) bytes"), &context)
        }
        if isKnown(CID.hashing(bytes, codec: .dagCBOR), to: job) {
            context.counters.duplicates += 1
            return .ack
        }
        let signed: SignedObject<ExecutionReceipt>
        do {
            signed = try SignedObject<ExecutionReceipt>(verifying: bytes)
        } catch {
            return refuse(.notVerified(reason: "\(error)"), &context)
        }
        guard let index = job.index(of: signed.body.assignmentCID) else { return refuse(.assignmentUnknown, &context) }
        let attempt = job.attempts[index]
        guard signed.body.executorDID == attempt.assignment.executorDID else { return refuse(.wrongExecutor, &context) }
        if attempt.hasReceipt {
            // A second account of the same run: the first one counts.
            context.counters.refused("receipt_second")
            return .refused(Refusal(.secondReceipt, "another receipt of this assignment came first"))
        }
        let fault = ReceiptRules().fault(of: signed.body, assignment: attempt.assignment, manifest: job.manifest)
        if let refusal = fault.map(ReceiptRefusal.init) {
            if attempt.end == nil {
                if bytes.count <= context.limits.evidenceBytesMax { context.keep(signed, of: id) }
                endAttempt(attempt.cid, of: id, .receiptInvalid(receipt: signed.cid, reason: refusal), &context)
            }
            return refuse(refusal, &context)
        }
        if job.isClosed { return refuse(.jobUnknown, &context) }
        if job.result != nil, job.lateReceipts.count >= context.limits.lateReceiptsMax {
            return refuse(.tooManyLate(max: UInt64(context.limits.lateReceiptsMax)), &context)
        }
        guard job.hasRoom(forReceiptBytes: bytes.count, context.limits) else {
            return refuse(.tooMany(field: "evidence"), &context)
        }
        context.keep(signed, of: id)
        judge(signed, attempt, job, &context)
        return .ack
    }

    private func isKnown(_ receipt: CID, to job: OriginatedJob) -> Bool {
        if job.receipt?.cid == receipt || job.lateReceipts.contains(receipt) { return true }
        if job.candidateReceipts.contains(where: { $0.accepted.cid == receipt }) { return true }
        return job.attempts.contains { attempt in
            switch attempt.end {
            case .nodeFailed(let known, _), .receiptInvalid(let known, _), .outputsMissing(let known, _):
                known == receipt
            default: false
            }
        }
    }

    private func refuse(_ refusal: ReceiptRefusal, _ context: inout MarketContext) -> MeshProtocolReply {
        context.counters.refused("receipt_\(refusal.name.rawValue)")
        return .refused(refusal.refusal)
    }

    private mutating func judge(
        _ signed: SignedObject<ExecutionReceipt>, _ attempt: Attempt, _ job: OriginatedJob,
        _ context: inout MarketContext
    ) {
        if job.result != nil { return recordLate(signed, job, &context) }
        switch signed.body.outcome.responsibility {
        case .success, .user: accept(signed, attempt, job, &context)
        case .cancellation where job.cancelReason != nil: accept(signed, attempt, job, &context)
        case .node, .cancellation:
            let end = AttemptEnd.nodeFailed(receipt: signed.cid, outcome: signed.body.outcome)
            endAttempt(attempt.cid, of: job.id, end, &context)
        }
    }

    private mutating func accept(
        _ signed: SignedObject<ExecutionReceipt>, _ attempt: Attempt, _ job: OriginatedJob,
        _ context: inout MarketContext
    ) {
        // A receipt is no result yet: what it names may never come, so nothing else ends because of it.
        if job.candidateReceipts.count >= context.limits.candidateReceiptsMax, let first = job.candidateReceipts.first {
            let end = AttemptEnd.outputsMissing(receipt: first.accepted.cid, missing: first.missingCount)
            record(.attemptEnded(assignment: first.accepted.assignmentCID, end: end), of: job.id, &context)
        }
        let until = context.date(inMilliseconds: context.configuration.originator.receiptMilliseconds)
        record(
            .receiptAccepted(assignment: attempt.cid, receipt: signed, outputsUntil: until), of: job.id, &context)
        if signed.body.outputBlocks.isEmpty { conclude(job.id, with: signed.cid, &context) }
    }

    /// A receipt has all its outputs here, and so the job its result: whoever still runs it is told to stop, and the
    /// receipts that waited beside it are late.
    mutating func conclude(_ id: JobID, with cid: CID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil,
            let chosen = job.candidateReceipts.first(where: { $0.accepted.cid == cid })?.accepted
        else { return }
        if let live = job.liveAttempt {
            record(.attemptEnded(assignment: live.cid, end: .overtaken(receipt: cid)), of: id, &context)
        }
        let others = job.candidateReceipts.filter { $0.accepted.cid != cid }
        if !others.isEmpty { record(.receiptChosen(receipt: cid), of: id, &context) }
        record(.resultReached(result: chosen.receipt.status, outcome: chosen.receipt.outcome), of: id, &context)
        for other in others {
            guard let job = jobs[id], job.lateReceipts.count < context.limits.lateReceiptsMax
            else { continue }
            recordLate(other.accepted.signed, job, &context)
        }
        settle(id, &context)
    }

    /// Records a receipt that came after the result, and tells its executor so: nothing is paid.
    private mutating func recordLate(
        _ signed: SignedObject<ExecutionReceipt>, _ job: OriginatedJob, _ context: inout MarketContext
    ) {
        let body = Settlement(
            jobID: job.id, receiptCID: signed.cid, originatorDID: context.did, executorDID: signed.body.executorDID,
            amountPaid: .zero, amountRefunded: .zero, verdict: .late, settledAt: context.wallClock)
        guard let settlement = context.sign(body) else { return }
        context.keep(settlement, of: job.id)
        let until = context.date(inMilliseconds: context.configuration.originator.settlementDeliveryMilliseconds)
        record(
            .lateReceipt(receipt: signed, settlement: settlement, notifyUntil: until), of: job.id, &context)
    }

    mutating func outputsFetched(_ id: JobID, receipt: CID, missing: [CID], _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil,
            let candidate = job.candidateReceipts.first(where: { $0.accepted.cid == receipt })
        else { return }
        if missing.isEmpty {
            conclude(id, with: receipt, &context)
        } else {
            let end = AttemptEnd.outputsMissing(receipt: receipt, missing: UInt64(missing.count))
            endAttempt(candidate.accepted.assignmentCID, of: id, end, &context)
        }
    }

    /// The accepted receipt becomes the job's result: paid by metered fuel, the rest given back, anchored. Each step is
    /// taken only where its event is not there yet, so the same function goes on after a restart.
    mutating func settle(_ id: JobID, _ context: inout MarketContext) {
        guard let accepted = jobs[id]?.receipt else { return }
        let receipt = accepted.receipt
        if jobs[id]?.result == nil {
            record(.resultReached(result: receipt.status, outcome: receipt.outcome), of: id, &context)
        }
        if jobs[id]?.settlementCID == nil { pay(accepted, of: id, &context) }
        failedExecutors.remove(receipt.executorDID)
        if let job = jobs[id], job.anchor.isNone, let settlement = job.settlementCID,
            let entry = context.anchorEntry(for: [accepted.cid, settlement])
        {
            context.keep(entry, of: id)
            let until = context.date(inMilliseconds: context.configuration.originator.anchoringMilliseconds)
            record(.anchored(entry: entry, publishUntil: until), of: id, &context)
        }
        closeIfDone(id, &context)
    }

    private mutating func pay(_ accepted: AcceptedReceipt, of id: JobID, _ context: inout MarketContext) {
        let receipt = accepted.receipt
        let held = context.ledger.escrow(of: id)
        // The check of the receipt holds the price to the agreed terms, and the hold covers the dearest terms.
        let paid = min(receipt.price, held)
        let rest = held.subtractingSaturated(paid)
        let body = Settlement(
            jobID: id, receiptCID: accepted.cid, originatorDID: context.did, executorDID: receipt.executorDID,
            amountPaid: paid, amountRefunded: rest, verdict: receipt.outcome == .cancelled ? .paidCancelled : .paid,
            settledAt: context.wallClock)
        guard let signed = context.sign(body) else { return }
        context.keep(signed, of: id)
        var entries: [LedgerEntry] = []
        if paid > .zero {
            entries.append(.settle(paid, job: id, executor: receipt.executorDID, at: context.wallClock))
        }
        if rest > .zero { entries.append(.refund(rest, job: id, at: context.wallClock)) }
        let until = context.date(inMilliseconds: context.configuration.originator.settlementDeliveryMilliseconds)
        record(.settled(settlement: signed, notifyUntil: until), of: id, ledger: entries, &context)
    }

    /// An attempt ended without a result: the next one follows, or the end of the job.
    mutating func endAttempt(_ cid: CID, of id: JobID, _ end: AttemptEnd, _ context: inout MarketContext) {
        record(.attemptEnded(assignment: cid, end: end), of: id, &context)
        assignNext(id, &context)
        closeIfDone(id, &context)
    }

    /// A cancellation was answered; an executor that does not know the assignment has nothing to stop.
    mutating func cancellationAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard case .refused(let refusal) = reply, let job = jobs[id.jobID], job.result == nil,
            let live = job.liveAttempt, live.cid == id.subject
        else { return }
        endAttempt(live.cid, of: job.id, .forgotten(reason: PlainText.sanitized(refusal.text)), &context)
    }

    // MARK: Closing

    mutating func settlementAnswered(_ delivery: DeliveryID, acknowledged: Bool, _ context: inout MarketContext) {
        guard let job = jobs[delivery.jobID], job.notices.contains(where: { $0.receiptCID == delivery.subject }) else {
            return
        }
        record(
            .settlementDelivered(receipt: delivery.subject, acknowledged: acknowledged), of: delivery.jobID, &context)
        closeIfDone(delivery.jobID, &context)
    }

    mutating func anchorPublished(_ id: JobID, inTime: Bool, _ context: inout MarketContext) {
        guard let job = jobs[id], job.anchor.isPending else { return }
        record(.anchorPublished(inTime: inTime), of: id, &context)
        closeIfDone(id, &context)
    }

    /// Closes the journal of a job once it has its result, everybody was told, and no executor is out there whose
    /// receipt could still come within the job's time.
    mutating func closeIfDone(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], !job.isClosed, job.result != nil, job.notices.isEmpty, !job.anchor.isPending else {
            return
        }
        if job.receipt != nil, job.settlementCID == nil || job.anchor.isNone { return }
        if job.hasUnknownAttempt, context.timers.contains(.whole(id)) { return }
        record(.closed, of: id, &context)
    }
}
