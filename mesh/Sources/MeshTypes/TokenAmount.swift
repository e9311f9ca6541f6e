/// An amount of tokens in the smallest unit; unsigned, and added and subtracted only with checks.
///
/// There is no `+` on purpose: every sum either reports that it overflows or says that it saturates.
public struct TokenAmount: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The number of smallest units.
    public var units: UInt64

    /// No tokens.
    public static let zero = TokenAmount(0)
    /// The largest amount that can be written: what a signed integer of 64 bits holds, as a store's do. Sums saturate
    /// and report there.
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

    /// The sum, or `nil` when it cannot be written.
    public func adding(_ other: TokenAmount) -> TokenAmount? {
        let (sum, overflow) = units.addingReportingOverflow(other.units)
        return overflow || sum > Self.max.units ? nil : TokenAmount(sum)
    }

    /// The difference, or `nil` when `other` is larger.
    public func subtracting(_ other: TokenAmount) -> TokenAmount? {
        units >= other.units ? TokenAmount(units - other.units) : nil
    }

    /// The sum, or the largest amount when it cannot be written.
    public func addingSaturated(_ other: TokenAmount) -> TokenAmount {
        adding(other) ?? .max
    }

    /// The difference, or zero when `other` is larger.
    public func subtractingSaturated(_ other: TokenAmount) -> TokenAmount {
        subtracting(other) ?? .zero
    }

    /// The number as text.
    public var description: String { String(units) }

    public static func < (left: TokenAmount, right: TokenAmount) -> Bool {
        left.units < right.units
    }
}
