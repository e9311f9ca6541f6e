import Multiformats
package import PeerIdentity

/// The libp2p payload of a Noise handshake: who we are, signed, and which muxers we speak (specification `noise`).
package struct NoisePayload: Hashable, Sendable {
    /// Muxers read from a peer; further ones are ignored.
    package static let muxersMax = 16
    private static let fieldsMax = 64
    private static let signaturePrefix = Array("noise-libp2p-static-key:".utf8)

    /// The public key in its protobuf encoding.
    package var identityKey: [UInt8]
    /// The signature over the prefix and the Noise static key.
    package var identitySignature: [UInt8]
    /// Offered muxers, preferred first; empty without early negotiation.
    package var streamMuxers: [String]

    package init(identityKey: [UInt8], identitySignature: [UInt8], streamMuxers: [String]) {
        self.identityKey = identityKey
        self.identitySignature = identitySignature
        self.streamMuxers = streamMuxers
    }

    /// Our payload: binds a Noise static key to the identity.
    package static func sign(
        staticKey: [UInt8], with identity: Identity, streamMuxers: [String]
    ) throws(NoiseError) -> NoisePayload {
        guard let signature = try? identity.sign(signaturePrefix + staticKey) else { throw .signingFailed }
        return NoisePayload(
            identityKey: identity.publicKey.protobuf, identitySignature: signature, streamMuxers: streamMuxers)
    }

    /// The identity that this payload proves for its Noise static key.
    package func verifiedKey(staticKey: [UInt8]) throws(NoiseError) -> PublicKey {
        guard let key = try? PublicKey(protobuf: identityKey) else { throw .unacceptableIdentityKey }
        guard key.isValidSignature(identitySignature, for: Self.signaturePrefix + staticKey) else {
            throw .invalidIdentitySignature
        }
        return key
    }

    /// The protobuf bytes.
    package func encode() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.bytes(1, identityKey)
        writer.bytes(2, identitySignature)
        if !streamMuxers.isEmpty {
            writer.message(4) { extensions in
                for muxer in streamMuxers { extensions.text(2, muxer) }
            }
        }
        return writer.bytes
    }

    /// A payload from its protobuf bytes; unknown fields are ignored.
    package static func decode(_ bytes: [UInt8]) throws(NoiseError) -> NoisePayload {
        var key: [UInt8]?
        var signature: [UInt8]?
        var muxers: [String] = []
        do {
            var reader = ProtobufReader(bytes, maxFields: fieldsMax)
            while let field = try reader.next() {
                switch field.number {
                case 1: key = field.bytes
                case 2: signature = field.bytes
                case 4: muxers += try decodeMuxers(field.slice ?? [])
                default: continue
                }
            }
        } catch {
            throw .malformedPayload
        }
        guard let key, let signature else { throw .malformedPayload }
        return NoisePayload(
            identityKey: key, identitySignature: signature, streamMuxers: Array(muxers.prefix(muxersMax)))
    }

    private static func decodeMuxers(_ bytes: ArraySlice<UInt8>) throws(ProtobufError) -> [String] {
        var muxers: [String] = []
        var reader = ProtobufReader(bytes, maxFields: fieldsMax)
        while let field = try reader.next() {
            if field.number == 2, let text = field.text { muxers.append(text) }
        }
        return muxers
    }
}
