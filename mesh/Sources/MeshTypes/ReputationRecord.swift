package import Multiformats
package import SignedObjects

/// What a rater found about a subject in one receipt.
package enum ReputationVerdict: String, Hashable, Sendable, Codable, CaseIterable {
    /// The executor did what it promised.
    case fulfilled
    /// The executor accepted the job and did not deliver.
    case abandoned
    /// The executor's receipt was wrong.
    case invalid
    /// The executor signed that it takes the job, and nothing came of it any more: the word of whoever waited, and so
    /// of use only there.
    case undelivered
    /// The originator took the receipt, and did not pay what it costs in time: the word of whoever waited, too.
    case unpaid
    /// It signed two histories of its log (`LogForkV1`).
    case equivocated

    /// Whether it may be said to others, who can check it by what it cites: that a receipt was paid. A wrong receipt
    /// and two histories have proofs of their own; whoever gives a job that must fail would have an `abandoned` one for
    /// nothing; the rest is somebody's word.
    package var isForOthers: Bool {
        switch self {
        case .fulfilled: true
        case .abandoned, .invalid, .undelivered, .unpaid, .equivocated: false
        }
    }
}

/// What shows others that a receipt was paid.
package struct RecordedPay: Hashable, Sendable, Codable {
    /// Whose book has it: only those who trust that issuer look further.
    package var issuerDID: DID
    /// The originator's settlement.
    package var settlementCID: CID
    /// The block of the proof (`PaidReceipt`), which the rater has.
    package var proofCID: CID

    package init(issuerDID: DID, settlementCID: CID, proofCID: CID) {
        (self.issuerDID, self.settlementCID, self.proofCID) = (issuerDID, settlementCID, proofCID)
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case settlementCID = "settlement_cid"
        case proofCID = "proof_cid"
    }
}

/// A signed rating that cites the receipt it is based on, and who paid it where (PROTOCOL.md, "Records that travel").
package struct ReputationRecord: Hashable, Sendable, SignedBody {
    /// Who rates.
    package var raterDID: DID
    /// Who is rated.
    package var subjectDID: DID
    /// The evidence.
    package var receiptCID: CID
    /// What was found.
    package var verdict: ReputationVerdict
    /// The amount paid, in the smallest part of the issuer's unit.
    package var weight: UInt64
    /// When, as the rater says; nothing is dated by it.
    package var recordedAt: UnixMilliseconds
    /// What shows that the receipt was paid.
    package var pay: RecordedPay

    package init(
        raterDID: DID, subjectDID: DID, receiptCID: CID, verdict: ReputationVerdict, weight: UInt64,
        recordedAt: UnixMilliseconds, pay: RecordedPay
    ) {
        self.pay = pay
        self.raterDID = raterDID
        self.subjectDID = subjectDID
        self.receiptCID = receiptCID
        self.verdict = verdict
        self.weight = weight
        self.recordedAt = recordedAt
    }

    /// The type name that is signed.
    package static let typeName = "ReputationRecord"
    /// The rater signs.
    package var signerDID: DID { raterDID }

    enum CodingKeys: String, CodingKey {
        case raterDID = "rater_did"
        case subjectDID = "subject_did"
        case receiptCID = "receipt_cid"
        case verdict
        case weight
        case recordedAt = "recorded_at"
        case pay
    }
}
