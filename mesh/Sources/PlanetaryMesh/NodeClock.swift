import Determinism
import Foundation
import LibP2P
import MeshTypes

/// The clocks of this machine, as the cores take them.
enum NodeClock {
    /// Now on the clock that only moves forward.
    static var now: MonotonicInstant {
        SwarmClock.now
    }

    /// The minute of the day by this machine's local time.
    static var minuteOfDay: Int {
        var now = time(nil)
        var local = tm()
        localtime_r(&now, &local)
        return Int(local.tm_hour) * 60 + Int(local.tm_min)
    }

    /// Now by the calendar.
    static var wallClock: UnixMilliseconds {
        UnixMilliseconds(UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
    }
}
