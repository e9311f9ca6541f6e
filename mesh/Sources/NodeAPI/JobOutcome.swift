/// What became of a job, or how far it is. The raw values are part of the API.
package enum JobOutcome: String, Hashable, Sendable, Codable, CaseIterable {
    // MARK: Under way
    /// It is being announced.
    case announcing
    /// Bids are awaited; at an executor, the fate of its own.
    case bidding
    /// Its price waits for tokens that other jobs hold.
    case awaitingFunds = "awaiting_funds"
    /// An executor was chosen; at that executor the run waits for its place.
    case assigned
    /// The executor fetches and compiles.
    case preparing
    /// The module runs.
    case running
    /// The module ended, and its outputs are on their way.
    case collecting
    /// The result is being checked.
    case checking
    /// The run was asked to stop.
    case cancelling

    // MARK: The end of a job
    /// The module ran and exited with zero.
    case succeeded
    /// The module ran and exited with another code.
    case exitedNonZero = "exited_non_zero"
    /// The module trapped.
    case trapped
    /// One of its limits stopped the module.
    case limitExceeded = "limit_exceeded"
    /// The executor refused the module before it ran.
    case moduleRefused = "module_refused"
    /// What the job mounts, or what it collects, is no proper file or folder.
    case filesRefused = "files_refused"
    /// It was cancelled.
    case cancelled
    /// Nobody bid.
    case noBids = "no_bids"
    /// There were bids, and none was acceptable.
    case noAcceptableBid = "no_acceptable_bid"
    /// Every executor tried was lost, declined or failed; at an executor, it failed itself.
    case executorsFailed = "executors_failed"
    /// The module crashed the engine at two executors.
    case crashesEngine = "crashes_engine"
    /// Module or inputs could not be fetched.
    case fetchFailed = "fetch_failed"
    /// The job's deadline passed.
    case deadlinePassed = "deadline_passed"
    /// The balance did not cover the agreed price.
    case insufficientFunds = "insufficient_funds"
    /// The receipt does not verify.
    case receiptInvalid = "receipt_invalid"
    /// The result was to be checked, and was not borne out.
    case unverified
    /// It failed; the reason says how.
    case failed

    // MARK: The end of an executor's bid
    /// Another bid was taken.
    case lost
    /// The originator refused the bid.
    case refused
    /// Nobody took up the bid in time.
    case lapsed
    /// The originator could not be told of the bid.
    case undelivered
    /// This node declined the assignment of its own bid.
    case declined

    /// Whether more will come of it.
    package var isUnderWay: Bool {
        switch self {
        case .announcing, .bidding, .awaitingFunds, .assigned, .preparing, .running, .collecting, .checking,
            .cancelling:
            true
        default: false
        }
    }

    /// Whether a bid of this node came to nothing.
    package var isOfBid: Bool {
        switch self {
        case .lost, .refused, .lapsed, .undelivered, .declined: true
        default: false
        }
    }

    /// The outcome of a job that ended.
    package init(_ ending: JobEnding) {
        self =
            switch ending {
            case .succeeded: .succeeded
            case .exitedNonZero: .exitedNonZero
            case .trapped: .trapped
            case .limitExceeded: .limitExceeded
            case .moduleRefused: .moduleRefused
            case .filesRefused: .filesRefused
            case .cancelled: .cancelled
            case .noBids: .noBids
            case .noAcceptableBid: .noAcceptableBid
            case .executorsFailed: .executorsFailed
            case .crashesEngine: .crashesEngine
            case .fetchFailed: .fetchFailed
            case .deadlinePassed: .deadlinePassed
            case .insufficientFunds: .insufficientFunds
            case .receiptInvalid: .receiptInvalid
            case .unverified: .unverified
            }
    }
}

/// Whether an executor was paid for its run. The raw values are part of the API.
package enum JobPayment: String, Hashable, Sendable, Codable, CaseIterable {
    /// The run costs nothing, or the executor's owner ended it.
    case none
    /// The payment is awaited.
    case due
    /// The originator paid.
    case paid
    /// The originator did not pay in time, and may still.
    case overdue
    /// The originator does not pay.
    case refused
}
