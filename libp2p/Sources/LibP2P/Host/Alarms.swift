import NIOCore
import NIOPosix
import Synchronization

/// Runs closures when they are due, up to `tickMilliseconds` late: one table and one timer for all deadlines of the
/// process.
///
/// Setting and cancelling an alarm costs a lock and two hash table accesses; a sleeping task costs a system timer and
/// two thread switches. A timer runs only while alarms are set, for the earliest of them.
final class Alarms: Sendable {
    /// The resolution of alarms, in milliseconds.
    static let tickMilliseconds: Int64 = 20

    /// The instance that everything uses.
    static let shared = Alarms(loop: MultiThreadedEventLoopGroup.singleton.any())

    /// An alarm that can be cancelled.
    struct AlarmID: Hashable, Sendable {
        fileprivate let tick: Int64
        fileprivate let number: UInt64
    }

    private struct State: Sendable {
        /// The alarms of each tick; no entry is empty.
        var ticks: [Int64: [UInt64: @Sendable () -> Void]] = [:]
        var nextNumber: UInt64 = 0
        /// When the timer fires; `nil` while it is not set.
        var timerTick: Int64?
    }

    private let loop: any EventLoop
    private let state = Mutex(State())

    init(loop: any EventLoop) {
        self.loop = loop
    }

    /// How many alarms are set; for tests.
    var count: Int { state.withLock { $0.ticks.values.reduce(0) { $0 + $1.count } } }

    /// Calls `body`, which may not wait, after at least this many milliseconds.
    func add(milliseconds: Int64, _ body: @escaping @Sendable () -> Void) -> AlarmID {
        let tick = Self.tick(at: .now() + .milliseconds(max(0, milliseconds))) + 1
        let (alarm, isFirst) = state.withLock { state -> (AlarmID, Bool) in
            state.nextNumber += 1
            state.ticks[tick, default: [:]][state.nextNumber] = body
            let isFirst = tick < state.timerTick ?? .max
            if isFirst { state.timerTick = tick }
            return (AlarmID(tick: tick, number: state.nextNumber), isFirst)
        }
        if isFirst { setTimer(tick) }
        return alarm
    }

    /// Cancels an alarm; one that is already due may run all the same.
    func remove(_ alarm: AlarmID) {
        state.withLock { state in
            guard state.ticks[alarm.tick]?.removeValue(forKey: alarm.number) != nil else { return }
            if state.ticks[alarm.tick]?.isEmpty == true { state.ticks[alarm.tick] = nil }
        }
    }

    private static func tick(at time: NIODeadline) -> Int64 {
        Int64(clamping: time.uptimeNanoseconds) / (tickMilliseconds * 1_000_000)
    }

    private func setTimer(_ tick: Int64) {
        let at = NIODeadline.uptimeNanoseconds(UInt64(clamping: tick * Self.tickMilliseconds * 1_000_000))
        loop.scheduleTask(deadline: at) { self.call(tick) }
    }

    /// Runs what is due, and sets the timer for what comes next. A timer that an earlier one replaced does nothing, so
    /// there is only one chain of timers.
    private func call(_ timer: Int64) {
        let now = Self.tick(at: .now())
        let (due, next) = state.withLock { state -> ([@Sendable () -> Void], Int64?) in
            guard state.timerTick == timer else { return ([], nil) }
            let due = state.ticks.keys.filter { $0 <= now }.sorted()
            let bodies = due.flatMap { state.ticks.removeValue(forKey: $0).map { Array($0.values) } ?? [] }
            state.timerTick = state.ticks.keys.min()
            return (bodies, state.timerTick)
        }
        for body in due { body() }
        if let next { setTimer(next) }
    }
}
