import Crypto
import Determinism
import Multistream
import NIOCore
import Noise
import PeerIdentity
import Testing

@testable import LibP2P

@Suite("Connection upgrade, in memory")
struct ConnectionUpgradeTests {
    /// Runs both sides over wires cut into pieces of at most `piece` bytes.
    private func run(piece: Int) throws -> (ConnectionUpgrade.Upgraded, ConnectionUpgrade.Upgraded) {
        let identities = [Identity.generate(), Identity.generate()]
        var sides = [
            try ConnectionUpgrade(role: .dialer, identity: identities[0], expectedPeer: identities[1].peerID),
            try ConnectionUpgrade(role: .listener, identity: identities[1], expectedPeer: nil),
        ]
        var wires = [ByteBuffer(), try sides[0].start()]
        var upgraded: [ConnectionUpgrade.Upgraded?] = [nil, nil]
        while wires.contains(where: { $0.readableBytes > 0 }) {
            for side in 0...1 {
                guard let bytes = wires[side].readSlice(length: min(piece, wires[side].readableBytes)) else { continue }
                guard upgraded[side] == nil else { continue }
                var progress = try sides[side].received(bytes)
                wires[1 - side].writeBuffer(&progress.send)
                upgraded[side] = progress.upgraded
            }
        }
        let both = (try #require(upgraded[0]), try #require(upgraded[1]))
        #expect(both.0.remoteKey == identities[1].publicKey && both.1.remoteKey == identities[0].publicKey)
        return both
    }

    @Test("The upgrade works in pieces of any size, and the transport carries bytes", arguments: [1, 7, 100_000])
    func pieces(piece: Int) throws {
        var (dialer, listener) = try run(piece: piece)
        var wire = ByteBuffer()
        try dialer.transport.seal(ByteBuffer(string: "hello"), into: &wire)
        #expect(try listener.transport.open(&wire) == ByteBuffer(string: "hello"))
    }

    @Test("A peer without early muxer negotiation agrees by multistream, inside the encryption")
    func lateMuxer() throws {
        let identity = Identity.generate()
        var listener = try ConnectionUpgrade(role: .listener, identity: .generate(), expectedPeer: nil)
        var dialer = MultistreamDialer(protocols: ["/noise"])
        var noise = NoiseUpgrade(
            role: .initiator,
            credentials: try NoiseCredentials(identity: identity, staticKey: .init(), streamMuxers: []),
            ephemeralKey: .init(), expectedPeer: nil)
        var answer = try listener.received(ByteBuffer(bytes: dialer.start())).send
        #expect(try dialer.received(&answer) == .agreed("/noise"))
        answer = try listener.received(ByteBuffer(bytes: noise.start())).send
        guard case .finished(let last, var session) = try noise.received(&answer) else {
            Issue.record("the handshake goes on")
            return
        }
        #expect(session.muxer == nil)
        let waiting = try listener.received(ByteBuffer(bytes: last))
        #expect(waiting.upgraded == nil)
        var sealed = ByteBuffer()
        var muxer = MultistreamDialer(protocols: ["/mplex/6.7.0", "/yamux/1.0.0"])
        try session.transport.seal(ByteBuffer(bytes: muxer.start()), into: &sealed)
        answer = try listener.received(sealed).send
        var plain = try #require(try session.transport.open(&answer))
        guard case .send(let second) = try muxer.received(&plain) else {
            Issue.record("mplex was not refused")
            return
        }
        sealed.clear()
        try session.transport.seal(ByteBuffer(bytes: second + [0, 0]), into: &sealed)
        let done = try listener.received(sealed)
        #expect(done.upgraded?.leftover == ByteBuffer(bytes: [0, 0]))
    }

    @Test("Mutated handshakes end in an error or wait, never in a trap or an upgrade")
    func fuzz() throws {
        let seed = UInt64.random(in: 0...(.max))
        print("upgrade fuzz seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<60 {
            var dialer = try ConnectionUpgrade(role: .dialer, identity: .generate(), expectedPeer: nil)
            var listener = try ConnectionUpgrade(role: .listener, identity: .generate(), expectedPeer: nil)
            var bytes = try dialer.start()
            let place = Int.random(in: 0..<bytes.readableBytes, using: &generator)
            let old = bytes.getInteger(at: place, as: UInt8.self) ?? 0
            bytes.setInteger(old ^ UInt8.random(in: 1...255, using: &generator), at: place)
            guard let answer = try? listener.received(bytes) else { continue }
            guard let reply = try? dialer.received(answer.send) else { continue }
            #expect(reply.upgraded == nil, "seed \(seed)")
            if let end = try? listener.received(reply.send) { #expect(end.upgraded == nil, "seed \(seed)") }
        }
    }
}
