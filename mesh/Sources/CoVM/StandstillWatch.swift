import NIOConcurrencyHelpers

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Notices whether the node itself stood still while jobs run (stopped, starved, its machine frozen); costs nothing
/// while none runs.
///
/// One thread for all runs wakes at a fixed pace and notes when it wakes far too late. Time that passed in such a pause
/// is the node's doing, not the module's.
final class StandstillWatch: Sendable {
    private struct State {
        var running = 0
        var isTicking = false
        var lastTick: UInt64 = 0
        /// When the last standstill ended.
        var lastStandstill: UInt64?
    }

    private let tickMilliseconds: Int
    /// How late a tick must be for the node to have stood still.
    private let standstillMilliseconds: UInt64
    private let state = NIOLockedValueBox(State())
    private let now: @Sendable () -> UInt64

    init(
        tickMilliseconds: Int, standstillMilliseconds: UInt64,
        now: @escaping @Sendable () -> UInt64 = { SystemClock.nanoseconds() }
    ) {
        self.tickMilliseconds = max(1, tickMilliseconds)
        self.standstillMilliseconds = standstillMilliseconds
        self.now = now
    }

    /// A run begins. `false` if the system has no thread for the ticks, and then the run must not begin.
    func runBegins() -> Bool {
        let mustStart = state.withLockedValue { state in
            state.running += 1
            guard !state.isTicking else { return false }
            state.isTicking = true
            state.lastTick = now()
            return true
        }
        guard mustStart else { return true }
        if RunThread.start(stackBytes: 256 << 10, { self.tickWhileNeeded() }) { return true }
        state.withLockedValue { state in
            state.isTicking = false
            state.running -= 1
        }
        return false
    }

    /// A run has ended.
    func runEnded() {
        state.withLockedValue { $0.running -= 1 }
    }

    /// Whether the node stood still at some time since `start`, even if the ticking thread has not noticed yet.
    func stoodStill(since start: UInt64) -> Bool {
        state.withLockedValue { state in
            note(&state)
            return state.lastStandstill.map { $0 > start } ?? false
        }
    }

    /// Notes the time of a tick.
    private func note(_ state: inout State) {
        let now = now()
        let late = (UInt64(tickMilliseconds) + standstillMilliseconds) * 1_000_000
        if now > state.lastTick, now - state.lastTick > late { state.lastStandstill = now }
        state.lastTick = max(state.lastTick, now)
    }

    private func tickWhileNeeded() {
        // A few idle ticks before the thread ends, so that a series of short jobs does not start one for each.
        var idleTicks = 0
        while true {
            var pause = timespec(tv_sec: 0, tv_nsec: 0)
            pause.tv_sec = tickMilliseconds / 1_000
            pause.tv_nsec = tickMilliseconds % 1_000 * 1_000_000
            nanosleep(&pause, nil)
            let mustEnd = state.withLockedValue { state in
                note(&state)
                idleTicks = state.running > 0 ? 0 : idleTicks + 1
                guard idleTicks > Self.idleTicksMax else { return false }
                state.isTicking = false
                return true
            }
            if mustEnd { return }
        }
    }

    private static let idleTicksMax = 20
}
