import MeshTypes

/// Amounts in a unit with decimal places, as people write them.
package enum CreditAmount {
    /// The most places that are shown, whatever a unit says.
    private static let placesMax: UInt64 = 20

    /// An amount of smallest units as a decimal number: with two places, 1250 is `12.50`.
    package static func text(_ amount: some BinaryInteger, decimals: UInt64) -> String {
        DecimalText.of(amount, places: decimals)
    }

    /// The smallest units of a decimal number; nil if it is none, has more places than the unit, or is too large.
    package static func units(_ text: String, decimals: UInt64) -> UInt64? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let places = Int(min(decimals, placesMax))
        guard let whole = parts.first, isDigits(whole) else { return nil }
        let fraction = parts.count == 2 ? parts[1] : ""
        guard parts.count == 1 || isDigits(fraction), fraction.utf8.count <= places else { return nil }
        return UInt64(whole + fraction + String(repeating: "0", count: places - fraction.utf8.count))
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.count <= 20 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
}
