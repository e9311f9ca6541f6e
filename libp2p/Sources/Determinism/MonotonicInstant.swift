/// A point on a clock that only moves forward, in nanoseconds since an arbitrary start.
///
/// Cores take it as `now` and return it as `nextDeadline`; shells map it to the system's monotonic clock and the
/// simulator to its virtual one. Arithmetic saturates, so a duration that a peer chose cannot trap.
public struct MonotonicInstant: Comparable, Hashable, Sendable {
    /// Nanoseconds since the start of the clock.
    public var nanoseconds: Int64

    /// The start of the clock.
    public static let zero = MonotonicInstant(nanoseconds: 0)

    /// An instant that is never reached.
    public static let distantFuture = MonotonicInstant(nanoseconds: .max)

    /// An instant from nanoseconds since the start of the clock.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// This instant moved by a number of milliseconds; saturates at both ends of the clock.
    public func advanced(milliseconds: Int64) -> MonotonicInstant {
        let (delta, tooLong) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        let bounded = tooLong ? (milliseconds < 0 ? Int64.min : Int64.max) : delta
        let (sum, overflow) = nanoseconds.addingReportingOverflow(bounded)
        return MonotonicInstant(nanoseconds: overflow ? (bounded < 0 ? .min : .max) : sum)
    }

    /// Whole milliseconds from `earlier` to this instant; negative when this instant is before it; saturates.
    public func milliseconds(since earlier: MonotonicInstant) -> Int64 {
        let (difference, overflow) = nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return overflow ? (nanoseconds < 0 ? .min : .max) : difference / 1_000_000
    }

    public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
