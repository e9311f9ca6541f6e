package import MeshTypes
import NodeAPI
package import SignedObjects

/// An issuer by which an executor lets itself be paid, with its prices, as a text of four words: the issuer's DID,
/// the unit with its decimal places, the price of a run, and the price per million fuel.
///
/// `did:key:z6Mk… hours/2 0.10 0.02` are 0.10 hours a run and 0.02 a million fuel. One of both is above zero: nothing
/// cannot be held.
package struct IssuerPrices: Hashable, Sendable {
    /// The issuer.
    package let issuerDID: DID
    /// What amounts are counted in.
    package let unit: CreditUnit
    /// Due as soon as a module ran.
    package let base: TokenAmount
    /// Due per million fuel.
    package let perMillionFuel: TokenAmount

    /// Reads the four words; `nil` if they are not in this form.
    package init?(_ text: String) {
        let words = text.split(separator: " ").map(String.init)
        guard words.count == 4, let issuer = try? DID(parsing: words[0]) else { return nil }
        let parts = words[1].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let decimals = UInt64(parts[1]) else { return nil }
        let unit = CreditUnit(name: String(parts[0]), decimals: decimals)
        guard unit.isPossible, let base = CreditAmount.units(words[2], decimals: decimals),
            let perMillionFuel = CreditAmount.units(words[3], decimals: decimals),
            max(base, perMillionFuel) <= UInt64(Int64.max), max(base, perMillionFuel) > 0
        else { return nil }
        issuerDID = issuer
        self.unit = unit
        (self.base, self.perMillionFuel) = (TokenAmount(base), TokenAmount(perMillionFuel))
    }
}
