import NIOConcurrencyHelpers
import OrderedCollections

/// Hands events to a bounded number of listeners, each with a bounded queue of its own.
package final class PeerEventHub: Sendable {
    /// The bounds of a hub.
    package struct Limits: Sendable {
        /// Events that wait for a listener. One that falls this far behind loses the newest (counted);
        /// `connectedPeers` tells the current state.
        package var queuedEventsMax = 4_096
        /// Listeners at once; the stream of a further one ends at once.
        package var listenersMax = 64

        /// The defaults.
        package init() {}
    }

    private struct State: Sendable {
        var listeners: OrderedDictionary<UInt64, AsyncStream<PeerEvent>.Continuation> = [:]
        var nextID: UInt64 = 0
        var lostEvents = 0
    }

    private let limits: Limits
    private let state = NIOLockedValueBox(State())

    /// Events lost because a listener was too slow, counted per listener.
    var lostEvents: Int { state.withLockedValue { $0.lostEvents } }

    /// A hub without listeners.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// A stream of the events from now on; it ends at once if there are `listenersMax` already.
    package func subscribe() -> AsyncStream<PeerEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PeerEvent.self, bufferingPolicy: .bufferingOldest(limits.queuedEventsMax))
        let id = state.withLockedValue { state -> UInt64? in
            guard state.listeners.count < limits.listenersMax else { return nil }
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

    /// Hands an event to every listener; counts those whose buffer was full.
    package func send(_ event: PeerEvent) {
        let listeners = state.withLockedValue { Array($0.listeners.values) }
        var lost = 0
        for listener in listeners { if case .dropped = listener.yield(event) { lost += 1 } }
        if lost > 0 { state.withLockedValue { $0.lostEvents += lost } }
    }

    /// Ends all streams.
    func finish() {
        let listeners = state.withLockedValue { Array($0.listeners.values) }
        for listener in listeners { listener.finish() }
    }
}
