import MeshTypes
import Multiformats
import SignedObjects

extension OriginatedJob {
    /// The job as its first event makes it.
    init(
        submitted signed: SignedObject<JobManifest>, requester: DID, key: String, until: UnixMilliseconds,
        at: UnixMilliseconds
    ) {
        id = JobID(signed.cid)
        signedManifest = signed
        evidenceBytes = signed.bytes.count
        self.requester = requester
        idempotencyKey = key
        phaseUntil = until
        endsAt = at.advanced(milliseconds: signed.body.expiresAt.milliseconds(since: signed.body.submittedAt))
        lastEventAt = at
    }

    /// Folds one event into the state: a pure function of the two.
    mutating func fold(_ event: JobEvent) {
        lastEventAt = event.at
        evidenceBytes += event.kind.evidenceByteCount
        switch event.kind {
        case .announced(let round, let windowUntil, let biddingUntil):
            self.round = round
            self.windowUntil = windowUntil
            enter(.bidding, until: biddingUntil, status: .announced)
        case .bidReceived(let signed, let refusal):
            bidCount += 1
            if let refusal {
                refusedBids.append(
                    RefusedBid(bidder: signed.body.bidderDID, price: signed.body.terms.price, refusal: refusal))
            } else {
                bids.append(ReceivedBid(signed: signed, arrivedAt: event.at))
            }
            if status == .announced { status = .biddingOpen }
        case .bidDisplaced(let cid):
            bids.removeAll { $0.cid == cid }
        case .biddingClosed:
            status = .biddingClosed
        case .fundsAwaited(_, _, let until):
            enter(.funds, until: until, status: .biddingClosed)
        case .receiptChosen(let cid):
            choose(candidateReceipts.first { $0.accepted.cid == cid })
        case .cancellationRequested(let reason, let until):
            cancelReason = reason
            enter(.cancellation, until: until, status: status)
        case .resultReached(let result, let outcome):
            self.result = result
            self.outcome = outcome
            forgetBids()
            // Where only one receipt waited, nobody had to choose.
            if receipt == nil { choose(candidateReceipts.last) }
            if let receipt { closeCandidates { _ in .overtaken(receipt: receipt.cid) } }
            enter(.over, until: nil, status: JobStatus(representing: result))
        case .failed(let reason):
            failure = reason
            end(.failed)
        case .cancelled(let reason):
            cancelReason = reason
            end(.cancelled)
        case .closed:
            isClosed = true
        case .assignmentMade, .assignmentConfirmed, .attemptEnded, .statusReported, .receiptAccepted:
            foldAttempt(event)
        default:
            foldEvidence(event)
        }
    }

    /// Whether so much more evidence may come; bids leave half of it to receipts.
    func hasRoom(forBidBytes count: Int, _ limits: MarketLimits) -> Bool {
        evidenceBytes + count <= limits.jobEvidenceBytesMax / 2
    }

    /// Whether a receipt of so many bytes may come.
    func hasRoom(forReceiptBytes count: Int, _ limits: MarketLimits) -> Bool {
        evidenceBytes + count <= limits.jobEvidenceBytesMax
    }

    private mutating func foldAttempt(_ event: JobEvent) {
        switch event.kind {
        case .assignmentMade(let signed, let until):
            attempts.append(Attempt(signed: signed))
            enter(.confirmation, until: until, status: .awaitingAssignmentConfirmation)
        case .assignmentConfirmed(let cid, let until):
            guard let index = index(of: cid) else { return }
            attempts[index].isConfirmed = true
            attempts[index].status = .assigned
            if attempts[index].isLive, cancelReason == nil { enter(.fetching, until: until, status: .assigned) }
        case .statusReported(let cid, let reported, let progress, let until):
            guard let index = index(of: cid) else { return }
            attempts[index].status = reported
            attempts[index].progressPermille = progress
            status = reported
            if cancelReason == nil { enter(Self.phase(of: reported), until: until, status: reported) }
        case .attemptEnded(let cid, let end):
            guard let index = index(of: cid) else { return }
            attempts[index].end = end
            attempts[index].hasWon = false
            switch end {
            case .nodeFailed, .receiptInvalid: attempts[index].hasReceipt = true
            default: break
            }
            attempts[index].awaitsOutputs = false
            candidateReceipts.removeAll { $0.accepted.assignmentCID == cid }
            if receipt?.assignmentCID == cid { receipt = nil }
            goOnWithoutAttempt()
        case .receiptAccepted(let cid, let signed, let until):
            guard let index = index(of: cid) else { return }
            let wasLive = attempts[index].isLive
            attempts[index].awaitsOutputs = true
            attempts[index].hasReceipt = true
            attempts[index].end = nil
            let accepted = AcceptedReceipt(signed: signed)
            candidateReceipts.append(CandidateReceipt(accepted: accepted, outputsUntil: until))
            // The receipt of a superseded attempt leaves alone what goes on meanwhile.
            if wasLive { enter(.receipt, until: until, status: .producingOutputs) }
        default: break
        }
    }

