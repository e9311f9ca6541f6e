import MeshTypes
import Testing

/// What a run that was cut short may claim.
@Suite("Fuel pace")
struct FuelPaceTests {
    private func terms(_ promised: UInt64?) -> BidTerms {
        var guarantees: ResourceAmounts = ["memory_mib": 64]
        if let promised { guarantees[.fuelPerSecond] = promised }
        return BidTerms(
            price: TokenAmount(100), basePrice: .zero, pricePerMillionFuel: TokenAmount(1), earliestStart: .epoch,
            deadline: .epoch, resourceGuarantees: guarantees)
    }

    @Test(
        arguments: [
            // Rate, milliseconds, fuel: a begun millisecond counts, and nothing overflows.
            (1_000, 0, 1), (1_000, 1_000, 1_001), (999, 0, 0), (UInt64.max, 0, UInt64.max / 1_000), (0, UInt64.max, 0),
            (UInt64.max, UInt64.max, UInt64.max), (1_000, UInt64.max, UInt64.max),
        ] as [(UInt64, UInt64, UInt64)])
    func fuelOfATime(rate: UInt64, milliseconds: UInt64, fuel: UInt64) {
        #expect(FuelPace.fuel(perSecond: rate, milliseconds: milliseconds) == fuel)
    }

    /// A promise counts up to a bound, so that nobody promises any claim true; without one there is a default.
    @Test func promises() {
        #expect(terms(nil).fuelPerSecond == nil)
        #expect(terms(5).fuelPerSecond == 5)
        #expect(terms(.max).fuelPerSecond == FuelPace.perSecondMax)
        #expect(terms(.max).claimMax(milliseconds: 0) == FuelPace.perSecondMax / 1_000)
        #expect(terms(nil).claimMax(milliseconds: 999) == FuelPace.perSecondDefault)
        #expect(terms(2_000).claimMax(milliseconds: 999) == 2_000)
    }

    /// What a run that ended by itself may claim does not follow from the promise.
    @Test func whatAnEndAllows() {
        for promised in [nil, 5, .max] as [UInt64?] {
            let terms = terms(promised)
            for outcome: ExecutionOutcome in [.exited(code: 0), .limitExceeded(.fuel), .moduleRefused(reason: "")] {
                #expect(terms.claimMax(for: outcome, milliseconds: 999) == FuelPace.perSecondMax)
            }
            #expect(terms.claimMax(for: .cancelled, milliseconds: 999) == terms.claimMax(milliseconds: 999))
        }
    }

    @Test func moreTimeNeverAllowsLess() {
        let times: [UInt64] = [0, 1, 999, 1_000, 86_400_000, 1 << 53, .max - 1, .max]
        for promised in [nil, 0, 1, FuelPace.perSecondDefault, .max] as [UInt64?] {
            let fuel = times.map { terms(promised).claimMax(milliseconds: $0) }
            #expect(fuel == fuel.sorted())
        }
    }

    @Test func whatIsCutShort() {
        #expect(ExecutionOutcome.cancelled.isCutShort)
        for limit in ExecutionLimit.allCases {
            #expect(ExecutionOutcome.limitExceeded(limit).isCutShort == (limit == .wallClock))
        }
        for outcome: ExecutionOutcome in [
            .exited(code: 0), .trapped(kind: .other, message: ""), .moduleRefused(reason: ""),
            .filesRefused(reason: ""), .fetchFailed(reason: ""), .nodeFailed(reason: ""),
        ] { #expect(!outcome.isCutShort) }
    }
}
