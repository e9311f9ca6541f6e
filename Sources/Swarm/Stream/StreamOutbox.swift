import Collections
import NIOConcurrencyHelpers
import NIOCore

/// What was written to a stream and is not yet sent: filled by writers in any task, emptied on the event loop.
///
/// It takes further bytes while fewer than `bytesMax` are unsent; then writers wait, in order. One write may pass the
/// mark by its own length, because its bytes are in memory already.
final class StreamOutbox: Sendable {
    private struct Writer: Sendable {
        let id: UInt64
        let bytes: ByteBuffer
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State: Sendable {
        var chunks: [ByteBuffer] = []
        /// Bytes here and with the transport below, until `drained` reports them.
        var unsentBytes = 0
        var isClosed = false
        var failure: StreamError?
        var writers = Deque<Writer>()
        var nextWriterID: UInt64 = 0
        var isAnnounced = false
    }

    /// What `take` gives: bytes for the transport, and whether our side ends after them.
    struct Output: Sendable {
        var chunks: [ByteBuffer]
        var closes: Bool
    }

    private let state = NIOLockedValueBox(State())
    private let bytesMax: Int
    private let onOutput: @Sendable () -> Void

    init(bytesMax: Int, onOutput: @escaping @Sendable () -> Void) {
        self.bytesMax = bytesMax
        self.onOutput = onOutput
    }

    /// Whether `close` or `fail` was called.
    var isClosed: Bool { state.withLockedValue { $0.isClosed || $0.failure != nil } }

    /// Bytes written and not yet sent.
    var unsentBytes: Int { state.withLockedValue { $0.unsentBytes } }

    /// Whether a writer waits for room; for tests.
    var hasWaitingWriters: Bool { state.withLockedValue { !$0.writers.isEmpty } }

    // MARK: Writing

    func write(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        if try writeNow(bytes) { return }
        let id = state.withLockedValue { state -> UInt64 in
            state.nextWriterID += 1
            return state.nextWriterID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                wait(Writer(id: id, bytes: bytes, continuation: continuation))
            }
        } onCancel: {
            cancelWriter(id)
        }
    }

    private func writeNow(_ bytes: ByteBuffer) throws -> Bool {
        let (isTaken, announces) = try state.withLockedValue { state -> (Bool, Bool) in
            if let failure = state.failure { throw failure }
            if state.isClosed { throw StreamError.closedForWriting }
            guard state.writers.isEmpty, state.unsentBytes < bytesMax else { return (false, false) }
            return (true, Self.append(bytes, to: &state))
        }
        if announces { onOutput() }
        return isTaken
    }

    private static func append(_ bytes: ByteBuffer, to state: inout State) -> Bool {
        state.chunks.append(bytes)
        state.unsentBytes += bytes.readableBytes
        defer { state.isAnnounced = true }
        return !state.isAnnounced
    }

    private func wait(_ writer: Writer) {
        let isCancelled = Task.isCancelled
        let (error, isDone, announces) = state.withLockedValue { state -> ((any Error)?, Bool, Bool) in
            if isCancelled { return (CancellationError(), true, false) }
            if let failure = state.failure { return (failure, true, false) }
            if state.isClosed { return (StreamError.closedForWriting, true, false) }
            guard state.writers.isEmpty, state.unsentBytes < bytesMax else {
                state.writers.append(writer)
                return (nil, false, false)
            }
            return (nil, true, Self.append(writer.bytes, to: &state))
        }
        if announces { onOutput() }
        if let error {
            writer.continuation.resume(throwing: error)
        } else if isDone {
            writer.continuation.resume()
        }
    }

    private func cancelWriter(_ id: UInt64) {
        let writer = state.withLockedValue { state -> Writer? in
            guard let index = state.writers.firstIndex(where: { $0.id == id }) else { return nil }
            return state.writers.remove(at: index)
        }
        writer?.continuation.resume(throwing: CancellationError())
    }

    /// Our side ends after what was written; writers that still wait are refused. Does nothing the second time.
    func close() {
        let (writers, announces) = state.withLockedValue { state -> (Deque<Writer>, Bool) in
            guard !state.isClosed, state.failure == nil else { return ([], false) }
            state.isClosed = true
            defer {
                state.writers.removeAll()
                state.isAnnounced = true
            }
            return (state.writers, !state.isAnnounced)
        }
        for writer in writers { writer.continuation.resume(throwing: StreamError.closedForWriting) }
        if announces { onOutput() }
    }

    // MARK: Emptying

    /// Everything written since the last call. Called after `onOutput`.
    func take() -> Output {
        state.withLockedValue { state in
            state.isAnnounced = false
            defer { state.chunks.removeAll(keepingCapacity: true) }
            return Output(chunks: state.chunks, closes: state.isClosed)
        }
    }

    /// The transport sent bytes: lets waiting writers in.
    func drained(_ count: Int) {
        let (writers, announces) = state.withLockedValue { state -> ([Writer], Bool) in
            state.unsentBytes -= count
            var admitted: [Writer] = []
            var announces = false
            while state.unsentBytes < bytesMax, let writer = state.writers.popFirst() {
                admitted.append(writer)
                announces = Self.append(writer.bytes, to: &state) || announces
            }
            return (admitted, announces)
        }
        if announces { onOutput() }
        for writer in writers { writer.continuation.resume() }
    }

    /// The stream is gone.
    func fail(_ error: StreamError) {
        let writers = state.withLockedValue { state -> Deque<Writer> in
            guard state.failure == nil else { return [] }
            state.failure = error
            state.chunks.removeAll()
            defer { state.writers.removeAll() }
            return state.writers
        }
        for writer in writers { writer.continuation.resume(throwing: error) }
    }
}
