import Crypto
package import NIOCore

/// One direction's ChaCha20-Poly1305 key and message counter (`CipherState` of the Noise specification, section 5.1).
///
/// Every sealed or opened message uses one nonce. A message that fails to open leaves the counter unchanged. At 2^64 -
/// 1 the cipher refuses for ever; it never wraps.
package struct NoiseCipher: Sendable {
    /// Bytes that sealing adds.
    package static let tagByteCount = 16

    private let key: SymmetricKey
    /// The nonce of the next message.
    package private(set) var nonce: UInt64
    private var nonceBytes = [UInt8](repeating: 0, count: 12)

    init(key: SymmetricKey, nonce: UInt64 = 0) {
        self.key = key
        self.nonce = nonce
    }

    /// A cipher that starts at a chosen nonce; for tests of the last nonce.
    package init(keyBytes: [UInt8], nonce: UInt64) {
        self.init(key: SymmetricKey(data: keyBytes), nonce: nonce)
    }

    private mutating func currentNonce() throws(NoiseError) -> ChaChaPoly.Nonce {
        guard nonce < .max else { throw .nonceExhausted }
        for place in 0..<8 {
            nonceBytes[4 + place] = UInt8(truncatingIfNeeded: nonce >> UInt64(8 * place))
        }
        guard let value = try? ChaChaPoly.Nonce(data: nonceBytes) else { throw .nonceExhausted }
        return value
    }

    /// Appends ciphertext and tag of the readable bytes of `plaintext` to `output`.
    package mutating func seal(
        _ plaintext: ByteBuffer, authenticating associated: [UInt8] = [], into output: inout ByteBuffer
    ) throws(NoiseError) {
        let nonceValue = try currentNonce()
        // SAFETY: the pointer is used only inside the closure.
        let box = plaintext.withUnsafeReadableBytes { bytes in
            try? ChaChaPoly.seal(bytes, using: key, nonce: nonceValue, authenticating: associated)
        }
        guard let box else { throw .plaintextTooLong(byteCount: plaintext.readableBytes) }
        output.writeBytes(box.combined.dropFirst(nonceBytes.count))
        nonce += 1
    }

    /// The plaintext of the readable bytes of `message` (ciphertext and tag).
    package mutating func open(
        _ message: ByteBuffer, authenticating associated: [UInt8] = []
    ) throws(NoiseError) -> ByteBuffer {
        guard message.readableBytes >= Self.tagByteCount else {
            throw .messageTooShort(byteCount: message.readableBytes)
        }
        _ = try currentNonce()
        // The library wants the nonce before the ciphertext in one piece.
        var combined = nonceBytes
        combined.reserveCapacity(nonceBytes.count + message.readableBytes)
        // SAFETY: the pointer is used only inside the closure.
        message.withUnsafeReadableBytes { combined.append(contentsOf: $0) }
        guard let box = try? ChaChaPoly.SealedBox(combined: combined),
            let plaintext = try? ChaChaPoly.open(box, using: key, authenticating: associated)
        else { throw .decryptionFailed(nonce: nonce) }
        nonce += 1
        return ByteBuffer(bytes: plaintext)
    }
}
