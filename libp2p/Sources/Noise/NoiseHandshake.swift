package import Crypto

/// The handshake Noise_XX_25519_ChaChaPoly_SHA256 (Noise specification, sections 5.3 and 7.5), without framing.
///
///     -> e
///     <- e, ee, s, es
///     -> s, se
///
/// Keys come from the caller: the handshake generates nothing. After any error it refuses to go on.
package struct NoiseHandshake: Sendable {
    /// Which side of the handshake this is.
    package enum Role: Hashable, Sendable {
        /// The side that sends the first message.
        case initiator
        /// The side that answers.
        case responder
    }

    /// The Noise protocol name.
    package static let protocolName = "Noise_XX_25519_ChaChaPoly_SHA256"
    private static let keyByteCount = 32

    private let role: Role
    private let staticKey: Curve25519.KeyAgreement.PrivateKey
    private let staticPublicKey: [UInt8]
    private let ephemeralKey: Curve25519.KeyAgreement.PrivateKey
    private var symmetric: NoiseSymmetricState
    private var remoteEphemeral: [UInt8]?
    private var messageCount = 0
    private var hasFailed = false

    /// The peer's static key, once its message was read.
    package private(set) var remoteStaticKey: [UInt8]?

    /// A handshake with a static key and an ephemeral key that must be fresh.
    package init(
        role: Role, staticKey: Curve25519.KeyAgreement.PrivateKey,
        ephemeralKey: Curve25519.KeyAgreement.PrivateKey, prologue: [UInt8] = []
    ) {
        self.init(
            role: role, staticKey: staticKey, staticPublicKey: Array(staticKey.publicKey.rawRepresentation),
            ephemeralKey: ephemeralKey, prologue: prologue)
    }

    /// The same, given the public half of the static key: deriving it costs as much as a key agreement.
    init(
        role: Role, staticKey: Curve25519.KeyAgreement.PrivateKey, staticPublicKey: [UInt8],
        ephemeralKey: Curve25519.KeyAgreement.PrivateKey, prologue: [UInt8]
    ) {
        self.role = role
        self.staticKey = staticKey
        self.staticPublicKey = staticPublicKey
        self.ephemeralKey = ephemeralKey
        symmetric = NoiseSymmetricState(protocolName: Self.protocolName, prologue: prologue)
    }

    /// Whether all three messages have passed.
    package var isFinished: Bool { messageCount == 3 && !hasFailed }

    /// Whether it is our turn to write.
    package var isOurTurn: Bool { !hasFailed && messageCount < 3 && (messageCount % 2 == 0) == (role == .initiator) }

    /// The hash of the whole handshake, the same on both sides.
    package var handshakeHash: [UInt8] { symmetric.hash }

    /// The next message, with our payload. The first message's payload is not encrypted.
    package mutating func writeMessage(payload: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard isOurTurn else { throw .outOfTurn }
        do throws(NoiseError) {
            var message: [UInt8] = []
            switch messageCount {
            case 0:
                writeEphemeral(into: &message)
            case 1:
                writeEphemeral(into: &message)
                try mixAgreement(ephemeralKey, remoteEphemeral)
                message += try symmetric.encryptAndHash(staticPublicKey)
                try mixAgreement(staticKey, remoteEphemeral)
            default:
                message += try symmetric.encryptAndHash(staticPublicKey)
                try mixAgreement(staticKey, remoteEphemeral)
            }
            message += try symmetric.encryptAndHash(payload)
            messageCount += 1
            return message
        } catch {
            hasFailed = true
            throw error
        }
    }

    /// Reads the peer's next message and returns its payload.
    package mutating func readMessage(_ message: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard !isOurTurn, !hasFailed, messageCount < 3 else { throw .outOfTurn }
        do throws(NoiseError) {
            var rest = message[...]
            switch messageCount {
            case 0:
                try readEphemeral(from: &rest)
            case 1:
                try readEphemeral(from: &rest)
                try mixAgreement(ephemeralKey, remoteEphemeral)
                try readStatic(from: &rest)
                try mixAgreement(ephemeralKey, remoteStaticKey)
            default:
                try readStatic(from: &rest)
                try mixAgreement(ephemeralKey, remoteStaticKey)
            }
            let payload = try symmetric.decryptAndHash(Array(rest))
            messageCount += 1
            return payload
        } catch {
            hasFailed = true
            throw error
        }
    }

    /// The two transport ciphers, once the handshake is finished.
    package func split() throws(NoiseError) -> (sending: NoiseCipher, receiving: NoiseCipher) {
        guard isFinished else { throw .outOfTurn }
        let ciphers = symmetric.split()
        return role == .initiator
            ? (ciphers.initiator, ciphers.responder) : (ciphers.responder, ciphers.initiator)
    }

    private mutating func writeEphemeral(into message: inout [UInt8]) {
        let key = Array(ephemeralKey.publicKey.rawRepresentation)
        symmetric.mixHash(key)
        message += key
    }

    private mutating func readEphemeral(from message: inout ArraySlice<UInt8>) throws(NoiseError) {
        guard message.count >= Self.keyByteCount else { throw .messageTooShort(byteCount: message.count) }
        let key = Array(message.prefix(Self.keyByteCount))
        message = message.dropFirst(Self.keyByteCount)
        symmetric.mixHash(key)
        remoteEphemeral = key
    }

    private mutating func readStatic(from message: inout ArraySlice<UInt8>) throws(NoiseError) {
        let count = Self.keyByteCount + NoiseCipher.tagByteCount
        guard message.count >= count else { throw .messageTooShort(byteCount: message.count) }
        let sealed = Array(message.prefix(count))
        message = message.dropFirst(count)
        remoteStaticKey = try symmetric.decryptAndHash(sealed)
    }

    private mutating func mixAgreement(
        _ ours: Curve25519.KeyAgreement.PrivateKey, _ theirs: [UInt8]?
    ) throws(NoiseError) {
        guard let theirs, let point = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: theirs),
            let secret = try? ours.sharedSecretFromKeyAgreement(with: point)
        else { throw .lowOrderPoint }
        // SAFETY: the bytes are copied out inside the closure.
        let bytes = secret.withUnsafeBytes { Array($0) }
        // The library refuses all-zero secrets too, but its interface does not promise that.
        guard bytes.contains(where: { $0 != 0 }) else { throw .lowOrderPoint }
        symmetric.mixKey(bytes)
    }
}
