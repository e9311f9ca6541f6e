import Multiformats

extension ExecutionOutcome {
    /// Whose failure it was, which decides whether the job is retried elsewhere.
    package enum Responsibility: String, Hashable, Sendable, Codable, CaseIterable {
        /// The module ran to its end with exit code zero.
        case success
        /// The user's module or its limits: final, never retried; the work done is paid.
        case user
        /// The executor or its network: retried on another executor; nothing is paid.
        case node
        /// The originator's cancellation; if it did not ask for it, the node's failure.
        case cancellation
    }

    /// Whose failure it was.
    package var responsibility: Responsibility {
        switch self {
        case .exited(code: 0): .success
        case .exited, .trapped, .limitExceeded, .moduleRefused, .filesRefused: .user
        case .cancelled: .cancellation
        case .fetchFailed, .nodeFailed: .node
        }
    }

    /// Whether the clock or an order stopped the module, so that no replay comes to the same end.
    package var isCutShort: Bool {
        switch self {
        case .cancelled, .limitExceeded(.wallClock): true
        default: false
        }
    }

    /// Whether it says that the job's own fault kept the run from an exit, so that nobody else is asked.
    package var isClaimedFailure: Bool {
        switch self {
        case .trapped, .limitExceeded, .moduleRefused, .filesRefused: true
        case .exited, .cancelled, .fetchFailed, .nodeFailed: false
        }
    }

    /// The canonical status that a receipt with this outcome carries.
    package var standardStatus: StandardJobStatus {
        switch self {
        case .exited(code: 0): .completedSuccessfully
        case .cancelled: .cancelled
        default: .failed
        }
    }
}

extension ExecutionOutcome: CustomStringConvertible {
    /// One plain sentence without a full stop, naming exactly the exit code, the trap or the limit; what the executor
    /// wrote is cut to 1,024 bytes (`MeshProtocolMessage.Limits`).
    package var description: String {
        switch self {
        case .exited(code: 0): "the module ended with exit code 0"
        case .exited(let code): "the module ended with exit code \(code)"
        case .trapped(let kind, let message): "the module trapped (\(kind.words)): \(Self.told(message))"
        case .limitExceeded(let limit): "the module was stopped at its \(limit.description) limit"
        case .cancelled: "the run was cancelled"
        case .moduleRefused(let reason): "the module was refused: \(Self.told(reason))"
        case .filesRefused(let reason): "the job's files were refused: \(Self.told(reason))"
        case .fetchFailed(let reason): "a block could not be fetched: \(Self.told(reason))"
        case .nodeFailed(let reason): "the executor failed: \(Self.told(reason))"
        }
    }

    private static func told(_ words: String) -> String {
        words.cut(bytesMax: MeshProtocolMessage.Limits().reasonBytesMax)
    }
}

extension ExecutionLimit: CustomStringConvertible {
    /// The limit in words.
    package var description: String {
        switch self {
        case .fuel: "fuel"
        case .memory: "memory"
        case .table: "table"
        case .stack: "stack"
        case .output: "output"
        case .wallClock: "wall-clock"
        case .idle: "waiting"
        }
    }
}
