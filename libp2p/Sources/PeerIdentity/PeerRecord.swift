public import Multiformats

/// The addresses that a peer claims as its own, signed by it (libp2p RFC 0003); a higher sequence number replaces a
/// lower one.
public struct PeerRecord: Hashable, Sendable {
    /// The domain of the envelope.
    public static let domain = "libp2p-peer-record"
    /// The multicodec of the envelope's payload, 0x0301.
    public static let payloadType: [UInt8] = [0x03, 0x01]
    /// The most addresses that are read; later ones are left out.
    public static let addressesMax = 64

    /// The peer.
    public let peerID: PeerID
    /// Grows with every change of the addresses.
    public let sequence: UInt64
    /// The addresses; reading leaves out those with unknown protocols.
    public let addresses: [Multiaddr]

    /// A record of a peer's own addresses.
    public init(peerID: PeerID, sequence: UInt64, addresses: [Multiaddr]) {
        self.peerID = peerID
        self.sequence = sequence
        self.addresses = addresses
    }

    /// The signed envelope of this record, which must be about the identity's own peer.
    public func signed(with identity: Identity) throws(SigningError) -> SignedEnvelope {
        try SignedEnvelope.sign(payload, type: Self.payloadType, domain: Self.domain, with: identity)
    }

    /// The record in an envelope; checks the signature, and that the signer is the peer it is about.
    public init(verifying bytes: [UInt8]) throws(SignedEnvelopeError) {
        let envelope = try SignedEnvelope(verifying: bytes, domain: Self.domain)
        if envelope.payloadType != Self.payloadType { throw .wrongPayloadType }
        let record = try Self(payload: envelope.payload)
        if record.peerID != envelope.publicKey.peerID { throw .wrongPeer }
        self = record
    }

    private init(payload: [UInt8]) throws(SignedEnvelopeError) {
        var reader = ProtobufReader(payload, maxFields: 1024)
        var peerID: PeerID?
        var sequence: UInt64 = 0
        var addresses: [Multiaddr] = []
        do {
            while let field = try reader.next() {
                switch field.number {
                case 1: peerID = try field.bytes.map { try PeerID(bytes: $0) }
                case 2: sequence = field.varint ?? 0
                case 3 where addresses.count < Self.addressesMax:
                    if let address = field.slice.flatMap(Self.address) { addresses.append(address) }
                default: continue
                }
            }
        } catch {
            throw .malformedRecord
        }
        guard let peerID else { throw .malformedRecord }
        self.init(peerID: peerID, sequence: sequence, addresses: addresses)
    }

    private var payload: [UInt8] {
        var writer = ProtobufWriter()
        writer.bytes(1, peerID.bytes)
        writer.varint(2, sequence)
        for address in addresses {
            writer.message(3) { $0.bytes(1, address.bytes) }
        }
        return writer.bytes
    }

    /// The address of an `AddressInfo` message; `nil` when it is malformed or of an unknown protocol.
    private static func address(_ info: ArraySlice<UInt8>) -> Multiaddr? {
        var reader = ProtobufReader(info, maxFields: 4)
        while let field = try? reader.next() {
            if field.number == 1, let bytes = field.bytes { return try? Multiaddr(bytes: bytes) }
        }
        return nil
    }
}
