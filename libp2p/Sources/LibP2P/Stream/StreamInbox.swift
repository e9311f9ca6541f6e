import DequeModule
import NIOConcurrencyHelpers
package import NIOCore

/// Bytes that arrived on a stream and were not read: the event loop fills it, readers in any task empty it.
///
/// The stream's receive window bounds what it holds, because every byte stays charged until `onConsumed`. It copies
/// small pieces together, so that no byte keeps a whole read buffer alive.
package final class StreamInbox: Sendable {
    private enum End: Sendable {
        case open
        case finished
        case failed(StreamError)
    }

    private struct Reader: Sendable {
        let id: UInt64
        let bytesMax: Int
        let continuation: CheckedContinuation<ByteBuffer?, any Error>
    }

    private struct State: Sendable {
        var chunks = Deque<ByteBuffer>()
        /// Whether the last chunk is its own copy, to which it may append more.
        var lastIsCopy = false
        var byteCount = 0
        var end = End.open
        var readers = Deque<Reader>()
        var nextReaderID: UInt64 = 0
        var isDiscarding = false
    }

    /// Pieces up to this size are copied together.
    static let coalescedBytesMax = 16 * 1024

    private let state = NIOLockedValueBox(State())
    private let onConsumed: @Sendable (Int) -> Void

    package init(onConsumed: @escaping @Sendable (Int) -> Void) {
        self.onConsumed = onConsumed
    }

    /// Bytes that wait for a reader.
    var byteCount: Int { state.withLockedValue { $0.byteCount } }

    /// Whether the peer closed its side and everything was read, or the stream failed.
    var isExhausted: Bool {
        state.withLockedValue { state in
            switch state.end {
            case .open: false
            case .finished: state.byteCount == 0
            case .failed: true
            }
        }
    }

    // MARK: Filling

    /// Adds bytes that the transport received; after the end, or once reading was given up, they are dropped.
    package func deliver(_ bytes: ByteBuffer) {
        let (ready, discarded) = state.withLockedValue { state -> ((Reader, ByteBuffer)?, Int) in
            guard case .open = state.end else { return (nil, bytes.readableBytes) }
            guard !state.isDiscarding else { return (nil, bytes.readableBytes) }
            Self.append(bytes, to: &state)
            guard let reader = state.readers.popFirst(), let chunk = Self.take(reader.bytesMax, from: &state) else {
                return (nil, 0)
            }
            return ((reader, chunk), 0)
        }
        if discarded > 0 { onConsumed(discarded) }
        if let (reader, chunk) = ready {
            reader.continuation.resume(returning: chunk)
            onConsumed(chunk.readableBytes)
        }
    }

    /// The peer closed its side.
    package func finish() {
        let readers = state.withLockedValue { state -> Deque<Reader> in
            if case .open = state.end { state.end = .finished }
            guard state.byteCount == 0 else { return [] }
            defer { state.readers.removeAll() }
            return state.readers
        }
        for reader in readers { reader.continuation.resume(returning: nil) }
    }

    /// Drops what was not read: the stream is gone.
    func fail(_ error: StreamError) {
        let readers = state.withLockedValue { state -> Deque<Reader> in
            switch state.end {
            case .failed: return []
            // Everything was read up to the peer's end: there is nothing left to fail.
            case .finished where state.byteCount == 0: return []
            case .open, .finished: state.end = .failed(error)
            }
            state.chunks.removeAll()
            state.byteCount = 0
            defer { state.readers.removeAll() }
            return state.readers
        }
        for reader in readers { reader.continuation.resume(throwing: error) }
    }

    /// Discards what is there and what comes: nobody will read any more.
    package func discard() {
        let dropped = state.withLockedValue { state -> Int in
            state.isDiscarding = true
            state.chunks.removeAll()
            defer { state.byteCount = 0 }
            return state.byteCount
        }
        if dropped > 0 { onConsumed(dropped) }
    }

    private static func append(_ bytes: ByteBuffer, to state: inout State) {
        state.byteCount += bytes.readableBytes
        if bytes.readableBytes * 2 >= bytes.storageCapacity, bytes.readableBytes > coalescedBytesMax / 4 {
            state.chunks.append(bytes)
            state.lastIsCopy = false
        } else if state.lastIsCopy, let last = state.chunks.indices.last,
            state.chunks[last].readableBytes + bytes.readableBytes <= coalescedBytesMax
        {
            state.chunks[last].writeImmutableBuffer(bytes)
        } else {
            var copy = ByteBuffer()
            copy.writeImmutableBuffer(bytes)
            state.chunks.append(copy)
            state.lastIsCopy = true
        }
    }

    private static func take(_ bytesMax: Int, from state: inout State) -> ByteBuffer? {
        guard !state.chunks.isEmpty else { return nil }
        let chunk: ByteBuffer
        if state.chunks[0].readableBytes <= bytesMax {
            chunk = state.chunks.removeFirst()
            if state.chunks.isEmpty { state.lastIsCopy = false }
        } else if let part = state.chunks[0].readSlice(length: bytesMax) {
            chunk = part
        } else {
            return nil
        }
        state.byteCount -= chunk.readableBytes
        return chunk
    }

    // MARK: Reading

    /// The next bytes, at least one and at most `bytesMax`; `nil` at the end. Readers are served in order.
    func next(bytesMax: Int = .max) async throws -> ByteBuffer? {
        if let chunk = try takeNow(bytesMax) { return chunk }
        let id = state.withLockedValue { state -> UInt64 in
            state.nextReaderID += 1
            return state.nextReaderID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                wait(Reader(id: id, bytesMax: bytesMax, continuation: continuation))
            }
        } onCancel: {
            cancelReader(id)
        }
    }

    private func takeNow(_ bytesMax: Int) throws -> ByteBuffer? {
        let chunk = state.withLockedValue { state in
            state.readers.isEmpty ? Self.take(bytesMax, from: &state) : nil
        }
        if let chunk { onConsumed(chunk.readableBytes) }
        return chunk
    }

    private func wait(_ reader: Reader) {
        enum Now {
            case chunk(ByteBuffer)
            case end
            case failure(any Error)
            case later
        }
        let isCancelled = Task.isCancelled
        let now = state.withLockedValue { state -> Now in
            if isCancelled { return .failure(CancellationError()) }
            if state.readers.isEmpty, let chunk = Self.take(reader.bytesMax, from: &state) { return .chunk(chunk) }
            switch state.end {
            case .finished: return .end
            case .failed(let error): return .failure(error)
            case .open:
                state.readers.append(reader)
                return .later
            }
        }
        switch now {
        case .chunk(let chunk):
            reader.continuation.resume(returning: chunk)
            onConsumed(chunk.readableBytes)
        case .end: reader.continuation.resume(returning: nil)
        case .failure(let error): reader.continuation.resume(throwing: error)
        case .later: return
        }
    }

    private func cancelReader(_ id: UInt64) {
        let reader = state.withLockedValue { state -> Reader? in
            guard let index = state.readers.firstIndex(where: { $0.id == id }) else { return nil }
            return state.readers.remove(at: index)
        }
        reader?.continuation.resume(throwing: CancellationError())
    }

    /// Exactly `count` bytes. Memory grows as they arrive, not as they were announced.
    func exactly(_ count: Int) async throws -> ByteBuffer {
        guard count > 0 else { return ByteBuffer() }
        guard var result = try await next(bytesMax: count) else { throw StreamError.endOfStream }
        while result.readableBytes < count {
            guard var more = try await next(bytesMax: count - result.readableBytes) else {
                throw StreamError.endOfStream
            }
            result.writeBuffer(&more)
        }
        return result
    }

    /// One message with its unsigned-varint length; `nil` at a clean end.
    func frame(bytesMax: Int) async throws -> ByteBuffer? {
        var length: UInt64 = 0
        var byteCount: UInt64 = 0
        while true {
            guard let byte = try await next(bytesMax: 1)?.readableBytesView.first else {
                if byteCount == 0 { return nil }
                throw StreamError.endOfStream
            }
            length |= UInt64(byte & 0x7F) << (7 * byteCount)
            byteCount += 1
            if byte & 0x80 == 0 {
                if byte == 0 && byteCount > 1 { throw StreamError.malformedLength }
                break
            }
            if byteCount == 9 { throw StreamError.malformedLength }
        }
        guard length <= UInt64(max(0, bytesMax)) else {
            throw StreamError.frameTooLarge(announced: length, bytesMax: bytesMax)
        }
        return try await exactly(Int(length))
    }
}
