import Determinism
import MeshTypes

/// The calendar without its steps: what the market sets its own dates by, and judges them by.
///
/// The wall clock of a machine may be set, and it goes on while the machine sleeps and the monotonic clock does not. A
/// lease or a deadline must know nothing of that. So this clock goes as the monotonic clock does and follows the
/// calendar: a small difference at once, a large one by at most a tenth of the time that passes, or at once while no
/// job is open. What other nodes signed, and what this node signs, is dated by the calendar itself.
struct SteadyClock: Sendable {
    /// A difference that is no step, in milliseconds: clocks are set so finely by their time servers.
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
        // What is less than a millisecond of following must not get lost in small steps.
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
