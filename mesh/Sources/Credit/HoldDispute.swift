package import MeshTypes
package import Multiformats
package import SignedObjects

/// An originator's word, or that of a debtor for it, that a claim is not due, and what shows it. Like the claim it
/// names no book. Whoever loses pays the hold's budget for disputes.
package struct HoldDispute: Hashable, CreditObject {
    /// The bounds of a dispute.
    package enum Limits {
        /// The longest reason, in bytes.
        package static let reasonBytesMax = 1_024
        /// The most blocks that it names.
        package static let evidenceMax = 16
    }

    /// Who disputes: the originator, or the debtor of the hold.
    package var disputerDID: DID
    /// The CID of the claim's body.
    package var claimCID: CID
    /// Why, for people.
    package var reason: String
    /// Blocks that show it, such as a `FraudProof`.
    package var evidence: [CID]
    /// When it was signed.
    package var disputedAt: UnixMilliseconds

    package init(disputerDID: DID, claimCID: CID, reason: String, evidence: [CID] = [], disputedAt: UnixMilliseconds) {
        self.disputerDID = disputerDID
        self.claimCID = claimCID
        self.reason = reason
        self.evidence = evidence
        self.disputedAt = disputedAt
    }

    /// The type name that is signed.
    package static let typeName = "HoldDispute"
    package static let bytesMax = 4_096
    /// Who disputes signs.
    package var signerDID: DID { disputerDID }

    package var fieldOutOfBounds: String? {
        if reason.utf8.count > Limits.reasonBytesMax { return "reason" }
        return evidence.count > Limits.evidenceMax ? "evidence" : nil
    }

    enum CodingKeys: String, CodingKey {
        case disputerDID = "disputer_did"
        case claimCID = "claim_cid"
        case reason
        case evidence
        case disputedAt = "disputed_at"
    }
}

/// What the arbiter of a hold found of a claim that is disputed. It holds in both books of a hold across two issuers.
package struct HoldDecision: Hashable, CreditObject {
    /// Who decides.
    package var arbiterDID: DID
    /// The CID of the claim's body.
    package var claimCID: CID
    /// What of the claim is to be paid, in the unit of the claim.
    package var payable: TokenAmount
    /// What shows it, such as a replay's finding.
    package var evidence: [CID]
    /// When it was signed.
    package var decidedAt: UnixMilliseconds

    package init(
        arbiterDID: DID, claimCID: CID, payable: TokenAmount, evidence: [CID] = [], decidedAt: UnixMilliseconds
    ) {
        self.arbiterDID = arbiterDID
        self.claimCID = claimCID
        self.payable = payable
        self.evidence = evidence
        self.decidedAt = decidedAt
    }

    /// The type name that is signed.
    package static let typeName = "HoldDecision"
    package static let bytesMax = 4_096
    /// The arbiter signs.
    package var signerDID: DID { arbiterDID }
    package var fieldOutOfBounds: String? { evidence.count > HoldDispute.Limits.evidenceMax ? "evidence" : nil }

    enum CodingKeys: String, CodingKey {
        case arbiterDID = "arbiter_did"
        case claimCID = "claim_cid"
        case payable
        case evidence
        case decidedAt = "decided_at"
    }
}
