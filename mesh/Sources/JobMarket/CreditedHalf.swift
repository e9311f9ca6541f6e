import Credit
import Determinism
import MeshTypes
import Multiformats
import SignedObjects

/// A half of the market whose runs are paid by credit: what it accepts of holds, and what it has booked for them.
///
/// An executor is paid whether its originator goes on or not. It carries the settlement to the issuer itself, and where
/// none came in time, it claims by the originator's word that the receipt was delivered, or by the arbiter's.
protocol CreditedHalf: MarketHalf where Job == ExecutedJob {
    /// Holds that were given up with their assignments.
    var released: ReleasedHolds { get set }

    /// Closes the journal of a run that waits for nothing any more.
    mutating func closeIfDone(_ id: JobID, _ context: inout MarketContext)
}

extension CreditedHalf {
    /// Whether the hold that comes with an assignment pays for it; `nil` in a success where the job costs tokens.
    ///
    /// - Parameter held: receives a hold for this node, whether it is accepted or not.
    func hold(
        of chain: AssignmentChain, _ block: [UInt8]?, _ configuration: ExecutorConfiguration,
        _ held: inout SignedObject<HoldCertificate>?, _ context: MarketContext
    ) -> Result<SignedObject<HoldCertificate>?, AssignmentRefusal> {
        let assignment = chain.assignment.body
        guard let payment = assignment.terms.payment else {
            if assignment.sealingKey != nil { return .failure(.chainMismatch(field: "sealing_key")) }
            return assignment.holdCID == nil && block == nil
                ? .success(nil) : .failure(.chainMismatch(field: "hold_cid"))
        }
        guard let block, let link = assignment.holdCID else { return .failure(.holdMissing) }
        guard let issuer = configuration.issuers.first(where: { $0.payment == payment }) else {
            return .failure(.holdNotAccepted(reason: "this node trusts its issuer no more"))
        }
        guard let signed = try? SignedObject<HoldCertificate>(reading: block) else {
            return .failure(.notVerified(part: "hold"))
        }
        guard issuer.isMember else {
            return .failure(.holdNotAccepted(reason: "this node has no line at its issuer, or does not hear of it"))
        }
        let certificate = signed.body
        if released.contains(certificate.holdCID) {
            return .failure(.holdNotAccepted(reason: "this node gave it up before"))
        }
        guard signed.cid == link else { return .failure(.chainMismatch(field: "hold_cid")) }
        guard certificate.issuerDID == issuer.issuerDID, certificate.rate == nil,
            certificate.debtorDID == assignment.originatorDID
                || certificate.debtorDID == chain.manifest.body.policy.payBy?.payer(to: issuer.issuerDID)
        else { return .failure(.holdNotAccepted(reason: "it is of another issuer, or of somebody else's credit")) }
        // Of another assignment it may pay a run.
        if certificate.creditorDID == context.did, certificate.terms.isOf(assignment) { held = signed }
        // Nobody could open what is left for it with the arbiter.
        guard SealingKey.isUsable(assignment.sealingKey ?? []) else {
            return .failure(.chainMismatch(field: "sealing_key"))
        }
        let accepted = HoldAcceptance(arbiters: issuer.arbiters, disputeBudgetMax: assignment.terms.price)
        let reason = certificate.reasonNotPay(
            assignment, in: issuer.unit, accepting: accepted, now: context.wallClock)
        return reason.map { .failure(.holdNotAccepted(reason: $0)) } ?? .success(signed)
    }

    // MARK: Bookings

    /// Gives up the hold of an assignment that this node declines, and takes none with it any more.
    mutating func giveUp(
        _ hold: SignedObject<HoldCertificate>, _ configuration: ExecutorConfiguration, _ context: inout MarketContext
    ) {
        // As long as a bid of before can be taken up, by whichever clock.
        let milliseconds =
            configuration.bidValidityMilliseconds + context.configuration.rules.clockSkewMilliseconds
        let until = context.now.advanced(milliseconds: Int64(clamping: milliseconds))
        guard released.insert(hold.body.holdCID, until: until, now: context.now) else { return }
        release(hold, &context)
    }

    /// Gives up the hold of an attempt for which nothing is due.
    func release(_ hold: SignedObject<HoldCertificate>, _ context: inout MarketContext) {
        let release = HoldRelease(
            executorDID: context.did, holdCID: hold.body.holdCID, bidCID: hold.body.terms.bidCID,
            releasedAt: context.wallClock)
        guard let signed = context.sign(release) else { return }
        context.book(
            HoldBooking(
                .holdReleased(hold: hold.body.holdCID, release: signed.bytes), of: hold.body, paying: .zero,
                notBefore: context.wallClock))
    }

