import NIOConcurrencyHelpers
import NIOCore
import Yamux

/// The path from a stream's buffers, which any task may use, to its connection on the event loop.
///
/// It reports consumed bytes in batches: the peer's window reopens in halves, so single bytes need no hop.
final class StreamLink: Sendable {
    private struct State: Sendable {
        var unreportedBytes = 0
        var reportsAtOnce = false
    }

    /// At most a quarter of the smallest window, so that a waiting reader has always reopened the peer's window.
    static let reportedBytes = YamuxSession.initialWindowBytes / 8

    let id: YamuxStreamID
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<ConnectionHandler>
    private let state = NIOLockedValueBox(State())

    init(id: YamuxStreamID, handler: NIOLoopBound<ConnectionHandler>, eventLoop: any EventLoop) {
        self.id = id
        self.handler = handler
        self.eventLoop = eventLoop
    }

    func consumed(_ count: Int) {
        let report = state.withLockedValue { state -> Int in
            state.unreportedBytes += count
            guard state.reportsAtOnce || state.unreportedBytes >= Self.reportedBytes else { return 0 }
            defer { state.unreportedBytes = 0 }
            return state.unreportedBytes
        }
        if report > 0 { eventLoop.execute { [self] in handler.value.consumed(report, on: id) } }
    }

    /// Notes that the peer sends no more, so every later consumption is reported at once; returns the bytes not yet
    /// reported.
    func endReached() -> Int {
        state.withLockedValue { state in
            state.reportsAtOnce = true
            defer { state.unreportedBytes = 0 }
            return state.unreportedBytes
        }
    }

    func outputWritten() {
        eventLoop.execute { [self] in handler.value.collectOutput(of: id) }
    }

    func shortOfRoom() {
        eventLoop.execute { [self] in handler.value.streamIsShort(id) }
    }

    func reset() {
        eventLoop.execute { [self] in handler.value.resetStream(id) }
    }

    func release() {
        eventLoop.execute { [self] in handler.value.releaseStream(id) }
    }
}
