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

    /// Now by the calendar.
    static var wallClock: UnixMilliseconds {
        UnixMilliseconds(UInt64(max(0, Date().timeIntervalSince1970 * 1000)))
    }
}
