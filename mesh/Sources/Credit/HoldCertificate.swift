package import MeshTypes
package import Multiformats
package import SignedObjects

/// An issuer's promise that an amount is held for an attempt of a job, which the executor reads before it runs it.
///
/// It says which entry of the log the hold is. So a log whose entry of that number is another, or that is too short
/// when `logged_by` is over, is a proof against the issuer (`IssuerFault`).
package struct HoldCertificate: Hashable, CreditObject {
    /// Who promises.
    package var issuerDID: DID
    /// The CID of the body of its charter.
    package var charterCID: CID
    /// The CID of the order's body.
    package var holdCID: CID
    /// Who gives the money: the originator, or its issuer.
    package var debtorDID: DID
    /// Who gets it: the executor, or its issuer.
    package var creditorDID: DID
    /// The most that is paid.
    package var amount: TokenAmount
    /// In which unit.
    package var unit: CreditUnit
    /// What that costs the debtor, where its line has another unit.
    package var rate: CreditRate?
    /// What the payment waits for.
    package var terms: HoldTerms
    /// The number of the hold's entry in the issuer's log.
    package var entry: UInt64
    /// The commitment in that entry, 32 bytes.
    package var commitment: [UInt8]
    /// By when a head that witnesses have contains it.
    package var loggedBy: UnixMilliseconds

    package init(
        issuerDID: DID, charterCID: CID, holdCID: CID, debtorDID: DID, creditorDID: DID, amount: TokenAmount,
        unit: CreditUnit, rate: CreditRate? = nil, terms: HoldTerms, entry: UInt64, commitment: [UInt8],
        loggedBy: UnixMilliseconds
    ) {
        self.issuerDID = issuerDID
        self.charterCID = charterCID
        self.holdCID = holdCID
        self.debtorDID = debtorDID
        self.creditorDID = creditorDID
        self.amount = amount
        self.unit = unit
        self.rate = rate
        self.terms = terms
        self.entry = entry
        self.commitment = commitment
        self.loggedBy = loggedBy
    }

    /// The type name that is signed.
    package static let typeName = "HoldCertificate"
    package static let bytesMax = 2_048
    /// The issuer signs.
    package var signerDID: DID { issuerDID }

    package var fieldOutOfBounds: String? {
        if amount == .zero || amount > CreditLine.limitMax { return "amount" }
        if !unit.isPossible { return "unit" }
        if let rate, !rate.isPossible || rate.unit == unit { return "rate" }
        if commitment.count != EntryOpening.commitmentBytes { return "commitment" }
        return terms.fieldOutOfBounds
    }

    /// Why the certificate is no pay for an assignment that an executor was given; `nil` if it is.
    ///
    /// - Parameters:
    ///   - assignment: what the executor is to do, and its terms.
    ///   - unit: what the executor's prices are in.
    ///   - accepted: what the executor accepts of terms that others chose.
    ///   - now: the executor's time; a result has to be deliverable after it.
    package func reasonNotPay(
        _ assignment: Assignment, in unit: CreditUnit, accepting accepted: HoldAcceptance, now: UnixMilliseconds
    ) -> String? {
        if creditorDID != assignment.executorDID { return "it pays somebody else" }
        if !terms.isOf(assignment) { return "it is for another assignment" }
        if self.unit != unit { return "it is in \(self.unit)" }
        if amount < assignment.terms.price { return "it holds less than the price" }
        if let reason = accepted.refusal(of: terms, rate) { return reason }
        return terms.deliverBy < max(now, assignment.terms.deadline) ? "it ends before the promised date" : nil
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case charterCID = "charter_cid"
        case holdCID = "hold_cid"
        case debtorDID = "debtor_did"
        case creditorDID = "creditor_did"
        case amount
        case unit
        case rate
        case terms
        case entry
        case commitment
        case loggedBy = "logged_by"
    }
}

extension HoldTerms {
    /// Whether a hold is for an assignment.
    package func isOf(_ assignment: Assignment) -> Bool {
        assignment.jobID == jobID && assignment.attempt == attempt && assignment.bidCID == bidCID
            && assignment.originatorDID == originatorDID && assignment.executorDID == executorDID
    }
}
