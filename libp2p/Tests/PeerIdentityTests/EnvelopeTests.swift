import Multiformats
import PeerIdentity
import Testing

@Suite struct EnvelopeTests {
    private static let identity = Identity.generate()
    private static let addresses = [
        Multiaddr([.ip4([127, 0, 0, 1]), .tcp(4001)]), Multiaddr([.dns4("example.org"), .tcp(443), .wss]),
    ]

    @Test func recordsComeBack() throws {
        let record = PeerRecord(peerID: Self.identity.peerID, sequence: 1_700_000_000_123, addresses: Self.addresses)
        let bytes = try record.signed(with: Self.identity).bytes
        #expect(try PeerRecord(verifying: bytes) == record)
        let envelope = try SignedEnvelope(verifying: bytes, domain: PeerRecord.domain)
        #expect(envelope.payloadType == [0x03, 0x01])
        #expect(envelope.publicKey == Self.identity.publicKey)
        #expect(envelope.bytes == bytes)
    }

    @Test func everyBitCounts() throws {
        let record = PeerRecord(peerID: Self.identity.peerID, sequence: 7, addresses: Self.addresses)
        let bytes = try record.signed(with: Self.identity).bytes
        for bit in 0..<(bytes.count * 8) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: SignedEnvelopeError.self, "bit \(bit)") { try PeerRecord(verifying: flipped) }
        }
    }

    @Test func recordsOfOthersAndOfOtherDomains() throws {
        let other = Identity.generate()
        let record = PeerRecord(peerID: other.peerID, sequence: 1, addresses: [])
        let stolen = try record.signed(with: Self.identity).bytes
        #expect(throws: SignedEnvelopeError.wrongPeer) { try PeerRecord(verifying: stolen) }
        let honest = try record.signed(with: other).bytes
        #expect(throws: SignedEnvelopeError.badSignature) { try SignedEnvelope(verifying: honest, domain: "other") }
        let typed = try SignedEnvelope.sign([], type: [1], domain: PeerRecord.domain, with: other).bytes
        #expect(throws: SignedEnvelopeError.wrongPayloadType) { try PeerRecord(verifying: typed) }
        let empty = try SignedEnvelope.sign([], type: [3, 1], domain: PeerRecord.domain, with: other).bytes
        #expect(throws: SignedEnvelopeError.malformedRecord) { try PeerRecord(verifying: empty) }
        #expect(throws: SignedEnvelopeError.missingField) { try PeerRecord(verifying: []) }
        #expect(throws: SignedEnvelopeError.malformed(.truncated)) { try PeerRecord(verifying: [0x0A]) }
        #expect(throws: SignedEnvelopeError.tooLarge(bytesMax: 64 << 10)) {
            try PeerRecord(verifying: [UInt8](repeating: 0, count: (64 << 10) + 1))
        }
        var writer = ProtobufWriter()
        writer.bytes(1, [8, 0, 18, 0])
        for number: UInt32 in [2, 3, 5] { writer.bytes(number, []) }
        #expect(throws: SignedEnvelopeError.unusableKey(.notEd25519)) { try PeerRecord(verifying: writer.bytes) }
    }

    @Test func foreignAddressesAreLeftOutAndTheirNumberIsBounded() throws {
        var payload = ProtobufWriter()
        payload.bytes(1, Self.identity.peerID.bytes)
        payload.varint(2, 3)
        payload.message(3) { $0.bytes(1, [0xCC, 0x03]) }
        payload.message(3) { $0.bytes(1, Self.addresses[0].bytes) }
        payload.message(3) { $0.bytes(2, [1]) }
        for _ in 0..<100 { payload.message(3) { $0.bytes(1, Self.addresses[1].bytes) } }
        let envelope = try SignedEnvelope.sign(
            payload.bytes, type: PeerRecord.payloadType, domain: PeerRecord.domain, with: Self.identity)
        let record = try PeerRecord(verifying: envelope.bytes)
        #expect(record.addresses.count == 64)
        #expect(record.addresses.first == Self.addresses[0])
        #expect(record.sequence == 3)
    }
}
