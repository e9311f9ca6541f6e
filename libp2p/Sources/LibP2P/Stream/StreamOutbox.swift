import DequeModule
import NIOConcurrencyHelpers
package import NIOCore

/// Bytes written to a stream and not yet sent: writers in any task fill it, the event loop empties it.
///
/// It accepts bytes while fewer than `bytesMax` are unsent; beyond that, writers wait in order. One write may exceed
/// the mark by its own length, because its bytes are in memory already. Accepted bytes are charged to the stream; a
/// writer also waits while they do not fit.
package final class StreamOutbox: Sendable {
    private struct Writer: Sendable {
        let id: UInt64
        let bytes: ByteBuffer
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State: Sendable {
        var chunks: [ByteBuffer] = []
        /// Bytes here and in the transport below, until `drained` reports them.
        var unsentBytes = 0
        var isClosed = false
        var failure: StreamError?
        var writers = Deque<Writer>()
        var nextWriterID: UInt64 = 0
        var isAnnounced = false
    }

    /// The result of `take`: bytes for the transport, and whether this side ends after them.
    package struct Output: Sendable {
        /// What was written, in order.
        package var chunks: [ByteBuffer]
        /// Whether nothing follows.
        package var closes: Bool
    }

    private let state = NIOLockedValueBox(State())
    private let bytesMax: Int
    private let onOutput: @Sendable () -> Void
    private let charge: StreamCharge?
    private let onShortage: @Sendable () -> Void

    /// - Parameters:
    ///   - bytesMax: how much may wait to be sent; writers wait beyond it.
    ///   - charge: what the stream is charged for; without one, nothing is charged.
    ///   - onShortage: called when a writer waits because its bytes cannot be charged; `admitWriters` retries.
    ///   - onOutput: called when there is something to send.
    package init(
        bytesMax: Int, charge: StreamCharge? = nil, onShortage: @escaping @Sendable () -> Void = {},
        onOutput: @escaping @Sendable () -> Void
    ) {
        self.bytesMax = bytesMax
        self.charge = charge
        self.onShortage = onShortage
        self.onOutput = onOutput
    }

    /// Whether `close` or `fail` was called.
    package var isClosed: Bool { state.withLockedValue { $0.isClosed || $0.failure != nil } }

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
            guard state.writers.isEmpty, admits(bytes, state) == .taken else { return (false, false) }
            return (true, Self.append(bytes, to: &state))
        }
        if announces { onOutput() }
        return isTaken
    }

    private enum Admission {
        case taken
        /// Too many bytes are unsent.
        case full
        /// The bytes cannot be charged.
        case short
    }

    /// Whether bytes are accepted; if so, they are charged.
    private func admits(_ bytes: ByteBuffer, _ state: State) -> Admission {
        guard state.unsentBytes < bytesMax else { return .full }
        return charge?.written(bytes.readableBytes) ?? true ? .taken : .short
    }

    private static func append(_ bytes: ByteBuffer, to state: inout State) -> Bool {
        state.chunks.append(bytes)
        state.unsentBytes += bytes.readableBytes
        defer { state.isAnnounced = true }
        return !state.isAnnounced
    }

    private func wait(_ writer: Writer) {
        enum Now {
            case failed(any Error)
            case taken(announces: Bool)
            case waits(isShort: Bool)
        }
        let isCancelled = Task.isCancelled
        let now = state.withLockedValue { state -> Now in
            if isCancelled { return .failed(CancellationError()) }
            if let failure = state.failure { return .failed(failure) }
            if state.isClosed { return .failed(StreamError.closedForWriting) }
            let admission = state.writers.isEmpty ? admits(writer.bytes, state) : .full
            guard admission == .taken else {
                state.writers.append(writer)
                return .waits(isShort: admission == .short)
            }
            return .taken(announces: Self.append(writer.bytes, to: &state))
        }
        switch now {
        case .failed(let error): writer.continuation.resume(throwing: error)
        case .taken(let announces):
            if announces { onOutput() }
            writer.continuation.resume()
        case .waits(let isShort): if isShort { onShortage() }
        }
    }

    private func cancelWriter(_ id: UInt64) {
        let writer = state.withLockedValue { state -> Writer? in
            guard let index = state.writers.firstIndex(where: { $0.id == id }) else { return nil }
            return state.writers.remove(at: index)
        }
        writer?.continuation.resume(throwing: CancellationError())
    }

    /// Ends this side after what was written; refuses writers that still wait. Does nothing the second time.
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
    package func take() -> Output {
        state.withLockedValue { state in
            state.isAnnounced = false
            defer { state.chunks.removeAll(keepingCapacity: true) }
            return Output(chunks: state.chunks, closes: state.isClosed)
        }
    }

    /// Notes that the transport sent bytes, and admits waiting writers.
    package func drained(_ count: Int) {
        if admitWriters(drained: count) { onShortage() }
    }

    /// Admits waiting writers; returns whether one still waits because its bytes cannot be charged.
    func admitWriters(drained count: Int = 0) -> Bool {
        let (writers, announces, isShort) = state.withLockedValue { state -> ([Writer], Bool, Bool) in
            state.unsentBytes -= count
            var admitted: [Writer] = []
            var announces = false
            while let writer = state.writers.first {
                let admission = admits(writer.bytes, state)
                guard admission == .taken else { return (admitted, announces, admission == .short) }
                state.writers.removeFirst()
                admitted.append(writer)
                announces = Self.append(writer.bytes, to: &state) || announces
            }
            return (admitted, announces, false)
        }
        if announces { onOutput() }
        for writer in writers { writer.continuation.resume() }
        return isShort
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
