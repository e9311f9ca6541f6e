import Crypto
import Determinism
import Multiformats
import NIOCore
import Noise
import PeerIdentity
import Testing

private typealias PrivateKey = Curve25519.KeyAgreement.PrivateKey

private func upgrade(
    _ role: NoiseHandshake.Role, _ identity: Identity, muxers: [String] = [], expecting peer: PeerID? = nil
) throws -> NoiseUpgrade {
    NoiseUpgrade(
        role: role,
        credentials: try NoiseCredentials(identity: identity, staticKey: PrivateKey(), streamMuxers: muxers),
        ephemeralKey: PrivateKey(), expectedPeer: peer)
}

/// Runs both sides; `change` may alter any framed message by its number.
private func run(
    _ initiator: NoiseUpgrade, _ responder: NoiseUpgrade, change: (Int, inout [UInt8]) -> Void = { _, _ in }
) throws -> (NoiseSession, NoiseSession) {
    var sides = [initiator, responder]
    var sessions: [NoiseSession?] = [nil, nil]
    var message = try sides[0].start()
    var number = 0
    var turn = 1
    while !message.isEmpty {
        change(number, &message)
        number += 1
        var buffer = ByteBuffer(bytes: message)
        message = []
        switch try sides[turn].received(&buffer) {
        case .needsMore: continue
        case .send(let bytes): message = bytes
        case .finished(let bytes, let session):
            message = bytes
            sessions[turn] = session
        }
        turn = 1 - turn
    }
    return (try #require(sessions[0]), try #require(sessions[1]))
}

private func transports() throws -> (NoiseTransport, NoiseTransport) {
    let (left, right) = try run(upgrade(.initiator, .generate()), upgrade(.responder, .generate()))
    return (left.transport, right.transport)
}

@Suite("Noise handshake")
struct NoiseHandshakeTests {
    @Test("Both sides learn who the other is and agree on the initiator's first common muxer")
    func identities() throws {
        let (alice, bob) = (Identity.generate(), Identity.generate())
        let (left, right) = try run(
            upgrade(.initiator, alice, muxers: ["/a", "/yamux/1.0.0", "/b"], expecting: bob.peerID),
            upgrade(.responder, bob, muxers: ["/b", "/yamux/1.0.0"]))
        #expect(left.remoteKey == bob.publicKey && right.remoteKey == alice.publicKey)
        #expect(left.muxer == "/yamux/1.0.0" && right.muxer == "/yamux/1.0.0")
    }

    @Test("Without an offer from both, no muxer is agreed on early")
    func noEarlyMuxer() throws {
        let (left, right) = try run(
            upgrade(.initiator, .generate(), muxers: ["/yamux/1.0.0"]), upgrade(.responder, .generate()))
        #expect(left.muxer == nil && right.muxer == nil)
    }

    @Test("Another peer than the one dialed is refused")
    func wrongPeer() throws {
        let (bob, eve) = (Identity.generate(), Identity.generate())
        #expect(throws: NoiseError.wrongPeer(expected: bob.peerID, actual: eve.peerID)) {
            try run(upgrade(.initiator, .generate(), expecting: bob.peerID), upgrade(.responder, eve))
        }
    }

    @Test("Every flipped bit of every handshake message is refused")
    func tampering() throws {
        let (alice, bob) = (Identity.generate(), Identity.generate())
        let lengths = [34, 2 + 32 + 48 + 16 + 104, 2 + 48 + 16 + 104]
        for number in 0..<3 {
            for bit in stride(from: 16, to: lengths[number] * 8, by: number == 0 ? 3 : 11) {
                #expect(throws: NoiseError.self, "message \(number) bit \(bit)") {
                    // The top bit of an X25519 point is ignored by the curve, but the transcript hash has it.
                    try run(upgrade(.initiator, alice), upgrade(.responder, bob)) { index, bytes in
                        if index == number { bytes[bit / 8] ^= 1 << UInt8(bit % 8) }
                    }
                }
            }
        }
    }

    @Test("Low-order points are refused")
    func lowOrder() throws {
        var points = [[UInt8](repeating: 0, count: 32), [1] + [UInt8](repeating: 0, count: 31)]
        // p - 1, p, p + 1 in little-endian, and the two points of order eight.
        for first in [0xEC, 0xED, 0xEE] as [UInt8] {
            points.append([first] + [UInt8](repeating: 0xFF, count: 30) + [0x7F])
        }
        points.append([
            0xE0, 0xEB, 0x7A, 0x7C, 0x3B, 0x41, 0xB8, 0xAE, 0x16, 0x56, 0xE3, 0xFA, 0xF1, 0x9F, 0xC4, 0x6A, 0xDA, 0x09,
            0x8D, 0xEB, 0x9C, 0x32, 0xB1, 0xFD, 0x86, 0x62, 0x05, 0x16, 0x5F, 0x49, 0xB8, 0x00,
        ])
        points.append([
            0x5F, 0x9C, 0x95, 0xBC, 0xA3, 0x50, 0x8C, 0x24, 0xB1, 0xD0, 0xB1, 0x55, 0x9C, 0x83, 0xEF, 0x5B, 0x04, 0x44,
            0x5C, 0xC4, 0x58, 0x1C, 0x8E, 0x86, 0xD8, 0x22, 0x4E, 0xDD, 0xD0, 0x9F, 0x11, 0x57,
        ])
        for point in points {
            var responder = try upgrade(.responder, .generate())
            var message = ByteBuffer(bytes: [0, 32] + point)
            #expect(throws: NoiseError.lowOrderPoint) { try responder.received(&message) }
            // And it stays refused.
            message = ByteBuffer(bytes: [0, 32] + point)
            #expect(throws: NoiseError.outOfTurn) { try responder.received(&message) }
        }
    }

    @Test("Each of 512 flipped bits of the identity signature is refused")
    func signatureBits() throws {
        let identity = Identity.generate()
        let staticKey = [UInt8](repeating: 9, count: 32)
        let payload = try NoisePayload.sign(staticKey: staticKey, with: identity, streamMuxers: [])
        #expect(try payload.verifiedKey(staticKey: staticKey) == identity.publicKey)
        for bit in 0..<512 {
            var changed = payload
            changed.identitySignature[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: NoiseError.invalidIdentitySignature) { try changed.verifiedKey(staticKey: staticKey) }
        }
        #expect(throws: NoiseError.invalidIdentitySignature) {
            try payload.verifiedKey(staticKey: [UInt8](repeating: 8, count: 32))
        }
    }

    @Test("Payloads without key or signature, with another key type, or with junk are refused")
    func payloads() throws {
        let identity = Identity.generate()
        var writer = ProtobufWriter()
        writer.bytes(1, identity.publicKey.protobuf)
        #expect(throws: NoiseError.malformedPayload) { try NoisePayload.decode(writer.bytes) }
        #expect(throws: NoiseError.malformedPayload) { try NoisePayload.decode([]) }
        #expect(throws: NoiseError.malformedPayload) { try NoisePayload.decode([0x0A, 0xFF, 0xFF]) }
        let rsa = NoisePayload(
            identityKey: [8, 0, 18, 4, 1, 2, 3, 4], identitySignature: [UInt8](repeating: 0, count: 64),
            streamMuxers: [])
        #expect(throws: NoiseError.unacceptableIdentityKey) { try rsa.verifiedKey(staticKey: []) }
        let many = NoisePayload(
            identityKey: [], identitySignature: [], streamMuxers: (0..<60).map { "/\($0)" })
        #expect(try NoisePayload.decode(many.encode()).streamMuxers.count == NoisePayload.muxersMax)
        let more = NoisePayload(identityKey: [], identitySignature: [], streamMuxers: (0..<65).map { "/\($0)" })
        #expect(throws: NoiseError.malformedPayload) { try NoisePayload.decode(more.encode()) }
    }

    @Test("Garbage and truncated handshakes are refused with the reason, or waited for")
    func garbage() throws {
        let seed = UInt64.random(in: 0...(.max))
        print("noise garbage seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var responder = try upgrade(.responder, .generate())
            var bytes = ByteBuffer(bytes: (0..<200).map { _ in UInt8.random(in: 0...255, using: &generator) })
            while let step = try? responder.received(&bytes) {
                if case .needsMore = step { break }
                if case .finished = step {
                    Issue.record("garbage finished a handshake, seed \(seed)")
                    break
                }
            }
        }
        var responder = try upgrade(.responder, .generate())
        var long = ByteBuffer(bytes: [0xFF, 0xFF])
        #expect(throws: NoiseError.handshakeMessageTooLong(byteCount: 65_535)) { try responder.received(&long) }
        var short = ByteBuffer(bytes: [0, 31] + [UInt8](repeating: 1, count: 31))
        #expect(throws: NoiseError.messageTooShort(byteCount: 31)) { try responder.received(&short) }
    }
}

