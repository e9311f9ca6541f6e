package import Multiformats
package import NIOCore

/// The two ends of a stream's buffers, shared by its user (`BufferedStream`) and the transport that moves the bytes.
package final class StreamChannel: Sendable {
    /// What the other side sent and the user has not read.
    package let inbox: StreamInbox
    /// What the user wrote and the transport has not taken.
    package let outbox: StreamOutbox

    package init(inbox: StreamInbox, outbox: StreamOutbox) {
        self.inbox = inbox
        self.outbox = outbox
    }

    /// Whether both sides closed and everything was read, or the stream failed.
    var isFinished: Bool { inbox.isExhausted && outbox.isClosed }

    /// Both directions fail: reset or a lost connection.
    package func fail(_ error: StreamError) {
        inbox.fail(error)
        outbox.fail(error)
    }
}

/// The stream that protocol services hold, over whatever transport moves its bytes.
///
/// When the last reference goes away, it tells the transport, which resets a stream that was not half-closed; one that
/// was sends what is written and discards what comes.
package final class BufferedStream: PeerStream {
    package let remotePeer: PeerID
    package let protocolID: String
    private let channel: StreamChannel
    private let onReset: @Sendable () -> Void
    private let onRelease: @Sendable () -> Void

    package init(
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

    package func read() async throws -> ByteBuffer? {
        try await channel.inbox.next()
    }

    package func readExactly(_ count: Int) async throws -> ByteBuffer {
        try await channel.inbox.exactly(count)
    }

    package func readFrame(bytesMax: Int) async throws -> ByteBuffer? {
        try await channel.inbox.frame(bytesMax: bytesMax)
    }

    package func write(_ bytes: ByteBuffer) async throws {
        try await channel.outbox.write(bytes)
    }

    package func writeFrame(_ bytes: ByteBuffer) async throws {
        var frame = ByteBuffer()
        let length = Varint.encode(UInt64(bytes.readableBytes))
        frame.reserveCapacity(length.count + bytes.readableBytes)
        frame.writeBytes(length)
        frame.writeImmutableBuffer(bytes)
        try await channel.outbox.write(frame)
    }

    package func closeWrite() async throws {
        channel.outbox.close()
    }

    package func reset() async {
        channel.fail(.reset)
        onReset()
    }
}
