import Credit
import Economics
import IPLD
import MeshTypes
import Multiformats
import SignedObjects

/// A row of the journal, as on the disk: signed objects are their blocks.
///
/// What is written once must stay readable for ever, so the form of rows is separate from the events in memory.
struct JournalRow: Codable {
    let jobID: JobID
    let role: JobRole
    let at: UnixMilliseconds
    let kind: JournalRowKind
    let ledger: [LedgerEntry]

    init(jobID: JobID, role: JobRole, at: UnixMilliseconds, kind: JournalRowKind, ledger: [LedgerEntry]) {
        self.jobID = jobID
        self.role = role
        self.at = at
        self.kind = kind
        self.ledger = ledger
    }

    init(_ event: JobEvent) {
        jobID = event.jobID
        role = event.role
        at = event.at
        kind = JournalRowKind(event.kind)
        ledger = event.ledger
    }

    func event() throws(JobEventError) -> JobEvent {
        JobEvent(jobID: jobID, role: role, at: at, kind: try kind.event(), ledger: ledger)
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case role
        case at
        case kind
        case ledger
    }
}

/// What happened, in a row's form: case by case `JobEventKind`.
enum JournalRowKind: Codable {
    case submitted(manifest: [UInt8], requester: DID, idempotencyKey: String, announceUntil: UnixMilliseconds)
    case verificationChosen(VerificationOpening)
    case replicasMade([JobID])
    case replicaOf(JobID)
    case replicaJudged(job: JobID, executor: DID, finding: VerificationFinding, proof: CID?)
    case verificationBegan(receipt: CID, check: ReceiptCheck, until: UnixMilliseconds)
    case verificationEnded(receipt: CID, finding: VerificationFinding, fuel: UInt64?)
    case paymentRefused(settlement: [UInt8], notifyUntil: UnixMilliseconds)
    case announced(round: UInt64, windowUntil: UnixMilliseconds, biddingUntil: UnixMilliseconds)
    case bidReceived(bid: [UInt8], refusal: BidRefusal?)
    case bidDisplaced(bid: CID)
    case bidCommitted(commitment: [UInt8])
    case bidsSealed(cause: BiddingClosure, showUntil: UnixMilliseconds)
    case executorsJudged(ExecutorOutlook)
    case biddingClosed(cause: BiddingClosure, ranking: [RankedBid])
    case fundsAwaited(needed: TokenAmount, available: TokenAmount, until: UnixMilliseconds)
    case assignmentMade(assignment: [UInt8], confirmUntil: UnixMilliseconds)
    case assignmentConfirmed(assignment: CID, fetchUntil: UnixMilliseconds)
    case acceptanceSigned(acceptance: [UInt8])
    case attemptEnded(assignment: CID, end: AttemptEnd)
    case statusReported(assignment: CID, status: JobStatus, progressPermille: UInt64?, until: UnixMilliseconds)
    case receiptAccepted(assignment: CID, receipt: [UInt8], outputsUntil: UnixMilliseconds)
    case receiptChosen(receipt: CID)
    case lateReceipt(receipt: [UInt8], settlement: [UInt8], notifyUntil: UnixMilliseconds)
    case cancellationRequested(reason: String, until: UnixMilliseconds)
    case resultReached(result: StandardJobStatus, outcome: ExecutionOutcome)
    case settled(settlement: [UInt8], notifyUntil: UnixMilliseconds)
    case failed(JobFailure)
    case cancelled(reason: String)
    case settlementDelivered(receipt: CID, acknowledged: Bool)
    case anchored(entry: [UInt8], publishUntil: UnixMilliseconds)
    case anchorPublished(inTime: Bool)
    case closed
    case bidMade(manifest: [UInt8], bid: [UInt8])
    case bidClosed(reason: BidEnd)
    case assignmentAccepted(manifest: [UInt8], bid: [UInt8], assignment: [UInt8])
    case executionStarted(giveUpAt: UnixMilliseconds)
    case executionProgressed(status: JobStatus)
    case stopRequested(reason: String, byOriginator: Bool)
    case receiptSigned(receipt: [UInt8], deliverUntil: UnixMilliseconds)
    case receiptDelivered(DeliveryEnd, settleUntil: UnixMilliseconds)
    case settlementReceived(settlement: [UInt8])
    case settlementOverdue
    case attemptResumed(assignment: CID, until: UnixMilliseconds)
    case checkerMissing(reason: String)
    case trialBegan(assignment: CID, until: UnixMilliseconds)
    case trialEnded(isRunnable: Bool, reason: String)
    case holdAwaited(wish: HoldWish, until: UnixMilliseconds)
    case holdDelayed(reason: String)
    case holdFailed(executor: DID, reason: String, end: HoldEnd)
    case holdGiven(certificate: [UInt8], below: [UInt8]?)
    case holdTaken(certificate: [UInt8])
    case deliveryProved(statement: [UInt8])
}

