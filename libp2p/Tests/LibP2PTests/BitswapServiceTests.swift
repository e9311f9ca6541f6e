import Bitswap
import LibP2P
import Multiformats
import NIOCore
import P2PServices
import P2PTesting
import Testing

@Suite("Bitswap service")
struct BitswapServiceTests {
    private static let protocolID = "/ipfs/bitswap/1.2.0"

    private static func block(_ number: Int, bytes count: Int = 1_000) -> [UInt8] {
        var block = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: count)
        for (index, byte) in "\(number)".utf8.enumerated() where index < count { block[index] = byte }
        return block
    }

    @Test("A block of any size is fetched from the peer that has it, past those that do not")
    func fetches() async throws {
        try await ServiceTestNode.withNetwork(4) { nodes, _ in
            let peers = nodes.map(\.host.localPeer)
            for size in [0, 1, 100_000, 2 * 1024 * 1024] {
                let block = Self.block(7, bytes: size)
                let cid = nodes[3].blocks.add(block)
                let fetched = try await nodes[0].exchange.fetch(cid, from: [peers[1], peers[2], peers[3]])
                #expect(fetched == block)
            }
            #expect(await nodes[0].exchange.counters().blocksReceived == 4)
            #expect(await nodes[3].exchange.counters().blocksSent == 4)
        }
    }

    @Test("Eight nodes fetch 64 blocks from one another at once")
    func many() async throws {
        try await ServiceTestNode.withNetwork(8) { nodes, _ in
            let cids = (0..<64).map { nodes[$0 % 8].blocks.add(Self.block($0, bytes: 20_000)) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in nodes {
                    for (number, cid) in cids.enumerated() {
                        group.addTask {
                            let holder = nodes[number % 8].host.localPeer
                            let block = try await node.exchange.fetch(cid, from: [holder])
                            #expect(block == Self.block(number, bytes: 20_000))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("A block that is kept from a peer is missing for it, in either kind of want, and there for others")
    func kept() async throws {
        try await ServiceTestNode.withNetwork(3) { nodes, _ in
            let block = Self.block(9)
            let cid = nodes[2].blocks.add(block)
            nodes[2].blocks.keep(cid, from: nodes[0].host.localPeer)
            let holder = nodes[2].host.localPeer
            await #expect(throws: BlockFetchError.self) { try await nodes[0].exchange.fetch(cid, from: [holder]) }
            #expect(await nodes[2].blocks.hasBlock(cid, for: nodes[0].host.localPeer) == false)
            let fetched = try await nodes[1].exchange.fetch(cid, from: [holder])
            #expect(fetched == block)
        }
    }

    @Test("A block that nobody has, no peer and a block that is too large are different errors")
    func failures() async throws {
        try await ServiceTestNode.withNetwork(3) { nodes, _ in
            let peers = nodes.map(\.host.localPeer)
            let missing = CID.hashing(Array("missing".utf8), codec: .raw)
            let stranger = ServiceTestNode.peer(77)
            await #expect(
                throws: BlockFetchError.allPeersFailed([
                    peers[1]: .doesNotHave, stranger: .unreachable, peers[2]: .doesNotHave,
                ])
            ) {
                try await nodes[0].exchange.fetch(missing, from: [peers[1], stranger, peers[2]])
            }
            await #expect(throws: BlockFetchError.noPeers) {
                try await nodes[0].exchange.fetch(missing, from: [peers[0]])
            }
            let large = nodes[1].blocks.add(Self.block(1, bytes: 5_000))
            await #expect(throws: BlockFetchError.tooLarge(bytes: 5_000, bytesMax: 4_999)) {
                try await nodes[0].exchange.fetch(large, from: [peers[1]], maxBytes: 4_999)
            }
        }
    }

    @Test("A block that does not hash to its CID is refused and counted, and fetched from the next peer")
    func forgery() async throws {
        try await ServiceTestNode.withNetwork(2) { nodes, network in
            let block = Self.block(3)
            let cid = nodes[1].blocks.add(block)
            let forger = network.addHost(ServiceTestNode.peer(66))
            await forger.handle(Self.protocolID) { stream in
                // On the question's stream, as py-libp2p answers.
                let forged = BitswapMessage(blocks: [.init(prefix: [1, 0x55, 0x12, 0x20], data: [1, 2, 3])])
                while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {
                    try? await stream.writeFrame(ByteBuffer(bytes: BitswapMessageCoding.encode(forged)))
                }
            }
            let peers = [forger.localPeer, nodes[1].host.localPeer]
            let fetched = try await nodes[0].exchange.fetch(cid, from: peers)
            #expect(fetched == block)
            #expect(await nodes[0].exchange.counters().mismatchedBlocks == 1)
            await #expect(throws: BlockFetchError.allPeersFailed([forger.localPeer: .sentWrongBlock])) {
                try await nodes[0].exchange.fetch(
                    CID.hashing(Array("else".utf8), codec: .raw), from: [forger.localPeer])
            }
        }
    }

    @Test("Answers are accepted on the question's stream and on one that the server opens")
    func bothWays() async throws {
        try await ServiceTestNode.withNetwork(1) { nodes, network in
            let block = Self.block(4)
            let cid = CID.hashing(block, codec: .raw)
            let answer = BitswapMessage(blocks: [.init(prefix: [1, 0x55, 0x12, 0x20], data: block)])
            let wire = ByteBuffer(bytes: BitswapMessageCoding.encode(answer))
            let asker = nodes[0].host.localPeer
            let same = network.addHost(ServiceTestNode.peer(67))
            await same.handle(Self.protocolID) { stream in
                guard (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil else { return }
                try? await stream.writeFrame(wire)
                _ = try? await stream.readFrame(bytesMax: 9_999)
            }
            let fresh = network.addHost(ServiceTestNode.peer(68))
            await fresh.handle(Self.protocolID) { stream in
                guard (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil else { return }
                let back = try? await fresh.openStream(to: asker, protocols: [Self.protocolID])
                try? await back?.writeFrame(wire)
                try? await back?.closeWrite()
                _ = try? await back?.readFrame(bytesMax: 9_999)
                _ = try? await stream.readFrame(bytesMax: 9_999)
            }
            for server in [same.localPeer, fresh.localPeer] {
                let fetched = try await nodes[0].exchange.fetch(cid, from: [server])
                #expect(fetched == block)
            }
        }
    }

    @Test("Unasked blocks, large messages from strangers and broken ones are refused and counted")
    func unsolicited() async throws {
        try await ServiceTestNode.withNetwork(2) { nodes, _ in
            let target = nodes[1].host.localPeer
            let blocks = BitswapMessage(blocks: [.init(prefix: [1, 0x55, 0x12, 0x20], data: [1])])
            let stream = try await nodes[0].host.openStream(to: target, protocols: [Self.protocolID])
            try await stream.writeFrame(ByteBuffer(bytes: BitswapMessageCoding.encode(blocks)))
            try await stream.closeWrite()
            #expect(try await stream.readFrame(bytesMax: 9) == nil)
            #expect(await nodes[1].exchange.counters().unsolicitedBlocks == 1)

            let large = try await nodes[0].host.openStream(to: target, protocols: [Self.protocolID])
            try await large.write(ByteBuffer(bytes: Varint.encode(300 * 1024)))
            await #expect(throws: StreamError.reset) { try await large.readFrame(bytesMax: 9) }
            let broken = try await nodes[0].host.openStream(to: target, protocols: [Self.protocolID])
            try await broken.writeFrame(ByteBuffer(bytes: [0xff, 0xff, 0xff]))
            await #expect(throws: StreamError.reset) { try await broken.readFrame(bytesMax: 9) }
            #expect(await nodes[1].exchange.refusedMessages == 2)
        }
    }

    @Test("A stream past the limit for a peer is reset")
    func streamLimit() async throws {
        try await ServiceTestNode.withNetwork(2) { nodes, _ in
            var streams: [any PeerStream] = []
            for _ in 0..<5 {
                streams.append(
                    try await nodes[0].host.openStream(to: nodes[1].host.localPeer, protocols: [Self.protocolID]))
            }
            try await eventually("the fifth is refused") { await nodes[1].exchange.refusedMessages == 1 }
            await #expect(throws: StreamError.reset) { _ = try await streams[4].readFrame(bytesMax: 9) }
            for stream in streams { await stream.reset() }
        }
    }

    @Test("A want for a missing block is served when the block is added")
    func later() async throws {
        try await ServiceTestNode.withNetwork(2) { nodes, _ in
            let block = Self.block(5)
            let cid = CID.hashing(block, codec: .raw)
            let stream = try await nodes[0].host.openStream(
                to: nodes[1].host.localPeer, protocols: [Self.protocolID])
            let want = BitswapMessage(wants: [.init(cid: cid, sendDontHave: false)])
            try await stream.writeFrame(ByteBuffer(bytes: BitswapMessageCoding.encode(want)))
            try await stream.closeWrite()
            #expect(try await stream.readFrame(bytesMax: 9) == nil)
            nodes[1].blocks.add(block)
            await nodes[1].exchange.blocksAdded([cid])
            // The asker's service did not ask for it, so it drops and counts it, which shows that it arrived.
            try await eventually("the block arrives") { await nodes[0].exchange.counters().unsolicitedBlocks == 1 }
        }
    }

    @Test("A fetch ends with its time, its task or its connection")
    func ends() async throws {
        try await ServiceTestNode.withNetwork(1) { nodes, network in
            let silent = network.addHost(ServiceTestNode.peer(69))
            await silent.handle(Self.protocolID) { stream in
                while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {}
            }
            let cid = CID.hashing(Array("never".utf8), codec: .raw)
            await #expect(throws: BlockFetchError.timedOut) {
                try await nodes[0].exchange.fetch(cid, from: [silent.localPeer], timeout: .milliseconds(150))
            }
            await withTaskGroup(of: BlockFetchError?.self) { group in
                group.addTask {
                    do throws(BlockFetchError) {
                        _ = try await nodes[0].exchange.fetch(cid, from: [silent.localPeer])
                        return nil
                    } catch {
                        return error
                    }
                }
                group.cancelAll()
                for await error in group { #expect(error == .cancelled) }
            }
            async let lost = nodes[0].exchange.fetch(cid, from: [silent.localPeer])
            try await eventually("the question is out") { await nodes[0].exchange.isAsking(silent.localPeer) }
            network.disconnect(nodes[0].host.localPeer, silent.localPeer)
            do {
                _ = try await lost
                Issue.record("a block came from nowhere")
            } catch {
                #expect(error as? BlockFetchError == .allPeersFailed([silent.localPeer: .unreachable]))
            }
        }
    }
}
