package import MeshTypes

/// An executor that is known, and what is known of it with regard to a job that nobody has submitted yet.
package struct OfferProspect: Hashable, Sendable {
    /// What it offers; the least that a description needs of one that takes no jobs now.
    package let offer: NodeCapability
    /// Whether it is this node itself.
    package let isHere: Bool
    /// What keeps it from running the job.
    package let obstacles: [Obstacle]
    /// The most that the job would cost there; `nil` without a job.
    package let priceMax: TokenAmount?
    /// Its reputation here, in thousandths.
    package let reputation: UInt64
    /// The round trip to it, in milliseconds.
    package let latency: UInt64?
}

extension OfferProspect {
    /// What the order goes by: the most that the job would cost, or else a million fuel.
    var price: TokenAmount { priceMax ?? offer.price(ofFuel: 1_000_000) }
}

extension NodeCapability {
    /// What a run of so much fuel costs by the offered prices.
    package func price(ofFuel fuel: UInt64) -> TokenAmount {
        BidTerms.uncapped(basePrice: basePrice, pricePerMillionFuel: pricePerMillionFuel, fuel: fuel)
    }
}
