import Economics
package import MeshTypes
package import Multiformats
package import SignedObjects

/// The phase of an originated job; each has its own deadline, and its own reason when that passes.
package enum JobPhase: String, Hashable, Sendable, CaseIterable {
    /// Publishing the announcement.
    case announcement
    /// Collecting bids.
    case bidding
    /// Waiting for tokens that other jobs hold, because the price cannot be held yet.
    case funds
    /// Waiting for an issuer to hold the price.
    case hold
    /// Waiting for an executor to confirm its assignment.
    case confirmation
    /// The executor fetches and compiles.
    case fetching
    /// The module runs.
    case execution
    /// Waiting for the receipt and its outputs.
    case receipt
    /// The result is being checked.
    case verification
    /// Waiting for a cancelled run's receipt.
    case cancellation
    /// The result is there.
    case over
}

/// A job of this node: the fold of its journal.
package struct OriginatedJob: MarketJob, Hashable, Sendable {
    /// Its stage, with what exists only at that stage.
    enum Stage: Hashable, Sendable {
        case open(Opening)
        case over(Ending)
    }

    /// What a job without a result waits for.
    struct Opening: Hashable, Sendable {
        var phase = JobPhase.announcement
        /// When the phase is over.
        var until: UnixMilliseconds
        /// Why it is being cancelled.
        var cancelReason: String?
    }

    /// How a job ended.
    enum Ending: Hashable, Sendable {
        /// A receipt counts.
        case reached(StandardJobStatus, ExecutionOutcome)
        /// No receipt counts.
        case failed(JobFailure)
        /// It was cancelled, and no receipt counts.
        case cancelled(reason: String)
    }

    /// The job.
    package let id: JobID
    /// The job's manifest, as this node signed it.
    package let signedManifest: SignedObject<JobManifest>
    /// Who asked.
    package let requester: DID
    /// The client's key of the submission.
    package let idempotencyKey: String
    /// When the job's time is over, by this node's steady clock: the calendar may be set meanwhile.
    package let endsAt: UnixMilliseconds
    /// The detailed state.
    package private(set) var status = JobStatus.pendingAnnouncement
    private(set) var stage: Stage
    /// Its bids.
    private(set) var bidding = Bidding()
    /// What kept the known executors, as the journal says last, and how often the journal says it.
    package private(set) var outlook: ExecutorOutlook?
    private(set) var outlookCount = 0
    /// Its assignments.
    private(set) var assignments = Attempts()
    /// Its receipts.
    private(set) var receipts = ReceivedReceipts()
    /// How the result is to be checked; `nil` if it is believed.
    package private(set) var verification: VerificationOpening?
    /// What the check of the receipt that counts found, and the fuel of this node's own run where only that is known.
    package private(set) var finding: VerificationFinding?
    private(set) var foundFuel: UInt64?
    /// What issuers hold for it.
    package private(set) var holds = JobHolds()
    /// This node's own run of it, after executors failed it.
    private(set) var trial: JobTrial?
    /// The job of which it is a replica.
    package private(set) var replicaOf: JobID?
    /// How many replicas of it were made.
    package private(set) var replicaCount = 0
    /// What was paid for them.
    private(set) var settlements = Settlements()
    /// The anchoring of the receipt.
    package private(set) var anchor = AnchorState.none
    /// Bytes of the evidence in its journal.
    package private(set) var evidenceBytes: Int
    /// Whether the journal has ended.
    package private(set) var isClosed = false
    /// When the last event happened.
    package private(set) var lastEventAt: UnixMilliseconds

    /// The job as its first event creates it.
    init(
        submitted signed: SignedObject<JobManifest>, requester: DID, key: String, until: UnixMilliseconds,
        at: UnixMilliseconds
    ) {
        id = JobID(signed.cid)
        signedManifest = signed
        evidenceBytes = signed.bytes.count
        self.requester = requester
        idempotencyKey = key
        stage = .open(Opening(until: until))
        endsAt = at.advanced(milliseconds: signed.body.expiresAt.milliseconds(since: signed.body.submittedAt))
        lastEventAt = at
    }

    // MARK: Fold

    /// Folds one event into the state: a pure function of the two.
    mutating func fold(_ event: JobEvent) {
        lastEventAt = event.at
        evidenceBytes += event.kind.evidenceByteCount
        switch event.kind {
        case .announced(let round, let windowUntil, let biddingUntil):
            bidding.opened(round: round, windowUntil: windowUntil)
            holds.fold(event.kind)
            enter(.bidding, until: biddingUntil, status: .announced)
        case .bidReceived(let signed, let refusal):
            bidding.received(signed, refusal: refusal, at: event.at)
            if status == .announced { status = .biddingOpen }
        case .bidDisplaced(let cid): bidding.displaced(cid)
        case .bidCommitted(let commitment):
            bidding.sealed.committed(commitment)
            // What was shown in an earlier round is known.
            let bid = commitment.body.bidCID
            if bidding.bid(bid) != nil { bidding.sealed.showed(bid) }
            if status == .announced { status = .biddingOpen }
        case .bidsSealed(let cause, let until): bidding.sealed.sealed(cause, until: until)
        case .executorsJudged(let outlook):
            self.outlook = outlook.atLast
            outlookCount += 1
        case .biddingClosed: status = .biddingClosed
        case .fundsAwaited(_, _, let until): enter(.funds, until: until, status: .biddingClosed)
        case .holdAwaited(_, let until):
            holds.fold(event.kind)
            enter(.hold, until: until, status: .biddingClosed)
        case .holdDelayed, .holdFailed, .holdGiven: holds.fold(event.kind)
        case .cancellationRequested(let reason, let until):
            enter(.cancellation, until: until, status: status)
            if case .open(var opening) = stage {
                opening.cancelReason = reason
                stage = .open(opening)
            }
        case .receiptChosen(let cid): choose(cid)
        case .resultReached(let result, let outcome): reach(result, outcome)
        case .failed(let reason): abandon(.failed(reason))
        case .cancelled(let reason): abandon(.cancelled(reason: reason))
        case .closed: isClosed = true
        case .verificationChosen, .verificationBegan, .verificationEnded, .paymentRefused, .replicaOf, .replicasMade,
            .trialBegan, .trialEnded:
            foldVerification(event.kind)
        case .assignmentMade, .assignmentConfirmed, .acceptanceSigned, .attemptEnded, .attemptResumed, .statusReported,
            .receiptAccepted:
            foldAttempt(event.kind, at: event.at)
        default: foldEvidence(event.kind)
        }
    }

    private mutating func foldAttempt(_ kind: JobEventKind, at date: UnixMilliseconds) {
        switch kind {
        case .assignmentMade(let signed, let until):
            assignments.made(signed, at: date)
            enter(.confirmation, until: until, status: .awaitingAssignmentConfirmation)
        case .assignmentConfirmed(let cid, let until):
            let isAwaited = assignments.update(cid) { $0.confirmed() } ?? false
            if isAwaited, cancelReason == nil { enter(.fetching, until: until, status: .assigned) }
        case .acceptanceSigned(let signed):
            _ = assignments.update(signed.body.assignmentCID) { $0.acceptance = signed.cid }
        case .statusReported(let cid, let reported, let progress, let until):
            let isAwaited = assignments.update(cid) { $0.reported(reported, progressPermille: progress) } ?? false
            guard isAwaited else { return }
            status = reported
            if cancelReason == nil { enter(Self.phase(of: reported), until: until, status: reported) }
        case .attemptEnded(let cid, let end):
            guard assignments.update(cid, { $0.ended(end) }) != nil else { return }
            receipts.attemptEnded(cid)
            if end.isHedge { assignments.hedged() }
            goOnWithoutAttempt()
        case .attemptResumed(let cid, let until):
            if let status = assignments.resumed(cid) { enter(Self.phase(of: status), until: until, status: status) }
        case .receiptAccepted(let cid, let signed, let until):
            guard let wasLive = assignments.update(cid, { $0.delivered() }) else { return }
            receipts.accepted(signed, at: date, outputsUntil: until)
            // The receipt of a superseded attempt does not affect what is under way.
            if wasLive { enter(.receipt, until: until, status: .producingOutputs) }
        default: break
        }
    }

    private mutating func foldVerification(_ kind: JobEventKind) {
        switch kind {
        case .verificationChosen(let opening): verification = opening
        case .replicaOf(let job): replicaOf = job
        case .replicasMade(let jobs): replicaCount += jobs.count
        case .verificationBegan(let receipt, let check, let until):
            receipts.checked(receipt, check, until: until)
            // The receipt of a superseded attempt does not affect what is under way.
            if phase == .receipt, !assignments.hasLive { enter(.verification, until: until, status: .verifying) }
        case .verificationEnded(_, let finding, let fuel): (self.finding, foundFuel) = (finding, fuel)
        case .paymentRefused(let settlement, let until): settlements.answeredLate(settlement, notifyUntil: until)
        case .trialBegan(let assignment, let until):
            trial = .underWay(assignment: assignment)
            enter(.verification, until: until, status: .verifying)
        case .trialEnded(let isRunnable, _):
            trial = .over(isRunnable: isRunnable)
            if isOpen { status = .biddingClosed }
        default: break
        }
    }

    private mutating func foldEvidence(_ kind: JobEventKind) {
        switch kind {
        case .settled(let signed, let until):
            settlements.paid(signed, notifyUntil: until)
            status = .receiptGenerated
        case .lateReceipt(let signed, let settlement, let until):
            receipts.cameLate(signed.cid)
            _ = assignments.update(signed.body.assignmentCID) { $0.wasLate() }
            settlements.answeredLate(settlement, notifyUntil: until)
        case .settlementDelivered(let receipt, _): settlements.told(of: receipt)
        case .anchored(let entry, let until):
            anchor = .pending(entry.cid, until: until)
            status = .receiptAnchored
        case .anchorPublished(let inTime): anchor.published(inTime: inTime)
        default: break
        }
    }

    /// Continues after an attempt's end with the next one, unless bidding or another attempt is under way.
    private mutating func goOnWithoutAttempt() {
        guard !assignments.hasLive, receipts.chosen == nil, phase != .bidding, trial?.assignment == nil,
            holds.awaited == nil, !(assignments.all.last?.awaitsOutputs ?? false)
        else { return }
        status = .biddingClosed
        if let until = receipts.lastOutputsUntil { enter(.receipt, until: until, status: .biddingClosed) }
    }

    private mutating func choose(_ receipt: CID) {
        if let assignment = receipts.choose(receipt) { _ = assignments.update(assignment) { $0.won() } }
    }

    private mutating func reach(_ result: StandardJobStatus, _ outcome: ExecutionOutcome) {
        // With only one receipt waiting there was nothing to choose.
        if receipts.chosen == nil, let last = receipts.candidates.last { choose(last.accepted.cid) }
        if let chosen = receipts.chosen { closeCandidates { _ in .overtaken(receipt: chosen.cid) } }
        end(.reached(result, outcome))
    }

    private mutating func abandon(_ ending: Ending) {
        assignments.abandoned()
        closeCandidates(\.outputsMissing)
        receipts.abandoned()
        end(ending)
    }

    /// Stops waiting for the candidates' outputs.
    private mutating func closeCandidates(_ end: (CandidateReceipt) -> AttemptEnd) {
        for candidate in receipts.closeCandidates() {
            _ = assignments.update(candidate.accepted.assignmentCID) { $0.ended(end(candidate)) }
        }
    }

    private mutating func end(_ ending: Ending) {
        bidding.ended()
        stage = .over(ending)
        if let result { status = JobStatus(representing: result) }
    }

    private mutating func enter(_ phase: JobPhase, until: UnixMilliseconds, status: JobStatus) {
        guard case .open(var opening) = stage else { return }
        opening.phase = phase
        opening.until = until
        stage = .open(opening)
        self.status = status
    }

    private static func phase(of status: JobStatus) -> JobPhase {
        switch status {
        case .running, .awaitingInputs: .execution
        case .producingOutputs: .receipt
        default: .fetching
        }
    }
}

