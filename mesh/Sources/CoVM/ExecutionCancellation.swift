import NIOConcurrencyHelpers

/// A switch that stops one run, from any thread, at most one yield later.
///
/// It works at every stage: in the queue, while the module is compiled (the worker is killed), and inside the guest.
package final class ExecutionCancellation: Sendable {
    private struct State {
        var cancelled = false
        var nextKey = 0
        // At most one entry per stage of the run, hence never more than two.
        var handlers: [(key: Int, handler: @Sendable () -> Void)] = []
    }

    private let state = NIOLockedValueBox(State())
    private let elsewhere: @Sendable () -> Bool

    /// A switch that is off.
    package init() { elsewhere = { false } }

    /// A switch that is also on when somebody else says so, who is asked at each look.
    init(_ elsewhere: @escaping @Sendable () -> Bool) { self.elsewhere = elsewhere }

    /// Whether the run was asked to stop.
    package var isCancelled: Bool {
        state.withLockedValue { $0.cancelled } || elsewhere()
    }

    /// Asks the run to stop; does nothing the second time.
    package func cancel() {
        let handlers = state.withLockedValue { state in
            state.cancelled = true
            defer { state.handlers = [] }
            return state.handlers
        }
        for entry in handlers {
            entry.handler()
        }
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
