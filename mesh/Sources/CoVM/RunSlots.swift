import NIOConcurrencyHelpers

/// A bounded number of slots with a bounded queue, first come, first served.
final class RunSlots: Sendable {
    enum Admission {
        case admitted
        case queueFull
        case cancelled
    }

    private struct Waiter {
        var key: Int
        var continuation: CheckedContinuation<Admission, Never>
    }

    private struct State {
        var used = 0
        var nextKey = 0
        var waiters: [Waiter] = []
    }

    private let slotsMax: Int
    private let waitersMax: Int
    private let state = NIOLockedValueBox(State())

    init(slotsMax: Int, waitersMax: Int) {
        self.slotsMax = max(1, slotsMax)
        self.waitersMax = max(0, waitersMax)
    }

    /// Waits for a slot. Only after `.admitted` must ``leave()`` be called.
    func enter(_ cancellation: ExecutionCancellation) async -> Admission {
        let key = state.withLockedValue { state in
            state.nextKey += 1
            return state.nextKey
        }
        var handler = 0
        let admission: Admission = await withCheckedContinuation { continuation in
            let immediate: Admission? = state.withLockedValue { state in
                if state.used < slotsMax {
                    state.used += 1
                    return .admitted
                }
                guard state.waiters.count < waitersMax else { return .queueFull }
                state.waiters.append(Waiter(key: key, continuation: continuation))
                return nil
            }
            if let immediate { return continuation.resume(returning: immediate) }
            handler = cancellation.onCancel { self.cancel(key) }
        }
        cancellation.removeHandler(handler)
        return admission
    }

    private func cancel(_ key: Int) {
        let waiter = state.withLockedValue { state in
            state.waiters.firstIndex { $0.key == key }.map { state.waiters.remove(at: $0) }
        }
        waiter?.continuation.resume(returning: .cancelled)
    }

    /// Gives the slot to the first in the queue.
    func leave() {
        let next = state.withLockedValue { state -> Waiter? in
            guard !state.waiters.isEmpty else {
                state.used -= 1
                return nil
            }
            return state.waiters.removeFirst()
        }
        next?.continuation.resume(returning: .admitted)
    }

    /// Slots in use and waiters, for tests and for the node's load factor.
    var load: (used: Int, waiting: Int) {
        state.withLockedValue { ($0.used, $0.waiters.count) }
    }
}
