import Identify
import Multiformats
import NIOCore
import NIOPosix
import P2PTesting
import Testing

@testable import LibP2P

/// Limits of a swarm that a peer reaches without breaking any rule.
@Suite("Limits that peers reach", .timeLimit(.minutes(2)))
struct NamedLimitTests {
    @Test("Streams of identify and ping past their limits are reset, and counted under its name")
    func identifyAndPing() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.identifyStreamsPerPeerMax = 3
            $0.limits.pingStreamsPerPeerMax = 2
        } _: { swarms in
            let (client, server) = (swarms[0], swarms[1])
            let peer = try await client.dial(server.dialAddress())
            // A push that never says anything, and pings that never come: each holds its place.
            for (number, (protocolID, max)) in [(IdentifyMessage.pushProtocolID, 3), (Swarm.pingProtocolID, 2)]
                .enumerated()
            {
                var held: [any PeerStream] = []
                for _ in 0..<max { held.append(try await client.openStream(to: peer, protocols: [protocolID])) }
                #expect(server.counters()[.refusedStreamsOfProtocol] ?? 0 == number)
                let next = try? await client.openStream(to: peer, protocols: [protocolID])
                try await eventually("the next \(protocolID) is refused") {
                    server.counters()[.refusedStreamsOfProtocol] == number + 1
                }
                await next?.reset()
                for stream in held { await stream.reset() }
            }
            #expect(SwarmConfiguration.Limits().identifyStreamsPerPeerMax == 8)
        }
    }

    @Test("While a node takes no connections, the system's queue holds acceptQueueMax of them and no more")
    func acceptQueue() async throws {
        try await withSwarms(1) {
            $0.limits.waitForEver()
            // Accepting waits from the first.
            $0.limits.newHandshakesMax = 0
            $0.limits.acceptQueueMax = 3
        } _: { swarms in
            let components = try #require(await swarms[0].listenAddresses().first).components
            let port = try #require(
                components.compactMap { if case .tcp(let port) = $0 { port } else { nil } }.first)
            let connected = await withTaskGroup(of: (any Channel)?.self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                            .connectTimeout(.milliseconds(700)).connect(host: "127.0.0.1", port: Int(port)).get()
                    }
                }
                return await group.reduce(into: [any Channel]()) { if let channel = $1 { $0.append(channel) } }
            }
            // Linux lets one more in than it was told.
            #expect((1...4).contains(connected.count), "\(connected.count)")
            for channel in connected { try await channel.close() }
        }
    }

    @Test("Of addresses that others name as this node's, one look dials ownKeyDialsMax")
    func ownKeyDials() async throws {
        try await withSwarms(7) {
            $0.limits.waitForEver()
        } _: { swarms in
            var addresses: [Multiaddr] = []
            for swarm in swarms.dropFirst() { addresses.append(try #require(await swarm.listenAddresses().first)) }
            await swarms[0].lookForOwnKey(at: addresses)
            #expect(Swarm.ownKeyDialsMax == 4)
            #expect(swarms[0].counters()[.handshakeWrongPeer] == 4)
            // Where nobody had the key, it is not looked for again soon; so the others have their turn.
            await swarms[0].lookForOwnKey(at: addresses)
            #expect(swarms[0].counters()[.handshakeWrongPeer] == 6)
        }
    }
}
