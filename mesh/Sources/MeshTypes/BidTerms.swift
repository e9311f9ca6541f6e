/// What an executor promises and charges: the terms that a bid offers and an assignment repeats exactly.
///
/// The price of a run (PROTOCOL.md, "Price"): `min(price, base_price + ceil(fuel × price_per_million_fuel /
/// 1,000,000))`. `price` is the most that the job can cost: the amount that the originator holds and compares with
/// `max_price`.
package struct BidTerms: Hashable, Sendable, Codable {
    /// The most that the run can cost; held at assignment.
    package var price: TokenAmount
    /// Due as soon as the module has run.
    package var basePrice: TokenAmount
    /// Due per million fuel, rounded up once over the whole run.
    package var pricePerMillionFuel: TokenAmount
    /// When the executor can start.
    package var earliestStart: UnixMilliseconds
    /// When the executor promises the receipt at the latest.
    package var deadline: UnixMilliseconds
    /// What it reserves for the job.
    package var resourceGuarantees: ResourceAmounts
    /// By which issuer it is paid, and the unit of the amounts; absent where they are tokens.
    package var payment: BidPayment?

    package init(
        price: TokenAmount, basePrice: TokenAmount, pricePerMillionFuel: TokenAmount, earliestStart: UnixMilliseconds,
        deadline: UnixMilliseconds, resourceGuarantees: ResourceAmounts = [:]
    ) {
        self.price = price
        self.basePrice = basePrice
        self.pricePerMillionFuel = pricePerMillionFuel
        self.earliestStart = earliestStart
        self.deadline = deadline
        self.resourceGuarantees = resourceGuarantees
    }

    /// What a run that used this much fuel costs under these terms; never more than `price`.
    package func due(fuel: UInt64) -> TokenAmount {
        min(price, Self.uncapped(basePrice: basePrice, pricePerMillionFuel: pricePerMillionFuel, fuel: fuel))
    }

    /// What a run with this outcome costs: by metered fuel if the module ended by itself, or a limit or a cancellation
    /// stopped it after it had begun, or its files did not go on; nothing if the module was refused or the node failed.
    package func due(for outcome: ExecutionOutcome, fuel: UInt64) -> TokenAmount {
        switch outcome {
        case .exited, .trapped, .limitExceeded: due(fuel: fuel)
        case .cancelled, .filesRefused: fuel == 0 ? .zero : due(fuel: fuel)
        case .moduleRefused, .fetchFailed, .nodeFailed: .zero
        }
    }

    /// `base_price + ceil(fuel × price_per_million_fuel / 1,000,000)`, saturating at the largest amount.
    package static func uncapped(
        basePrice: TokenAmount, pricePerMillionFuel: TokenAmount, fuel: UInt64
    ) -> TokenAmount {
        let product = fuel.multipliedFullWidth(by: pricePerMillionFuel.units)
        guard product.high < 1_000_000 else { return .max }
        let (quotient, remainder) = UInt64(1_000_000).dividingFullWidth(product)
        return basePrice.addingSaturated(TokenAmount(quotient))
            .addingSaturated(TokenAmount(remainder == 0 ? 0 : 1))
    }

    /// The most fuel that costs no more than an amount under these terms; `nil` if there is none.
    package func affordableFuel(for amount: TokenAmount) -> UInt64? {
        Self.affordableFuel(for: amount, basePrice: basePrice, pricePerMillionFuel: pricePerMillionFuel)
    }

    /// The most fuel that costs no more than an amount by such prices; `nil` if there is none, or any does.
    package static func affordableFuel(
        for amount: TokenAmount, basePrice: TokenAmount, pricePerMillionFuel: TokenAmount
    ) -> UInt64? {
        let (rate, base) = (pricePerMillionFuel.units, basePrice.units)
        guard rate > 0, amount.units > base else { return nil }
        let product = (amount.units - base).multipliedFullWidth(by: 1_000_000)
        guard product.high < rate else { return nil }
        return rate.dividingFullWidth(product).quotient
    }

    enum CodingKeys: String, CodingKey {
        case price
        case basePrice = "base_price"
        case pricePerMillionFuel = "price_per_million_fuel"
        case earliestStart = "earliest_start"
        case deadline
        case resourceGuarantees = "resource_guarantees"
        case payment
    }
}
