import Multiformats
import NIOCore
import P2PTesting
import PeerIdentity
import Synchronization
import Testing

@testable import LibP2P

/// What remains of a closed connection.
@Suite("Closed connections")
struct ConnectionLifeTests {
    private struct Ended: Sendable {
        weak var context: SwarmContext?
    }

    /// Keeps connections only weakly.
    private final class Watched: Sendable {
        private struct Weakly: Sendable {
            weak let connection: Connection?
        }

        private let connections = Mutex<[Weakly]>([])

        func add(_ connection: Connection) {
            connections.withLock { $0.append(Weakly(connection: connection)) }
        }

        var count: Int { connections.withLock { $0.count } }
        var alive: Int { connections.withLock { connections in connections.count { $0.connection != nil } } }
    }

    @Test("Closed connections leave no memory on either side, with streams or without", .timeLimit(.minutes(5)))
    func nothing() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
        } _: { swarms in
            await swarms[1].echo()
            let watched = Watched()
            for round in 0..<20 {
                let peer = try await swarms[0].dial(swarms[1].dialAddress())
                try await eventually { swarms[1].isConnected(swarms[0].localPeer) }
                for (swarm, other) in [(swarms[0], peer), (swarms[1], swarms[0].localPeer)] {
                    watched.add(try #require(swarm.shared.withRegistry { $0.connection(to: other) }))
                }
                if round % 2 == 0 {
                    let stream = try await swarms[0].openStream(to: peer, protocols: ["/echo/1.0.0"])
                    try await stream.write(ByteBuffer(string: "hello"))
                    #expect(try await stream.readExactly(5) == ByteBuffer(string: "hello"))
                    if round % 4 == 0 { try await stream.closeWrite() }
                }
                await swarms[round % 3 == 0 ? 1 : 0].disconnect(round % 3 == 0 ? swarms[0].localPeer : peer)
                try await eventually { !swarms[1].isConnected(swarms[0].localPeer) && !swarms[0].isConnected(peer) }
            }
            #expect(watched.count == 40)
            try await eventually { watched.alive == 0 }
        }
    }

    @Test("A swarm that has ended releases its handlers, which hold the swarm", .timeLimit(.minutes(5)))
    func swarms() async throws {
        let watched = Mutex(Ended())
        try await withSwarms(1) { swarms in
            let swarm = swarms[0]
            watched.withLock { $0.context = swarm.shared }
            await swarm.handle("/self/1.0.0") { _ in _ = swarm.localPeer }
        }
        try await eventually { watched.withLock { $0.context == nil } }
    }
}
