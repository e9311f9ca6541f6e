import Determinism
import Kademlia
import Multiformats
import P2PTesting
import Testing

@Suite("Kademlia messages")
struct KademliaMessageTests {
    private func sample(_ generator: inout SeededGenerator) -> KademliaMessage {
        func some(_ bytesMax: Int) -> [UInt8] {
            (0..<Int.random(in: 0...bytesMax, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
        }
        func peers() -> [PeerInfo] {
            (0..<Int.random(in: 0...20, using: &generator)).map { number in
                PeerInfo(
                    peerID: VirtualNetwork.randomPeer(&generator),
                    addresses: (0..<number % 4).map { VirtualNetwork.address($0) })
            }
        }
        let kind = KademliaMessage.Kind.allCases.randomElement(using: &generator) ?? .ping
        return KademliaMessage(
            kind: kind, key: some(128),
            record: Bool.random(using: &generator) ? .init(key: some(9), value: some(99)) : nil,
            closerPeers: peers(), providerPeers: peers())
    }

    @Test("Encoding and decoding give the same message back", arguments: [131, 132] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<60 {
            let message = sample(&generator)
            let decoded = try KademliaMessageCoding.decode(KademliaMessageCoding.encode(message))
            #expect(decoded == message, "seed \(seed)")
        }
    }

    @Test("Broken bytes are refused, or read within the limits, and never trap", arguments: [133, 134] as [UInt64])
    func fuzz(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let limits = KademliaMessageCoding.Limits()
        for _ in 0..<1_000 {
            let wire = generator.mutated(KademliaMessageCoding.encode(sample(&generator)), most: 6)
            guard let message = try? KademliaMessageCoding.decode(wire) else { continue }
            #expect(try KademliaMessageCoding.decode(KademliaMessageCoding.encode(message)) == message, "seed \(seed)")
            #expect(message.key.count <= limits.keyBytesMax)
            #expect(message.closerPeers.count <= limits.peersPerListMax)
            #expect(message.closerPeers.allSatisfy { $0.addresses.count <= limits.addressesPerPeerMax })
        }
    }

    @Test("Addresses lose a trailing peer ID, and those with two are left out, so that reading is stable")
    func addresses() throws {
        var generator = SeededGenerator(seed: 135)
        let peer = VirtualNetwork.randomPeer(&generator)
        let plain = Multiaddr([.ip4([127, 0, 0, 1]), .tcp(4001)])
        let relayed = Multiaddr([.ip4([127, 0, 0, 1]), .tcp(1), .p2p(peer), .p2pCircuit])
        var message = KademliaMessage(kind: .findNode, key: [1])
        message.closerPeers = [PeerInfo(peerID: peer, addresses: [plain.withPeerID(peer), relayed.withPeerID(peer)])]
        var wire = KademliaMessageCoding.encode(message)
        let decoded = try KademliaMessageCoding.decode(wire)
        #expect(decoded.closerPeers.map(\.addresses) == [[plain, relayed]])
        // As others may write it: two peers at the end.
        let double = Multiaddr(plain.components + [.p2p(peer), .p2p(peer)])
        var writer = ProtobufWriter()
        writer.varint(1, KademliaMessage.Kind.findNode.rawValue)
        writer.message(8) { nested in
            nested.bytes(1, peer.bytes)
            nested.bytes(2, double.bytes)
            nested.bytes(2, plain.bytes)
        }
        wire = writer.bytes
        let first = try KademliaMessageCoding.decode(wire)
        #expect(first.closerPeers.map(\.addresses) == [[plain]])
        #expect(try KademliaMessageCoding.decode(KademliaMessageCoding.encode(first)) == first)
    }

    @Test("The bytes are those of the specification")
    func wire() throws {
        let message = KademliaMessage(kind: .findNode, key: [1, 2, 3])
        #expect(KademliaMessageCoding.encode(message) == [0x08, 4, 0x12, 3, 1, 2, 3])
        let record = KademliaMessage(kind: .putValue, key: [9], record: KademliaRecord(key: [9], value: [8]))
        #expect(KademliaMessageCoding.encode(record) == [0x08, 0, 0x12, 1, 9, 0x1a, 6, 0x0a, 1, 9, 0x12, 1, 8])
        // proto3 leaves the kind out when it is zero; clusterLevelRaw (10) and connection (3) are read over.
        let short: [UInt8] = [0x12, 1, 9, 0x50, 1, 0x1a, 6, 0x0a, 1, 9, 0x12, 1, 8]
        #expect(try KademliaMessageCoding.decode(short) == record)
    }

    @Test("Past each limit there is an error of its name, or a shorter list")
    func limits() throws {
        func failure(_ bytes: [UInt8]) -> KademliaMessageError? {
            do {
                _ = try KademliaMessageCoding.decode(bytes)
                return nil
            } catch {
                return error
            }
        }
        #expect(failure(.init(repeating: 0, count: 256 * 1024 + 1)) == .messageTooLarge(bytesMax: 256 * 1024))
        #expect(failure([0x08, 6]) == .unknownKind(6))
        #expect(failure([0x10, 6]) == .wrongWireType(field: 2))
        #expect(failure([0x12, 5, 1]) == .malformed(.truncated))
        let longKey = KademliaMessage(kind: .findNode, key: .init(repeating: 1, count: 129))
        #expect(failure(KademliaMessageCoding.encode(longKey)) == .keyTooLong(bytesMax: 128))
        let longValue = KademliaRecord(key: [1], value: .init(repeating: 1, count: 66_561))
        #expect(
            failure(KademliaMessageCoding.encode(KademliaMessage(kind: .putValue, key: [1], record: longValue)))
                == .valueTooLong(bytesMax: 66_560))
        var flood = ProtobufWriter()
        for _ in 0..<3_000 { flood.bytes(8, []) }
        #expect(failure(flood.bytes) == .malformed(.tooManyFields(fieldsMax: 2_048)))

        var generator = SeededGenerator(seed: 135)
        let peers = (0..<100).map { _ in
            PeerInfo(
                peerID: VirtualNetwork.randomPeer(&generator), addresses: (0..<40).map { VirtualNetwork.address($0) })
        }
        var wide = KademliaMessageCoding.Limits()
        wide.peersPerListMax = 100
        wide.addressesPerPeerMax = 40
        let message = KademliaMessage(kind: .findNode, key: [1], closerPeers: peers)
        let decoded = try KademliaMessageCoding.decode(KademliaMessageCoding.encode(message, limits: wide))
        #expect(decoded.closerPeers.count == 32)
        #expect(decoded.closerPeers.allSatisfy { $0.addresses.count == 16 })
    }

    @Test("Unreadable peers and addresses are left out, the rest is kept")
    func unreadableParts() throws {
        var generator = SeededGenerator(seed: 136)
        let good = VirtualNetwork.randomPeer(&generator)
        var writer = ProtobufWriter()
        writer.varint(1, 4)
        writer.message(8) { $0.bytes(1, [1, 2, 3]) }
        writer.message(8) { nested in
            nested.bytes(1, good.bytes)
            nested.bytes(2, [0xff, 0xff, 0xff])
            nested.bytes(2, VirtualNetwork.address(3).withPeerID(good).bytes)
            // Past addressBytesMax, with the code and the length before it.
            nested.bytes(2, Multiaddr([.unix("/" + String(repeating: "a", count: 253))]).bytes)
            nested.varint(3, 1)
        }
        let decoded = try KademliaMessageCoding.decode(writer.bytes)
        #expect(decoded.closerPeers == [PeerInfo(peerID: good, addresses: [VirtualNetwork.address(3)])])
    }
}
