import Multiformats
import NIOCore
import PeerIdentity
import Testing

@testable import LibP2P

@Suite("Swarm over loopback", .timeLimit(.minutes(1)))
struct SwarmTests {
    @Test("Two nodes connect, know each other's identity, and ping")
    func connectAndPing() async throws {
        try await withSwarms(2) { swarms in
            let events = await swarms[0].peerEvents()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            #expect(peer == swarms[1].localPeer)
            let identified = await firstEvent(events) { if case .identified = $0 { true } else { false } }
            guard case .identified(peer, let protocols, let addresses)? = identified else {
                Issue.record("not identified: \(String(describing: identified))")
                return
            }
            #expect(protocols == ["/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0"])
            #expect(addresses == (await swarms[1].listenAddresses()))
            #expect(try await swarms[0].ping(peer) > .zero)
            #expect(try await swarms[1].ping(swarms[0].localPeer) > .zero)
            #expect(await swarms[1].connectedPeers() == [swarms[0].localPeer])
        }
    }

    @Test("A stream echoes a megabyte with half-close")
    func echo() async throws {
        try await withSwarms(2) { swarms in
            await swarms[1].echo()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let stream = try await swarms[0].openStream(to: peer, protocols: ["/none/1.0.0", "/echo/1.0.0"])
            #expect(stream.protocolID == "/echo/1.0.0")
            let bytes = ByteBuffer(bytes: (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) })
            async let writing: Void = {
                try await stream.write(bytes)
                try await stream.closeWrite()
            }()
            let back = try await stream.readExactly(1_000_000)
            try await writing
            #expect(back == bytes)
            #expect(try await stream.read() == nil)
        }
    }
}