@Suite("Noise transport")
struct NoiseTransportTests {
    @Test("Messages of every size class pass in pieces of any size")
    func pieces() throws {
        var (left, right) = try transports()
        var wire = ByteBuffer()
        var expected: [UInt8] = []
        for count in [0, 1, 100, 65_519, 3] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            expected += bytes
            try left.seal(ByteBuffer(bytes: bytes), into: &wire)
        }
        var opened = ByteBuffer()
        var generator = SeededGenerator(seed: 5)
        while wire.readableBytes > 0 {
            let count = min(wire.readableBytes, Int.random(in: 1...9_000, using: &generator))
            var piece = wire.readSlice(length: count) ?? ByteBuffer()
            while var message = try right.open(&piece) { opened.writeBuffer(&message) }
        }
        #expect(Array(opened.readableBytesView) == expected)
        #expect(!right.hasPartialMessage)
        #expect(throws: NoiseError.plaintextTooLong(byteCount: 65_520)) {
            try left.seal(ByteBuffer(repeating: 0, count: 65_520), into: &wire)
        }
    }

    @Test("Messages pass one byte at a time")
    func bytewise() throws {
        var (left, right) = try transports()
        var wire = ByteBuffer()
        for text in ["one", "two", "three"] { try left.seal(ByteBuffer(string: text), into: &wire) }
        var opened = ByteBuffer()
        while var byte = wire.readSlice(length: 1) {
            if var message = try right.open(&byte) { opened.writeBuffer(&message) }
        }
        #expect(String(buffer: opened) == "onetwothree")
    }

    @Test("Tampered, truncated, replayed and reordered messages are refused, and the nonce stays")
    func tampering() throws {
        let key = [UInt8](repeating: 3, count: 32)
        var sealer = NoiseCipher(keyBytes: key, nonce: 0)
        var (first, second) = (ByteBuffer(), ByteBuffer())
        try sealer.seal(ByteBuffer(string: "first"), into: &first)
        try sealer.seal(ByteBuffer(string: "second"), into: &second)
        var opener = NoiseCipher(keyBytes: key, nonce: 0)
        for bit in 0..<(first.readableBytes * 8) {
            var bytes = Array(first.readableBytesView)
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: NoiseError.decryptionFailed(nonce: 0)) {
                try opener.open(ByteBuffer(bytes: bytes))
            }
        }
        #expect(throws: NoiseError.decryptionFailed(nonce: 0)) { try opener.open(second) }
        #expect(throws: NoiseError.messageTooShort(byteCount: 15)) {
            try opener.open(try #require(first.getSlice(at: 0, length: 15)))
        }
        #expect(opener.nonce == 0)
        #expect(String(buffer: try opener.open(first)) == "first")
        #expect(throws: NoiseError.decryptionFailed(nonce: 1)) { try opener.open(first) }
    }

    @Test("The last nonce ends the cipher for good")
    func nonceExhaustion() throws {
        let key = [UInt8](repeating: 4, count: 32)
        var sealer = NoiseCipher(keyBytes: key, nonce: .max - 1)
        var opener = NoiseCipher(keyBytes: key, nonce: .max - 1)
        var sealed = ByteBuffer()
        try sealer.seal(ByteBuffer(string: "last"), into: &sealed)
        #expect(String(buffer: try opener.open(sealed)) == "last")
        for _ in 0..<2 {
            #expect(throws: NoiseError.nonceExhausted) { try sealer.seal(ByteBuffer(string: "more"), into: &sealed) }
            #expect(throws: NoiseError.nonceExhausted) { try opener.open(sealed) }
        }
    }
}