// MARK: - What it shows

extension OriginatedJob {
    /// The job's manifest.
    package var manifest: JobManifest { signedManifest.body }
    /// The phase that the job is in.
    package var phase: JobPhase { if case .open(let opening) = stage { opening.phase } else { .over } }
    /// When the phase is over.
    package var phaseUntil: UnixMilliseconds? { if case .open(let opening) = stage { opening.until } else { nil } }
    /// Whether it has no result yet.
    var isOpen: Bool { if case .open = stage { true } else { false } }

    /// How the job ended.
    package var result: StandardJobStatus? {
        switch stage {
        case .open: nil
        case .over(.reached(let result, _)): result
        case .over(.failed): .failed
        case .over(.cancelled): .cancelled
        }
    }

    /// How the module ended, if a receipt counts.
    package var outcome: ExecutionOutcome? { if case .over(.reached(_, let outcome)) = stage { outcome } else { nil } }
    /// Why it failed, if no receipt counts.
    package var failure: JobFailure? { if case .over(.failed(let failure)) = stage { failure } else { nil } }
    /// Why it was, or is being, cancelled.
    package var cancelReason: String? {
        switch stage {
        case .open(let opening): opening.cancelReason
        case .over(.cancelled(let reason)): reason
        case .over: nil
        }
    }

