public import MeshTypes
public import Multiformats
public import SignedObjects

/// The valid receipts of a job: those whose outputs are awaited, the one that counts, and those that came too late.
struct ReceivedReceipts: Hashable, Sendable {
    /// Those that wait for their outputs, side by side, in the order of their arrival: the first that has all of its
    /// outputs here counts.
    private(set) var candidates: [CandidateReceipt] = []
    /// The receipt that counts, once there is one.
    private(set) var chosen: AcceptedReceipt?
    /// Those that came too late.
    private(set) var late: [CID] = []

    /// Until when the outputs of the one that waits longest are awaited.
    var firstOutputsUntil: UnixMilliseconds? { candidates.map(\.outputsUntil).min() }
    /// Until when outputs are awaited.
    var lastOutputsUntil: UnixMilliseconds? { candidates.map(\.outputsUntil).max() }

    func candidate(_ receipt: CID) -> CandidateReceipt? { candidates.first { $0.accepted.cid == receipt } }

    func contains(_ receipt: CID) -> Bool {
        chosen?.cid == receipt || late.contains(receipt) || candidates.contains { $0.accepted.cid == receipt }
    }

    // MARK: Steps

    mutating func accepted(_ signed: SignedObject<ExecutionReceipt>, outputsUntil: UnixMilliseconds) {
        candidates.append(CandidateReceipt(accepted: AcceptedReceipt(signed: signed), outputsUntil: outputsUntil))
    }

    /// A candidate becomes the receipt that counts; gives its assignment, or `nil` where there is no such candidate.
    mutating func choose(_ receipt: CID) -> CID? {
        guard let accepted = candidate(receipt)?.accepted else { return nil }
        chosen = accepted
        candidates.removeAll { $0.accepted.cid == receipt }
        return accepted.assignmentCID
    }

    /// An attempt came to nothing, and its receipt with it.
    mutating func attemptEnded(_ assignment: CID) {
        candidates.removeAll { $0.accepted.assignmentCID == assignment }
        if chosen?.assignmentCID == assignment { chosen = nil }
    }

    /// Nobody waits for outputs any more; gives the receipts that waited.
    mutating func closeCandidates() -> [CandidateReceipt] {
        defer { candidates = [] }
        return candidates
    }

    /// The job came to nothing: no receipt counts.
    mutating func abandoned() { chosen = nil }

    mutating func cameLate(_ receipt: CID) { late.append(receipt) }
}

/// The receipt that a job ends with.
public struct AcceptedReceipt: Hashable, Sendable {
    /// The receipt as its executor signed it.
    public let signed: SignedObject<ExecutionReceipt>

    /// Names the receipt.
    public var cid: CID { signed.cid }
    /// What it says.
    public var receipt: ExecutionReceipt { signed.body }
    /// The assignment that it answers.
    public var assignmentCID: CID { signed.body.assignmentCID }
}

/// A valid receipt whose outputs are being fetched.
public struct CandidateReceipt: Hashable, Sendable {
    /// The receipt as it will count.
    public let accepted: AcceptedReceipt
    /// How long its outputs are waited for.
    public let outputsUntil: UnixMilliseconds

    /// The outputs that are missing, where none is known to be here.
    var missingCount: UInt64 { UInt64(accepted.receipt.outputBlocks.count) }
    /// How its attempt ends where they do not come.
    var outputsMissing: AttemptEnd { .outputsMissing(receipt: accepted.cid, missing: missingCount) }
}
