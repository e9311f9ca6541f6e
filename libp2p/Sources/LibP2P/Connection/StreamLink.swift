import NIOConcurrencyHelpers
import NIOCore
import Yamux

/// The way from a stream's buffers, used in any task, to its connection on the event loop.
///
/// Consumed bytes are reported in batches: the peer's window is opened in halves, so single bytes need no hop.
final class StreamLink: Sendable {
    private struct State: Sendable {
        var unreportedBytes = 0
        var reportsAtOnce = false
    }

    /// At most a quarter of the smallest window, so that a reader that waits has always opened the peer's window.
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

    /// The peer sends no more: what is consumed from now on is reported at once. What was not reported before.
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
