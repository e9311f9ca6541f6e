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

    /// Bytes, never rounded, in the largest unit of which they are a multiple: `3 GiB`, `1,500 bytes`.
    package static func bytes(_ bytes: UInt64) -> String {
        let units: [(name: String, shift: UInt64)] = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        for unit in units where bytes > 0 && bytes.isMultiple(of: 1 << unit.shift) {
            return "\(of(bytes >> unit.shift)) \(unit.name)"
        }
        return bytes == 1 ? "1 byte" : "\(of(bytes)) bytes"
    }
}
