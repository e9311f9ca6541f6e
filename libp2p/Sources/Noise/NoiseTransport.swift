package import NIOCore

/// The encrypted channel after a handshake: messages of at most 65,535 bytes, each with two bytes of length before it.
package struct NoiseTransport: Sendable {
    /// The most plaintext that one message carries.
    package static let plaintextBytesMax = 65_535 - NoiseCipher.tagByteCount

    private var sending: NoiseCipher
    private var receiving: NoiseCipher
    /// The incomplete message at the end of what arrived: never more than one.
    private var pending = ByteBuffer()

    /// A transport over the two ciphers of a handshake.
    package init(sending: NoiseCipher, receiving: NoiseCipher) {
        self.sending = sending
        self.receiving = receiving
    }

    /// Appends one message with its length to `output`.
    package mutating func seal(_ plaintext: ByteBuffer, into output: inout ByteBuffer) throws(NoiseError) {
        guard plaintext.readableBytes <= Self.plaintextBytesMax else {
            throw .plaintextTooLong(byteCount: plaintext.readableBytes)
        }
        output.writeInteger(UInt16(truncatingIfNeeded: plaintext.readableBytes + NoiseCipher.tagByteCount))
        try sending.seal(plaintext, into: &output)
    }

    /// Takes bytes off the wire, in pieces of any size, up to the end of one message, and returns its plaintext; `nil`
    /// if it took all and the message goes on. Close the connection after an error.
    package mutating func open(_ bytes: inout ByteBuffer) throws(NoiseError) -> ByteBuffer? {
        if pending.readableBytes > 0 {
            completePending(from: &bytes)
            guard let message = Self.takeMessage(from: &pending) else { return nil }
            pending = ByteBuffer()
            return try receiving.open(message)
        }
        if let message = Self.takeMessage(from: &bytes) { return try receiving.open(message) }
        // Copied, so that a few bytes do not keep a whole read buffer alive.
        if bytes.readableBytes > 0 { pending.writeBuffer(&bytes) }
        return nil
    }

    /// Whether an incomplete message waits for the rest.
    package var hasPartialMessage: Bool { pending.readableBytes > 0 }

    private mutating func completePending(from bytes: inout ByteBuffer) {
        if pending.readableBytes < 2, var length = bytes.readSlice(length: min(1, bytes.readableBytes)) {
            pending.writeBuffer(&length)
        }
        guard let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self) else { return }
        let missing = 2 + Int(length) - pending.readableBytes
        if var rest = bytes.readSlice(length: min(missing, bytes.readableBytes)) { pending.writeBuffer(&rest) }
    }

    private static func takeMessage(from bytes: inout ByteBuffer) -> ByteBuffer? {
        guard let length = bytes.getInteger(at: bytes.readerIndex, as: UInt16.self),
            bytes.readableBytes >= 2 + Int(length)
        else { return nil }
        bytes.moveReaderIndex(forwardBy: 2)
        return bytes.readSlice(length: Int(length))
    }
}
