import NIOConcurrencyHelpers
import OrderedCollections

/// Hands events to any number of listeners, each with a bounded queue of its own; a listener that falls
/// `queuedEventsMax` behind loses the newest and can see the state in `connectedPeers`.
final class PeerEventHub: Sendable {
    static let queuedEventsMax = 4_096
    static let listenersMax = 64

    private struct State: Sendable {
        var listeners: OrderedDictionary<UInt64, AsyncStream<PeerEvent>.Continuation> = [:]
        var nextID: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())

    /// A stream of the events from now on; it ends at once when `listenersMax` are there.
    func subscribe() -> AsyncStream<PeerEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PeerEvent.self, bufferingPolicy: .bufferingOldest(Self.queuedEventsMax))
        let id = state.withLockedValue { state -> UInt64? in
            guard state.listeners.count < Self.listenersMax else { return nil }
            state.nextID += 1
            state.listeners[state.nextID] = continuation
            return state.nextID
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.remove(id) }
        return stream
    }

    private func remove(_ id: UInt64) {
        _ = state.withLockedValue { $0.listeners.removeValue(forKey: id) }
    }

    func send(_ event: PeerEvent) {
        let listeners = state.withLockedValue { Array($0.listeners.values) }
        for listener in listeners { listener.yield(event) }
    }

    /// Ends all streams.
    func finish() {
        let listeners = state.withLockedValue { Array($0.listeners.values) }
        for listener in listeners { listener.finish() }
    }
}
