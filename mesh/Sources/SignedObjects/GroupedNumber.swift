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

    /// Bytes, never rounded, in the largest unit of which they are a multiple: `3 GiB`, `1,500 bytes`; in powers of
    /// 1,000 where that is much shorter: `10 GB`.
    package static func bytes(_ bytes: UInt64) -> String {
        let binary = binary(bytes)
        let decimal: [(name: String, factor: UInt64)] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)]
        guard binary.count >= 10_000,
            let unit = decimal.first(where: { bytes.isMultiple(of: $0.factor) && bytes / $0.factor < 10_000 })
        else { return binary.text }
        return "\(of(bytes / unit.factor)) \(unit.name)"
    }

    private static func binary(_ bytes: UInt64) -> (count: UInt64, text: String) {
        let units: [(name: String, shift: UInt64)] = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        for unit in units where bytes > 0 && bytes.isMultiple(of: 1 << unit.shift) {
            return (bytes >> unit.shift, "\(of(bytes >> unit.shift)) \(unit.name)")
        }
        return (bytes, bytes == 1 ? "1 byte" : "\(of(bytes)) bytes")
    }
}
