package import MeshTypes

/// How many smallest units a debtor pays for those that a creditor gets, where their lines have different units. What
/// the debtor pays is rounded up.
package struct CreditRate: Hashable, Sendable, Codable {
    /// The largest number on either side.
    package static let partMax: UInt64 = 1 << 32

    /// The unit of the debtor's line.
    package let unit: CreditUnit
    /// So many of the debtor's smallest units…
    package let debit: UInt64
    /// …are worth so many of the creditor's.
    package let credit: UInt64

    package init(unit: CreditUnit, debit: UInt64, credit: UInt64) {
        self.unit = unit
        self.debit = debit
        self.credit = credit
    }

    /// Whether both numbers are within their bounds.
    package var isPossible: Bool {
        unit.isPossible && (1...Self.partMax).contains(debit) && (1...Self.partMax).contains(credit)
    }

    /// Whether a debtor pays at least as much by this as by another rate.
    package func costsAsMuch(as other: CreditRate) -> Bool {
        Int128(debit) * Int128(other.credit) >= Int128(other.debit) * Int128(credit)
    }

    /// Whether who changes by this and back by another has no more than before.
    package func gainsNothing(with back: CreditRate) -> Bool {
        Int128(debit) * Int128(back.debit) >= Int128(credit) * Int128(back.credit)
    }

    /// What the debtor pays so that the creditor gets an amount, rounded up; `nil` if no line could hold it.
    package func debit(for amount: UInt64) -> UInt64? { Self.scaled(amount, by: debit, over: credit, isUp: true) }

    /// What the creditor gets of what a debtor gives, rounded down; `nil` if no line could hold it.
    package func credit(for amount: UInt64) -> UInt64? { Self.scaled(amount, by: credit, over: debit, isUp: false) }

    private static func scaled(_ amount: UInt64, by factor: UInt64, over divisor: UInt64, isUp: Bool) -> UInt64? {
        let product = amount.multipliedFullWidth(by: factor)
        guard product.high < divisor else { return nil }
        let (quotient, remainder) = divisor.dividingFullWidth(product)
        let (result, isOver) = quotient.addingReportingOverflow(isUp && remainder > 0 ? 1 : 0)
        return isOver || result > CreditLine.limitMax.units ? nil : result
    }
}
