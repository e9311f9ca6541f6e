import ArgumentParser
import Foundation
import NodeAPI

/// Dates on the command line.
enum JobDate {
    /// A time ago (`90s`, `10m`, `2h`, `3d`) or a date (`2026-11-27`, `2026-11-27T08:30:00Z`), in milliseconds since the
    /// Unix epoch.
    static func since(_ text: String) throws -> UInt64 {
        let now = UInt64(Date().timeIntervalSince1970 * 1_000)
        if let age = milliseconds(text) { return now - min(now, age) }
        let day = Date.ISO8601FormatStyle(timeZone: .gmt).year().month().day()
        for style in [Date.ISO8601FormatStyle(), day] {
            if let date = try? style.parse(text) { return UInt64(max(0, date.timeIntervalSince1970 * 1_000)) }
        }
        throw ValidationError(
            "it is a time ago, such as 90s, 10m, 2h or 3d, or a date in UTC, such as 2026-11-27 or "
                + "2026-11-27T08:30:00Z.")
    }

    private static func milliseconds(_ text: String) -> UInt64? {
        let units: [(suffix: String, factor: UInt64)] = [
            ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
        ]
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }), let count = UInt64(text.dropLast()) else {
            return nil
        }
        let (product, isTooLarge) = count.multipliedReportingOverflow(by: unit.factor)
        return isTooLarge ? nil : product
    }
}

extension JobSide: ExpressibleByArgument {}
