import SignedObjects

/// An amount of tokens in the smallest unit; unsigned, with checked addition and subtraction only.
///
/// It deliberately has no `+`: every sum either reports overflow or says that it saturates.
package struct TokenAmount: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The number of smallest units.
    package var units: UInt64

    /// No tokens.
    package static let zero = TokenAmount(0)
    /// The largest amount: the largest signed 64-bit integer, as in a store. Sums saturate or report overflow there.
    package static let max = TokenAmount(UInt64(Int64.max))

    /// An amount of smallest units.
    package init(_ units: UInt64) {
        self.units = units
    }

    /// Reads a bare unsigned integer.
    package init(from decoder: any Decoder) throws {
        units = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Writes a bare unsigned integer.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(units)
    }

    /// The sum, or `nil` on overflow.
    package func adding(_ other: TokenAmount) -> TokenAmount? {
        let (sum, overflow) = units.addingReportingOverflow(other.units)
        return overflow || sum > Self.max.units ? nil : TokenAmount(sum)
    }

    /// The difference, or `nil` if `other` is larger.
    package func subtracting(_ other: TokenAmount) -> TokenAmount? {
        units >= other.units ? TokenAmount(units - other.units) : nil
    }

    /// The sum, or the largest amount on overflow.
    package func addingSaturated(_ other: TokenAmount) -> TokenAmount {
        adding(other) ?? .max
    }

    /// The difference, or zero if `other` is larger.
    package func subtractingSaturated(_ other: TokenAmount) -> TokenAmount {
        subtracting(other) ?? .zero
    }

    /// The number for people.
    package var description: String { GroupedNumber.of(units) }

    package static func < (left: TokenAmount, right: TokenAmount) -> Bool {
        left.units < right.units
    }
}
