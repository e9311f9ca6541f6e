import Bitswap
import Kademlia
import LibP2P
import Multiformats
import P2PServices
import Testing

@Suite("DHT and Bitswap over TCP, Noise and Yamux on loopback")
struct ServicesOverLoopbackTests {
    @Test("Eight nodes put and get, provide and find, find a peer, and refuse a forgery", .timeLimit(.minutes(1)))
    func dht() async throws {
        try await ServiceTestNode.withLoopback(8) { nodes in
            let key = Array("/text/loopback".utf8)
            let value = Array("ok".utf8) + [UInt8](repeating: 9, count: 60_000)
            let holders = try await nodes[1].dht.putValue(key: key, value: value)
            #expect(holders.count == 7)
            for node in nodes {
                let found = try await node.dht.getValue(key: key)
                #expect(found == value)
            }
            let cid = CID.hashing(Array("provided".utf8), codec: .raw)
            try await nodes[2].dht.provide(cid)
            let providers = try await nodes[5].dht.findProviders(cid, limit: 1)
            #expect(providers.map(\.peerID) == [nodes[2].host.localPeer])
            #expect(await providers.first?.addresses == nodes[2].host.listenAddresses())
            let addresses = try await nodes[3].dht.findPeer(nodes[6].host.localPeer)
            #expect(await addresses == nodes[6].host.listenAddresses())
            let reason = RecordRefusal.invalid("the value does not begin with ok")
            await #expect(throws: KademliaFailure.recordRefused(reason)) {
                try await nodes[4].dht.putValue(key: key, value: Array("forged".utf8))
            }
        }
    }

    @Test("Blocks of all sizes arrive from a provider found in the DHT", .timeLimit(.minutes(1)))
    func blocks() async throws {
        try await ServiceTestNode.withLoopback(4) { nodes in
            for size in [0, 1, 65_536, 1_000_000, 2 * 1024 * 1024] {
                let block = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
                let cid = nodes[3].blocks.add(block)
                try await nodes[3].dht.provide(cid)
                let providers = try await nodes[1].dht.findProviders(cid, limit: 1)
                let fetched = try await nodes[1].exchange.fetch(cid, from: providers)
                #expect(fetched == block)
            }
            let missing = CID.hashing(Array("missing".utf8), codec: .raw)
            let holder = nodes[3].host.localPeer
            await #expect(throws: BlockFetchError.allPeersFailed([holder: .doesNotHave])) {
                try await nodes[1].exchange.fetch(missing, from: [holder])
            }
        }
    }

    @Test("Ten blocks of 1 MB arrive at once", .timeLimit(.minutes(1)))
    func manyBlocks() async throws {
        try await ServiceTestNode.withLoopback(2) { nodes in
            let blocks = (0..<10).map { number in [UInt8](repeating: UInt8(number), count: 1_000_000) }
            let cids = blocks.map { nodes[1].blocks.add($0) }
            let holder = nodes[1].host.localPeer
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (cid, block) in zip(cids, blocks) {
                    group.addTask {
                        let fetched = try await nodes[0].exchange.fetch(cid, from: [holder])
                        #expect(fetched == block)
                    }
                }
                try await group.waitForAll()
            }
            #expect(await nodes[0].exchange.counters().bytesReceived == 10_000_000)
        }
    }
}
