/// Numbers as people read them: `1,234,567`.
package enum GroupedNumber {
    /// The digits in groups of three.
    package static func of(_ number: UInt64) -> String {
        var digits = Array(String(number))
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: position)
            position -= 3
        }
        return String(digits)
    }
}