extension JournalRowKind {
    init(_ kind: JobEventKind) {
        self =
            switch kind {
            case .submitted(let manifest, let requester, let key, let until):
                .submitted(manifest: manifest.bytes, requester: requester, idempotencyKey: key, announceUntil: until)
            case .verificationChosen, .verificationBegan, .verificationEnded, .paymentRefused, .replicasMade,
                .replicaOf, .replicaJudged, .checkerMissing, .trialBegan, .trialEnded:
                Self.verification(kind)
            case .announced(let round, let window, let until):
                .announced(round: round, windowUntil: window, biddingUntil: until)
            case .bidReceived(let bid, let refusal): .bidReceived(bid: bid.bytes, refusal: refusal)
            case .bidDisplaced(let bid): .bidDisplaced(bid: bid)
            case .bidCommitted(let commitment): .bidCommitted(commitment: commitment.bytes)
            case .bidsSealed(let cause, let until): .bidsSealed(cause: cause, showUntil: until)
            case .executorsJudged(let outlook): .executorsJudged(outlook)
            case .biddingClosed(let cause, let ranking): .biddingClosed(cause: cause, ranking: ranking)
            case .fundsAwaited(let needed, let available, let until):
                .fundsAwaited(needed: needed, available: available, until: until)
            case .assignmentMade(let assignment, let until):
                .assignmentMade(assignment: assignment.bytes, confirmUntil: until)
            case .assignmentConfirmed(let assignment, let until):
                .assignmentConfirmed(assignment: assignment, fetchUntil: until)
            case .acceptanceSigned(let acceptance): .acceptanceSigned(acceptance: acceptance.bytes)
            case .attemptEnded(let assignment, let end): .attemptEnded(assignment: assignment, end: end)
            case .statusReported(let assignment, let status, let progress, let until):
                .statusReported(assignment: assignment, status: status, progressPermille: progress, until: until)
            case .receiptAccepted(let assignment, let receipt, let until):
                .receiptAccepted(assignment: assignment, receipt: receipt.bytes, outputsUntil: until)
            case .receiptChosen(let receipt): .receiptChosen(receipt: receipt)
            case .lateReceipt(let receipt, let settlement, let until):
                .lateReceipt(receipt: receipt.bytes, settlement: settlement.bytes, notifyUntil: until)
            case .cancellationRequested(let reason, let until): .cancellationRequested(reason: reason, until: until)
            case .resultReached(let result, let outcome): .resultReached(result: result, outcome: outcome)
            case .settled(let settlement, let until): .settled(settlement: settlement.bytes, notifyUntil: until)
            case .failed(let failure): .failed(failure)
            case .cancelled(let reason): .cancelled(reason: reason)
            case .settlementDelivered(let receipt, let acknowledged):
                .settlementDelivered(receipt: receipt, acknowledged: acknowledged)
            case .attemptResumed(let assignment, let until): .attemptResumed(assignment: assignment, until: until)
            case .holdAwaited, .holdDelayed, .holdFailed, .holdGiven, .holdTaken, .deliveryProved: Self.credit(kind)
            case .anchored, .anchorPublished, .closed, .bidMade, .bidClosed, .assignmentAccepted, .executionStarted,
                .executionProgressed, .stopRequested, .receiptSigned, .receiptDelivered, .settlementReceived,
                .settlementOverdue:
                Self.shared(kind)
            }
    }

