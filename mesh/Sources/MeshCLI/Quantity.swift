import ArgumentParser

/// An amount on the command line: a number, or a number with a unit; `2.5M`, `64Mi`, `90s`.
///
/// The readers below are for `transform:` of an option, so that a wrong value is answered with what is allowed.
struct Quantity: Hashable {
    /// The amount, in the smallest unit of its kind.
    let value: UInt64

    /// A unit, and how many of the smallest it is.
    private typealias Unit = (suffix: String, factor: UInt64)

    private static let decimal: [Unit] = [
        ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000),
    ]
    private static let binary: [Unit] = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40)]
    /// In milliseconds.
    private static let spans: [Unit] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// A count, such as of fuel: `5000000`, `5M`, `2.5G`.
    static func count(_ text: String) throws -> Quantity {
        guard let value = read(text, decimal + binary, bare: 1) else {
            throw ValidationError(
                "a count is a whole number, or a number with k, M, G or T (thousands, millions, ...) or Ki, Mi, Gi or "
                    + "Ti (powers of 1024), such as 5000000, 5M or 2.5G.")
        }
        return Quantity(value: value)
    }

    /// A size in bytes: `65536`, `64Mi`, `64MiB`, `1.5G`.
    static func bytes(_ text: String) throws -> Quantity {
        let inBytes = (binary + decimal).map { (suffix: $0.suffix + "B", factor: $0.factor) } + [("B", 1)]
        guard let value = read(text, inBytes + binary + decimal, bare: 1) else {
            throw ValidationError(
                "a size is a whole number of bytes, or a number with KiB, MiB, GiB or TiB (powers of 1024; Ki, Mi, Gi "
                    + "and Ti for short) or k, M, G or T (powers of 1000), such as 65536, 64Mi or 1.5GiB.")
        }
        return Quantity(value: value)
    }

    /// A whole number; `what` says which, for the error: `from 1 to 64`.
    static func number(_ what: String) -> @Sendable (String) throws -> Int {
        { text in
            guard let number = Int(ungrouped(text)) else { throw ValidationError("it is a whole number \(what).") }
            return number
        }
    }

    /// A whole number that is not negative; `what` says of what, for the error: `a number of tokens`.
    static func whole(_ what: String) -> @Sendable (String) throws -> UInt64 {
        { text in
            guard let number = UInt64(ungrouped(text)) else {
                throw ValidationError("it is \(what): a whole number, without a unit, such as 1000 or 1,000.")
            }
            return number
        }
    }

    /// A time in whole seconds: `90`, `90s`, `10m`, `2h`, `1d`.
    static func seconds(_ text: String) throws -> UInt64 {
        guard let milliseconds = read(text, spans, bare: 1_000), milliseconds % 1_000 == 0 else {
            throw ValidationError(
                "a time is a whole number of seconds, or a number with s, m, h or d that comes to whole seconds, such "
                    + "as 90, 10s, 5m, 2h or 1.5d.")
        }
        return milliseconds / 1_000
    }

    /// A time in milliseconds: `500`, `500ms`, `2s`, `1m`.
    static func milliseconds(_ text: String) throws -> UInt64 {
        guard let milliseconds = read(text, spans, bare: 1) else {
            throw ValidationError(
                "a time is a whole number of milliseconds, or a number with ms, s, m, h or d, such as 500, 500ms, 2s "
                    + "or 1.5m.")
        }
        return milliseconds
    }

    /// A number without its thousands separators, as this program prints them; whatever else has commas stays as it is.
    static func ungrouped(_ text: String) -> String {
        let whole = text.prefix { $0.isASCII && ($0.isNumber || $0 == ",") }
        let groups = whole.split(separator: ",", omittingEmptySubsequences: false)
        guard groups.count > 1, let first = groups.first, (1...3).contains(first.count),
            groups.dropFirst().allSatisfy({ $0.count == 3 })
        else { return text }
        return groups.joined() + text.dropFirst(whole.count)
    }

    /// The amount in a text; `nil` if it is none, comes to no whole number, or is more than 64 bits hold. Units are
    /// read in lower and upper case, except where that makes another unit of them.
    private static func read(_ text: String, _ units: [Unit], bare: UInt64) -> UInt64? {
        let text = ungrouped(text)
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text.dropFirst(digits.count)
        guard let factor = suffix.isEmpty ? bare : factor(of: String(suffix), units) else { return nil }
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first.flatMap({ UInt64($0) }) else { return nil }
        let (total, isTooLarge) = whole.multipliedReportingOverflow(by: factor)
        if isTooLarge { return nil }
        guard parts.count == 2 else { return total }
        return sum(total, parts[1], factor)
    }

    private static func factor(of suffix: String, _ units: [Unit]) -> UInt64? {
        if let exact = units.first(where: { $0.suffix == suffix }) { return exact.factor }
        return units.first { $0.suffix.lowercased() == suffix.lowercased() }?.factor
    }

    /// Adds a decimal fraction of a unit: at most six digits, cut to the smallest unit.
    private static func sum(_ total: UInt64, _ decimals: Substring, _ factor: UInt64) -> UInt64? {
        guard factor > 1, (1...6).contains(decimals.count), let fraction = UInt64(decimals) else { return nil }
        let scale = decimals.reduce(UInt64(1)) { product, _ in product * 10 }
        let product = fraction.multipliedFullWidth(by: factor)
        let (sum, isTooLarge) = total.addingReportingOverflow(scale.dividingFullWidth(product).quotient)
        return isTooLarge ? nil : sum
    }
}
