import MeshTypes

/// What a price is worth beside others (PROTOCOL.md, "Selection"): everything up to a floor is worth the whole part,
/// everything from a reference on nothing, and between them it falls in a straight line.
///
/// The reference follows from the lowest price above zero of each bidder: twice the one that stands a third of the way
/// up, and at most the job's budget; the floor is a quarter of it. So a bid of nothing counts as one at the floor and
/// takes no part from others: an executor that proved itself can win against it; and dear bids that are not meant to be
/// taken do not level the others, unless two of three bidders make them.
struct PriceScale: Sendable {
    /// Where a price is worth nothing.
    let reference: TokenAmount
    /// Up to where a price is worth the whole part.
    let floor: TokenAmount

    private static let floorShare: UInt64 = 4

    /// The scale for bids at these prices, one of each bidder, on a job that may cost so much.
    init(ceiling: TokenAmount?, prices: [TokenAmount]) {
        let asked = prices.map(\.units).filter { $0 > 0 }.sorted()
        let usual = asked.isEmpty ? 0 : asked[asked.count / 3]
        let (twice, overflow) = usual.multipliedReportingOverflow(by: 2)
        reference = min(ceiling ?? .max, TokenAmount(overflow ? TokenAmount.max.units : twice))
        floor = TokenAmount(reference.units / Self.floorShare)
    }

    /// The part of a price, from 0 to 1,000.
    func part(of price: TokenAmount) -> UInt64 {
        if price <= floor { return 1_000 }
        guard price < reference else { return 0 }
        // The quotient is below 1,000, because the price lies between the two.
        let product = (reference.units - price.units).multipliedFullWidth(by: 1_000)
        return (reference.units - floor.units).dividingFullWidth(product).quotient
    }
}
