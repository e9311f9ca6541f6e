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
