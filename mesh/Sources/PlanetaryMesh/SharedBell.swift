import Synchronization

/// Tells those who wait that something may have changed.
final class SharedBell: Sendable {
    private struct State: Sendable {
        var listeners: [Int: AsyncStream<Void>.Continuation] = [:]
        var nextNumber = 0
    }

    private let state = Mutex(State())

    func ring() {
        for listener in state.withLock({ Array($0.listeners.values) }) { listener.yield(()) }
    }

    /// One element at once, and whenever it rings; a slow listener misses none that matters.
    func listen() -> AsyncStream<Void> {
        let (stream, input) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.nextNumber += 1
            state.listeners[state.nextNumber] = input
            return state.nextNumber
        }
        input.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
        }
        input.yield(())
        return stream
    }
}
