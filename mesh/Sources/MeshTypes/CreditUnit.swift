/// What amounts are counted in: a name, and how many of its decimal places the smallest unit has.
package struct CreditUnit: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The bounds of a unit.
    package enum Limits {
        /// The longest name, in bytes.
        package static let nameBytesMax = 16
        /// The most decimal places.
        package static let decimalsMax: UInt64 = 9
    }

    /// The name: ASCII letters, digits and hyphens.
    package let name: String
    /// Decimal places of the smallest unit: with 2, an amount of 100 is 1.00.
    package let decimals: UInt64

    package init(name: String, decimals: UInt64) {
        self.name = name
        self.decimals = decimals
    }

    /// Whether name and decimals are within their bounds.
    package var isPossible: Bool {
        !name.isEmpty && name.utf8.count <= Limits.nameBytesMax && decimals <= Limits.decimalsMax
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == 0x2D
            }
    }

    /// The name.
    package var description: String { name }

    package static func < (left: CreditUnit, right: CreditUnit) -> Bool {
        (left.name, left.decimals) < (right.name, right.decimals)
    }
}
