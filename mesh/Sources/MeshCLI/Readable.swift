import Foundation
import NodeAPI
import SignedObjects

/// Numbers as people read them.
enum Readable {
    /// A duration: `840 ms`, `12.3 s`, `4 min 10 s`, `3 h 12 min`, `9 d 4 h`.
    static func duration(milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1_000
        switch seconds {
        case 0: return "\(milliseconds) ms"
        case 1..<60: return "\(seconds).\(milliseconds % 1_000 / 100) s"
        case 60..<3_600: return pair(seconds / 60, "min", seconds % 60, "s")
        case 3_600..<86_400: return pair(seconds / 3_600, "h", seconds % 3_600 / 60, "min")
        default: return pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h")
        }
    }

    /// A duration of the machine's clock.
    static func duration(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds.multipliedReportingOverflow(by: 1_000)
        guard seconds >= 0, !milliseconds.overflow else { return "0 ms" }
        let rest = UInt64(clamping: attoseconds / 1_000_000_000_000_000)
        return self.duration(milliseconds: UInt64(clamping: milliseconds.partialValue) + rest)
    }

    /// How long ago a time was.
    static func ago(_ at: UInt64, now: UInt64) -> String {
        let seconds = (now > at ? now - at : 0) / 1_000
        switch seconds {
        case 0..<60: return "\(seconds) s ago"
        case 60..<3_600: return "\(seconds / 60) min ago"
        case 3_600..<86_400: return "\(seconds / 3_600) h ago"
        default: return "\(seconds / 86_400) d ago"
        }
    }

    /// The time of day, to the millisecond, in UTC.
    static func clock(_ at: UInt64) -> String {
        let millisecondsOfDay = at % 86_400_000
        let seconds = millisecondsOfDay / 1_000
        return [
            two(seconds / 3_600), ":", two(seconds / 60 % 60), ":", two(seconds % 60), ".",
            padded(millisecondsOfDay % 1_000, 3),
        ].joined()
    }

    /// A date and time, to the second, in UTC.
    static func date(_ at: UInt64) -> String {
        guard at < 253_402_300_800_000 else { return "\(at) ms" }
        let formatter = Date.ISO8601FormatStyle(dateTimeSeparator: .space)
        return Date(timeIntervalSince1970: Double(at / 1_000)).formatted(formatter)
    }

    /// A count with a thousands separator: `1,234,567`.
    static func count(_ number: UInt64) -> String { GroupedNumber.of(number) }

    /// Fuel: `840`, `12.3 k`, `4.56 M`, `7.80 G`.
    static func fuel(_ fuel: UInt64) -> String {
        scaled(fuel, 1_000, ["", " k", " M", " G", " T", " P", " E"])
    }

    /// Bytes: `840 B`, `12.3 KiB`, `4.56 MiB`.
    static func bytes(_ bytes: UInt64) -> String {
        scaled(bytes, 1_024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
    }

    /// What a job costs: in the unit of the issuer that pays for it, or in tokens where there is none.
    static func price(_ amount: UInt64, _ unit: String?, _ decimals: UInt64?) -> String {
        guard let unit else { return tokens(amount) }
        return "\(CreditAmount.text(amount, decimals: decimals ?? 0)) \(Terminal.safe(unit))"
    }

    /// Tokens, in the smallest unit: `1,234 tokens`.
    static func tokens(_ amount: UInt64) -> String {
        amount == 1 ? "1 token" : "\(count(amount)) tokens"
    }

    /// The short name of a node, by its DID, or of what a CID names.
    static func short(_ identifier: String) -> String { ShortName.of(identifier) }

    private static func pair(_ large: UInt64, _ largeUnit: String, _ small: UInt64, _ smallUnit: String) -> String {
        small == 0 ? "\(large) \(largeUnit)" : "\(large) \(largeUnit) \(small) \(smallUnit)"
    }

    /// Three digits and a unit; truncated, not rounded, so that it never shows more than there is.
    private static func scaled(_ number: UInt64, _ step: UInt64, _ units: [String]) -> String {
        var divisor: UInt64 = 1
        var unit = 0
        while number / divisor >= step, unit < units.count - 1 {
            divisor *= step
            unit += 1
        }
        let (whole, rest) = number.quotientAndRemainder(dividingBy: divisor)
        let decimals = unit == 0 || whole >= 100 ? 0 : whole >= 10 ? 1 : 2
        guard decimals > 0 else { return "\(whole)\(units[unit])" }
        let fraction = divisor.dividingFullWidth(rest.multipliedFullWidth(by: decimals == 1 ? 10 : 100)).quotient
        return "\(whole).\(padded(fraction, decimals))\(units[unit])"
    }

    private static func two(_ number: UInt64) -> String { padded(number, 2) }

    private static func padded(_ number: UInt64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
