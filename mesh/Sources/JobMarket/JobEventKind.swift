package import Credit
package import MeshTypes
package import Multiformats
package import SignedObjects

/// Everything that can happen to a job. Events carry what was signed, so a replay signs nothing, and the dates until
/// which something may last, so a replay does not depend on the configuration.
package enum JobEventKind: Hashable, Sendable {
    // MARK: Originator
    /// A user submitted the job.
    case submitted(
        manifest: SignedObject<JobManifest>, requester: DID, idempotencyKey: String, announceUntil: UnixMilliseconds)
    /// The result is to be checked, as the manifest hides.
    case verificationChosen(VerificationOpening)
    /// Other executors are to do the same work, as these jobs.
    case replicasMade([JobID])
    /// It is a replica of this job.
    case replicaOf(JobID)
    /// What was found of a replica of it, and the proof where it was refuted.
    case replicaJudged(job: JobID, executor: DID, finding: VerificationFinding, proof: CID?)
    /// The job was published, and bidding began.
    case announced(round: UInt64, windowUntil: UnixMilliseconds, biddingUntil: UnixMilliseconds)
    /// A bid was judged; `refusal` says why it was not acceptable.
    case bidReceived(bid: SignedObject<Bid>, refusal: BidRefusal?)
    /// A better bid replaced a kept one, since a job keeps a limited number.
    case bidDisplaced(bid: CID)
    /// A bidder committed to a bid, which is shown later.
    case bidCommitted(commitment: SignedObject<BidCommitment>)
    /// No more commitments are taken; the bids are to be shown.
    case bidsSealed(cause: BiddingClosure, showUntil: UnixMilliseconds)
    /// No acceptable bid is in, and this is what keeps the executors that are known.
    case executorsJudged(ExecutorOutlook)
    /// Bids were ranked, best first.
    case biddingClosed(cause: BiddingClosure, ranking: [RankedBid])
    /// The price cannot be held while other jobs hold so much; retried when something is released.
    case fundsAwaited(needed: TokenAmount, available: TokenAmount, until: UnixMilliseconds)
    /// A bid was taken up.
    case assignmentMade(assignment: SignedObject<Assignment>, confirmUntil: UnixMilliseconds)
    /// The executor accepted the assignment.
    case assignmentConfirmed(assignment: CID, fetchUntil: UnixMilliseconds)
    /// The executor signed that it accepted.
    case acceptanceSigned(acceptance: SignedObject<AssignmentAcceptance>)
    /// An attempt ended without a result that counts.
    case attemptEnded(assignment: CID, end: AttemptEnd)
    /// The executor reported the state of the run.
    case statusReported(assignment: CID, status: JobStatus, progressPermille: UInt64?, until: UnixMilliseconds)
    /// A valid receipt came; its outputs are being fetched.
    case receiptAccepted(assignment: CID, receipt: SignedObject<ExecutionReceipt>, outputsUntil: UnixMilliseconds)
    /// The outputs of a receipt are here, and it is checked before it counts.
    case verificationBegan(receipt: CID, check: ReceiptCheck, until: UnixMilliseconds)
    /// The check found nothing wrong, or the owner ended it; `fuel` is what the run used here, where that is all that
    /// is known of it.
    case verificationEnded(receipt: CID, finding: VerificationFinding, fuel: UInt64?)
    /// A receipt that was refuted, or could not be checked, is not paid; `settlement` tells its executor so.
    case paymentRefused(settlement: SignedObject<Settlement>, notifyUntil: UnixMilliseconds)
    /// The outputs of this receipt were complete first, so it counts.
    case receiptChosen(receipt: CID)
    /// A receipt came after the result, or got its outputs later than another; `settlement` tells its executor so.
    case lateReceipt(
        receipt: SignedObject<ExecutionReceipt>, settlement: SignedObject<Settlement>, notifyUntil: UnixMilliseconds)
    /// The user cancelled a job that an executor has.
    case cancellationRequested(reason: String, until: UnixMilliseconds)
    /// The outputs of the accepted receipt are here: the job has its result.
    case resultReached(result: StandardJobStatus, outcome: ExecutionOutcome)
    /// The accepted receipt is paid.
    case settled(settlement: SignedObject<Settlement>, notifyUntil: UnixMilliseconds)
    /// The job ended without a receipt that counts.
    case failed(JobFailure)
    /// The job was cancelled without a receipt that counts.
    case cancelled(reason: String)
    /// The executor knows of its settlement, or the time to tell it is over.
    case settlementDelivered(receipt: CID, acknowledged: Bool)

    // MARK: Both
    /// The anchored DAG has the receipt.
    case anchored(entry: SignedObject<AnchorEntry>, publishUntil: UnixMilliseconds)
    /// The new heads were published, or their time is over.
    case anchorPublished(inTime: Bool)
    /// Nothing is left to do; the journal ends here.
    case closed

    // MARK: Executor
    /// A bid was made.
    case bidMade(manifest: SignedObject<JobManifest>, bid: SignedObject<Bid>)
    /// The bid failed; the journal ends here.
    case bidClosed(reason: BidEnd)
    /// The node accepted the assignment of its bid; the run waits for a place.
    case assignmentAccepted(
        manifest: SignedObject<JobManifest>, bid: SignedObject<Bid>, assignment: SignedObject<Assignment>)
    /// The node fetches module and inputs, then runs the module; repeated after a restart.
    case executionStarted(giveUpAt: UnixMilliseconds)
    /// The run progressed.
    case executionProgressed(status: JobStatus)
    /// The originator, or this node, asked the run to stop.
    case stopRequested(reason: String, byOriginator: Bool)
    /// The run ended and its receipt is signed.
    case receiptSigned(receipt: SignedObject<ExecutionReceipt>, deliverUntil: UnixMilliseconds)
    /// The originator has the receipt, refuses it, or could not be reached in time.
    case receiptDelivered(DeliveryEnd, settleUntil: UnixMilliseconds)
    /// The originator settled the receipt.
    case settlementReceived(settlement: SignedObject<Settlement>)
    /// The settlement did not come in time.
    case settlementOverdue

    // MARK: Checks by other executors
    /// No other executor checks the job's result, and why; so this node does.
    case checkerMissing(reason: String)

    // MARK: Trials of jobs that executors failed
    /// So many executors failed the job that this node runs it itself before it ends; `assignment` is the last of them.
    case trialBegan(assignment: CID, until: UnixMilliseconds)
    /// That run came to an end, so that others have the job as long as it has attempts; or it did not, and why.
    case trialEnded(isRunnable: Bool, reason: String)

    // MARK: Jobs that are paid by credit
    /// An issuer is asked to hold the price of a bid, which can be taken up until then.
    case holdAwaited(wish: HoldWish, until: UnixMilliseconds)
    /// The issuer has not answered, and why; it goes on being asked.
    case holdDelayed(reason: String)
    /// There is no hold for the executor, and why: the issuer refuses it, or the bid expired.
    case holdFailed(executor: DID, reason: String, end: HoldEnd)
    /// The issuer holds the price.
    case holdGiven(certificate: SignedObject<HoldCertificate>, below: SignedObject<HoldCertificate>?)
    /// The accepted assignment is paid by this hold; the executor's.
    case holdTaken(certificate: SignedObject<HoldCertificate>)
    /// The originator says that the receipt was delivered, or the arbiter that it has the result.
    case deliveryProved(statement: SignedObject<DeliveryStatement>)

    // MARK: Second copies of slow runs
    /// The second executor came to nothing: the slow one's run is waited for again.
    case attemptResumed(assignment: CID, until: UnixMilliseconds)
}

