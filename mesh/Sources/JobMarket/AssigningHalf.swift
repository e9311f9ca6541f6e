import Credit
import Economics
import MeshTypes
import Multiformats
import SignedObjects

/// A half of the market that gives jobs to executors: at once where they cost tokens, and where they are paid by credit
/// once an issuer holds the price.
///
/// What the issuer is asked for goes to the disk no later than the assignment that follows from it, so a restart asks
/// for the same. Where the node died before, the issuer may hold for an attempt of which this node knows nothing; then
/// it says so, and another attempt is asked for. A hold that is of no use ends by itself, at its `claim_by`.
protocol AssigningHalf: FundingHalf {
    /// Opens the job for bids.
    mutating func beginBidding(_ id: JobID, _ context: inout MarketContext)
}

extension AssigningHalf {
    /// What can be held for a job; an issuer says by itself what it can hold.
    func available(for job: OriginatedJob, _ context: MarketContext) -> TokenAmount {
        job.manifest.policy.payBy == nil ? FundsQueue.available(for: job.id, context.ledger) : .max
    }

    /// Opens a job for bids again, unless an issuer refused to pay those that were made: for good where it is about
    /// this node's own line, and else for as long as bids are waited for, as anybody could make bids that none pays.
    mutating func bidAgain(_ id: JobID, _ context: inout MarketContext) {
        if let job = jobs[id], job.holds.failedCount >= JobHolds.failedMax {
            return fail(id, .holdRefused(reason: job.holds.lastReason), &context)
        }
        guard let job = jobs[id], job.assignments.isEmpty, let refusal = job.holds.lastRefusal,
            refusal.isOwn || context.wallClock >= job.manifest.biddingDeadline
        else { return beginBidding(id, &context) }
        fail(id, .holdRefused(reason: refusal.reason), &context)
    }

    /// Takes up a bid: assigns the job, or has the price held first.
    mutating func takeUp(_ bid: ReceivedBid, of job: OriginatedJob, _ context: inout MarketContext) {
        let attempt = job.assignments.count + job.holds.failedCount + 1
        guard let payment = bid.bid.terms.payment else {
            return assign(bid, attempt: attempt, hold: nil, &context)
        }
        if job.holds.failedCount >= JobHolds.failedMax {
            return fail(job.id, .holdRefused(reason: job.holds.lastReason), &context)
        }
        let payer = job.manifest.policy.payBy?.payer(to: payment.issuerDID) ?? payment.issuerDID
        let times = context.configuration.originator
        let promised = context.wallClock.advanced(
            milliseconds: bid.bid.terms.deadline.milliseconds(since: bid.bid.issuedAt))
        // By the executor's clock, and by this one.
        let timeout = min(job.manifest.params.timeoutSeconds, context.configuration.rules.timeoutSecondsMax)
        let check = times.holdCheckTimesMax * 1_000 * timeout
        let deliverBy = max(bid.bid.terms.deadline, promised).advanced(
            milliseconds: times.holdSlackMilliseconds + check)
        // Whoever gets it late has time for a check, too.
        let window = min(times.holdWindowMilliseconds + check, times.holdExtensionMilliseconds)
        let isAlone = job.candidates(context).count < 2
        let wait = isAlone ? times.holdWaitMilliseconds : times.holdWaitBesideOthersMilliseconds
        let until = min(bid.takeUpUntil, job.endsAt, context.date(inMilliseconds: wait))
        var wish = HoldWish(
            issuerDID: payer, unit: payment.unit, jobID: job.id, attempt: attempt, bidCID: bid.cid,
            executorDID: bid.bid.bidderDID, amount: bid.bid.terms.price,
            useBy: context.calendarDate(of: until), deliverBy: deliverBy,
            claimBy: deliverBy.advanced(milliseconds: times.holdGraceMilliseconds),
            windowMilliseconds: window, extensionMilliseconds: times.holdExtensionMilliseconds)
        if payer != payment.issuerDID { wish.acrossDID = payment.issuerDID }
        record(.holdAwaited(wish: wish, until: until), of: job.id, &context)
    }

