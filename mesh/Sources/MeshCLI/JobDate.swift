import ArgumentParser
import Foundation
import NodeAPI

/// Dates on the command line.
enum JobDate {
    /// A time ago (`90s`, `10m`, `2h`, `3d`) or a date (`2026-11-27`, `2026-11-27T08:30:00Z`), in milliseconds since
    /// the Unix epoch.
    static func since(_ text: String) throws -> UInt64 {
        let now = UInt64(Date().timeIntervalSince1970 * 1_000)
        if text.last?.isLetter == true, let age = try? Quantity.milliseconds(text) { return now - min(now, age) }
        let day = Date.ISO8601FormatStyle(timeZone: .gmt).year().month().day()
        for style in [Date.ISO8601FormatStyle(), day] {
            if let date = try? style.parse(text) { return UInt64(max(0, date.timeIntervalSince1970 * 1_000)) }
        }
        throw ValidationError(
            "it is a time ago, such as 90s, 10m, 2h or 3d, or a date in UTC, such as 2026-11-27 or "
                + "2026-11-27T08:30:00Z.")
    }
}

extension JobSide: ExpressibleByArgument {}
