import Crypto
import NIOCore

/// The running hash, chaining key and cipher of a handshake (`SymmetricState` of the Noise specification, section 5.2).
struct NoiseSymmetricState: Sendable {
    private(set) var hash: [UInt8]
    private var chainingKey: [UInt8]
    private var cipher: NoiseCipher?

    /// `name` has at most 32 bytes and is padded with zeros to the hash, as the specification says.
    init(protocolName name: String, prologue: [UInt8]) {
        hash = Array(name.utf8)
        hash.append(contentsOf: [UInt8](repeating: 0, count: max(0, SHA256.byteCount - hash.count)))
        chainingKey = hash
        mixHash(prologue)
    }

    mutating func mixHash(_ bytes: [UInt8]) {
        var hasher = SHA256()
        hasher.update(data: hash)
        hasher.update(data: bytes)
        hash = Array(hasher.finalize())
    }

    mutating func mixKey(_ secret: [UInt8]) {
        let derived = derive(secret)
        chainingKey = derived.first
        cipher = NoiseCipher(key: SymmetricKey(data: derived.second))
    }

    mutating func encryptAndHash(_ plaintext: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard cipher != nil else {
            mixHash(plaintext)
            return plaintext
        }
        var sealed = ByteBuffer()
        try cipher?.seal(ByteBuffer(bytes: plaintext), authenticating: hash, into: &sealed)
        let bytes = Array(sealed.readableBytesView)
        mixHash(bytes)
        return bytes
    }

    mutating func decryptAndHash(_ message: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard let opened = try cipher?.open(ByteBuffer(bytes: message), authenticating: hash) else {
            mixHash(message)
            return message
        }
        mixHash(message)
        return Array(opened.readableBytesView)
    }

    /// The ciphers of the initiator's and of the responder's direction.
    func split() -> (initiator: NoiseCipher, responder: NoiseCipher) {
        let derived = derive([])
        return (
            NoiseCipher(key: SymmetricKey(data: derived.first)), NoiseCipher(key: SymmetricKey(data: derived.second))
        )
    }

    /// Noise's HKDF with two outputs is RFC 5869 with the chaining key as salt and no info.
    private func derive(_ secret: [UInt8]) -> (first: [UInt8], second: [UInt8]) {
        let output = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret), salt: chainingKey, outputByteCount: 64)
        // SAFETY: the bytes are copied out inside the closure.
        let bytes = output.withUnsafeBytes { Array($0) }
        return (Array(bytes[..<32]), Array(bytes[32...]))
    }
}