    /// Rows about the check of a result.
    private static func verification(_ kind: JobEventKind) -> Self {
        switch kind {
        case .verificationChosen(let opening): .verificationChosen(opening)
        case .replicasMade(let jobs): .replicasMade(jobs)
        case .replicaOf(let job): .replicaOf(job)
        case .replicaJudged(let job, let executor, let finding, let proof):
            .replicaJudged(job: job, executor: executor, finding: finding, proof: proof)
        case .verificationBegan(let receipt, let check, let until):
            .verificationBegan(receipt: receipt, check: check, until: until)
        case .verificationEnded(let receipt, let finding, let fuel):
            .verificationEnded(receipt: receipt, finding: finding, fuel: fuel)
        case .paymentRefused(let settlement, let until):
            .paymentRefused(settlement: settlement.bytes, notifyUntil: until)
        case .checkerMissing(let reason): .checkerMissing(reason: reason)
        case .trialBegan(let assignment, let until): .trialBegan(assignment: assignment, until: until)
        case .trialEnded(let isRunnable, let reason): .trialEnded(isRunnable: isRunnable, reason: reason)
        default: preconditionFailure("\(kind.name) is no row about a check")
        }
    }

    /// Rows about jobs that are paid by credit.
    private static func credit(_ kind: JobEventKind) -> Self {
        switch kind {
        case .holdAwaited(let wish, let until): .holdAwaited(wish: wish, until: until)
        case .holdDelayed(let reason): .holdDelayed(reason: reason)
        case .holdFailed(let executor, let reason, let end):
            .holdFailed(executor: executor, reason: reason, end: end)
        case .holdGiven(let certificate, let below):
            .holdGiven(certificate: certificate.bytes, below: below?.bytes)
        case .holdTaken(let certificate): .holdTaken(certificate: certificate.bytes)
        case .deliveryProved(let statement): .deliveryProved(statement: statement.bytes)
        default: preconditionFailure("\(kind.name) is no row about credit")
        }
    }

    private func creditEvent() throws(JobEventError) -> JobEventKind {
        switch self {
        case .holdAwaited(let wish, let until): .holdAwaited(wish: wish, until: until)
        case .holdDelayed(let reason): .holdDelayed(reason: reason)
        case .holdFailed(let executor, let reason, let end):
            .holdFailed(executor: executor, reason: reason, end: end)
        case .holdGiven(let certificate, nil): .holdGiven(certificate: try Self.signed(certificate), below: nil)
        case .holdGiven(let certificate, let below?):
            .holdGiven(certificate: try Self.signed(certificate), below: try Self.signed(below))
        case .holdTaken(let certificate): .holdTaken(certificate: try Self.signed(certificate))
        case .deliveryProved(let statement): .deliveryProved(statement: try Self.signed(statement))
        default: preconditionFailure("\(self) is no row about credit")
        }
    }

    private func verificationEvent() throws(JobEventError) -> JobEventKind {
        switch self {
        case .verificationChosen(let opening): .verificationChosen(opening)
        case .replicasMade(let jobs): .replicasMade(jobs)
        case .replicaOf(let job): .replicaOf(job)
        case .replicaJudged(let job, let executor, let finding, let proof):
            .replicaJudged(job: job, executor: executor, finding: finding, proof: proof)
        case .verificationBegan(let receipt, let check, let until):
            .verificationBegan(receipt: receipt, check: check, until: until)
        case .verificationEnded(let receipt, let finding, let fuel):
            .verificationEnded(receipt: receipt, finding: finding, fuel: fuel)
        case .paymentRefused(let settlement, let until):
            .paymentRefused(settlement: try Self.signed(settlement), notifyUntil: until)
        case .checkerMissing(let reason): .checkerMissing(reason: reason)
        case .trialBegan(let assignment, let until): .trialBegan(assignment: assignment, until: until)
        case .trialEnded(let isRunnable, let reason): .trialEnded(isRunnable: isRunnable, reason: reason)
        default: preconditionFailure("\(self) is no row about a check")
        }
    }