    /// After an attempt ended: the next one follows, unless bids are being collected or another attempt goes on.
    private mutating func goOnWithoutAttempt() {
        guard liveIndex == nil, receipt == nil, !isDelivered, phase != .bidding else { return }
        status = .biddingClosed
        if let until = candidateReceipts.map(\.outputsUntil).max() {
            enter(.receipt, until: until, status: .biddingClosed)
        }
    }

    /// A candidate becomes the receipt that counts.
    private mutating func choose(_ candidate: CandidateReceipt?) {
        guard let accepted = candidate?.accepted, let index = index(of: accepted.assignmentCID) else { return }
        receipt = accepted
        candidateReceipts.removeAll { $0.accepted.cid == accepted.cid }
        attempts[index].awaitsOutputs = false
        attempts[index].hasWon = true
        attempts[index].end = nil
    }

    /// Nobody waits for the outputs of the candidates any more.
    private mutating func closeCandidates(_ end: (CandidateReceipt) -> AttemptEnd) {
        for candidate in candidateReceipts {
            guard let index = index(of: candidate.accepted.assignmentCID) else { continue }
            attempts[index].awaitsOutputs = false
            attempts[index].end = end(candidate)
        }
        candidateReceipts = []
    }

    private mutating func foldEvidence(_ event: JobEvent) {
        switch event.kind {
        case .settled(let signed, let until):
            settlementCID = signed.cid
            paid = signed.body.amountPaid
            status = .receiptGenerated
            addNotice(signed, until: until)
        case .lateReceipt(let signed, let settlement, let until):
            lateReceipts.append(signed.cid)
            if let index = index(of: signed.body.assignmentCID) { attempts[index].hasReceipt = true }
            addNotice(settlement, until: until)
        case .settlementDelivered(let receipt, _):
            notices.removeAll { $0.receiptCID == receipt }
        case .anchored(let entry, let until):
            anchor = .pending(entry.cid, until: until)
            status = .receiptAnchored
        case .anchorPublished(let inTime):
            if case .pending(let cid, _) = anchor { anchor = .done(cid, inTime: inTime) }
        default: break
        }
    }

    private mutating func addNotice(_ settlement: SignedObject<Settlement>, until: UnixMilliseconds) {
        notices.append(SettlementNotice(signed: settlement, until: until))
    }

    private mutating func enter(_ phase: JobPhase, until: UnixMilliseconds?, status: JobStatus) {
        self.phase = phase
        phaseUntil = until
        self.status = status
    }

    private mutating func end(_ result: StandardJobStatus) {
        self.result = result
        for index in attempts.indices where attempts[index].isLive {
            attempts[index].end = .unconfirmed
        }
        closeCandidates { .outputsMissing(receipt: $0.accepted.cid, missing: $0.missingCount) }
        receipt = nil
        forgetBids()
        enter(.over, until: nil, status: JobStatus(representing: result))
    }

    /// With its result a job needs none of its bids any more.
    private mutating func forgetBids() {
        bids = []
        refusedBids = []
    }

    func index(of assignment: CID) -> Int? {
        attempts.firstIndex { $0.cid == assignment }
    }

    private static func phase(of status: JobStatus) -> JobPhase {
        switch status {
        case .running, .awaitingInputs: .execution
        case .producingOutputs: .receipt
        default: .fetching
        }
    }
}

extension JobEventKind {
    /// Bytes of the signed object that the event carries; none where it carries none.
    var evidenceByteCount: Int {
        switch self {
        case .bidReceived(let bid, _): bid.bytes.count
        case .assignmentMade(let assignment, _): assignment.bytes.count
        case .receiptAccepted(_, let receipt, _), .lateReceipt(let receipt, _, _): receipt.bytes.count
        case .settled(let settlement, _): settlement.bytes.count
        case .anchored(let entry, _): entry.bytes.count
        default: 0
        }
    }
}
