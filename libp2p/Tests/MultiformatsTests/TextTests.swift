import Multiformats
import Testing

@Suite struct TextTests {
    @Test func varintErrorsSayWhetherMoreBytesWouldHelp() {
        #expect(throws: VarintError.truncated) { try Varint.decode([0x80, 0x80]) }
        #expect(throws: VarintError.notMinimal) { try Varint.decode([0x80, 0x00]) }
        #expect(throws: VarintError.tooLong) { try Varint.decode([UInt8](repeating: 0x80, count: 9)[...]) }
        #expect(Varint.decode(exactly: [0xAC, 0x02]) == 300)
        #expect(Varint.decode(exactly: [0xAC, 0x02, 0]) == nil)
        for shift in 0..<63 {
            let value = UInt64(1) << UInt64(shift)
            #expect(Varint.encodedCount(value) == Varint.encode(value).count)
            #expect(Varint.encodedCount(value - 1) == Varint.encode(value - 1).count)
        }
    }

    @Test func radixTextsAreBounded() throws {
        let bound = String(repeating: "1", count: 1024)
        #expect(try Base58.decode(bound).count == 1024)
        #expect(throws: MultibaseError.tooLong(charactersMax: 1024)) { try Base58.decode(bound + "1") }
        #expect(throws: MultibaseError.tooLong(charactersMax: 1024)) { try Multibase.decode("k0" + bound) }
        #expect(throws: CIDError.textTooLong(charactersMax: 4096)) {
            try CID(parsing: String(repeating: "b", count: 4097))
        }
    }

    @Test func textIsCutBetweenCharactersByItsBytes() {
        #expect("abc".cut(bytesMax: 3) == "abc" && "abc".cut(bytesMax: 2) == "ab")
        #expect("abc".cut(bytesMax: 0).isEmpty && "abc".cut(bytesMax: -1).isEmpty && "".cut(bytesMax: 5).isEmpty)
        for (text, cuts) in [("aé", [1, 1, 3]), ("€", [0, 0, 3]), ("𐅑", [0, 0, 0, 4]), ("e\u{301}", [1, 1, 3])] {
            for (index, count) in cuts.enumerated() {
                #expect(text.cut(bytesMax: index + 1).utf8.count == count, "\(text) at \(index + 1)")
            }
        }
        let letter = "e" + String(repeating: "\u{301}", count: 1 << 20)
        #expect(letter.cut(bytesMax: 64).utf8.count == 63)
        #expect(letter.prefix(64).utf8.count == letter.utf8.count, "a cut by letters takes all of it")
    }

    @Test func errorsSayWhere() {
        #expect(throws: MultibaseError.invalidCharacter(offset: 2)) { try Base58.decode("ab0c") }
        #expect(throws: MultibaseError.unknownBase(prefix: UInt8(ascii: "!"))) { try Multibase.decode("!") }
        #expect(throws: MultibaseError.nonZeroTrailingBits) { try Multibase.decode("bab") }
        #expect(throws: MultibaseError.wrongPadding) { try Multibase.decode("MZg") }
        #expect(throws: MultibaseError.invalidLength(characters: 1)) { try Multibase.decode("f0") }
        #expect(throws: CIDError.unsupportedVersion(2)) { try CID(bytes: [2, 0x55, 0x12, 0]) }
        #expect(throws: CIDError.empty) { try CID(bytes: []) }
        #expect(throws: CIDError.malformedMultihash(.lengthMismatch(declared: 2, actual: 1))) {
            try CID(bytes: [1, 0x55, 0x12, 2, 0])
        }
        #expect(throws: MultihashError.digestTooLong(bytesMax: 1024)) { try Multihash(bytes: [0x00, 0x81, 0x08]) }
    }

    @Test func cidsOfOneDigestAreApart() throws {
        let block = Array("block".utf8)
        let raw = CID.hashing(block, codec: .raw)
        let others = [
            CID.hashing(block, codec: .dagCBOR), CID.hashing(block, codec: .dagPB), CID.hashing(block, codec: .dagJSON),
        ]
        for other in others {
            #expect(other != raw)
            #expect(other.multihash == raw.multihash)
            #expect(other.matches(block))
        }
        #expect(others.map(\.namesEvidence) == [true, false, false])
        #expect(others.map(\.namesMeshContent) == [true, true, false])
        let version0 = try CID(bytes: raw.multihash.bytes)
        #expect(version0.version == .v0 && version0.codec == .dagPB && !version0.namesMeshContent)
        #expect(version0.matches(block))
        #expect(version0.text.hasPrefix("Qm"))
        let identity = CID(codec: .raw, multihash: .identity(of: block))
        #expect(identity.matches(block) && !identity.namesMeshContent && !identity.matches([]))
        let short = CID(
            codec: .raw, multihash: Multihash(code: Multihash.sha256Code, digest: Array(raw.multihash.digest[..<20])))
        #expect(!short.matches(block) && !short.namesMeshContent)
    }

    /// Every version, codec, hash and digest length that evidence may not have.
    @Test func onlyOneFormOfCIDIsEvidence() throws {
        var refused = 0
        var accepted = 0
        for codec in [0x00, 0x51, 0x55, 0x70, 0x71, 0x72, 0x78, 0x85, 0x0129, 0x0202, 0xB201] as [UInt64] {
            for code in [0x00, 0x11, 0x12, 0x13, 0x14, 0x16, 0x1E, 0x1B, 0x22, 0xB220, 0xB240] as [UInt64] {
                for length in [0, 1, 16, 20, 28, 31, 32, 33, 48, 64] {
                    let multihash = Multihash(code: code, digest: [UInt8](repeating: 7, count: length))
                    let cid = try CID(bytes: CID(codec: .init(rawValue: codec), multihash: multihash).bytes)
                    #expect(cid.codec.rawValue == codec && cid.multihash == multihash)
                    let mayBe = (codec == 0x55 || codec == 0x71) && code == 0x12 && length == 32
                    #expect(cid.namesEvidence == mayBe)
                    if cid.namesEvidence { accepted += 1 } else { refused += 1 }
                }
            }
        }
        #expect(accepted == 2)
        #expect(refused >= 1000)
    }

    @Test func multiaddrParts() throws {
        let text = "/ip4/10.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
        let address = try Multiaddr(parsing: text)
        let peer = try #require(address.peerID)
        #expect(address.withoutPeerID().text == "/ip4/10.0.0.1/tcp/4001")
        #expect(address.withoutPeerID().withPeerID(peer) == address)
        #expect(address.withPeerID(peer) == address)
        #expect(Multiaddr([.ip4([10, 0, 0, 1]), .tcp(4001), .p2p(peer)]) == address)
        #expect(try Multiaddr(parsing: "/unix/run/mesh.sock").components == [.unix("/run/mesh.sock")])
        #expect(try Multiaddr(parsing: "/ip4/1.2.3.4").peerID == nil)
        #expect(throws: MultiaddrError.missingValue("tcp")) { try Multiaddr(parsing: "/ip4/1.2.3.4/tcp") }
        #expect(throws: MultiaddrError.invalidValue("ip4")) { try Multiaddr(parsing: "/ip4/1.2.3/tcp/1") }
        #expect(throws: MultiaddrError.unknownProtocolName(component: 1)) { try Multiaddr(parsing: "/onion/x") }
        #expect(throws: MultiaddrError.unknownProtocolCode(99)) { try Multiaddr(bytes: [99]) }
        #expect(throws: MultiaddrError.invalidValue("dns")) { try Multiaddr(bytes: [53, 3, 0x61, 0x2F, 0x62]) }
        let many = String(repeating: "/ws", count: 16)
        #expect(try Multiaddr(parsing: many).components.count == 16)
        #expect(throws: MultiaddrError.tooManyComponents(componentsMax: 16)) { try Multiaddr(parsing: many + "/ws") }
        let path = "/unix/" + String(repeating: "a", count: 1200)
        #expect(throws: MultiaddrError.tooLong(bytesMax: 1024)) { try Multiaddr(parsing: path) }
        #expect(throws: MultiaddrError.tooLong(bytesMax: 1024)) {
            try Multiaddr(bytes: [UInt8](repeating: 0, count: 1025))
        }
        let name = String(repeating: "a", count: 253)
        #expect(try Multiaddr(parsing: "/dns/\(name)").text == "/dns/\(name)")
        #expect(throws: MultiaddrError.invalidValue("dns")) { try Multiaddr(parsing: "/dns/\(name)a") }
        #expect(try PeerID(bytes: [0, 42] + [UInt8](repeating: 1, count: 42)).bytes.count == 44)
        #expect(throws: PeerIDError.inlineKeyTooLong(bytesMax: 42)) {
            try PeerID(bytes: [0, 43] + [UInt8](repeating: 1, count: 43))
        }
    }

    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:1:0:0:0:0:1", "0:0:1::1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("2001:DB8::A", "2001:db8::a"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ])
    func ipv6(_ text: String, _ canonical: String) throws {
        #expect(try Multiaddr(parsing: "/ip6/\(text)").text == "/ip6/\(canonical)")
    }

    @Test(arguments: [
        ":", ":::", "1", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::", "g::", "12345::", "::1%0",
        "1::2::3", ":1:2:3:4:5:6:7:8", "::1:",
    ])
    func notIPv6(_ text: String) {
        #expect(throws: MultiaddrError.invalidValue("ip6")) { try Multiaddr(parsing: "/ip6/\(text)") }
    }
}