extension JobEventKind {
    /// The names for the journal.
    package enum Name: String, CaseIterable, Sendable {
        // MARK: Originator
        /// A user submitted the job.
        case submitted
        /// The result is to be checked, as the manifest hides.
        case verificationChosen = "verification_chosen"
        /// The outputs of a receipt are here, and it is checked before it counts.
        case verificationBegan = "verification_began"
        /// The check found nothing wrong, or the owner ended it.
        case verificationEnded = "verification_ended"
        /// A receipt that was refuted, or could not be checked, is not paid; `settlement` tells its executor so.
        case paymentRefused = "payment_refused"
        /// Other executors are to do the same work, as these jobs.
        case replicasMade = "replicas_made"
        /// It is a replica of this job.
        case replicaOf = "replica_of"
        /// What was found of a replica of it, and the proof where it was refuted.
        case replicaJudged = "replica_judged"
        /// The job was published, and bidding began.
        case announced
        /// A bid was judged; `refusal` says why it was not acceptable.
        case bidReceived = "bid_received"
        /// A better bid replaced a kept one, since a job keeps a limited number.
        case bidDisplaced = "bid_displaced"
        /// A bidder committed to a bid, which is shown later.
        case bidCommitted = "bid_committed"
        /// No more commitments are taken; the bids are to be shown.
        case bidsSealed = "bids_sealed"
        /// No acceptable bid is in, and this is what keeps the executors that are known.
        case executorsJudged = "executors_judged"
        /// Bids were ranked, best first.
        case biddingClosed = "bidding_closed"
        /// The price cannot be held while other jobs hold so much; retried when something is released.
        case fundsAwaited = "funds_awaited"
        /// A bid was taken up.
        case assignmentMade = "assignment_made"
        /// The executor accepted the assignment.
        case assignmentConfirmed = "assignment_confirmed"
        /// The executor signed that it accepted.
        case acceptanceSigned = "acceptance_signed"
        /// An attempt ended without a result that counts.
        case attemptEnded = "attempt_ended"
        /// The executor reported the state of the run.
        case statusReported = "status_reported"
        /// A valid receipt came; its outputs are being fetched.
        case receiptAccepted = "receipt_accepted"
        /// The outputs of this receipt were complete first, so it counts.
        case receiptChosen = "receipt_chosen"
        /// A receipt came after the result, or got its outputs later than another; `settlement` tells its executor so.
        case lateReceipt = "late_receipt"
        /// The user cancelled a job that an executor has.
        case cancellationRequested = "cancellation_requested"
        /// The outputs of the accepted receipt are here: the job has its result.
        case resultReached = "result_reached"
        /// The accepted receipt is paid.
        case settled
        /// The job ended without a receipt that counts.
        case failed
        /// The job was cancelled without a receipt that counts.
        case cancelled
        /// The executor knows of its settlement, or the time to tell it is over.
        case settlementDelivered = "settlement_delivered"
        /// The second executor came to nothing: the slow one's run is waited for again.
        case attemptResumed = "attempt_resumed"
        /// An issuer is asked to hold the price of a bid.
        case holdAwaited = "hold_awaited"
        /// The issuer has not answered, and why.
        case holdDelayed = "hold_delayed"
        /// There is no hold for the executor, and why.
        case holdFailed = "hold_failed"
        /// The issuer holds the price.
        case holdGiven = "hold_given"
        /// No other executor checks the job's result, and why; so this node does.
        case checkerMissing = "checker_missing"
        /// So many executors failed the job that this node runs it itself before it ends.
        case trialBegan = "trial_began"
        /// That run came to an end, so that others have the job as long as it has attempts; or it did not, and why.
        case trialEnded = "trial_ended"
        // MARK: Both
        /// The anchored DAG has the receipt.
        case anchored
        /// The new heads were published, or their time is over.
        case anchorPublished = "anchor_published"
        /// Nothing is left to do; the journal ends here.
        case closed
        // MARK: Executor
        /// A bid was made.
        case bidMade = "bid_made"
        /// The bid failed; the journal ends here.
        case bidClosed = "bid_closed"
        /// The node accepted the assignment of its bid; the run waits for a place.
        case assignmentAccepted = "assignment_accepted"
        /// The node fetches module and inputs, then runs the module; repeated after a restart.
        case executionStarted = "execution_started"
        /// The run progressed.
        case executionProgressed = "execution_progressed"
        /// The originator, or this node, asked the run to stop.
        case stopRequested = "stop_requested"
        /// The run ended and its receipt is signed.
        case receiptSigned = "receipt_signed"
        /// The originator has the receipt, refuses it, or could not be reached in time.
        case receiptDelivered = "receipt_delivered"
        /// The originator settled the receipt.
        case settlementReceived = "settlement_received"
        /// The settlement did not come in time.
        case settlementOverdue = "settlement_overdue"
        /// The accepted assignment is paid by a hold.
        case holdTaken = "hold_taken"
        /// The originator says that the receipt was delivered, or the arbiter that it has the result.
        case deliveryProved = "delivery_proved"

        /// Whose journals can hold it.
        package var roles: [JobRole] {
            switch self {
            case .anchored, .anchorPublished, .closed:
                [.originator, .executor]
            case .bidMade, .bidClosed, .assignmentAccepted, .executionStarted, .executionProgressed,
                .stopRequested, .receiptSigned, .receiptDelivered, .settlementReceived, .settlementOverdue, .holdTaken,
                .deliveryProved:
                [.executor]
            case .submitted, .verificationChosen, .verificationBegan, .verificationEnded, .paymentRefused,
                .replicasMade, .replicaOf, .replicaJudged, .announced, .bidReceived, .bidDisplaced, .bidCommitted,
                .bidsSealed, .executorsJudged, .biddingClosed, .fundsAwaited, .assignmentMade,
                .assignmentConfirmed, .acceptanceSigned, .attemptEnded, .statusReported, .receiptAccepted,
                .receiptChosen, .lateReceipt, .cancellationRequested, .resultReached, .settled, .failed, .cancelled,
                .settlementDelivered, .attemptResumed, .checkerMissing, .trialBegan, .trialEnded, .holdAwaited,
                .holdDelayed, .holdFailed, .holdGiven:
                [.originator]
            }
        }
    }

