import Credit
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// What a job of this node waits for, and what the node owes to others.
extension OriginatedJob {
    /// What its timers depend on.
    struct Marks: Hashable {
        let phase: JobPhase
        let phaseUntil: UnixMilliseconds?
        let round: UInt64
        let showUntil: UnixMilliseconds?
        let liveAttempt: Attempt?
        let candidateReceipts: Int
        let outputsUntil: UnixMilliseconds?
        let anchor: AnchorState
        let notices: Int
    }

    var marks: Marks {
        Marks(
            phase: phase, phaseUntil: phaseUntil, round: bidding.round,
            showUntil: bidding.sealed.seal?.until, liveAttempt: assignments.live,
            candidateReceipts: receipts.candidates.count, outputsUntil: receipts.firstOutputsUntil, anchor: anchor,
            notices: settlements.notices.count)
    }

    func armTimers(from old: Marks?, _ context: inout MarketContext) {
        if old == nil { context.setTimer(.whole(id), at: endsAt) }
        if old?.phaseUntil != phaseUntil || old?.phase != phase {
            if let until = phaseUntil {
                context.setTimer(.phase(id), at: until)
            } else {
                context.timers.clear(.phase(id))
            }
        }
        if phase == .bidding, old?.round != bidding.round, let until = bidding.windowUntil {
            context.setTimer(.window(id), at: until)
            context.setTimer(.reannounce(id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
        }
        if phase == .bidding, let until = bidding.sealed.seal?.until, old?.showUntil != until {
            context.setTimer(.window(id), at: until)
            context.timers.clear(.reannounce(id))
        }
        if phase != .bidding || status == .biddingClosed {
            context.timers.clear(.window(id))
            context.timers.clear(.worth(id))
            context.timers.clear(.reannounce(id))
        }
        armLease(from: old, &context)
        if let until = receipts.firstOutputsUntil {
            if old?.candidateReceipts != receipts.candidates.count || old?.outputsUntil != until {
                context.setTimer(.outputs(id), at: until)
            }
        } else {
            context.timers.clear(.outputs(id))
        }
        anchor.armTimer(.anchor(id, .originator), from: old?.anchor, &context)
        if let until = settlements.notices.map(\.until).max() {
            if old?.notices != settlements.notices.count { context.setTimer(.notices(id), at: until) }
        } else {
            context.timers.clear(.notices(id))
        }
        if isClosed { context.timers.clear(.whole(id)) }
    }

    private func armLease(from old: Marks?, _ context: inout MarketContext) {
        guard let live = assignments.live, live.isConfirmed else {
            context.timers.clear(.lease(id))
            context.timers.clear(.hedge(id))
            return
        }
        if old?.liveAttempt != live {
            context.setTimer(.lease(id), inMilliseconds: live.assignment.leaseMilliseconds)
        }
    }

    /// Whether it waits for anything.
    func hasTimer(_ context: MarketContext) -> Bool {
        let timers: [MarketTimer] = [.phase(id), .outputs(id), .whole(id), .notices(id), .anchor(id, .originator)]
        return timers.contains { context.timers.contains($0) }
    }

    /// Whether nothing is left to do and nobody left to tell.
    func isDone(_ context: MarketContext) -> Bool {
        guard !isClosed, !isOpen, settlements.notices.isEmpty, !anchor.isPending else { return false }
        if receipt != nil, settlementCID == nil || anchor.isNone { return false }
        return !(assignments.hasUnknown && context.timers.contains(.whole(id)))
    }

    // MARK: Actions

    func emitActions(of event: JobEvent, _ context: inout MarketContext) {
        switch event.kind {
        case .submitted: announce(&context)
        case .announced(let round, _, _):
            if round > 1 { announce(&context) }
        case .bidsSealed: askToShowAll(&context)
        case .holdAwaited(let wish, _): context.emit(.orderHold(wish))
        case .assignmentMade: oweAssignment(&context)
        case .assignmentConfirmed(let cid, _):
            context.dropDelivery(.assignment, job: id, subject: cid)
            if cancelReason != nil { oweCancellation(&context) }
        case .attemptEnded(let cid, _): context.dropDelivery(.assignment, job: id, subject: cid)
        case .cancellationRequested: oweCancellation(&context)
        case .receiptAccepted: if let candidate = receipts.candidates.last { fetchOutputs(of: candidate, &context) }
        case .resultReached, .failed, .cancelled: stopOthers(&context)
        case .settled, .lateReceipt, .paymentRefused: if let notice = settlements.notices.last { owe(notice, &context) }
        case .anchored: context.publishHeads(anchorOf: id)
        default: break
        }
    }

    /// After a restart: what the node owes whether there is a result or not.
    func oweAgain(_ context: inout MarketContext) {
        if isOpen, let awaited = holds.awaited { context.emit(.orderHold(awaited.wish)) }
        for notice in settlements.notices {
            owe(notice, &context)
            oweDelivery(notice, &context)
        }
        if anchor.isPending { context.publishHeads(anchorOf: id) }
    }

    func announce(_ context: inout MarketContext) {
        if bidding.sealed.seal != nil, phase == .bidding { return askToShowAll(&context) }
        let isSmall = signedManifest.bytes.count <= context.configuration.originator.announcedManifestBytesMax
        let announcement = JobAnnouncementV1(
            jobID: id, manifest: isSmall ? signedManifest.bytes : nil,
            executionPolicy: isSmall ? nil : manifest.params.executionPolicy,
            originatorPeerID: manifest.originatorPeerID, providerAddresses: manifest.originatorAddresses,
            expiresAt: min(
                manifest.expiresAt, phaseUntil.map(context.calendarDate(of:)) ?? manifest.biddingDeadline))
        context.emit(.announce(id, announcement))
    }

    func oweAssignment(_ context: inout MarketContext) {
        guard let live = assignments.live, !live.isConfirmed, let until = phaseUntil,
            let bid = bidding.bid(live.assignment.bidCID)
        else { return }
        let message = AssignJobV1(
            manifest: signedManifest.bytes, bid: bid.signed.bytes, assignment: live.signed.bytes,
            hold: holds.shown(of: live.assignment)?.bytes)
        context.deliver(
            .assignJob(message), .assignment, job: id, subject: live.cid, to: live.executorPeerID, until: until)
    }

    func oweCancellation(_ context: inout MarketContext) {
        guard let live = assignments.live else { return }
        context.dropDelivery(.assignment, job: id, subject: live.cid)
        let message = CancelJobV1(
            jobID: id, assignmentCID: live.cid, reason: cancelReason ?? Self.cancellationWords)
        let until =
            phaseUntil
            ?? context.date(
                inMilliseconds: context.configuration.originator.cancellationMilliseconds)
        context.deliver(
            .cancelJob(message), .cancellation, job: id, subject: live.cid, to: live.executorPeerID, until: until)
    }

    /// The reason if the user named none.
    static let cancellationWords = "the originator asked for the end"

    /// Tells executors that may still run a job with a result to stop.
    private func stopOthers(_ context: inout MarketContext) {
        let until = context.date(inMilliseconds: context.configuration.originator.cancellationMilliseconds)
        for attempt in assignments.all where attempt.fateIsUnknown {
            let message = CancelJobV1(jobID: id, assignmentCID: attempt.cid, reason: "the job has ended")
            context.deliver(
                .cancelJob(message), .cancellation, job: id, subject: attempt.cid, to: attempt.executorPeerID,
                until: until)
        }
    }

    func fetchOutputs(of candidate: CandidateReceipt, _ context: inout MarketContext) {
        let receipt = candidate.accepted.receipt
        guard !receipt.owedBlocks.isEmpty else { return }
        context.emit(
            .fetchOutputs(
                id, receipt: candidate.accepted.cid, from: receipt.executorDID.peerID, blocks: receipt.owedBlocks,
                deadlineMilliseconds: Int64(clamping: candidate.outputsUntil.milliseconds(since: context.steady))))
    }

    /// Where a settlement pays by credit, its executor is told that the receipt was delivered, so that it can claim.
    func oweDelivery(_ notice: SettlementNotice, _ context: inout MarketContext) {
        guard let settled = credited(notice.signed.body) else { return }
        let statement = DeliveryStatement(
            keeperDID: context.did, receiptCID: notice.receiptCID, deliveredAt: notice.signed.body.settledAt)
        guard let signed = context.sign(statement) else { return }
        context.deliver(
            .jobDelivered(JobDeliveredV1(jobID: id, statement: signed.bytes)), .delivery, job: id,
            subject: notice.receiptCID, to: settled.attempt.executorPeerID, until: notice.until)
    }

    /// What a settlement pays by credit: the receipt, its attempt and its hold; nil where it pays tokens, or less than
    /// is due, which no book takes.
    func credited(
        _ settlement: Settlement
    ) -> (accepted: AcceptedReceipt, attempt: Attempt, hold: HoldCertificate)? {
        guard let accepted = receipts.chosen, accepted.cid == settlement.receiptCID,
            let attempt = assignments[accepted.assignmentCID],
            let hold = holds.certificate(of: attempt.assignment)?.body, settlement.amountPaid > .zero,
            settlement.amountPaid == min(accepted.receipt.price, hold.amount)
        else { return nil }
        return (accepted, attempt, hold)
    }

    /// Tells the executor of a settled receipt the settlement once more, as it asks by giving the receipt again: it may
    /// have been away as long as it was told.
    func settleAgain(_ receipt: CID, _ context: inout MarketContext) {
        guard let signed = settlements.settlement(of: receipt) else { return }
        context.tell(
            .jobSettled(JobSettledV1(settlement: signed.bytes)), .settlement, job: id, subject: receipt,
            to: signed.body.executorDID.peerID)
    }

    private func owe(_ notice: SettlementNotice, _ context: inout MarketContext) {
        context.deliver(
            .jobSettled(JobSettledV1(settlement: notice.signed.bytes)), .settlement, job: id,
            subject: notice.receiptCID, to: notice.executorDID.peerID, until: notice.until)
    }
}

// MARK: - Checks

extension OriginatedJob {
    /// What it is worth to its owner: the most that it may cost, by the owner or else by the executor's bid.
    func stake(of assignment: CID) -> UInt64 {
        (manifest.params.priceCeiling ?? assignments[assignment]?.assignment.terms.price ?? .zero).units
    }

    /// Executors that its work takes.
    package var executorsNeeded: UInt64 { if case .quorum(_, let count)? = verification?.level { count } else { 1 } }

    /// Whether others do its work, too, from the beginning, or before it.
    var isOfQuorum: Bool { if case .quorum? = verification?.level { true } else { replicaOf != nil } }

    /// What a receipt that counts and was borne out says.
    var boreOut: ComparedResult? {
        isChecked ? receipts.chosen.map { ComparedResult($0.receipt) } : nil
    }

    /// Whether one of its results was judged, or this node is about to.
    var isJudged: Bool {
        finding != nil || receipts.candidates.contains { $0.check.map { $0 != .agreement } ?? false }
            || assignments.all.contains { attempt in
                switch attempt.end {
                case .refuted, .unverified: true
                default: false
                }
            }
    }

    /// Its receipts that were not refuted.
    var givenReceipts: [ExecutionReceipt] {
        (receipts.candidates.map(\.accepted) + [receipts.chosen].compactMap(\.self)).map(\.receipt)
    }

    /// Whether this node's own run, and not only others', bore out a receipt that counts and came to its end. Keys cost
    /// nothing, so what several of them agree on shows nothing about any.
    var isBorneOutHere: Bool {
        guard let receipt = receipts.chosen?.receipt else { return false }
        return finding.map(\.isOwnRun) ?? false && !receipt.outcome.isCutShort
    }

    /// Executors whose results of it were refuted.
    var liars: [DID] {
        assignments.all.compactMap { attempt in
            if case .refuted? = attempt.end { attempt.assignment.executorDID } else { nil }
        }
    }
}

// MARK: - Attempts

extension OriginatedJob {
    /// The bid that an attempt takes up, while it is known.
    func bid(of attempt: Attempt) -> Bid? { bidding.bid(attempt.assignment.bidCID)?.bid }

    /// How long it waits for its turn at the executor that has an assignment, in milliseconds.
    func queueMilliseconds(of assignment: CID, _ context: MarketContext) -> UInt64 {
        guard let bid = assignments[assignment].flatMap(bid(of:)) else { return 0 }
        return Patience.queueMilliseconds(of: bid, on: manifest, context)
    }

    /// Whether it may be given to one more executor.
    func hasAttemptsLeft(_ times: OriginatorConfiguration) -> Bool {
        assignments.used(declinesMax: times.declinesMax) < manifest.policy.maxAttempts ?? times.maxAttempts
    }

    /// Why no other executor is asked after those that had it; nil if one is. What they say of failures of their own
    /// decides only where this node's own run did not come to an end.
    func failureOfAttempts(_ times: OriginatorConfiguration) -> JobFailure? {
        let isRunnable = trial == .over(isRunnable: true)
        let crashes = assignments.crashes
        if !isRunnable, crashes.count >= times.engineCrashesMax, let way = crashes.last?.crash {
            return .crashesEngine(executors: UInt64(crashes.count), last: PlainText.sanitized(way))
        }
        if hasAttemptsLeft(times), isRunnable || assignments.nodeFailures < times.nodeFailuresMax { return nil }
        return .attemptsExhausted(attempts: assignments.count, last: assignments.lastEnd)
    }

    /// Whether its executors failed it, and nothing of it is under way.
    func isFailed(_ times: OriginatorConfiguration) -> Bool {
        isOpen && cancelReason == nil && !assignments.isEmpty && !assignments.hasLive && receipts.candidates.isEmpty
            && trial?.assignment == nil && failureOfAttempts(times) != nil
    }
}

// MARK: - Second copies

extension OriginatedJob {
    /// Whether a second executor may be asked: once, while no receipt waits to count, and only for work that nobody
    /// else does for comparison, or does with its user.
    var mayHedge: Bool {
        manifest.policy.allowsHedge && isOpen && cancelReason == nil && !assignments.wasHedged
            && receipts.candidates.isEmpty && manifest.params.session == nil && replicaCount == 0 && !isOfQuorum
    }
}

// MARK: - Public bids

extension OriginatedJob {
    /// Whether its journal has room for a refused bid: all that count are in it where bids are public, since it says
    /// which of them were shown.
    func hasRoom(forRefused bid: SignedObject<Bid>, _ limits: MarketLimits) -> Bool {
        bidding.hasRoom(forRefusedOf: bid.body.bidderDID, limits)
            || (bidding.sealed.admits(bid.cid) && !bidding.sealed.shown.contains(bid.cid)
                && hasRoom(forBidBytes: bid.bytes.count, limits))
    }

    /// Commitments to bids that are shown later, where bids are public; none once one is chosen.
    package var committedCount: Int { bidding.sealed.commitments.count }

    /// Whether it has an acceptable bid, or one that is shown later.
    func hasOffers(_ context: MarketContext) -> Bool {
        let denied = context.configuration.originator.deniedExecutors
        return bidding.sealed.commitments.contains { !denied.contains($0.body.bidderDID) }
            || !candidates(context).isEmpty
    }

    /// Tells everybody which bids count, and each of their bidders to show its own.
    func askToShowAll(_ context: inout MarketContext) {
        let sealed = bidding.sealed
        for hidden in sealed.hidden { askToShow(hidden.body, &context) }
        let message = JobBidsSealedV1(jobID: id, bids: sealed.bids)
        context.emit(.tellEverybody(id, topic: MeshTopics.bids(on: id), .jobBidsSealed(message)))
    }

    /// Asks a bidder to show its bid, if that is what is waited for.
    func askToShow(_ commitment: BidCommitment, _ context: inout MarketContext) {
        guard let seal = bidding.sealed.seal else { return }
        let message = JobBidsSealedV1(jobID: id, bids: bidding.sealed.bids)
        context.deliver(
            .jobBidsSealed(message), .bidsSealed, job: id, subject: commitment.bidCID, to: commitment.bidderDID.peerID,
            until: seal.until)
    }
}
