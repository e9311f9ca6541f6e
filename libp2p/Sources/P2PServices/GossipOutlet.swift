import GossipSub
import Multiformats
import NIOConcurrencyHelpers
import NIOCore

/// The outlet to one peer: a bounded queue of frames that the service fills and the peer's writer empties.
///
/// The queue has its own lock, so that the writer takes frames without waiting for the service.
final class GossipOutlet: Sendable {
    let peer: PeerID
    private let batchBytesMax: Int

    private struct State {
        var queue: OutgoingQueue<ByteBuffer>
        var signal: AsyncStream<Void>.Continuation?
        var isClosed = false
    }

    private let state: NIOLockedValueBox<State>

    init(peer: PeerID, limits: GossipService.Limits) {
        self.peer = peer
        batchBytesMax = limits.batchBytesMax
        state = NIOLockedValueBox(State(queue: OutgoingQueue(limits: limits.core)))
    }

    /// A stream for a new writer: it fires once at the start and whenever frames are added, and ends when the outlet
    /// closes. Every writer needs its own, because a stream whose reader was cancelled never fires again.
    func signals() -> AsyncStream<Void> {
        let (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let isClosed = state.withLockedValue { state in
            state.signal = signal
            return state.isClosed
        }
        signal.yield()
        if isClosed { signal.finish() }
        return signals
    }

    func append(_ frame: ByteBuffer, isControl: Bool) -> OutgoingQueue<ByteBuffer>.Admission {
        let (admission, signal) = state.withLockedValue { state in
            (state.queue.append(frame, bytes: frame.readableBytes, isControl: isControl), state.signal)
        }
        if admission == .queued { signal?.yield() }
        return admission
    }

    /// The next frames as one buffer; `nil` if none wait.
    func nextBatch() -> ByteBuffer? {
        state.withLockedValue { state in
            guard var batch = state.queue.popFirst() else { return nil }
            while batch.readableBytes < batchBytesMax, let frame = state.queue.popFirst() {
                batch.writeImmutableBuffer(frame)
            }
            return batch
        }
    }

    /// Drops what waits, because its stream is gone.
    func discard() {
        state.withLockedValue { $0.queue.removeAll() }
    }

    /// Ends the writer.
    func close() {
        let signal = state.withLockedValue { state in
            state.isClosed = true
            return state.signal
        }
        signal?.finish()
    }

    /// Messages dropped because the peer is slow.
    var droppedMessages: UInt64 { state.withLockedValue { $0.queue.dropped } }
}
