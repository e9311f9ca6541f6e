import Kademlia
import LibP2P
import Multiformats
import NIOCore
import P2PServices
import P2PTesting
import Testing

@Suite("DHT service")
struct KademliaServiceTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("Twelve nodes: all get what one puts, find what one provides, and find each other")
    func works() async throws {
        try await ServiceTestNode.withNetwork(12) { nodes, _ in
            let key = Array("/text/a".utf8)
            let holders = try await nodes[1].dht.putValue(key: key, value: Array("ok a".utf8))
            #expect(holders.count == 11)
            let cid = CID.hashing(Array("block".utf8), codec: .raw)
            let told = try await nodes[2].dht.provide(cid)
            #expect(told.count == 11)
            for node in nodes {
                #expect(try await node.dht.getValue(key: key) == Array("ok a".utf8))
            }
            let addresses = await nodes[2].host.listenAddresses()
            let providers = try await nodes[9].dht.findProviders(cid, limit: 1)
            #expect(providers == [PeerInfo(peerID: nodes[2].host.localPeer, addresses: addresses)])
            for node in nodes.dropFirst(2) {
                let found = try await node.dht.findPeer(nodes[1].host.localPeer)
                #expect(await found == nodes[1].host.listenAddresses())
            }
        }
    }

    @Test("A forgery is refused where it is put and where it arrives, with the reason")
    func forgeries() async throws {
        try await ServiceTestNode.withNetwork(4) { nodes, _ in
            let key = Array("/text/f".utf8)
            await #expect(throws: KademliaFailure.recordRefused(.invalid("the value does not begin with ok"))) {
                try await nodes[1].dht.putValue(key: key, value: Array("forged".utf8))
            }
            await #expect(throws: KademliaFailure.recordRefused(.unknownNamespace)) {
                try await nodes[1].dht.putValue(key: Array("/x/f".utf8), value: Array("ok".utf8))
            }
            await #expect(throws: KademliaFailure.notFound(asked: 3)) {
                try await nodes[1].dht.getValue(key: key)
            }
            // A forgery written straight to the wire resets the stream, and nothing is stored.
            let stream = try await nodes[2].host.openStream(
                to: nodes[3].host.localPeer, protocols: ["/ipfs/kad/1.0.0"])
            let record = KademliaRecord(key: key, value: Array("forged".utf8))
            let message = KademliaMessage(kind: .putValue, key: key, record: record)
            try await stream.writeFrame(ByteBuffer(bytes: KademliaMessageCoding.encode(message)))
            await #expect(throws: StreamError.reset) { try await stream.readFrame(bytesMax: 1_024) }
            #expect(await nodes[3].dht.counters().requestsRefused == 1)
            #expect(await nodes[3].dht.refusedMessages == 1)
        }
    }

    @Test("A forgery that a server hands out is not returned, and the reason is told")
    func forgingServer() async throws {
        let network = InMemoryNetwork()
        let forger = network.addHost(ServiceTestNode.peer(99))
        await forger.handle("/ipfs/kad/1.0.0") { stream in
            while let bytes = try? await stream.readFrame(bytesMax: 9_999),
                let request = try? KademliaMessageCoding.decode(Array(bytes.readableBytesView))
            {
                let record = KademliaRecord(key: request.key, value: Array("forged".utf8))
                let answer = KademliaMessage(kind: request.kind, key: request.key, record: record)
                try? await stream.writeFrame(ByteBuffer(bytes: KademliaMessageCoding.encode(answer)))
            }
            try? await stream.closeWrite()
        }
        let node = ServiceTestNode(host: network.addHost(ServiceTestNode.peer(1)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await network.run() }
            group.addTask { await node.run() }
            try await eventually("the forger is known") {
                await node.dht.bootstrap([forger.address])
                return await !node.dht.routingTable().isEmpty
            }
            let reason = RecordRefusal.invalid("the value does not begin with ok")
            await #expect(throws: KademliaFailure.onlyInvalidRecords(count: 1, lastReason: reason)) {
                try await node.dht.getValue(key: Array("/text/f".utf8))
            }
            #expect(await node.dht.counters().invalidRecordsReceived == 1)
            group.cancelAll()
        }
    }

    @Test("Bytes that are no message, and messages that are too long, cost the peer its stream and are counted")
    func malformed() async throws {
        try await ServiceTestNode.withNetwork(2) { nodes, _ in
            let server = nodes[1].host.localPeer
            for frame in [[UInt8](repeating: 0xff, count: 20), [0x08, 77]] {
                let stream = try await nodes[0].host.openStream(to: server, protocols: ["/ipfs/kad/1.0.0"])
                try await stream.writeFrame(ByteBuffer(bytes: frame))
                await #expect(throws: StreamError.reset) { try await stream.readFrame(bytesMax: 1_024) }
            }
            #expect(await nodes[1].dht.refusedMessages == 2)
            let stream = try await nodes[0].host.openStream(to: server, protocols: ["/ipfs/kad/1.0.0"])
            try await stream.write(ByteBuffer(bytes: Varint.encode(1 << 40)))
            await #expect(throws: StreamError.reset) { try await stream.readFrame(bytesMax: 1_024) }
        }
    }

    @Test("Each request on a stream is answered, except ADD_PROVIDER")
    func severalPerStream() async throws {
        try await ServiceTestNode.withNetwork(3) { nodes, _ in
            let server = nodes[1].host.localPeer
            let stream = try await nodes[0].host.openStream(to: server, protocols: ["/ipfs/kad/1.0.0"])
            let cid = CID.hashing(Array("x".utf8), codec: .raw)
            let provider = PeerInfo(peerID: nodes[0].host.localPeer, addresses: await nodes[0].host.listenAddresses())
            let messages = [
                KademliaMessage(kind: .ping),
                KademliaMessage(kind: .addProvider, key: cid.multihash.bytes, providerPeers: [provider]),
                KademliaMessage(kind: .getProviders, key: cid.multihash.bytes),
            ]
            for message in messages {
                try await stream.writeFrame(ByteBuffer(bytes: KademliaMessageCoding.encode(message)))
            }
            var answers: [KademliaMessage] = []
            for _ in 0..<2 {
                let frame = try #require(try await stream.readFrame(bytesMax: 100_000))
                answers.append(try KademliaMessageCoding.decode(Array(frame.readableBytesView)))
            }
            #expect(answers[0] == KademliaMessage(kind: .ping))
            #expect(answers[1].providerPeers == [provider])
            try await stream.closeWrite()
            #expect(try await stream.readFrame(bytesMax: 1) == nil)
        }
    }

    @Test("A stream past the limit for a peer is reset")
    func streamLimit() async throws {
        try await ServiceTestNode.withNetwork(2) { nodes, _ in
            let server = nodes[1].host.localPeer
            let ping = ByteBuffer(bytes: KademliaMessageCoding.encode(KademliaMessage(kind: .ping)))
            var streams: [any PeerStream] = []
            var refused = 0
            for _ in 0..<20 {
                let stream = try await nodes[0].host.openStream(to: server, protocols: ["/ipfs/kad/1.0.0"])
                streams.append(stream)
                do {
                    try await stream.writeFrame(ping)
                    _ = try await stream.readFrame(bytesMax: 100)
                } catch {
                    #expect(error as? StreamError == .reset)
                    refused += 1
                }
            }
            // Streams that the services keep for each other hold some of the 16 places.
            #expect(refused >= 4)
            #expect(await nodes[1].dht.refusedMessages == refused)
            for stream in streams { await stream.reset() }
        }
    }

    @Test("Walks go around peers that are gone, and a caller may give up")
    func unreachable() async throws {
        try await ServiceTestNode.withNetwork(8) { nodes, network in
            let key = Array("/text/u".utf8)
            try await nodes[1].dht.putValue(key: key, value: Array("ok".utf8))
            for node in nodes[2..<5] { network.setReachable(node.host.localPeer, false) }
            #expect(try await nodes[7].dht.getValue(key: key) == Array("ok".utf8))
            let closest = try await nodes[7].dht.findClosest(key: key)
            #expect(Set(closest.map(\.peerID)).isDisjoint(with: nodes[2..<5].map(\.host.localPeer)))
            await withTaskGroup(of: KademliaFailure?.self) { group in
                group.addTask {
                    do throws(KademliaFailure) {
                        _ = try await nodes[7].dht.findClosest(key: Array("other".utf8))
                        return nil
                    } catch {
                        return error
                    }
                }
                group.cancelAll()
                for await failure in group { #expect(failure == .cancelled || failure == nil) }
            }
        }
    }

    @Test("A client asks and is not asked")
    func client() async throws {
        try await ServiceTestNode.withNetwork(4) { nodes, network in
            var configuration = KademliaConfiguration()
            configuration.mode = .client
            let client = ServiceTestNode(
                host: network.addHost(ServiceTestNode.peer(50)), configuration: configuration)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await client.run() }
                try await ServiceTestNode.join([nodes[0], client])
                try await client.dht.putValue(key: Array("/text/c".utf8), value: Array("ok".utf8))
                #expect(try await nodes[3].dht.getValue(key: Array("/text/c".utf8)) == Array("ok".utf8))
                await #expect(throws: OpenStreamError.protocolsNotSupported(["/ipfs/kad/1.0.0"])) {
                    _ = try await nodes[0].host.openStream(
                        to: client.host.localPeer, protocols: ["/ipfs/kad/1.0.0"])
                }
                for node in nodes {
                    #expect(await !node.dht.routingTable().contains { $0.peerID == client.host.localPeer })
                }
                group.cancelAll()
            }
        }
    }
}
