public import Determinism
import NIOCore

/// The one clock of swarms, their services and their deadlines: the monotonic clock of the event loops.
public enum SwarmClock {
    /// The current time, as cores take it.
    public static var now: MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(clamping: NIODeadline.now().uptimeNanoseconds))
    }
}
