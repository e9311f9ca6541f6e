package import MeshTypes
import Multiformats

/// What two runs of one work have to give alike: outcome, outputs, streams, log, reads, anchored blocks and fuel.
package struct ComparedResult: Hashable, Sendable {
    private let outcome: ExecutionOutcome
    private let outputs: CanonicalMap<CID>
    private let streams: [CID?]
    private let anchored: [CID]
    private let fuel: UInt64
    private let determinism: DeterminismProfile

    /// What a receipt says. Messages are for people and may change with the engine; only the kind of an end counts.
    package init(_ receipt: ExecutionReceipt) {
        outcome = receipt.outcome.withoutWords
        outputs = receipt.outputs
        streams = [receipt.stdoutCID, receipt.stderrCID, receipt.logCID, receipt.readCID]
        anchored = receipt.anchoredCIDs
        fuel = receipt.resourceUsage.fuel
        determinism = receipt.determinism
    }
}

extension ExecutionOutcome {
    fileprivate var withoutWords: ExecutionOutcome {
        switch self {
        case .trapped(let kind, _): .trapped(kind: kind, message: "")
        case .moduleRefused: .moduleRefused(reason: "")
        case .filesRefused: .filesRefused(reason: "")
        case .fetchFailed: .fetchFailed(reason: "")
        case .nodeFailed: .nodeFailed(reason: "")
        case .exited, .limitExceeded, .cancelled: self
        }
    }
}