    /// Rows of the executor, and of both.
    private static func shared(_ kind: JobEventKind) -> Self {
        switch kind {
        case .anchored(let entry, let until): .anchored(entry: entry.bytes, publishUntil: until)
        case .anchorPublished(let inTime): .anchorPublished(inTime: inTime)
        case .closed: .closed
        case .bidMade(let manifest, let bid): .bidMade(manifest: manifest.bytes, bid: bid.bytes)
        case .bidClosed(let reason): .bidClosed(reason: reason)
        case .assignmentAccepted(let manifest, let bid, let assignment):
            .assignmentAccepted(manifest: manifest.bytes, bid: bid.bytes, assignment: assignment.bytes)
        case .executionStarted(let until): .executionStarted(giveUpAt: until)
        case .executionProgressed(let status): .executionProgressed(status: status)
        case .stopRequested(let reason, let byOriginator): .stopRequested(reason: reason, byOriginator: byOriginator)
        case .receiptSigned(let receipt, let until): .receiptSigned(receipt: receipt.bytes, deliverUntil: until)
        case .receiptDelivered(let end, let until): .receiptDelivered(end, settleUntil: until)
        case .settlementReceived(let settlement): .settlementReceived(settlement: settlement.bytes)
        case .settlementOverdue: .settlementOverdue
        case .submitted, .replicasMade, .replicaOf, .replicaJudged, .verificationChosen, .verificationBegan,
            .verificationEnded, .paymentRefused, .checkerMissing, .trialBegan, .trialEnded, .announced,
            .bidReceived, .bidDisplaced, .bidCommitted, .bidsSealed, .executorsJudged, .biddingClosed, .fundsAwaited,
            .assignmentMade, .assignmentConfirmed, .acceptanceSigned, .attemptEnded, .statusReported,
            .receiptAccepted, .receiptChosen, .lateReceipt,
            .cancellationRequested, .resultReached, .settled, .failed, .cancelled, .settlementDelivered,
            .attemptResumed, .holdAwaited, .holdDelayed, .holdFailed, .holdGiven, .holdTaken, .deliveryProved:
            preconditionFailure("\(kind.name) is a row of the originator")
        }
    }

    func event() throws(JobEventError) -> JobEventKind {
        switch self {
        case .submitted(let manifest, let requester, let key, let until):
            .submitted(
                manifest: try Self.signed(manifest), requester: requester, idempotencyKey: key, announceUntil: until)
        case .verificationChosen, .verificationBegan, .verificationEnded, .paymentRefused, .replicasMade, .replicaOf,
            .replicaJudged, .checkerMissing, .trialBegan, .trialEnded:
            try verificationEvent()
        case .holdAwaited, .holdDelayed, .holdFailed, .holdGiven, .holdTaken, .deliveryProved: try creditEvent()
        case .announced(let round, let window, let until):
            .announced(round: round, windowUntil: window, biddingUntil: until)
        case .bidReceived(let bid, let refusal): .bidReceived(bid: try Self.signed(bid), refusal: refusal)
        case .bidDisplaced(let bid): .bidDisplaced(bid: bid)
        case .bidCommitted(let commitment): .bidCommitted(commitment: try Self.signed(commitment))
        case .bidsSealed(let cause, let until): .bidsSealed(cause: cause, showUntil: until)
        case .executorsJudged(let outlook): .executorsJudged(outlook)
        case .biddingClosed(let cause, let ranking): .biddingClosed(cause: cause, ranking: ranking)
        case .fundsAwaited(let needed, let available, let until):
            .fundsAwaited(needed: needed, available: available, until: until)
        case .assignmentMade(let assignment, let until):
            .assignmentMade(assignment: try Self.signed(assignment), confirmUntil: until)
        case .assignmentConfirmed(let assignment, let until):
            .assignmentConfirmed(assignment: assignment, fetchUntil: until)
        case .acceptanceSigned(let acceptance): .acceptanceSigned(acceptance: try Self.signed(acceptance))
        case .attemptEnded(let assignment, let end): .attemptEnded(assignment: assignment, end: end)
        case .statusReported(let assignment, let status, let progress, let until):
            .statusReported(assignment: assignment, status: status, progressPermille: progress, until: until)
        case .receiptAccepted(let assignment, let receipt, let until):
            .receiptAccepted(assignment: assignment, receipt: try Self.signed(receipt), outputsUntil: until)
        case .receiptChosen(let receipt): .receiptChosen(receipt: receipt)
        case .lateReceipt(let receipt, let settlement, let until):
            .lateReceipt(receipt: try Self.signed(receipt), settlement: try Self.signed(settlement), notifyUntil: until)
        case .cancellationRequested(let reason, let until): .cancellationRequested(reason: reason, until: until)
        case .resultReached(let result, let outcome): .resultReached(result: result, outcome: outcome)
        case .settled(let settlement, let until): .settled(settlement: try Self.signed(settlement), notifyUntil: until)
        case .failed(let failure): .failed(failure)
        case .cancelled(let reason): .cancelled(reason: reason)
        case .settlementDelivered(let receipt, let acknowledged):
            .settlementDelivered(receipt: receipt, acknowledged: acknowledged)
        case .attemptResumed(let assignment, let until): .attemptResumed(assignment: assignment, until: until)
        case .anchored, .anchorPublished, .closed, .bidMade, .bidClosed, .assignmentAccepted, .executionStarted,
            .executionProgressed, .stopRequested, .receiptSigned, .receiptDelivered, .settlementReceived,
            .settlementOverdue:
            try sharedEvent()
        }
    }

