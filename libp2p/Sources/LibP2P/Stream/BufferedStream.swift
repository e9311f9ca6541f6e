import Multiformats
import NIOCore

/// The two ends of a stream's buffers, shared by its user (`BufferedStream`) and the transport that moves the bytes.
final class StreamChannel: Sendable {
    let inbox: StreamInbox
    let outbox: StreamOutbox

    init(inbox: StreamInbox, outbox: StreamOutbox) {
        self.inbox = inbox
        self.outbox = outbox
    }

    /// Whether both sides closed and everything was read, or the stream failed.
    var isFinished: Bool { inbox.isExhausted && outbox.isClosed }

    /// Both directions fail: reset or a lost connection.
    func fail(_ error: StreamError) {
        inbox.fail(error)
        outbox.fail(error)
    }
}

/// The stream that protocol services hold, over whatever transport moves its bytes.
///
/// When the last reference goes away the transport is told: a stream that was not half-closed is reset, one that was
/// sends what is written and discards what comes.
final class BufferedStream: MeshStream {
    let remotePeer: PeerID
    let protocolID: String
    private let channel: StreamChannel
    private let onReset: @Sendable () -> Void
    private let onRelease: @Sendable () -> Void

    init(
        remotePeer: PeerID, protocolID: String, channel: StreamChannel, onReset: @escaping @Sendable () -> Void,
        onRelease: @escaping @Sendable () -> Void
    ) {
        self.remotePeer = remotePeer
        self.protocolID = protocolID
        self.channel = channel
        self.onReset = onReset
        self.onRelease = onRelease
    }

    deinit {
        onRelease()
    }

    /// Bytes written and not sent; for tests of bounds.
    var unsentBytes: Int { channel.outbox.unsentBytes }

    func read() async throws -> ByteBuffer? {
        try await channel.inbox.next()
    }

    func readExactly(_ count: Int) async throws -> ByteBuffer {
        try await channel.inbox.exactly(count)
    }

    func readFrame(bytesMax: Int) async throws -> ByteBuffer? {
        try await channel.inbox.frame(bytesMax: bytesMax)
    }

    func write(_ bytes: ByteBuffer) async throws {
        try await channel.outbox.write(bytes)
    }

    func writeFrame(_ bytes: ByteBuffer) async throws {
        var frame = ByteBuffer()
        let length = Varint.encode(UInt64(bytes.readableBytes))
        frame.reserveCapacity(length.count + bytes.readableBytes)
        frame.writeBytes(length)
        frame.writeImmutableBuffer(bytes)
        try await channel.outbox.write(frame)
    }

    func closeWrite() async throws {
        channel.outbox.close()
    }

    func reset() async {
        channel.fail(.reset)
        onReset()
    }
}
