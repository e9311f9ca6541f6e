/// The detailed state of a job inside a node; others see `StandardJobStatus`.
package enum JobStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Accepted from the user, not yet published.
    case pendingAnnouncement = "PendingAnnouncement"
    /// Published on the jobs topic.
    case announced = "Announced"
    /// The originator is collecting bids.
    case biddingOpen = "BiddingOpen"
    /// The bid window is closed, and the originator is choosing an executor.
    case biddingClosed = "BiddingClosed"
    /// The originator sent an assignment, and its executor has not answered.
    case awaitingAssignmentConfirmation = "AwaitingAssignmentConfirmation"
    /// The executor accepted the assignment.
    case assigned = "Assigned"
    /// The executor fetches blocks and compiles.
    case preparingExecution = "PreparingExecution"
    /// The module runs.
    case running = "Running"
    /// The module waits for the user's input.
    case awaitingInputs = "AwaitingInputs"
    /// The module ended, and its outputs become blocks.
    case producingOutputs = "ProducingOutputs"
    /// The originator checks the result before it counts.
    case verifying = "Verifying"
    /// The module succeeded.
    case completed = "Completed"
    /// The job failed.
    case failed = "Failed"
    /// The job was cancelled.
    case cancelled = "Cancelled"
    /// The signed receipt exists.
    case receiptGenerated = "ReceiptGenerated"
    /// The anchored DAG has the receipt.
    case receiptAnchored = "ReceiptAnchored"

    /// The canonical status; `result` is how the job ended, needed once a receipt exists.
    package func standard(result: StandardJobStatus) -> StandardJobStatus {
        switch self {
        case .pendingAnnouncement, .announced, .biddingOpen, .biddingClosed, .awaitingAssignmentConfirmation, .assigned:
            .pending
        case .preparingExecution, .running, .awaitingInputs, .producingOutputs, .verifying: .running
        case .completed: .completedSuccessfully
        case .failed: .failed
        case .cancelled: .cancelled
        case .receiptGenerated, .receiptAnchored: result
        }
    }

    /// The detailed status that represents a canonical one; mapping it back gives the same canonical status.
    package init(representing standard: StandardJobStatus) {
        switch standard {
        case .pending: self = .pendingAnnouncement
        case .running: self = .running
        case .completedSuccessfully: self = .completed
        case .failed: self = .failed
        case .cancelled: self = .cancelled
        }
    }

    /// Whether the executor holds the job in this state and must renew its lease.
    package var isUnderLease: Bool {
        switch self {
        case .assigned, .preparingExecution, .running, .awaitingInputs, .producingOutputs: true
        default: false
        }
    }

    /// How far a job in this state has come; a status update never moves a job backwards.
    package var progressRank: Int {
        switch self {
        case .pendingAnnouncement: 0
        case .announced: 1
        case .biddingOpen: 2
        case .biddingClosed: 3
        case .awaitingAssignmentConfirmation: 4
        case .assigned: 5
        case .preparingExecution: 6
        case .running, .awaitingInputs: 7
        case .producingOutputs: 8
        case .verifying: 9
        case .completed, .failed, .cancelled: 10
        case .receiptGenerated: 11
        case .receiptAnchored: 12
        }
    }
}

/// The canonical status of a job, as receipts and other systems see it.
package enum StandardJobStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// No executor has it yet.
    case pending = "Pending"
    /// An executor prepares or runs it.
    case running = "Running"
    /// Ended with exit code zero.
    case completedSuccessfully = "CompletedSuccessfully"
    /// Ended in any other way.
    case failed = "Failed"
    /// Ended because the originator asked.
    case cancelled = "Cancelled"

    /// All detailed statuses that map to this one; the two receipt states map to the job's result, so they belong to
    /// none.
    package var detailedStatuses: [JobStatus] {
        JobStatus.allCases.filter { status in
            status != .receiptGenerated && status != .receiptAnchored && status.standard(result: self) == self
        }
    }
}
