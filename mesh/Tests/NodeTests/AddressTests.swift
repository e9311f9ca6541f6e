import Foundation
import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import NIOPosix
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import Synchronization
import Testing

@testable import PlanetaryMesh

/// Where a node lets strangers point it, and how it finds peers that are not where they were.
@Suite("Addresses of strangers", .serialized)
struct AddressTests {
    /// A TCP server that nobody is to be led to.
    private final class Decoy: Sendable {
        private let knocks = Mutex(0)
        var knockCount: Int { knocks.withLock { $0 } }

        func listen() async throws -> (channel: any Channel, address: Multiaddr) {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { [self] channel in
                    knocks.withLock { $0 += 1 }
                    return channel.close()
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let port = UInt16(try #require(channel.localAddress?.port))
            return (channel, Multiaddr([.ip4([127, 0, 0, 1]), .tcp(port)]))
        }
    }

    /// An executor that nobody can dial, an originator that names the decoy as its address, and a relay between them
    /// that runs no jobs; then how often the decoy was knocked at once the executor has failed to deliver its bids.
    private func knocks(executorAnnounces: [Multiaddr], jobs: Int) async throws -> Int {
        let decoy = Decoy()
        let (channel, address) = try await decoy.listen()
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        let relay = try await NodeMesh.open(folder.path + "/r", configuration)
        configuration.bootstrap = await relay.swarm.listenAddresses().map { $0.withPeerID(relay.identity.peerID) }
        var pointing = configuration
        pointing.announce = [address]
        pointing.listen = []
        let originator = try await NodeMesh.open(folder.path + "/o", pointing)
        configuration.executor.isEnabled = true
        configuration.announce = executorAnnounces
        let executor = try await NodeMesh.open(folder.path + "/e", configuration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in [relay, originator, executor] { group.addTask { try await node.run() } }
            for node in [originator, executor] {
                try await eventually { await node.gossip.peers(of: MeshTopics.jobAnnouncements).count == 1 }
            }
            let mesh = NodeMesh(nodes: [relay, executor, originator])
            for job in 0..<jobs { _ = try await mesh.submit(try Assembler.command("nop")) { $0.label = "\(job)" } }
            // Each bid that cannot be delivered is a peer looked for, or a dial refused.
            try await eventually {
                await executor.core.tallies["peers_looked_for", default: 0] >= jobs
            }
            for node in [relay, originator, executor] { try await node.shutdown() }
            try await group.waitForAll()
        }
        try await channel.close()
        return decoy.knockCount
    }

    @Test("A manifest does not lead a node of the open internet to its own machine")
    func decoy() async throws {
        let outside = try Multiaddr(parsing: "/ip4/203.0.113.7/tcp/4001")
        #expect(try await knocks(executorAnnounces: [outside], jobs: 4) == 0)
    }

    @Test("In a mesh on one machine the same address is dialed, and no more than twice a minute for all jobs")
    func loopback() async throws {
        let closed = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
        #expect(try await knocks(executorAnnounces: [closed], jobs: 4) == 2)
    }

    @Test("The originator measures its bidders, so that no bid is ranked as unmeasured")
    func latency() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            let job = try await mesh.submit(try Assembler.command("nop")) { $0.policy.sufficientBids = 2 }
            #expect(try await mesh.result(of: job).ending == .succeeded)
            let lines = try await mesh.originator.explain(job).lines.map(\.text)
            let ranking = try #require(lines.first { $0.contains("latency ") })
            #expect(!ranking.contains("latency 0"), "\(ranking)")
        }
    }
}