    /// The name for the journal.
    package var name: String { label.rawValue }

    /// Which of all events it is.
    private var label: Name {
        switch self {
        case .submitted: .submitted
        case .verificationChosen: .verificationChosen
        case .verificationBegan: .verificationBegan
        case .verificationEnded: .verificationEnded
        case .paymentRefused: .paymentRefused
        case .replicasMade: .replicasMade
        case .replicaOf: .replicaOf
        case .replicaJudged: .replicaJudged
        case .announced: .announced
        case .bidReceived: .bidReceived
        case .bidDisplaced: .bidDisplaced
        case .bidCommitted: .bidCommitted
        case .bidsSealed: .bidsSealed
        case .executorsJudged: .executorsJudged
        case .biddingClosed: .biddingClosed
        case .fundsAwaited: .fundsAwaited
        case .assignmentMade: .assignmentMade
        case .assignmentConfirmed: .assignmentConfirmed
        case .acceptanceSigned: .acceptanceSigned
        case .attemptEnded: .attemptEnded
        case .statusReported: .statusReported
        case .receiptAccepted: .receiptAccepted
        case .receiptChosen: .receiptChosen
        case .lateReceipt: .lateReceipt
        case .cancellationRequested: .cancellationRequested
        case .resultReached: .resultReached
        case .settled: .settled
        case .failed: .failed
        case .cancelled: .cancelled
        case .settlementDelivered: .settlementDelivered
        case .anchored: .anchored
        case .anchorPublished: .anchorPublished
        case .closed: .closed
        case .bidMade: .bidMade
        case .bidClosed: .bidClosed
        case .assignmentAccepted: .assignmentAccepted
        case .executionStarted: .executionStarted
        case .executionProgressed: .executionProgressed
        case .stopRequested: .stopRequested
        case .receiptSigned: .receiptSigned
        case .receiptDelivered: .receiptDelivered
        case .settlementReceived: .settlementReceived
        case .settlementOverdue: .settlementOverdue
        case .attemptResumed: .attemptResumed
        case .checkerMissing: .checkerMissing
        case .trialBegan: .trialBegan
        case .trialEnded: .trialEnded
        case .holdAwaited: .holdAwaited
        case .holdDelayed: .holdDelayed
        case .holdFailed: .holdFailed
        case .holdGiven: .holdGiven
        case .holdTaken: .holdTaken
        case .deliveryProved: .deliveryProved
        }
    }

