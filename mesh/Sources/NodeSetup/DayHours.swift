/// A part of the day, in minutes of the machine's local time, over midnight if it ends before it begins.
package struct DayHours: Hashable, Sendable {
    /// The minutes of a day.
    package static let dayMinutes = 1_440

    private let start: Int
    private let end: Int

    /// Reads hours such as `22:00-06:00`; `nil` if the text names none. A day ends at `24:00`.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let start = Self.minute(parts[0]), let end = Self.minute(parts[1]), start != end,
            start < Self.dayMinutes
        else { return nil }
        self.start = start
        self.end = end
    }

    private static func minute(_ text: Substring) -> Int? {
        let digits = text.utf8.map { Int($0) - 0x30 }
        guard digits.count == 5, text.utf8.dropFirst(2).first == UInt8(ascii: ":"),
            [0, 1, 3, 4].allSatisfy({ (0...9).contains(digits[$0]) })
        else { return nil }
        let (hour, minute) = (digits[0] * 10 + digits[1], digits[3] * 10 + digits[4])
        guard minute < 60, hour < 24 || (hour == 24 && minute == 0) else { return nil }
        return hour * 60 + minute
    }

    /// Whether a minute of the day is among them; they begin with their first minute and end before their last.
    package func contains(minute: Int) -> Bool {
        start < end ? (start..<end).contains(minute) : minute >= start || minute < end
    }
}

extension NodeConfiguration.Executor {
    /// Whether the node may take jobs at a minute of the day: always, unless hours are set.
    package func takesJobs(atMinute minute: Int) -> Bool {
        hours.isEmpty || hours.contains { DayHours($0)?.contains(minute: minute) ?? false }
    }
}
