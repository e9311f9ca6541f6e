import Foundation
import LibP2P
import Logging
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import Synchronization
import Testing

@testable import PlanetaryMesh

/// What `mesh connect` says of peers whose answer to a ping is none.
@Suite("Connecting by command", .serialized)
struct ConnectTests {
    /// A peer that does with pings what `ping` says.
    private func meeting(
        _ ping: @escaping @Sendable (any PeerStream) async -> Void, _ body: (MeshNode, Swarm) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var configuration = SwarmConfiguration()
        configuration.listenAddresses = try NodeMesh.loopback().listen
        let peer = Swarm(configuration: configuration, identity: .generate(), logger: logger)
        await peer.handle(Swarm.pingProtocolID, ping)
        _ = try await peer.listen()
        let path = "/tmp/mn-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let node = try await NodeMesh.open(path, try NodeMesh.loopback())
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await peer.run() }
            defer { group.cancelAll() }
            try await NodeMesh.running([node]) { try await body(node, peer) }
        }
    }

    @Test("A peer that breaks every ping off and stays is connected; so is one of which the next ping comes back")
    func brokenPings() async throws {
        let count = CountedPings()
        try await meeting { stream in
            count.add()
            await stream.reset()
        } _: { node, peer in
            let place = try #require(await peer.listenAddresses().first)
            let view = try await node.connect(place)
            #expect(view.peerID == peer.localPeer.text && view.isConnected)
            #expect(view.connections?.count == 1)
            #expect(count.value >= 2)
        }
        let other = CountedPings()
        try await meeting { stream in
            // Only the second is sent back.
            guard other.add() > 1, let bytes = try? await stream.readExactly(Swarm.pingByteCount) else {
                return await stream.reset()
            }
            try? await stream.write(bytes)
        } _: { node, peer in
            let view = try await node.connect(try #require(await peer.listenAddresses().first))
            #expect(view.isConnected && other.value == 2)
        }
    }
}

/// How often a peer was pinged.
private final class CountedPings: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }

    @discardableResult
    func add() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}