    /// Has a settlement booked that pays what is due; one that pays less is none to the book.
    func bookSettlement(
        _ settlement: SignedObject<Settlement>, of job: ExecutedJob, _ context: inout MarketContext
    ) {
        guard let run = job.run, let hold = run.hold?.body, let receipt = job.signedReceipt,
            receipt.body.price > .zero, settlement.body.amountPaid == min(receipt.body.price, hold.amount)
        else { return }
        context.book(
            HoldBooking(
                .holdSettled(
                    hold: hold.holdCID, settlement: settlement.bytes, receipt: receipt.bytes,
                    assignment: run.signed.bytes),
                of: hold, paying: settlement.body.amountPaid, notBefore: context.wallClock))
    }

    /// Takes the originator's word that a receipt was delivered: with it this node claims, if no settlement comes.
    mutating func delivered(
        _ message: JobDeliveredV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let job = jobs[message.jobID], let hold = job.run?.hold, let receipt = job.signedReceipt,
            let run = job.run
        else { return .refused(Refusal(.receiptUnknown, "no receipt that is paid by credit was signed here")) }
        guard job.manifest.originatorPeerID == peer else {
            context.counters.refused("delivery_wrong_peer")
            return .refused(Refusal(.wrongPeer, "the job is another originator's"))
        }
        guard let statement = try? SignedObject<DeliveryStatement>(reading: message.statement),
            statement.did == job.manifest.originatorDID, statement.body.receiptCID == receipt.cid
        else {
            context.counters.refused("delivery_not_verified")
            return .refused(Refusal(.notVerified, "the statement does not verify, or is about something else"))
        }
        guard job.receiptDelivery?.statement == nil, job.verdict == nil else {
            context.counters.duplicates += 1
            return .ack
        }
        claim(job, run, hold, receipt, by: statement, &context)
        closeIfDone(job.id, &context)
        return .ack
    }

    /// Claims what a hold pays, by somebody's word that the result was delivered in time.
    private mutating func claim(
        _ job: ExecutedJob, _ run: ExecutedRun, _ signedHold: SignedObject<HoldCertificate>,
        _ receipt: SignedObject<ExecutionReceipt>, by statement: SignedObject<DeliveryStatement>,
        _ context: inout MarketContext
    ) {
        let hold = signedHold.body
        let amount = min(receipt.body.price, hold.amount)
        guard amount > .zero, statement.body.deliveredAt <= hold.terms.deliverBy else { return }
        let claim = HoldClaim(
            executorDID: context.did, receipt: receipt.bytes, assignment: run.signed.bytes,
            delivery: statement.bytes, claimedAt: context.wallClock)
        guard let signed = context.sign(claim) else { return }
        record(.deliveryProved(statement: statement), of: job.id, &context)
        // The originator has the time that it has in any case, but half of the time for claims at the most.
        let half = hold.terms.claimBy.milliseconds(since: hold.terms.deliverBy) / 2
        let last = UnixMilliseconds(hold.terms.claimBy.value - half)
        let waiting = context.configuration.executor?.settlementMilliseconds ?? 0
        context.book(
            HoldBooking(
                .claimLodged(hold: hold.holdCID, claim: signed.bytes, lodging: nil), of: hold,
                signed: signedHold.bytes, paying: amount,
                notBefore: min(context.calendarDate(inMilliseconds: waiting), last)))
    }

    // MARK: The arbiter

    /// Leaves a result with the arbiter of its hold, as the originator has not said that it has it; ends with the time
    /// for claims, as the arbiter may have taken it without this node's knowing.
    mutating func lodge(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.lodgeAt != nil, let run = job.run, let hold = run.hold,
            let receipt = job.signedReceipt, let key = run.signed.body.sealingKey
        else { return }
        let left = hold.body.terms.claimBy.milliseconds(since: context.wallClock)
        guard left > 0 else { return closeIfDone(id, &context) }
        context.setTimer(.lodging(id), inMilliseconds: left + 1)
        context.emit(.lodgeResult(LodgingOrder(jobID: id, certificate: hold, receipt: receipt, sealingKey: key)))
    }

    /// Takes the arbiter's word that it has a result: with it this node claims.
    mutating func lodged(_ id: JobID, _ block: [UInt8], _ context: inout MarketContext) {
        guard let job = jobs[id], job.lodgeAt != nil, let run = job.run, let hold = run.hold,
            let receipt = job.signedReceipt, let statement = try? SignedObject<DeliveryStatement>(reading: block),
            statement.did == hold.body.terms.arbiterDID, statement.body.receiptCID == receipt.cid,
            statement.body.bidCID == hold.body.terms.bidCID
        else { return }
        claim(job, run, hold, receipt, by: statement, &context)
        closeIfDone(id, &context)
    }
}
