/// An amount of tokens in the smallest unit; unsigned, with checked addition and subtraction only.
///
/// It deliberately has no `+`: every sum either reports overflow or says that it saturates.
public struct TokenAmount: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The number of smallest units.
    public var units: UInt64

    /// No tokens.
    public static let zero = TokenAmount(0)
    /// The largest amount: the largest signed 64-bit integer, as in a store. Sums saturate or report overflow there.
    public static let max = TokenAmount(UInt64(Int64.max))

    /// An amount of smallest units.
    public init(_ units: UInt64) {
        self.units = units
    }

    /// Reads a bare unsigned integer.
    public init(from decoder: any Decoder) throws {
        units = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Writes a bare unsigned integer.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(units)
    }

    /// The sum, or `nil` on overflow.
    public func adding(_ other: TokenAmount) -> TokenAmount? {
        let (sum, overflow) = units.addingReportingOverflow(other.units)
        return overflow || sum > Self.max.units ? nil : TokenAmount(sum)
    }

    /// The difference, or `nil` if `other` is larger.
    public func subtracting(_ other: TokenAmount) -> TokenAmount? {
        units >= other.units ? TokenAmount(units - other.units) : nil
    }

    /// The sum, or the largest amount on overflow.
    public func addingSaturated(_ other: TokenAmount) -> TokenAmount {
        adding(other) ?? .max
    }

    /// The difference, or zero if `other` is larger.
    public func subtractingSaturated(_ other: TokenAmount) -> TokenAmount {
        subtracting(other) ?? .zero
    }

    /// The number as text.
    public var description: String { String(units) }

    public static func < (left: TokenAmount, right: TokenAmount) -> Bool {
        left.units < right.units
    }
}
