package import MeshTypes
package import SignedObjects

/// An issuer by which an executor lets itself be paid, with its prices there.
package struct TrustedIssuer: Hashable, Sendable {
    /// The issuer.
    package var issuerDID: DID
    /// What the prices are counted in.
    package var unit: CreditUnit
    /// Due as soon as a module ran.
    package var basePrice: TokenAmount
    /// Due per million fuel.
    package var pricePerMillionFuel: TokenAmount
    /// Whether the executor has a line there, as the issuer said last; the shell keeps it up to date.
    package var isMember = false
    /// Who may decide disputes, by the issuer's charter; the shell keeps it up to date.
    package var arbiters: Set<DID> = []

    package init(issuerDID: DID, unit: CreditUnit, basePrice: TokenAmount, pricePerMillionFuel: TokenAmount) {
        (self.issuerDID, self.unit) = (issuerDID, unit)
        (self.basePrice, self.pricePerMillionFuel) = (basePrice, pricePerMillionFuel)
    }

    /// How bids name it.
    package var payment: BidPayment { BidPayment(issuerDID: issuerDID, unit: unit) }
}

/// What an issuer says of this node: whether it has a line there, and who decides disputes.
package struct IssuerStanding: Hashable, Sendable {
    /// The issuer.
    package let issuerDID: DID
    /// The unit of the line.
    package let unit: CreditUnit
    /// Whether there is one that takes orders.
    package let isMember: Bool
    /// Who decides disputes.
    package let arbiters: Set<DID>

    package init(issuerDID: DID, unit: CreditUnit, isMember: Bool, arbiters: Set<DID>) {
        (self.issuerDID, self.unit, self.isMember, self.arbiters) = (issuerDID, unit, isMember, arbiters)
    }
}

extension ExecutorConfiguration {
    /// The first issuer of the executor's list by which a job is paid, and where it is a member.
    func issuer(for payBy: PayBy) -> TrustedIssuer? {
        issuers.first { $0.isMember && payBy.admits($0.payment) }
    }

    /// Takes over what an issuer says.
    package mutating func told(_ standing: IssuerStanding) {
        for index in issuers.indices
        where issuers[index].issuerDID == standing.issuerDID && issuers[index].unit == standing.unit {
            (issuers[index].isMember, issuers[index].arbiters) = (standing.isMember, standing.arbiters)
        }
    }
}
