import NIOConcurrencyHelpers

/// A switch that stops one run, from any thread, at most one yield later, or lets it stand still for a while.
///
/// It works at every stage: in the queue, while the module is compiled (the worker is killed), and inside the guest.
package final class ExecutionCancellation: Sendable {
    private struct State {
        var cancelled = false
        /// What a run that stands still waits for.
        var gate: ThreadSignal<Void>?
        // One entry at most: for the process that the run is in.
        var holdHandlers: [(key: Int, handler: @Sendable (Bool) -> Void)] = []
        var nextKey = 0
        // At most one entry per stage of the run, hence never more than two.
        var handlers: [(key: Int, handler: @Sendable () -> Void)] = []
    }

    private let state = NIOLockedValueBox(State())
    private let elsewhere: @Sendable () -> Bool
    private let heldElsewhere: @Sendable () -> UInt64

    /// A switch that is off.
    package init() {
        elsewhere = { false }
        heldElsewhere = { 0 }
    }

    /// A switch that is also on when somebody else says so, who is asked at each look; and who lets the run stand still
    /// when asked, and says for how many nanoseconds that was.
    init(elsewhere: @escaping @Sendable () -> Bool, held: @escaping @Sendable () -> UInt64) {
        self.elsewhere = elsewhere
        heldElsewhere = held
    }

    /// Whether the run was asked to stop.
    package var isCancelled: Bool {
        state.withLockedValue { $0.cancelled } || elsewhere()
    }

    /// Asks the run to stop; does nothing the second time.
    package func cancel() {
        let handlers = state.withLockedValue { state in
            state.cancelled = true
            state.gate?.send(())
            state.gate = nil
            defer { state.handlers = [] }
            return state.handlers
        }
        for entry in handlers {
            entry.handler()
        }
    }

    /// Lets the run stand still from its next yield or host call on, or go on. A run that is cancelled does not wait.
    package func hold(_ isHeld: Bool) {
        let handlers = state.withLockedValue { state in
            if isHeld, !state.cancelled {
                state.gate = state.gate ?? ThreadSignal()
            } else {
                state.gate?.send(())
                state.gate = nil
            }
            return state.holdHandlers
        }
        for entry in handlers { entry.handler(isHeld) }
    }

    /// Calls `handler` whenever the run is to stand still or to go on, and at once if it is to stand still now. Returns
    /// a key for ``removeHoldHandler(_:)``.
    func onHold(_ handler: @escaping @Sendable (Bool) -> Void) -> Int {
        let (key, isHeld) = state.withLockedValue { state in
            state.nextKey += 1
            state.holdHandlers.append((state.nextKey, handler))
            return (state.nextKey, state.gate != nil)
        }
        if isHeld { handler(true) }
        return key
    }

    /// Forgets a handler of ``onHold(_:)``.
    func removeHoldHandler(_ key: Int) {
        state.withLockedValue { state in
            state.holdHandlers.removeAll { $0.key == key }
        }
    }

    /// Whether the run was asked to stand still.
    package var isHeld: Bool { state.withLockedValue { $0.gate != nil } }

    /// Blocks the thread of the run as long as it is to stand still; returns for how long, in nanoseconds.
    func waitWhileHeld() -> UInt64 {
        guard let gate = state.withLockedValue({ $0.gate }) else { return heldElsewhere() }
        let start = SystemClock.nanoseconds()
        _ = gate.wait()
        return SystemClock.nanoseconds() - start
    }

    /// Calls `handler` at the cancellation, or at once if that is past. Returns a key for ``removeHandler(_:)``.
    func onCancel(_ handler: @escaping @Sendable () -> Void) -> Int {
        let key: Int? = state.withLockedValue { state in
            guard !state.cancelled else { return nil }
            state.nextKey += 1
            state.handlers.append((state.nextKey, handler))
            return state.nextKey
        }
        guard let key else {
            handler()
            return 0
        }
        return key
    }

    /// Forgets a handler.
    func removeHandler(_ key: Int) {
        state.withLockedValue { state in
            state.handlers.removeAll { $0.key == key }
        }
    }
}
