package import Determinism

/// The pauses between attempts: each twice as long as the one before, up to a longest one, and none past the end.
package struct RetryPause: Sendable {
    private let firstMilliseconds: Int64
    private let millisecondsMax: Int64
    private let until: MonotonicInstant
    private var milliseconds: Int64

    /// Pauses of `milliseconds` and longer, for attempts before `until`.
    package init(milliseconds: Int64, millisecondsMax: Int64, until: MonotonicInstant) {
        firstMilliseconds = milliseconds
        self.millisecondsMax = millisecondsMax
        self.until = until
        self.milliseconds = milliseconds
    }

    /// The next pause, in milliseconds, after an attempt that failed now; nil if no further attempt is allowed.
    package mutating func next(now: MonotonicInstant) -> Int64? {
        guard now.advanced(milliseconds: milliseconds) < until else { return nil }
        defer { milliseconds = min(2 * milliseconds, millisecondsMax) }
        return milliseconds
    }

    /// Begins with the shortest pause again.
    package mutating func reset() { milliseconds = firstMilliseconds }
}
