import JobMarket
import MeshTypes
import NodeAPI
import SignedObjects

/// What became of one side of a job, or how far it is: what its row keeps, so that a listing after a restart says the
/// same.
struct JobEnd {
    /// What became of it.
    var outcome: JobOutcome
    /// The job's canonical status; nil for a bid that came to nothing.
    var standard: StandardJobStatus?
    /// The exit code, the limit, or who won; empty if nothing goes with the outcome.
    var detail = ""
    /// The most that the winner may charge.
    var winnerPrice: UInt64?
    /// Whether the run was paid; nil without a receipt of this node.
    var payment: JobPayment?

    /// What became of a job of this node.
    init(_ job: OriginatedJob) {
        outcome = Self.ending(of: job).map(JobOutcome.init) ?? Self.standing(of: job)
        standard = job.result ?? job.status.standard(result: .failed)
        if let end = job.outcome { detail = Self.detail(of: end) }
    }

    /// What became of a job that this node bid on or ran.
    init(_ job: ExecutedJob) {
        outcome = .bidding
        standard = job.status.standard(result: job.receipt?.status ?? .failed)
        if let end = job.bidEnd {
            standard = nil
            lose(end)
        } else if let receipt = job.receipt {
            outcome = JobOutcome(Self.ending(of: receipt.outcome))
            detail = Self.detail(of: receipt.outcome)
            payment = Self.payment(of: job, price: receipt.price)
        } else if job.occupiesPlace {
            outcome =
                job.stopReason != nil ? .cancelling : job.isStarted ? Self.standing(during: job.status) : .assigned
        }
    }

    private mutating func lose(_ end: BidEnd) {
        switch end {
        case .refused(.known(.otherBidTaken), _, let winner), .refused(.known(.biddingClosed), _, let winner):
            outcome = .lost
            detail = winner?.did.text ?? ""
            winnerPrice = winner?.price.units
        case .refused: outcome = .refused
        case .lapsed: outcome = .lapsed
        case .notDelivered: outcome = .undelivered
        case .declinedAssignment: outcome = .declined
        }
    }

    private static func payment(of job: ExecutedJob, price: TokenAmount) -> JobPayment {
        if let earned = job.earned, earned > .zero { return .paid }
        if price == .zero || job.isGivenUp { return .none }
        if job.verdict != nil { return .refused }
        return switch job.delivery {
        case .refused: .refused
        case .expired: .overdue
        case .acknowledged, nil: job.isOverdue ? .overdue : .due
        }
    }

    private static func standing(of job: OriginatedJob) -> JobOutcome {
        switch job.phase {
        case .announcement: .announcing
        case .bidding: .bidding
        case .funds: .awaitingFunds
        case .hold: .awaitingFunds
        case .confirmation: .assigned
        case .fetching, .execution, .receipt: standing(during: job.status)
        case .verification: .checking
        case .cancellation: .cancelling
        case .over: .failed
        }
    }

    private static func standing(during status: JobStatus) -> JobOutcome {
        switch status {
        case .running, .awaitingInputs: .running
        case .preparingExecution: .preparing
        case .producingOutputs: .collecting
        case .pendingAnnouncement, .announced, .biddingOpen, .biddingClosed: .bidding
        default: .assigned
        }
    }

    private static func detail(of outcome: ExecutionOutcome) -> String {
        switch outcome {
        case .exited(let code): String(code)
        case .limitExceeded(let limit): limit.rawValue
        default: ""
        }
    }

    // MARK: Endings

    /// How a job of this node ended; nil while it is open.
    static func ending(of job: OriginatedJob) -> JobEnding? {
        guard let standard = job.result else { return nil }
        if job.receipt != nil, let outcome = job.outcome { return ending(of: outcome) }
        if standard == .cancelled { return .cancelled }
        return job.failure.map(ending(of:)) ?? .executorsFailed
    }

    static func ending(of outcome: ExecutionOutcome) -> JobEnding {
        switch outcome {
        case .exited(code: 0): .succeeded
        case .exited: .exitedNonZero
        case .trapped: .trapped
        case .limitExceeded: .limitExceeded
        case .cancelled: .cancelled
        case .moduleRefused: .moduleRefused
        case .filesRefused: .filesRefused
        case .fetchFailed: .fetchFailed
        case .nodeFailed: .executorsFailed
        }
    }

    private static func ending(of failure: JobFailure) -> JobEnding {
        switch failure {
        case .noAcceptableBid(let bids, _): bids == 0 ? .noBids : .noAcceptableBid
        case .noExecutor(_, let bids): bids == 0 ? .noBids : .noAcceptableBid
        case .nobodyReachable, .nobodyExecutes: .noBids
        case .attemptsExhausted(_, let last): last.map(ending(of:)) ?? .executorsFailed
        case .crashesEngine: .crashesEngine
        case .unverified: .unverified
        case .expired: .deadlinePassed
        case .cannotHold, .holdRefused: .insufficientFunds
        case .announcementTimedOut, .originatorFailed: .executorsFailed
        }
    }

    private static func ending(of end: AttemptEnd) -> JobEnding {
        switch end {
        case .nodeFailed(_, .fetchFailed): .fetchFailed
        case .receiptInvalid: .receiptInvalid
        case .refuted, .unverified: .unverified
        default: .executorsFailed
        }
    }
}
