/// How fast an executor says that its machine burns fuel, and what a receipt may claim for its time.
///
/// A run that the clock or an order stopped has no end to compare: its fuel is the executor's word. So a bid promises a
/// rate, among the resources that it guarantees, and such a claim is at most the elapsed time times that rate: by the
/// receipt's own dates for everybody (`ReceiptRules`), and by the originator's own clock where it pays.
///
/// The fuel of a run that came to an end of its own is what every replay gives, so its executor cannot cut its claim
/// down to what it promised before it knew the module. Such a claim is held against the most that any promise counts
/// for: whoever lies promises that.
package enum FuelPace {
    /// Fuel per second of an executor that promised nothing, and of one that has measured nothing yet.
    package static let perSecondDefault: UInt64 = 10_000_000_000
    /// The most fuel per second that a promise counts for: twice what the fastest loops were measured at.
    package static let perSecondMax: UInt64 = 40_000_000_000

    /// The fuel of so many milliseconds and a begun one, because dates are whole milliseconds; saturates.
    package static func fuel(perSecond rate: UInt64, milliseconds: UInt64) -> UInt64 {
        let (time, overflow) = milliseconds.addingReportingOverflow(1)
        let product = rate.multipliedFullWidth(by: overflow ? .max : time)
        guard product.high < 1_000 else { return .max }
        return UInt64(1_000).dividingFullWidth(product).quotient
    }
}

extension ResourceType {
    /// Fuel per second: what a bid promises for runs that are cut short.
    package static let fuelPerSecond = ResourceType(rawValue: "fuel_per_second")
}

extension BidTerms {
    /// The fuel per second that the bid promises; `nil` if it promises none.
    package var fuelPerSecond: UInt64? {
        resourceGuarantees[.fuelPerSecond].map { min($0, FuelPace.perSecondMax) }
    }

    /// The most fuel that a run cut short after so many milliseconds may claim under these terms.
    package func claimMax(milliseconds: UInt64) -> UInt64 {
        FuelPace.fuel(perSecond: fuelPerSecond ?? FuelPace.perSecondDefault, milliseconds: milliseconds)
    }

    /// The most fuel that a receipt with this outcome may claim for so many milliseconds.
    package func claimMax(for outcome: ExecutionOutcome, milliseconds: UInt64) -> UInt64 {
        outcome.isCutShort
            ? claimMax(milliseconds: milliseconds)
            : FuelPace.fuel(perSecond: FuelPace.perSecondMax, milliseconds: milliseconds)
    }
}