    /// How many rounds of bidding began.
    package var round: UInt64 { bidding.round }
    /// The acceptable bids kept, in the order of arrival; none once the job has its result.
    package var bids: [ReceivedBid] { bidding.bids }
    /// Refused bids for the user to read, one per bidder; none once the job has its result.
    package var refusedBids: [RefusedBid] { bidding.refused }
    /// The bids that the journal records, including those refused or displaced since.
    package var bidCount: UInt64 { bidding.count }

    /// All assignments, in order.
    package var attempts: [Attempt] { assignments.all }
    /// The attempt that may still give the result; there is at most one.
    package var liveAttempt: Attempt? { assignments.live }

    /// The executor that has the job, or gave its result.
    var winner: BidWinner? {
        let attempt = assignments.all.last { $0.isLive || $0.awaitsOutputs || $0.hasWon }
        return attempt.map { BidWinner(did: $0.assignment.executorDID, price: $0.assignment.terms.price) }
    }

    /// Valid receipts that wait for their outputs, in order of arrival.
    package var candidateReceipts: [CandidateReceipt] { receipts.candidates }
    /// Whether this node's own run, or look, or enough other executors bore out the receipt that counts.
    package var isChecked: Bool { [.confirmed, .agreed, .fuelUnknown].contains(finding) }
    /// The receipt that counts, once there is one.
    package var receipt: AcceptedReceipt? { receipts.chosen }
    /// Receipts that came too late.
    package var lateReceipts: [CID] { receipts.late }
    /// The signed settlement of the receipt that counts.
    package var settlementCID: CID? { settlements.payment?.cid }
    /// What was paid.
    package var paid: TokenAmount { settlements.payment?.amount ?? .zero }
    /// Settlements still to be sent to executors.
    package var notices: [SettlementNotice] { settlements.notices }

