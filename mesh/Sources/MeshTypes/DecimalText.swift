/// Amounts of smallest units as decimal numbers.
package enum DecimalText {
    /// The most places that are shown, whatever a unit says.
    private static let placesMax: UInt64 = 20

    /// An amount with so many places: with two, 1250 is `12.50`.
    package static func of(_ amount: some BinaryInteger, places: UInt64) -> String {
        let digits = String(amount.magnitude)
        let places = Int(min(places, placesMax))
        let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
        let whole = padded.dropLast(places)
        return (amount < 0 ? "-" : "") + whole + (places > 0 ? "." + padded.suffix(places) : "")
    }
}

extension TokenAmount {
    /// The amount with what it counts: `1 token`, `1,200 tokens`, `12.50 hours`.
    package func counted(in unit: CreditUnit? = nil) -> String {
        if let unit, !unit.isPossible { return "\(self) of an impossible unit" }
        if let unit { return "\(DecimalText.of(units, places: unit.decimals)) \(unit.name)" }
        return units == 1 ? "1 token" : "\(self) tokens"
    }
}
