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
    /// By which other issuer the executor is paid; absent where both are members of the same.
    package var acrossDID: DID?
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

    /// The order by which an originator has it held, under the rules of its issuer: the first arbiter who is no party,
    /// and whom the executor's issuer names, too, decides, for the least budget. `nil` if there is none, or the unit is
    /// another.
    ///
    /// Across two issuers the hold lasts longer by the margin of the originator's, and its window and extension are
    /// shorter by it, so that the hold which that orders for it has the dates of the wish.
    ///
    /// - Parameter other: the charter of the executor's issuer, where that is another.
    package func order(
        of debtor: DID, under charter: SignedObject<IssuerCharter>, across other: SignedObject<IssuerCharter>? = nil,
        nonce: [UInt8]
    ) -> PaymentOrder? {
        let rules = charter.body
        let parties = [debtor, executorDID] + (acrossDID.map { [issuerDID, $0] } ?? [])
        guard rules.unit == unit, charter.did == issuerDID, other?.did == acrossDID,
            other?.body.unit ?? unit == unit,
            let arbiter = rules.arbiters.first(where: { arbiter in
                !parties.contains(arbiter) && other?.body.arbiters.contains(arbiter) ?? true
            }), let terms = terms(of: debtor, marginMilliseconds: rules.marginMilliseconds, arbiter, rules)
        else { return nil }
        return PaymentOrder(
            issuerDID: issuerDID, charterCID: charter.bodyCID, debtorDID: debtor, creditorDID: acrossDID ?? executorDID,
            amount: amount, unit: unit, hold: terms, nonce: nonce,
            validUntil: useBy.advanced(milliseconds: Self.clockSkewMilliseconds))
    }

    /// Whether its window and its extension can be shorter by so much.
    package func hasRoom(forMarginMilliseconds margin: UInt64) -> Bool {
        min(windowMilliseconds, extensionMilliseconds) >= margin + HoldTerms.Limits.windowMilliseconds.lowerBound
    }

    private func terms(
        of debtor: DID, marginMilliseconds: UInt64, _ arbiter: DID, _ rules: IssuerCharter
    ) -> HoldTerms? {
        let margin = acrossDID == nil ? 0 : marginMilliseconds
        guard hasRoom(forMarginMilliseconds: margin) else { return nil }
        return HoldTerms(
            jobID: jobID, attempt: attempt, bidCID: bidCID, originatorDID: debtor, executorDID: executorDID,
            arbiterDID: arbiter, deliverBy: deliverBy, claimBy: claimBy.advanced(milliseconds: margin),
            windowMilliseconds: windowMilliseconds - margin, extensionMilliseconds: extensionMilliseconds - margin,
            disputeBudget: rules.disputeBudgetMin, feeMax: rules.holdFee)
    }

    /// Whether a certificate holds what was wished for, for a debtor at its issuer.
    ///
    /// - Parameter marginMilliseconds: that of the issuer's charter, which counts across two issuers.
    package func isMet(by certificate: HoldCertificate, for debtor: DID, marginMilliseconds: UInt64) -> Bool {
        let margin = acrossDID == nil ? 0 : marginMilliseconds
        return certificate.issuerDID == issuerDID && certificate.debtorDID == debtor
            && certificate.creditorDID == acrossDID ?? executorDID
            && isMet(certificate, for: debtor, marginMilliseconds: margin)
    }

    /// Whether a certificate of the executor's issuer holds what was wished for, at the debit of the originator's.
    package func isMetAcross(by certificate: HoldCertificate, for originator: DID) -> Bool {
        certificate.issuerDID == acrossDID && certificate.debtorDID == issuerDID
            && certificate.creditorDID == executorDID && isMet(certificate, for: originator, marginMilliseconds: 0)
    }

    private func isMet(_ certificate: HoldCertificate, for originator: DID, marginMilliseconds margin: UInt64) -> Bool {
        let terms = certificate.terms
        return certificate.amount == amount && certificate.unit == unit
            && certificate.rate == nil && terms.jobID == jobID && terms.attempt == attempt && terms.bidCID == bidCID
            && terms.originatorDID == originator && terms.executorDID == executorDID && terms.deliverBy == deliverBy
            && terms.claimBy == claimBy.advanced(milliseconds: margin)
            && terms.windowMilliseconds == windowMilliseconds - min(margin, windowMilliseconds)
            && terms.extensionMilliseconds == extensionMilliseconds - min(margin, extensionMilliseconds)
    }
}
