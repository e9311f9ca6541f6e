import Determinism
import Multiformats
import P2PTesting
import Testing

/// Random bytes and mutations of valid ones through every parser: refused, or read so that writing gives them back.
@Suite struct MutationTests {
    static let seed: UInt64 = 0x6D65_7368_0001

    /// Text that joins with what stands before it: accents, joiners, a tone mark, a flag's half.
    static let marks = [
        "\u{301}", "\u{200D}", "\u{FE0F}", "\u{1F1E6}", "e\u{301}", "\u{E9}", "\u{302E}", "\r\n",
    ].map { Array($0.utf8) }

    static let samples: [[UInt8]] = {
        let cid = CID.hashing([1, 2, 3], codec: .dagCBOR)
        let peer = PeerID(publicKeyProtobuf: [8, 1, 18, 32] + [UInt8](repeating: 5, count: 32))
        var protobuf = ProtobufWriter()
        protobuf.bytes(1, peer.bytes)
        protobuf.varint(2, 1 << 40)
        protobuf.message(3) { $0.text(1, "nested") }
        return [
            cid.bytes, CID.hashing([], codec: .dagJSON).bytes, peer.bytes, Multihash.identity(of: [1, 2]).bytes,
            Multiaddr([.ip4([1, 2, 3, 4]), .tcp(4001), .p2p(peer)]).bytes,
            Multiaddr([.dns4("example.org"), .udp(1), .quicV1, .p2p(peer), .p2pCircuit]).bytes,
            Multiaddr([.ip6([UInt8](repeating: 1, count: 16)), .tcp(1), .tls, .ws]).bytes, protobuf.bytes,
            Multiaddr([.dns("\u{301}a"), .tcp(1), .wss]).bytes, Multiaddr([.dnsaddr("e\u{301}.\u{E9}")]).bytes,
            Multiaddr([.dns6("\u{FE0F}\u{200D}"), .unix("/\u{301}x/\u{302E}")]).bytes,
        ]
    }()

    @Test func parsersOfBytes() throws {
        print("MutationTests.parsersOfBytes seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        var accepted = 0
        for round in 0..<20_000 {
            let bytes =
                round % 10 == 0
                ? generator.bytes(Int.random(in: 0...80, using: &generator))
                : generator.mutated(Self.samples[round % Self.samples.count], insertions: Self.marks)
            if let cid = try? CID(bytes: bytes) {
                accepted += 1
                #expect(try CID(parsing: cid.text) == cid)
                #expect(cid.version == .v0 || CID(codec: cid.codec, multihash: cid.multihash).bytes == bytes)
            }
            if let multihash = try? Multihash(bytes: bytes) { #expect(multihash.bytes == bytes) }
            if let peer = try? PeerID(bytes: bytes) {
                #expect(peer.bytes == bytes)
                #expect(try PeerID(parsing: peer.text) == peer)
            }
            if let address = try? Multiaddr(bytes: bytes) {
                accepted += 1
                #expect(Multiaddr(address.components).bytes == bytes)
                #expect(try Multiaddr(parsing: address.text).bytes == bytes, "\(bytes)")
            }
            if let (value, rest) = try? Varint.decode(bytes[...]) {
                #expect(Varint.encode(value) + rest == bytes)
            }
            var reader = ProtobufReader(bytes, maxFields: 64)
            while let field = try? reader.next() { #expect(field.number > 0) }
            for base in Multibase.Base.allCases {
                #expect(try Multibase.decode(Multibase.encode(bytes, base)) == bytes)
            }
        }
        #expect(accepted > 500)
    }

    @Test(
        arguments: [
            [54, 3, 0xCC, 0x81, 0x61], [0x90, 3, 4, 0x2F, 0xCC, 0x81, 0x61], [53, 2, 0xCC, 0x81, 6, 0, 1],
            [0x90, 3, 5, 0x2F, 0x61, 0x2F, 0xCC, 0x81],
        ] as [[UInt8]])
    func accentsBehindASlashComeBackAsTheyWere(bytes: [UInt8]) throws {
        let address = try Multiaddr(bytes: bytes)
        #expect(try Multiaddr(parsing: address.text).bytes == bytes)
        #expect(Array(try Multiaddr(parsing: address.text).text.utf8) == Array(address.text.utf8))
    }

    @Test func parsersOfText() throws {
        print("MutationTests.parsersOfText seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed ^ 1)
        let peer = try PeerID(bytes: Self.samples[2])
        let texts = [
            "/ip4/1.2.3.4/tcp/4001/p2p/\(peer)", "/ip6/::ffff:1.2.3.4/udp/1/quic-v1", "/dns/a.example/tcp/1/wss",
            CID.hashing([], codec: .raw).text, peer.text, peer.cid?.text ?? "", "/unix/run/x", "/ip6/1:2::8/tcp/0",
        ]
        for round in 0..<20_000 {
            let bytes = generator.mutated(Array(texts[round % texts.count].utf8), insertions: Self.marks)
            guard let text = String(validating: bytes, as: UTF8.self) else { continue }
            if let address = try? Multiaddr(parsing: text) {
                #expect(try Multiaddr(parsing: address.text) == address, "\(text)")
                #expect(try Multiaddr(bytes: address.bytes) == address, "\(text)")
                #expect(Array(try Multiaddr(bytes: address.bytes).text.utf8) == Array(address.text.utf8), "\(text)")
            }
            if let cid = try? CID(parsing: text) { #expect(try CID(bytes: cid.bytes) == cid) }
            if let peer = try? PeerID(parsing: text) { #expect(try PeerID(bytes: peer.bytes) == peer) }
            if let data = try? Base58.decode(text) { #expect(Base58.encode(data) == text) }
        }
    }
}
