extension JobStatus {
    /// The state in plain words, as the end of "the job is".
    package var words: String {
        switch self {
        case .pendingAnnouncement: "being announced"
        case .announced, .biddingOpen: "waiting for bids"
        case .biddingClosed: "waiting for an executor to be chosen"
        case .awaitingAssignmentConfirmation: "waiting for the executor's answer"
        case .assigned: "waiting at the executor"
        case .preparingExecution: "fetching module and inputs, compiling"
        case .running: "running"
        case .awaitingInputs: "waiting for input"
        case .producingOutputs: "storing outputs"
        case .verifying: "being checked"
        case .completed: "completed"
        case .failed: "failed"
        case .cancelled: "cancelled"
        case .receiptGenerated: "settled"
        case .receiptAnchored: "finished"
        }
    }
}

extension StandardJobStatus {
    /// The status in plain words.
    package var words: String {
        switch self {
        case .pending: "pending"
        case .running: "running"
        case .completedSuccessfully: "succeeded"
        case .failed: "failed"
        case .cancelled: "cancelled"
        }
    }
}

extension RefusalCode {
    /// The code in plain words, for a refusal whose sender gave no reason: `price too high`.
    package var words: String { text.split(separator: "_").joined(separator: " ") }
}

extension TrapKind {
    /// The kind in plain words: `memory out of bounds`.
    package var words: String { rawValue.split(separator: "_").joined(separator: " ") }
}
