import NIOConcurrencyHelpers

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Advances the engine's epoch at a fixed pace while jobs run, and costs nothing while none does.
///
/// It is one thread for all runs. A cancellation does not wait for its tick but advances the epoch itself.
final class EpochTicker: Sendable {
    private struct State {
        var running = 0
        var isTicking = false
    }

    private let engine: WasmEngine
    private let tickNanoseconds: UInt64
    private let state = NIOLockedValueBox(State())

    init(engine: WasmEngine, tickMilliseconds: Int) {
        self.engine = engine
        tickNanoseconds = UInt64(max(1, tickMilliseconds)) * 1_000_000
    }

    /// A run begins. `false` when the system has no thread for the ticks, and then the run must not begin.
    func runBegins() -> Bool {
        let mustStart = state.withLockedValue { state in
            state.running += 1
            guard !state.isTicking else { return false }
            state.isTicking = true
            return true
        }
        guard mustStart else { return true }
        if RunThread.start(stackBytes: 256 << 10, { self.tick() }) { return true }
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

    /// Advances the epoch now.
    func tickNow() {
        engine.incrementEpoch()
    }

    private func tick() {
        // A few idle ticks before the thread ends, so that a series of short jobs does not start one for each.
        var idleTicks = 0
        while true {
            var pause = timespec(tv_sec: 0, tv_nsec: 0)
            pause.tv_sec = Int(tickNanoseconds / 1_000_000_000)
            pause.tv_nsec = Int(tickNanoseconds % 1_000_000_000)
            nanosleep(&pause, nil)
            let mustEnd = state.withLockedValue { state in
                idleTicks = state.running > 0 ? 0 : idleTicks + 1
                guard idleTicks > Self.idleTicksMax else { return false }
                state.isTicking = false
                return true
            }
            if mustEnd { return }
            if idleTicks == 0 { engine.incrementEpoch() }
        }
    }

    private static let idleTicksMax = 100
}
