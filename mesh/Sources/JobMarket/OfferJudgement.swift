package import MeshTypes
import Multiformats
package import Reputation
import SignedObjects

/// What an executor's offer says about a job: everything by which the executor would decline it, or its bid would be
/// refused here. The rules are those of `BidPolicy` and `Selection`, as far as an offer tells them.
package struct OfferJudgement: Sendable {
    let manifest: JobManifest
    let sizes: JobSizes
    let reputation: ReputationBook
    let wallClock: UnixMilliseconds

    /// The judgement for one job at one moment.
    package init(
        manifest: JobManifest, sizes: JobSizes, reputation: ReputationBook, wallClock: UnixMilliseconds
    ) {
        self.manifest = manifest
        self.sizes = sizes
        self.reputation = reputation
        self.wallClock = wallClock
    }

    /// All obstacles that the offer shows; a price is none, because a bid is what counts.
    package func obstacles(to offer: NodeCapability) -> [Obstacle] {
        let (params, policy) = (manifest.params, manifest.policy)
        var obstacles: [Obstacle] = []
        for limit in OfferedLimit.allCases {
            guard let offered = offer.limits?[limit.rawValue], let asked = limit.asked(by: params, sizes),
                asked > offered
            else { continue }
            obstacles.append(.limit(limit, asked: asked, offered: offered))
        }
        if let regions = policy.regionFilter,
            !regions.contains(where: { region in offer.region.map { region.isSameBytes(as: $0) } ?? false })
        {
            obstacles.append(.region(asked: regions, there: offer.region.map { [$0] } ?? []))
        }
        if offer.isAbridged != true {
            for feature in policy.requiredFeatures ?? []
            where !offer.features.contains(where: { feature.isSameBytes(as: $0) }) {
                obstacles.append(.feature(feature))
            }
        }
        for entry in params.resourcesRequired {
            let offered = offer.resources[entry.key] ?? 0
            if offered < entry.value {
                obstacles.append(.resource(entry.key, needed: entry.value, offered: offered))
            }
        }
        if isExcluded(offer.nodeDID) { obstacles.append(.excluded) }
        if let least = policy.minReputation {
            let score = reputation.score(of: offer.nodeDID, at: wallClock)
            if score < least { obstacles.append(.reputation(best: score, min: least)) }
        }
        return obstacles
    }

    private func isExcluded(_ executor: DID) -> Bool {
        if manifest.policy.deniedDIDs?.contains(executor) ?? false { return true }
        return manifest.policy.allowedDIDs.map { !$0.contains(executor) } ?? false
    }

    /// What a job would cost at most by an offer's prices, if that is above its budget.
    package func price(by offer: NodeCapability) -> Obstacle? {
        // Offers tell prices in tokens alone.
        guard manifest.policy.payBy == nil, let budget = manifest.params.priceCeiling else { return nil }
        let price = BidTerms.uncapped(
            basePrice: offer.basePrice, pricePerMillionFuel: offer.pricePerMillionFuel, fuel: manifest.params.maxFuel)
        guard price > budget else { return nil }
        return .price(
            Obstacle.Price(
                cheapest: price, budget: budget, fuel: manifest.params.maxFuel,
                affordableFuel: BidTerms.affordableFuel(
                    for: budget, basePrice: offer.basePrice, pricePerMillionFuel: offer.pricePerMillionFuel)))
    }
}