    private func sharedEvent() throws(JobEventError) -> JobEventKind {
        switch self {
        case .anchored(let entry, let until): .anchored(entry: try Self.signed(entry), publishUntil: until)
        case .anchorPublished(let inTime): .anchorPublished(inTime: inTime)
        case .closed: .closed
        case .bidMade(let manifest, let bid): .bidMade(manifest: try Self.signed(manifest), bid: try Self.signed(bid))
        case .bidClosed(let reason): .bidClosed(reason: reason)
        case .assignmentAccepted(let manifest, let bid, let assignment):
            .assignmentAccepted(
                manifest: try Self.signed(manifest), bid: try Self.signed(bid), assignment: try Self.signed(assignment))
        case .executionStarted(let until): .executionStarted(giveUpAt: until)
        case .executionProgressed(let status): .executionProgressed(status: status)
        case .stopRequested(let reason, let byOriginator): .stopRequested(reason: reason, byOriginator: byOriginator)
        case .receiptSigned(let receipt, let until):
            .receiptSigned(receipt: try Self.signed(receipt), deliverUntil: until)
        case .receiptDelivered(let end, let until): .receiptDelivered(end, settleUntil: until)
        case .settlementReceived(let settlement): .settlementReceived(settlement: try Self.signed(settlement))
        case .settlementOverdue: .settlementOverdue
        case .submitted, .replicasMade, .replicaOf, .replicaJudged, .verificationChosen, .verificationBegan,
            .verificationEnded, .paymentRefused, .checkerMissing, .trialBegan, .trialEnded, .announced,
            .bidReceived, .bidDisplaced, .bidCommitted, .bidsSealed, .executorsJudged, .biddingClosed, .fundsAwaited,
            .assignmentMade, .assignmentConfirmed, .acceptanceSigned, .attemptEnded, .statusReported,
            .receiptAccepted, .receiptChosen, .lateReceipt,
            .cancellationRequested, .resultReached, .settled, .failed, .cancelled, .settlementDelivered,
            .attemptResumed, .holdAwaited, .holdDelayed, .holdFailed, .holdGiven, .holdTaken, .deliveryProved:
            preconditionFailure("\(self) is a row of the originator")
        }
    }

    private static func signed<Body: SignedBody>(_ block: [UInt8]) throws(JobEventError) -> SignedObject<Body> {
        do {
            return try SignedObject<Body>(verifiedBefore: block)
        } catch {
            throw .evidenceUnreadable(event: Body.typeName)
        }
    }
}
