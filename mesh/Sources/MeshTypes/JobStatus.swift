/// The detailed state of a job inside a node (RFC 4.2); `StandardJobStatus` is what others see.
public enum JobStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Accepted from the user, not yet published.
    case pendingAnnouncement = "PendingAnnouncement"
    /// Published on the jobs topic.
    case announced = "Announced"
    /// Bids are being collected.
    case biddingOpen = "BiddingOpen"
    /// The bid window is closed, an executor is being chosen.
    case biddingClosed = "BiddingClosed"
    /// An assignment was sent, its executor has not answered.
    case awaitingAssignmentConfirmation = "AwaitingAssignmentConfirmation"
    /// The executor took the assignment.
    case assigned = "Assigned"
    /// The executor fetches blocks and compiles.
    case preparingExecution = "PreparingExecution"
    /// The module runs.
    case running = "Running"
    /// The module waits for input of the user.
    case awaitingInputs = "AwaitingInputs"
    /// The module ended, outputs become blocks.
    case producingOutputs = "ProducingOutputs"
    /// The module ended with success.
    case completed = "Completed"
    /// The job ended without success.
    case failed = "Failed"
    /// The job was cancelled.
    case cancelled = "Cancelled"
    /// The signed receipt exists.
    case receiptGenerated = "ReceiptGenerated"
    /// The receipt stands in the anchored DAG.
    case receiptAnchored = "ReceiptAnchored"

    /// The canonical status; `result` is what the job ended with, needed once a receipt exists.
    public func standard(result: StandardJobStatus) -> StandardJobStatus {
        switch self {
        case .pendingAnnouncement, .announced, .biddingOpen, .biddingClosed, .awaitingAssignmentConfirmation, .assigned:
            .pending
        case .preparingExecution, .running, .awaitingInputs, .producingOutputs: .running
        case .completed: .completedSuccessfully
        case .failed: .failed
        case .cancelled: .cancelled
        case .receiptGenerated, .receiptAnchored: result
        }
    }

    /// The detailed status that stands for a canonical one; mapping it back gives the same canonical status.
    public init(representing standard: StandardJobStatus) {
        switch standard {
        case .pending: self = .pendingAnnouncement
        case .running: self = .running
        case .completedSuccessfully: self = .completed
        case .failed: self = .failed
        case .cancelled: self = .cancelled
        }
    }

    /// Whether the executor holds the job in this state and must renew its lease.
    public var isUnderLease: Bool {
        switch self {
        case .assigned, .preparingExecution, .running, .awaitingInputs, .producingOutputs: true
        default: false
        }
    }

    /// How far along the life of a job this state is; a status update never moves a job backwards.
    public var progressRank: Int {
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
        case .completed, .failed, .cancelled: 9
        case .receiptGenerated: 10
        case .receiptAnchored: 11
        }
    }
}

/// The canonical status of a job (RFC 4.2), as it stands in receipts and in what other systems see.
public enum StandardJobStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Not yet taken up by an executor.
    case pending = "Pending"
    /// An executor prepares or runs it.
    case running = "Running"
    /// Ended with exit code zero.
    case completedSuccessfully = "CompletedSuccessfully"
    /// Ended in any other way.
    case failed = "Failed"
    /// Ended because the originator asked.
    case cancelled = "Cancelled"

    /// Whether nothing can follow it.
    public var isTerminal: Bool {
        switch self {
        case .pending, .running: false
        case .completedSuccessfully, .failed, .cancelled: true
        }
    }

    /// All detailed statuses that map to this one; the two receipt states map to the job's result and stand in none.
    public var detailedStatuses: [JobStatus] {
        JobStatus.allCases.filter { status in
            status != .receiptGenerated && status != .receiptAnchored && status.standard(result: self) == self
        }
    }
}