    /// Whether a job's journal in a role can begin with it.
    func begins(_ role: JobRole) -> Bool {
        switch (role, self) {
        case (.originator, .submitted), (.executor, .bidMade), (.executor, .assignmentAccepted): true
        default: false
        }
    }

    /// Whether somebody relies on it as soon as the actions run: a promise, money, evidence. The others only describe;
    /// a node that loses them in a crash recovers them by asking or by being told again.
    package var needsDurability: Bool {
        switch self {
        // The commitment that goes out is to this bid and no other.
        case .bidMade(let manifest, _): manifest.body.policy.hasPublicBids
        // Whoever shows a bid relies on it that nobody can commit any more.
        case .submitted, .bidsSealed, .replicasMade, .replicaOf, .verificationChosen, .verificationEnded,
            .paymentRefused, .assignmentMade, .attemptEnded,
            .receiptAccepted, .receiptChosen, .lateReceipt, .cancellationRequested,
            .resultReached, .settled, .failed, .cancelled, .assignmentAccepted, .stopRequested, .receiptSigned,
            .settlementReceived, .attemptResumed, .holdGiven, .holdTaken, .deliveryProved:
            true
        case .announced, .bidReceived, .bidDisplaced, .bidCommitted, .executorsJudged, .biddingClosed, .fundsAwaited,
            .assignmentConfirmed, .acceptanceSigned, .statusReported, .verificationBegan, .replicaJudged,
            .checkerMissing, .trialBegan, .trialEnded, .settlementDelivered,
            .anchored, .anchorPublished, .closed, .bidClosed, .executionStarted, .executionProgressed,
            .receiptDelivered, .settlementOverdue, .holdAwaited, .holdDelayed, .holdFailed:
            false
        }
    }
}
