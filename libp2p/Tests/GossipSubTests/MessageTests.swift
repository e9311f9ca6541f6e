import GossipSub
import Multiformats
import PeerIdentity
import Testing

@Suite struct MessageTests {
    let author = TestIdentity.all[3]

    func verify(_ bytes: [UInt8]) throws -> GossipMessage {
        try UnverifiedMessage(encoded: bytes, topicBytesMax: 512).verified()
    }

    /// The fields of a message one by one, so that a test can leave one out or change it.
    func message(
        from: [UInt8]?? = nil, number: [UInt8]? = [0, 0, 0, 0, 0, 0, 1, 2], topic: String? = "t",
        key: [UInt8]? = nil, sign: Bool = true, extra: (inout ProtobufWriter) -> Void = { _ in }
    ) throws -> [UInt8] {
        var writer = ProtobufWriter()
        if let from = from ?? author.peerID.bytes { writer.bytes(1, from) }
        writer.bytes(2, Array("data".utf8))
        if let number { writer.bytes(3, number) }
        if let topic { writer.text(4, topic) }
        extra(&writer)
        let signature = try author.sign(Array("libp2p-pubsub:".utf8) + writer.bytes)
        if sign { writer.bytes(5, signature) }
        if let key { writer.bytes(6, key) }
        return writer.bytes
    }

    @Test func aSignedMessageVerifiesAndKeepsItsBytes() throws {
        let signed = try GossipMessage.sign(
            [1, 2, 3], topic: "t", sequenceNumber: 0x0102_0304_0506_0708, identity: author)
        let verified = try verify(signed.encoded)
        #expect(verified == signed)
        #expect(verified.source == author.peerID)
        #expect(verified.sequenceNumber == 0x0102_0304_0506_0708)
        #expect(verified.id.bytes == author.peerID.bytes + [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(verified.encoded == signed.encoded)
    }

    @Test func whatIsSignedIsTheMessageWithoutSignatureAndKey() throws {
        let built = try message(key: author.peerID.inlinePublicKeyProtobuf)
        #expect(try verify(built).data == Array("data".utf8))
    }

    @Test func everyFlippedBitOfAMessageIsRefused() throws {
        let signed = try GossipMessage.sign([1, 2, 3], topic: "topic", sequenceNumber: 77, identity: author).encoded
        for index in signed.indices {
            for bit in 0..<8 {
                var changed = signed
                changed[index] ^= 1 << UInt8(bit)
                #expect(throws: GossipMessageError.self, "byte \(index) bit \(bit)") { try verify(changed) }
            }
        }
    }

    @Test func eachMissingPartIsRefusedForItsOwnReason() throws {
        #expect(throws: GossipMessageError.badSource) { try verify(try message(from: .some(nil))) }
        #expect(throws: GossipMessageError.badSource) { try verify(try message(from: [1, 2, 3])) }
        #expect(throws: GossipMessageError.badSequenceNumber) { try verify(try message(number: nil)) }
        #expect(throws: GossipMessageError.badSequenceNumber) { try verify(try message(number: [1])) }
        #expect(throws: GossipMessageError.badTopic) { try verify(try message(topic: nil)) }
        #expect(throws: GossipMessageError.badTopic) { try verify(try message(topic: "")) }
        #expect(throws: GossipMessageError.badTopic) {
            try verify(try message(topic: String(repeating: "x", count: 513)))
        }
        #expect(throws: GossipMessageError.notSigned) { try verify(try message(sign: false)) }
        let foreign = TestIdentity.all[4].peerID
        #expect(throws: GossipMessageError.foreignKey) {
            try verify(try message(key: foreign.inlinePublicKeyProtobuf))
        }
        #expect(throws: GossipMessageError.badSignature) { try verify(try message(from: foreign.bytes)) }
        #expect(throws: GossipMessageError.unsupportedKey) {
            // A hash of a key instead of the key: what RSA keys have.
            try verify(try message(from: [0x12, 32] + [UInt8](repeating: 5, count: 32)))
        }
    }

    @Test func aFieldMayStandOnlyOnceAndFieldsAreCounted() throws {
        #expect(throws: GossipMessageError.malformed) { try verify(try message(extra: { $0.text(4, "other") })) }
        #expect(throws: GossipMessageError.malformed) {
            try verify(try message(extra: { for number in 10..<30 { $0.varint(UInt32(number), 1) } }))
        }
        #expect(throws: Never.self) { try verify(try message(extra: { $0.varint(20, 1) })) }
    }
}
