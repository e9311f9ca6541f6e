import Bitswap
import Foundation
import IPLD
import Kademlia
import LibP2P
import MeshStore
import Multiformats
import NIOCore
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import Testing

@testable import PlanetaryMesh

/// Who has a file is found, after a restart and without the DHT, and a peer that stalls holds nobody else up.
@Suite("Files that are found", .serialized)
struct FoundFileTests {
    @Test("A file is found through the DHT again after its owner restarted, without being put again")
    func restartedOwner() async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let bytes = Array("found again".utf8)
        let path = folder.appendingPathComponent("owner").path
        let first = try await NodeMesh.open(path, try NodeMesh.loopback())
        let root = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await first.run() }
            let added = try await first.add(bytes)
            try await first.shutdown()
            try await group.waitForAll()
            return try CID(named: added.cid, "file")
        }
        // A mesh that has never heard of the file, and its owner that comes to it.
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            var configuration = try NodeMesh.loopback()
            let entrance = mesh.nodes[0]
            configuration.bootstrap = await entrance.swarm.listenAddresses().map {
                $0.withPeerID(entrance.identity.peerID)
            }
            let owner = try await NodeMesh.open(path, configuration, identity: first.identity)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await owner.run() }
                try await eventually("a third node finds the owner through the DHT") {
                    let providers = (try? await mesh.nodes[1].dht.findProviders(root, limit: 1)) ?? []
                    return providers.map(\.peerID) == [owner.identity.peerID]
                }
                #expect(try await mesh.nodes[1].get(root) == bytes)
                try await owner.shutdown()
                try await group.waitForAll()
            }
        }
    }

    @Test("A file of which the DHT knows nothing is had from a peer that is merely connected")
    func connectedPeer() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let bytes = [UInt8](repeating: 5, count: (1 << 20) + 1)
            let file = try UnixFSFile.blocks(of: bytes)
            // Not put, so nobody announces it.
            try await mesh.originator.store.commit(file.blocks.map { .block(cid: $0.cid, bytes: $0.bytes) })
            let owner = mesh.originator.identity.peerID
            try await eventually("the executor knows of the connection") {
                await mesh.nodes[0].swarm.connectedPeers().contains(owner)
            }
            #expect(try await mesh.nodes[0].get(file.root) == bytes)
        }
    }

    /// A swarm that speaks Bitswap by the hand of the test, connected to a node.
    private static func beside(
        _ node: MeshNode, _ serve: @escaping @Sendable (any PeerStream) async -> Void,
        _ body: (Swarm) async throws -> Void
    ) async throws {
        let peer = Swarm(
            configuration: SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]),
            identity: .generate(), logger: node.parts.logger)
        try await peer.listen()
        await peer.handle(BitswapService.protocolID, serve)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await peer.run() }
            defer { group.cancelAll() }
            try await node.swarm.connect(to: peer.localPeer, addresses: await peer.listenAddresses())
            try await eventually("the peer knows of the connection") {
                await peer.connectedPeers().contains(node.identity.peerID)
            }
            try await body(peer)
        }
    }

    @Test("A block that another caller waits for from a peer that stalls comes from the own peer, and is kept as asked")
    func stalledPeer() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (node, holder) = (mesh.nodes[0], mesh.originator)
            try await Self.beside(node) { stream in
                while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {}
            } _: { silent in
                let bytes = Array("held up".utf8)
                let cid = CID.hashing(bytes, codec: .raw)
                try await holder.store.commit([.block(cid: cid, bytes: bytes)])
                async let first = node.fetcher.block(cid, from: [silent.localPeer], keep: false)
                try await eventually("the silent peer is asked") { await node.bitswap.isAsking(silent.localPeer) }
                let found = try await node.fetcher.unkept(cid, from: [holder.identity.peerID], bytesMax: 99)
                #expect(found.bytes == bytes)
                #expect(try await first == bytes)
                #expect(try await !node.store.hasBlock(cid))
                let again = try await node.fetcher.block(cid, from: [holder.identity.peerID], keep: true)
                #expect(again == bytes)
                #expect(try await node.store.hasBlock(cid))
            }
        }
    }

    @Test("A peer that wants a block is told that it is not there, and is sent it when a user brings it")
    func laterBlock() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.nodes[0]
            let (messages, input) = AsyncStream.makeStream(of: BitswapMessage.self)
            try await Self.beside(node) { stream in
                while let frame = (try? await stream.readFrame(bytesMax: 9_999)) ?? nil,
                    let message = try? BitswapMessageCoding.decode(Array(frame.readableBytesView))
                {
                    input.yield(message)
                }
            } _: { peer in
                let bytes = Array("comes later".utf8)
                let cid = CID.hashing(bytes, codec: .raw)
                let stream = try await peer.openStream(
                    to: node.identity.peerID, protocols: [BitswapService.protocolID])
                let want = BitswapMessageCoding.encode(BitswapMessage(wants: [.init(cid: cid)]))
                try await stream.writeFrame(ByteBuffer(bytes: want))
                var answers = messages.makeAsyncIterator()
                #expect(await answers.next()?.presences == [.init(cid: cid, isPresent: false)])
                _ = try await node.add(bytes)
                #expect(await answers.next()?.blocks.map(\.data) == [bytes])
            }
        }
    }
}
