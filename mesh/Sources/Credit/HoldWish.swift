package import MeshTypes
package import Multiformats
package import SignedObjects

/// What an originator wants held before it gives an attempt of its job to an executor.
package struct HoldWish: Hashable, Sendable, Codable {
    /// How much longer an order is valid than it is of use, in milliseconds: as far as clocks may differ.
    private static let clockSkewMilliseconds: UInt64 = 300_000

    /// Who holds it.
    package var issuerDID: DID
    /// In which unit.
    package var unit: CreditUnit
    /// The job.
    package var jobID: JobID
    /// Which attempt of it.
    package var attempt: UInt64
    /// The bid that the attempt takes up.
    package var bidCID: CID
    /// Who made the bid.
    package var executorDID: DID
    /// The most that the run can cost.
    package var amount: TokenAmount
    /// Until when the bid is waited for: then the order is given to the issuer no more.
    package var useBy: UnixMilliseconds
    /// Until when the result has to be delivered.
    package var deliverBy: UnixMilliseconds
    /// Until when the hold stands without a claim.
    package var claimBy: UnixMilliseconds
    /// How long a claim can be disputed, in milliseconds.
    package var windowMilliseconds: UInt64
    /// How much longer a dispute may take, in milliseconds.
    package var extensionMilliseconds: UInt64

    package init(
        issuerDID: DID, unit: CreditUnit, jobID: JobID, attempt: UInt64, bidCID: CID, executorDID: DID,
        amount: TokenAmount, useBy: UnixMilliseconds, deliverBy: UnixMilliseconds, claimBy: UnixMilliseconds,
        windowMilliseconds: UInt64, extensionMilliseconds: UInt64
    ) {
        (self.issuerDID, self.unit, self.jobID, self.attempt) = (issuerDID, unit, jobID, attempt)
        (self.bidCID, self.executorDID, self.amount) = (bidCID, executorDID, amount)
        (self.useBy, self.deliverBy, self.claimBy) = (useBy, deliverBy, claimBy)
        (self.windowMilliseconds, self.extensionMilliseconds) = (windowMilliseconds, extensionMilliseconds)
    }

    /// The order by which an originator has it held, under the rules of its issuer: the first arbiter who is no party
    /// decides, for the least budget. `nil` if the charter has none, or another unit.
    package func order(
        of debtor: DID, under charter: SignedObject<IssuerCharter>, nonce: [UInt8]
    ) -> PaymentOrder? {
        let rules = charter.body
        guard rules.unit == unit, charter.did == issuerDID,
            let arbiter = rules.arbiters.first(where: { $0 != debtor && $0 != executorDID })
        else { return nil }
        let terms = HoldTerms(
            jobID: jobID, attempt: attempt, bidCID: bidCID, originatorDID: debtor, executorDID: executorDID,
            arbiterDID: arbiter, deliverBy: deliverBy, claimBy: claimBy, windowMilliseconds: windowMilliseconds,
            extensionMilliseconds: extensionMilliseconds, disputeBudget: rules.disputeBudgetMin, feeMax: rules.holdFee)
        return PaymentOrder(
            issuerDID: issuerDID, charterCID: charter.bodyCID, debtorDID: debtor, creditorDID: executorDID,
            amount: amount, unit: unit, hold: terms, nonce: nonce,
            validUntil: useBy.advanced(milliseconds: Self.clockSkewMilliseconds))
    }

    /// Whether a certificate holds what was wished for, for a debtor.
    package func isMet(by certificate: HoldCertificate, for debtor: DID) -> Bool {
        let terms = certificate.terms
        return certificate.issuerDID == issuerDID && certificate.debtorDID == debtor
            && certificate.creditorDID == executorDID && certificate.amount == amount && certificate.unit == unit
            && certificate.rate == nil && terms.jobID == jobID && terms.attempt == attempt && terms.bidCID == bidCID
            && terms.originatorDID == debtor && terms.executorDID == executorDID && terms.deliverBy == deliverBy
            && terms.claimBy == claimBy && terms.windowMilliseconds == windowMilliseconds
            && terms.extensionMilliseconds == extensionMilliseconds
    }
}
