package import MeshTypes
package import SignedObjects

/// What an executor accepts of a hold's terms, which its originator chose.
package struct HoldAcceptance: Hashable, Sendable {
    /// Whom it lets decide.
    package var arbiters: Set<DID>
    /// The most that it may lose by a dispute, in the unit of its prices.
    package var disputeBudgetMax: TokenAmount
    /// The longest window for disputes, in milliseconds.
    package var windowMillisecondsMax: UInt64
    /// The longest time for a decision, in milliseconds.
    package var extensionMillisecondsMax: UInt64
    /// The least time between the last dates of delivery and claim, in milliseconds.
    package var graceMillisecondsMin: UInt64

    package init(
        arbiters: Set<DID>, disputeBudgetMax: TokenAmount, windowMillisecondsMax: UInt64 = 3_600_000,
        extensionMillisecondsMax: UInt64 = 3_600_000,
        graceMillisecondsMin: UInt64 = HoldTerms.Limits.graceMillisecondsMin
    ) {
        self.arbiters = arbiters
        self.disputeBudgetMax = disputeBudgetMax
        self.windowMillisecondsMax = windowMillisecondsMax
        self.extensionMillisecondsMax = extensionMillisecondsMax
        self.graceMillisecondsMin = graceMillisecondsMin
    }

    /// Why terms are not accepted; `nil` if they are. The rate is that of the certificate.
    func refusal(of terms: HoldTerms, _ rate: CreditRate?) -> String? {
        if !arbiters.contains(terms.arbiterDID) { return "somebody else would decide" }
        let budget = terms.disputeBudget.units
        if (rate.map { $0.credit(for: budget) ?? .max } ?? budget) > disputeBudgetMax.units {
            return "a dispute costs more than is accepted"
        }
        if terms.windowMilliseconds > windowMillisecondsMax { return "it can be disputed for too long" }
        if terms.extensionMilliseconds > extensionMillisecondsMax { return "a decision may take too long" }
        let grace = terms.claimBy.milliseconds(since: terms.deliverBy)
        return grace < graceMillisecondsMin ? "it leaves too little time to claim" : nil
    }
}