    mutating func assign(
        _ bid: ReceivedBid, attempt: UInt64, hold: SignedObject<HoldCertificate>?, _ context: inout MarketContext
    ) {
        let id = bid.bid.jobID
        guard let manifest = jobs.read(id, \.manifest) else { return }
        let patience = Patience(with: bid.bid.bidderDID, of: manifest, context)
        var body = Assignment(
            jobID: id, originatorDID: context.did, bidCID: bid.cid, executorDID: bid.bid.bidderDID, attempt: attempt,
            leaseMilliseconds: patience.leaseMilliseconds, terms: bid.bid.terms, assignedAt: context.wallClock,
            acceptBy: bid.bid.expiresAt)
        body.holdCID = hold?.cid
        if hold != nil { body.sealingKey = SealingKey(of: context.identity, job: id, attempt: attempt).publicBytes }
        guard let signed = context.sign(body) else {
            let reason = "the assignment could not be signed"
            return finish(id, .failed(.originatorFailed(reason: reason)), &context)
        }
        context.keep(bid.signed, of: id)
        context.keep(signed, of: id)
        let price = hold == nil ? bid.bid.terms.price : .zero
        let missing = price.subtractingSaturated(context.ledger.escrow(of: id))
        let entry = LedgerEntry.hold(missing, job: id, assignment: signed.cid, at: context.wallClock)
        let confirm = context.date(inMilliseconds: patience.confirmationMilliseconds)
        record(
            .assignmentMade(assignment: signed, confirmUntil: confirm), of: id,
            ledger: missing == .zero ? [] : [entry], &context)
    }

    // MARK: Holds

    /// Takes what came of the wish for a hold that a job waits for; an answer to an earlier one changes nothing.
    mutating func holdAnswered(
        _ id: JobID, attempt: UInt64, _ answer: HoldAnswer, _ context: inout MarketContext
    ) {
        guard let job = jobs[id], job.isOpen, let awaited = job.holds.awaited, awaited.wish.attempt == attempt else {
            return
        }
        switch answer {
        case .given(let block, let below): holdGiven(block, below, for: job, awaited.wish, &context)
        case .refused(let reason, let isOwn):
            holdFailed(awaited.wish, reason, isOwn ? .originatorRefused : .executorRefused, &context)
        case .held(let reason):
            holdFailed(awaited.wish, reason, job.holds.isHeldTooOften ? .executorRefused : .attemptHeld, &context)
        case .delayed(let reason):
            guard awaited.delay == nil else { return }
            record(.holdDelayed(reason: PlainText.sanitized(reason, bytesMax: 512)), of: id, &context)
        }
    }

    private mutating func holdGiven(
        _ block: [UInt8], _ blockBelow: [UInt8]?, for job: OriginatedJob, _ wish: HoldWish,
        _ context: inout MarketContext
    ) {
        let below = blockBelow.flatMap { try? SignedObject<HoldCertificate>(reading: $0) }
        // How long the issuer of this node has after the other is what its own hold lasts longer.
        guard let certificate = try? SignedObject<HoldCertificate>(reading: block),
            wish.isMet(
                by: certificate.body, for: context.did,
                marginMilliseconds: certificate.body.terms.claimBy.milliseconds(since: wish.claimBy)),
            (wish.acrossDID == nil) == (blockBelow == nil),
            below.map({ wish.isMetAcross(by: $0.body, for: context.did) }) ?? (blockBelow == nil)
        else { return holdFailed(wish, "its certificate is for something else", .executorRefused, &context) }
        let bids = job.candidates(context)
        guard let bid = bids.first(where: { $0.cid == wish.bidCID }) else {
            return holdFailed(wish, "the bid cannot be taken up any more", .unanswered, &context)
        }
        for signed in [certificate, below].compactMap(\.self) { context.keep(signed, of: job.id) }
        record(.holdGiven(certificate: certificate, below: below), of: job.id, &context)
        assign(bid, attempt: wish.attempt, hold: below ?? certificate, &context)
    }

    private mutating func holdFailed(
        _ wish: HoldWish, _ reason: String, _ end: HoldEnd, _ context: inout MarketContext
    ) {
        let words = PlainText.sanitized(reason, bytesMax: 512)
        record(.holdFailed(executor: wish.executorDID, reason: words, end: end), of: wish.jobID, &context)
        assignNext(wish.jobID, &context)
    }

    /// The bid cannot be taken up any more: another is asked for.
    mutating func holdElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let awaited = jobs.read(id, \.holds.awaited) ?? nil else { return assignNext(id, &context) }
        holdFailed(awaited.wish, awaited.delay ?? "its issuer did not answer", .unanswered, &context)
    }

    // MARK: Payment

    /// Has a settlement booked at the issuer that holds the price, and tells the executor that its receipt was
    /// delivered. Less than is due is for a dispute, so the book takes no such settlement.
    func payByCredit(_ settlement: SignedObject<Settlement>, of id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], let (accepted, attempt, hold) = job.credited(settlement.body) else { return }
        context.book(
            HoldBooking(
                .holdSettled(
                    hold: hold.holdCID, settlement: settlement.bytes, receipt: accepted.signed.bytes,
                    assignment: attempt.signed.bytes),
                of: hold, paying: settlement.body.amountPaid, notBefore: context.wallClock))
        let milliseconds = context.configuration.originator.settlementDeliveryMilliseconds
        job.oweDelivery(
            SettlementNotice(signed: settlement, until: context.date(inMilliseconds: milliseconds)), &context)
    }
}
