package import Multiformats

/// What ends a Noise handshake or transport. Every case closes the connection; none carries key or payload bytes.
package enum NoiseError: Error, Hashable, Sendable {
    /// A message shorter than its fixed parts.
    case messageTooShort(byteCount: Int)
    /// A handshake message announced more bytes than `NoiseUpgrade.messageBytesMax`.
    case handshakeMessageTooLong(byteCount: Int)
    /// More than 65,519 bytes were to be sealed in one message.
    case plaintextTooLong(byteCount: Int)
    /// The authentication tag does not match: the message was tampered with, replayed, reordered or truncated. The
    /// nonce stays unchanged.
    case decryptionFailed(nonce: UInt64)
    /// The peer's X25519 point gives an all-zero secret.
    case lowOrderPoint
    /// 2^64 - 1 messages were sent or received under one key.
    case nonceExhausted
    /// A handshake function was called out of turn, or after an error.
    case outOfTurn
    /// The handshake payload is not the protobuf of the libp2p specification, or lacks key or signature.
    case malformedPayload
    /// The identity key is not an acceptable Ed25519 key.
    case unacceptableIdentityKey
    /// The signature does not bind the Noise key to the identity key.
    case invalidIdentitySignature
    /// The peer proved to be another than the one dialed.
    case wrongPeer(expected: PeerID, actual: PeerID)
    /// Our own identity key could not sign.
    case signingFailed
}

extension NoiseError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .messageTooShort(let byteCount): "a message of \(byteCount) bytes is too short"
        case .handshakeMessageTooLong(let byteCount): "a handshake message of \(byteCount) bytes is too long"
        case .plaintextTooLong(let byteCount): "\(byteCount) bytes do not fit into one message"
        case .decryptionFailed(let nonce): "message \(nonce) does not decrypt"
        case .lowOrderPoint: "the peer sent a weak key"
        case .nonceExhausted: "the connection has carried as many messages as it may"
        case .outOfTurn: "a handshake message came out of turn"
        case .malformedPayload: "the handshake does not read"
        case .unacceptableIdentityKey: "the peer's key is not acceptable"
        case .invalidIdentitySignature: "the peer did not prove its key"
        case .wrongPeer(let expected, let actual): "another peer answered: \(actual), not \(expected)"
        case .signingFailed: "this node could not sign"
        }
    }
}