    /// Whether the outputs of a receipt are still wanted.
    package func awaitsOutputs(of receipt: CID) -> Bool { isOpen && receipts.candidate(receipt) != nil }

    /// Whether the latest attempt delivered its receipt, so that nobody else is asked before its outputs are here; of a
    /// slow run and its second copy whichever did.
    var isDelivered: Bool {
        assignments.all.last?.awaitsOutputs ?? false || (assignments.wasHedged && !receipts.candidates.isEmpty)
    }

    /// Whether a run of the job that is not this one may still give a result, where a second copy was made.
    func hasRival(of assignment: CID) -> Bool {
        assignments.wasHedged
            && assignments.all.contains { $0.cid != assignment && ($0.isLive || $0.isHedged || $0.awaitsOutputs) }
    }

    /// Whether the job accepts bids: while collecting them, and also before gossip has the announcement.
    package var takesBids: Bool { isOpen && (phase == .announcement || phase == .bidding) && status != .biddingClosed }

    /// Whether the job has room for this much more evidence; bids leave half of it to receipts.
    func hasRoom(forBidBytes count: Int, _ limits: MarketLimits) -> Bool {
        evidenceBytes + count <= limits.jobEvidenceBytesMax / 2
    }

    /// Whether the job has room for a receipt of this many bytes.
    func hasRoom(forReceiptBytes count: Int, _ limits: MarketLimits) -> Bool {
        evidenceBytes + count <= limits.jobEvidenceBytesMax
    }

    /// Executors that had the job and did not deliver.
    func isExcluded(_ did: DID) -> Bool { assignments.isExcluded(did) || holds.isExcluded(did) }

    /// Acceptable bids that can still be taken up; none of executors that the owner banned since they came.
    func candidates(_ context: MarketContext) -> [ReceivedBid] {
        let denied = context.configuration.originator.deniedExecutors
        return bidding.bids.filter { bid in
            context.steady < bid.takeUpUntil && !denied.contains(bid.bid.bidderDID)
                && !isExcluded(bid.bid.bidderDID) && !assignments.isTaken(bid.cid)
        }
    }

    /// Whether the window is over without a bid that can be taken up.
    func isWithoutTakers(_ context: MarketContext) -> Bool {
        isOpen && phase == .bidding && status != .biddingClosed && !context.timers.contains(.window(id))
            && !hasOffers(context)
    }

    var cameToNothing: Bool { false }

    var ledgerKeys: [LedgerEntry.Key] {
        assignments.all.map { LedgerEntry.Key(.hold, $0.cid.text) }
            + [LedgerEntry.Key(.settle, id.description), LedgerEntry.Key(.refund, id.description)]
    }
}

extension JobEventKind {
    /// Bytes of the signed object that the event carries, if any.
    var evidenceByteCount: Int {
        switch self {
        case .bidReceived(let bid, _): bid.bytes.count
        case .bidCommitted(let commitment): commitment.bytes.count
        case .assignmentMade(let assignment, _): assignment.bytes.count
        case .acceptanceSigned(let acceptance): acceptance.bytes.count
        case .holdGiven(let certificate, let below): certificate.bytes.count + (below?.bytes.count ?? 0)
        case .receiptAccepted(_, let receipt, _), .lateReceipt(let receipt, _, _): receipt.bytes.count
        case .settled(let settlement, _), .paymentRefused(let settlement, _): settlement.bytes.count
        case .anchored(let entry, _): entry.bytes.count
        default: 0
        }
    }
}
