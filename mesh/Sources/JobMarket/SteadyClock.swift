import Determinism
import MeshTypes

/// The calendar without its steps: the market sets its own dates by it, and judges them by it.
///
/// Somebody may set a machine's wall clock, and it runs while the machine sleeps and the monotonic clock stands still.
/// Neither may affect a lease or a deadline. So this clock runs like the monotonic clock and follows the calendar: a
/// small difference at once, a large one by at most a tenth of the time that passes, or at once while no job is open.
/// The calendar itself dates what other nodes signed, and what this node signs.
struct SteadyClock: Sendable {
    /// A difference that is no step, in milliseconds: time servers set clocks this finely.
    static let followedMilliseconds: Int64 = 1_000

    private var last: (at: MonotonicInstant, reading: UInt64)?

    /// The time now.
    mutating func read(_ calendar: UnixMilliseconds, now: MonotonicInstant, isIdle: Bool) -> UnixMilliseconds {
        let bounded = min(calendar.value, UInt64(Int64.max / 4))
        guard let last, !isIdle else { return set(bounded, now) }
        let elapsed = max(0, now.milliseconds(since: last.at))
        let expected = Int64(clamping: last.reading) + min(elapsed, Int64.max / 4)
        let difference = Int64(bounded) - expected
        guard abs(difference) > Self.followedMilliseconds else { return set(bounded, now) }
        let followed = min(elapsed / 10, abs(difference))
        // Fractions of a millisecond must not get lost in small steps.
        guard elapsed >= 10 else { return UnixMilliseconds(UInt64(clamping: expected)) }
        return set(UInt64(clamping: expected + (difference < 0 ? -followed : followed)), now)
    }

    /// Sets it, at a start.
    @discardableResult
    mutating func set(_ reading: UInt64, _ now: MonotonicInstant) -> UnixMilliseconds {
        last = (now, reading)
        return UnixMilliseconds(reading)
    }
}
