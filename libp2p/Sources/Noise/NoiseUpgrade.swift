package import Crypto
package import Multiformats
package import NIOCore
package import PeerIdentity

/// The result of a handshake: the peer's proven identity, the muxer if one was agreed early, and the ciphers.
package struct NoiseSession: Sendable {
    /// The identity key that the peer proved to hold.
    package let remoteKey: PublicKey
    /// The Noise key with which it did so; each process has its own.
    package let remoteStaticKey: [UInt8]
    /// The muxer that both offered, by the initiator's preference; `nil` if multistream-select has to find one.
    package let muxer: String?
    /// The encrypted channel.
    package var transport: NoiseTransport
}

/// What proves a node's identity in a handshake: a Noise key, and the node's signature over it (specification `noise`,
/// section "The libp2p Handshake Payload").
///
/// It may serve any number of handshakes: the ephemeral keys keep sessions secret even if it leaks.
package struct NoiseCredentials: Sendable {
    let staticKey: Curve25519.KeyAgreement.PrivateKey
    /// The public half of the Noise key, by which a node knows itself.
    package let staticPublicKey: [UInt8]
    let payload: NoisePayload

    /// Signs a static key with the identity, and offers muxers within the handshake, preferred first.
    ///
    /// - Throws: `signingFailed` where the identity cannot sign.
    package init(
        identity: Identity, staticKey: Curve25519.KeyAgreement.PrivateKey, streamMuxers: [String]
    ) throws(NoiseError) {
        self.staticKey = staticKey
        staticPublicKey = Array(staticKey.publicKey.rawRepresentation)
        payload = try NoisePayload.sign(staticKey: staticPublicKey, with: identity, streamMuxers: streamMuxers)
    }
}

/// The libp2p handshake over Noise: the three messages with their lengths, the signed payloads, early muxer negotiation
/// (specifications `noise` and `connections/inlined-muxer-negotiation`).
///
/// The initiator sends its payload in the third message, the responder in the second; the first carries none.
package struct NoiseUpgrade: Sendable {
    /// The longest handshake message that is read; ours have fewer than 300 bytes.
    package static let messageBytesMax = 8_192

    /// What to do after bytes were taken.
    package enum Step: Sendable {
        /// More bytes are needed.
        case needsMore
        /// Bytes to send; the handshake goes on.
        case send([UInt8])
        /// The handshake is finished; send these bytes first, if any. Bytes that were not taken belong to the
        /// transport.
        case finished(send: [UInt8], NoiseSession)
    }

    private let role: NoiseHandshake.Role
    private let expectedPeer: PeerID?
    private let payload: NoisePayload
    private var handshake: NoiseHandshake
    private var remotePayload: NoisePayload?
    private var remoteKey: PublicKey?

    /// A handshake with an ephemeral key that must be fresh; `expectedPeer` is whom we dialed, if that is known.
    package init(
        role: NoiseHandshake.Role, credentials: NoiseCredentials, ephemeralKey: Curve25519.KeyAgreement.PrivateKey,
        expectedPeer: PeerID?
    ) {
        self.role = role
        self.expectedPeer = expectedPeer
        payload = credentials.payload
        handshake = NoiseHandshake(
            role: role, staticKey: credentials.staticKey, staticPublicKey: credentials.staticPublicKey,
            ephemeralKey: ephemeralKey, prologue: [])
    }

    /// The initiator's first message; empty for the responder.
    package mutating func start() throws(NoiseError) -> [UInt8] {
        role == .initiator ? Self.framed(try handshake.writeMessage(payload: [])) : []
    }

    /// Takes at most one message off the front of `bytes`.
    package mutating func received(_ bytes: inout ByteBuffer) throws(NoiseError) -> Step {
        guard let length = bytes.getInteger(at: bytes.readerIndex, as: UInt16.self) else { return .needsMore }
        guard length <= Self.messageBytesMax else { throw .handshakeMessageTooLong(byteCount: Int(length)) }
        guard bytes.readableBytes >= 2 + Int(length) else { return .needsMore }
        bytes.moveReaderIndex(forwardBy: 2)
        let message = bytes.readBytes(length: Int(length)) ?? []
        let theirs = try handshake.readMessage(message)
        if let staticKey = handshake.remoteStaticKey {
            try verify(try NoisePayload.decode(theirs), staticKey: staticKey)
        }
        if handshake.isFinished { return .finished(send: [], try session()) }
        let isLast = role == .initiator
        let answer = Self.framed(try handshake.writeMessage(payload: payload.encode()))
        return isLast ? .finished(send: answer, try session()) : .send(answer)
    }

    private mutating func verify(_ received: NoisePayload, staticKey: [UInt8]) throws(NoiseError) {
        let key = try received.verifiedKey(staticKey: staticKey)
        if let expectedPeer, key.peerID != expectedPeer {
            throw .wrongPeer(expected: expectedPeer, actual: key.peerID)
        }
        remoteKey = key
        remotePayload = received
    }

    private func session() throws(NoiseError) -> NoiseSession {
        guard let remoteKey, let remotePayload, let remoteStaticKey = handshake.remoteStaticKey else {
            throw .malformedPayload
        }
        let ciphers = try handshake.split()
        let ours = payload.streamMuxers
        let theirs = remotePayload.streamMuxers
        let (preferred, accepted) = role == .initiator ? (ours, theirs) : (theirs, ours)
        return NoiseSession(
            remoteKey: remoteKey, remoteStaticKey: remoteStaticKey, muxer: preferred.first { accepted.contains($0) },
            transport: NoiseTransport(sending: ciphers.sending, receiving: ciphers.receiving))
    }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(truncatingIfNeeded: message.count >> 8), UInt8(truncatingIfNeeded: message.count)] + message
    }
}
