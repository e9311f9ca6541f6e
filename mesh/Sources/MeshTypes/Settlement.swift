package import Multiformats
package import SignedObjects

/// What the originator found in a receipt.
package enum SettlementVerdict: String, Hashable, Sendable, Codable, CaseIterable {
    /// The work was done as agreed and is paid by metered fuel.
    case paid
    /// The job was cancelled by its originator; the fuel used until then is paid.
    case paidCancelled = "paid_cancelled"
    /// The executor itself reported that it failed; nothing is paid.
    case nodeFailure = "node_failure"
    /// The job was already settled with another receipt; nothing is paid.
    case late
    /// The job was run again, and gave something else; nothing is paid.
    case refuted
    /// The receipt was to be checked and could not be; nothing is paid.
    case unverified
}

/// The originator's signed answer to a receipt: how much of the held amount was paid, and how much went back.
package struct Settlement: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// The receipt.
    package var receiptCID: CID
    /// Who pays.
    package var originatorDID: DID
    /// Who is paid.
    package var executorDID: DID
    /// What was paid.
    package var amountPaid: TokenAmount
    /// How much of the held amount went back to the originator.
    package var amountRefunded: TokenAmount
    /// Why.
    package var verdict: SettlementVerdict
    /// When.
    package var settledAt: UnixMilliseconds
    /// What the manifest committed to: how the result was to be checked. Only where the job has its result.
    package var verification: VerificationOpening?
    /// What the check found; absent in settlements of earlier versions, and of late receipts.
    package var finding: VerificationFinding?
    /// The proof of the fraud, where there is one.
    package var proofCID: CID?
    /// What the amounts are counted in; absent where they are tokens.
    package var unit: CreditUnit?

    package init(
        jobID: JobID, receiptCID: CID, originatorDID: DID, executorDID: DID, amountPaid: TokenAmount,
        amountRefunded: TokenAmount, verdict: SettlementVerdict, settledAt: UnixMilliseconds
    ) {
        self.jobID = jobID
        self.receiptCID = receiptCID
        self.originatorDID = originatorDID
        self.executorDID = executorDID
        self.amountPaid = amountPaid
        self.amountRefunded = amountRefunded
        self.verdict = verdict
        self.settledAt = settledAt
    }

    /// The type name that is signed.
    package static let typeName = "Settlement"
    /// The originator signs.
    package var signerDID: DID { originatorDID }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case receiptCID = "receipt_cid"
        case originatorDID = "originator_did"
        case executorDID = "executor_did"
        case amountPaid = "amount_paid"
        case amountRefunded = "amount_refunded"
        case verdict
        case settledAt = "settled_at"
        case verification
        case finding
        case proofCID = "proof_cid"
        case unit
    }
}
