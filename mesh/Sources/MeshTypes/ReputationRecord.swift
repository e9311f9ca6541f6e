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

    /// Whether it may be said to others, who can check it by the receipt that it cites.
    package var isForOthers: Bool {
        switch self {
        case .fulfilled, .abandoned, .invalid: true
        case .undelivered, .unpaid, .equivocated: false
        }
    }
}

/// A signed rating that cites the receipt it is based on.
package struct ReputationRecord: Hashable, Sendable, SignedBody {
    /// Who rates.
    package var raterDID: DID
    /// Who is rated.
    package var subjectDID: DID
    /// The evidence.
    package var receiptCID: CID
    /// What was found.
    package var verdict: ReputationVerdict
    /// The weight of the evidence: the amount paid.
    package var weight: UInt64
    /// When.
    package var recordedAt: UnixMilliseconds

    package init(
        raterDID: DID, subjectDID: DID, receiptCID: CID, verdict: ReputationVerdict, weight: UInt64,
        recordedAt: UnixMilliseconds
    ) {
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
    }
}
