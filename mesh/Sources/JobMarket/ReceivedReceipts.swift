package import MeshTypes
package import Multiformats
package import SignedObjects

/// The valid receipts of a job: those waiting for outputs, the one that counts, and those that came too late.
struct ReceivedReceipts: Hashable, Sendable {
    /// Those that wait for their outputs, in order of arrival: the first that is complete counts.
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

    /// Notes that a receipt is being checked, until a date.
    mutating func checked(_ receipt: CID, _ check: ReceiptCheck, until: UnixMilliseconds) {
        guard let index = candidates.firstIndex(where: { $0.accepted.cid == receipt }) else { return }
        candidates[index].check = check
        candidates[index].outputsUntil = until
    }

    mutating func accepted(
        _ signed: SignedObject<ExecutionReceipt>, at date: UnixMilliseconds, outputsUntil: UnixMilliseconds
    ) {
        let accepted = AcceptedReceipt(signed: signed, cameAt: date)
        candidates.append(CandidateReceipt(accepted: accepted, outputsUntil: outputsUntil))
    }

    /// Makes a candidate the receipt that counts; returns its assignment, or `nil` if there is no such candidate.
    mutating func choose(_ receipt: CID) -> CID? {
        guard let accepted = candidate(receipt)?.accepted else { return nil }
        chosen = accepted
        candidates.removeAll { $0.accepted.cid == receipt }
        return accepted.assignmentCID
    }

    /// Drops the receipt of a failed attempt.
    mutating func attemptEnded(_ assignment: CID) {
        candidates.removeAll { $0.accepted.assignmentCID == assignment }
        if chosen?.assignmentCID == assignment { chosen = nil }
    }

    /// Stops waiting for outputs; returns the receipts that waited.
    mutating func closeCandidates() -> [CandidateReceipt] {
        defer { candidates = [] }
        return candidates
    }

    /// Ends the job without a receipt that counts.
    mutating func abandoned() { chosen = nil }

    mutating func cameLate(_ receipt: CID) { late.append(receipt) }
}

/// The receipt with which a job ends.
package struct AcceptedReceipt: Hashable, Sendable {
    /// The receipt as its executor signed it.
    package let signed: SignedObject<ExecutionReceipt>
    /// When it came, by this node's clock that only moves forward.
    let cameAt: UnixMilliseconds

    /// Names the receipt.
    package var cid: CID { signed.cid }
    /// What it says.
    package var receipt: ExecutionReceipt { signed.body }
    /// The assignment that it answers.
    package var assignmentCID: CID { signed.body.assignmentCID }
}

/// A valid receipt whose outputs are being fetched.
package struct CandidateReceipt: Hashable, Sendable {
    /// The receipt as it will count.
    package let accepted: AcceptedReceipt
    /// How long the node waits for its outputs, or for the end of its check.
    package internal(set) var outputsUntil: UnixMilliseconds
    /// How it is being checked, once its outputs are here and if it has to be.
    package internal(set) var check: ReceiptCheck?

    /// The missing outputs, when none is known to be here.
    var missingCount: UInt64 { UInt64(accepted.receipt.owedBlocks.count) }
    /// How its attempt ends if they do not come.
    var outputsMissing: AttemptEnd { .outputsMissing(receipt: accepted.cid, missing: missingCount) }
}
