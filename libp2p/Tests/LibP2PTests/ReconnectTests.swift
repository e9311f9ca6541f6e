import GossipSub
import Identify
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import PeerIdentity
import Peers
import Testing

@testable import LibP2P
@testable import P2PServices

/// Peers that die unseen, come back elsewhere, or move: what belongs to a connection ends with it.
@Suite("Connections that die unseen", .timeLimit(.minutes(2)))
struct ReconnectTests {
    /// No keep-alive interferes: only the probe finds dead connections.
    @Sendable private static func unwatched(_ configuration: inout SwarmConfiguration) {
        configuration.limits.waitForEver()
        configuration.limits.probeTimeoutMilliseconds = 200
    }

    private func port(of swarm: Swarm) async throws -> UInt16 {
        guard case .tcp(let port)? = try #require(await swarm.listenAddresses().first).components.last else { return 0 }
        return port
    }

    @Test("A new connection makes the node probe the old one; a dead one goes, and streams use the new one at once")
    func replaced() async throws {
        try await withSwarms(2, configure: Self.unwatched) { swarms in
            let (near, far) = (swarms[0], swarms[1])
            await far.echo()
            let proxy = SilentProxy()
            let address = try await proxy.listen(before: try await port(of: far))
            let peer = try await near.dial(address.withPeerID(far.localPeer))
            try await eventually { await near.protocols(of: peer).contains("/echo/1.0.0") }
            let old = try #require(near.shared.withRegistry { $0.connection(to: peer) })
            try await proxy.fallSilent()
            let events = await near.peerEvents()
            // The peer does not know either that the old connection is dead, so it dials as if it had just started.
            let back = Multiaddr([.ip4([127, 0, 0, 1]), .tcp(try await port(of: near))])
            guard case .success = await far.transport.dial(back, expecting: near.localPeer) else {
                Issue.record("the second connection does not stand")
                return
            }
            try await eventually { near.counters()[.connectionsOpened] == 2 }
            let stream = try await near.openStream(to: peer, protocols: ["/echo/1.0.0"])
            try await stream.write(ByteBuffer(string: "again"))
            #expect(try await stream.readExactly(5) == ByteBuffer(string: "again"))
            try await eventually { near.counters()[.keepAliveTimedOut] == 1 }
            try await eventually { near.shared.withRegistry { $0.connections(to: peer).count } == 1 }
            #expect(near.shared.withRegistry { $0.connection(to: peer) } !== old)
            // The second connection was identified, and the peer never counted as gone.
            let first = await firstEvent(events) { _ in true }
            guard case .identified(peer, _, _)? = first else {
                Issue.record("the first event is \(String(describing: first))")
                return
            }
            try await proxy.close()
        }
    }

    @Test("A live connection survives the probe, and its streams go on")
    func survives() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
        } _: { swarms in
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let old = try #require(swarms[0].shared.withRegistry { $0.connection(to: peer) })
            let address = try await swarms[0].dialAddress().withoutPeerID()
            guard case .success = await swarms[1].transport.dial(address, expecting: swarms[0].localPeer) else {
                Issue.record("the second connection does not stand")
                return
            }
            try await eventually { swarms[0].shared.withRegistry { $0.connections(to: peer).count } == 2 }
            try await eventually { !swarms[0].shared.withRegistry { $0.isDoubted(old) } }
            #expect(swarms[0].shared.withRegistry { $0.connection(to: peer) } === old)
            #expect(await old.isAlive())
            #expect(swarms[0].counters()[.keepAliveTimedOut] == nil)
        }
    }

    @Test("Every connection is identified, and what it says holds for it alone")
    func identified() async throws {
        // Both connections live, so neither may be taken for dead, however busy the machine is.
        try await withSwarms(2) {
            $0.limits.waitForEver()
        } _: { swarms in
            let (near, far) = (swarms[0], swarms[1])
            let peer = try await near.dial(far.dialAddress())
            try await eventually { await !near.protocols(of: peer).isEmpty }
            // Like a restart with other services: the old connection does not learn of them.
            far.shared.register("/late/1.0.0") { stream, _ in await stream.reset() }
            let back = try await near.dialAddress().withoutPeerID()
            guard case .success = await far.transport.dial(back, expecting: near.localPeer) else {
                Issue.record("the second connection does not stand")
                return
            }
            try await eventually {
                near.shared.withRegistry { $0.connections(to: peer) }.map { $0.protocols.contains("/late/1.0.0") }
                    == [false, true]
            }
        }
    }

    @Test("Dialing a peer whose connection is dead opens a new one")
    func dialsAgain() async throws {
        try await withSwarms(2, configure: Self.unwatched) { swarms in
            let proxy = SilentProxy()
            let address = try await proxy.listen(before: try await port(of: swarms[1]))
            let peer = try await swarms[0].dial(address.withPeerID(swarms[1].localPeer))
            for swarm in swarms {
                let other = swarm.localPeer == peer ? swarms[0].localPeer : peer
                try await eventually { await !swarm.protocols(of: other).isEmpty }
            }
            try await proxy.fallSilent()
            #expect(try await swarms[0].dial(swarms[1].dialAddress()) == peer)
            #expect(swarms[0].counters()[.keepAliveTimedOut] == 1)
            #expect(try await swarms[0].ping(peer) > .zero)
            try await proxy.close()
        }
    }

    @Test("Gossip greets again on a new connection, and messages pass both ways")
    func gossips() async throws {
        try await withSwarms(2, configure: Self.unwatched) { swarms in
            var logger = Logger(label: "gossip-test")
            logger.logLevel = .critical
            let services = swarms.map { swarm in
                GossipService(
                    host: swarm, parameters: GossipFixture.quick, identity: swarm.shared.identity, logger: logger)
            }
            let proxy = SilentProxy()
            let address = try await proxy.listen(before: try await port(of: swarms[1]))
            try await beside(services.map { service in { @Sendable in await service.run() } }) {
                for service in services { _ = try await service.subscribe("t") { _ in .accept } }
                _ = try await swarms[0].dial(address.withPeerID(swarms[1].localPeer))
                for service in services { try await eventually { await service.meshPeers("t").count == 1 } }
                try await proxy.fallSilent()
                guard
                    case .success = await swarms[1].transport.dial(
                        try await swarms[0].dialAddress().withoutPeerID(), expecting: swarms[0].localPeer)
                else {
                    Issue.record("the second connection does not stand")
                    return
                }
                for swarm in swarms { try await eventually { swarm.counters()[.keepAliveTimedOut] == 1 } }
                for (sender, receiver) in [(services[0], services[1]), (services[1], services[0])] {
                    // What is published before the greeting is lost with the old stream.
                    try await eventually {
                        try await sender.publish([1, 2, 3], topic: "t")
                        return await receiver.counters.messagesDelivered > 0
                    }
                }
            }
            try await proxy.close()
        }
    }

    @Test("A node that moves tells its peers, and never names an unspecified or mapped address")
    func moves() async throws {
        let interfaces = NIOLockedValueBox<[Multiaddr.Component]>([
            .ip4([127, 0, 0, 1]), .ip4([0, 0, 0, 0]), .ip6([UInt8](repeating: 0, count: 10) + [255, 255, 0, 0, 0, 0]),
        ])
        try await withSwarms(1) { swarms in
            var configuration = SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/0.0.0.0/tcp/0")])
            configuration.limits.addressRefreshMilliseconds = 10
            let mover = Swarm(
                configuration: configuration, identity: .generate(), logger: Logger(label: "test"),
                interfaces: { interfaces.withLockedValue { $0 } })
            try await beside([{ try? await mover.run() }]) {
                let events = await swarms[0].peerEvents()
                _ = try await mover.dial(try await swarms[0].dialAddress())
                let port = try #require(await mover.listenAddresses().first?.components.last)
                var last = [Multiaddr([.ip4([127, 0, 0, 1]), port])]
                #expect(await Self.told(last, by: mover.localPeer, in: events).isEmpty)
                for number in [7, 9] as [UInt8] {
                    interfaces.withLockedValue { $0 = [.ip4([10, 0, 0, number]), .ip4([127, 0, 0, 1])] }
                    let now = [
                        Multiaddr([.ip4([10, 0, 0, number]), port]), Multiaddr([.ip4([127, 0, 0, 1]), port]),
                    ]
                    let before = await Self.told(now, by: mover.localPeer, in: events)
                    #expect(Set(before).isSubset(of: last))
                    #expect(await swarms[0].addresses(of: mover.localPeer) == now, "the old ones are forgotten")
                    #expect(await mover.listenAddresses() == now)
                    last = now
                }
                #expect(mover.counters()[.addressesChanged] == 2)
            }
        }
    }

    /// Waits until a peer announces these addresses; returns those announced before.
    private static func told(
        _ addresses: [Multiaddr], by peer: PeerID, in events: AsyncStream<PeerEvent>
    ) async -> [Multiaddr] {
        var before: [Multiaddr] = []
        _ = await firstEvent(events) { event in
            guard case .identified(peer, _, let told) = event else { return false }
            if told != addresses { before += told }
            return told == addresses
        }
        return before
    }

    @Test("A peer that is not there causes at most two failed dials a minute")
    func knocks() async throws {
        let decoy = SilentServer()
        let (channel, port) = try await decoy.listen()
        decoy.closeAll()
        try await withSwarms(1) { swarms in
            let peer = Identity.generate().peerID
            let address = Multiaddr([.ip4([127, 0, 0, 1]), .tcp(port)])
            for attempt in 1...5 {
                do throws(OpenStreamError) {
                    try await swarms[0].connect(to: peer, addresses: [address])
                    Issue.record("the decoy was taken for the peer")
                } catch {
                    guard case .dialFailed(let reasons) = error else {
                        Issue.record("attempt \(attempt): \(error)")
                        return
                    }
                    let isRefused = reasons.contains { $0.contains("within a minute") }
                    #expect(isRefused == (attempt > 2), "attempt \(attempt): \(reasons)")
                }
            }
            #expect(swarms[0].counters()[.refusedDialBudget] == 3)
        }
        #expect(decoy.accepted == 2)
        try await channel.close()
    }

    @Test("A peer that left is tried more often where it answered before, and still dialed where it is now")
    func movedPeer() async throws {
        let identity = Identity.generate()
        @Sendable func start() async throws -> Swarm {
            let swarm = Swarm(
                configuration: SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]),
                identity: identity, logger: Logger(label: "test"))
            try await swarm.listen()
            return swarm
        }
        try await withSwarms(1) { swarms in
            let (near, peer) = (swarms[0], identity.peerID)
            let before = try await start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await before.run() }
                try await near.connect(to: peer, addresses: await before.listenAddresses())
                try await eventually { before.isConnected(near.localPeer) }
                group.cancelAll()
            }
            try await eventually { !near.isConnected(peer) }
            let max = near.shared.limits.failedProvenDialsPerMinuteMax
            #expect(max == 12)
            for attempt in 1...max + 3 {
                do throws(OpenStreamError) {
                    try await near.connect(to: peer, addresses: [])
                    Issue.record("nobody is there")
                } catch {
                    guard case .dialFailed(let reasons) = error else {
                        Issue.record("attempt \(attempt): \(error)")
                        return
                    }
                    let isRefused = reasons.contains { $0.contains("within a minute") }
                    #expect(isRefused == (attempt > max), "attempt \(attempt): \(reasons)")
                }
            }
            let after = try await start()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await after.run() }
                defer { group.cancelAll() }
                try await near.connect(to: peer, addresses: await after.listenAddresses())
                #expect(near.isConnected(peer))
            }
        }
    }

    @Test("A dial is to proven addresses only if the peer has answered at each of them")
    func provenAddresses() throws {
        var book = PeerBook(peersMax: 4, addressesMax: 3)
        let (peer, other) = (Identity.generate().peerID, Identity.generate().peerID)
        func address(_ port: UInt16) -> Multiaddr { Multiaddr([.ip4([1, 2, 3, 4]), .tcp(port)]) }
        book.told([address(1), address(2)], by: peer) { _ in true }
        #expect(!book.hasAnswered(at: [address(1)], peer), "that it says so proves nothing")
        for port in 1...4 as ClosedRange<UInt16> { book.answered(address(port), by: peer) { _ in true } }
        #expect(book.hasAnswered(at: [address(2), address(4)], peer))
        #expect(!book.hasAnswered(at: [address(2), address(5)], peer))
        #expect(!book.hasAnswered(at: [address(2)], other))
        #expect(!book.hasAnswered(at: [address(1)], peer), "no more than \(3) are remembered")
    }

    @Test("A dial tries the newest eight of the addresses that others named")
    func hearsay() throws {
        var book = PeerBook(peersMax: 4, addressesMax: 32)
        let peer = Identity.generate().peerID
        func address(_ port: UInt16) -> Multiaddr { Multiaddr([.ip4([1, 2, 3, 4]), .tcp(port)]) }
        book.add((1...20).map(address), for: peer) { _ in false }
        #expect(book.dialOrder(of: peer, hearsayMax: 8) == (13...20).reversed().map(address))
        book.told([address(50), address(51), address(20)], by: peer) { _ in true }
        #expect(book.addresses(of: peer) == [50, 51, 20].map(address), "what others said before is forgotten")
        book.add((1...20).map(address), for: peer) { _ in false }
        let order: [UInt16] = [50, 19, 51, 18, 20, 17, 16, 15, 14, 13, 12]
        #expect(book.dialOrder(of: peer, hearsayMax: 8) == order.map(address))
        book.told([address(60)], by: peer) { _ in true }
        #expect(book.addresses(of: peer).first == address(60))
        #expect(!book.addresses(of: peer).contains(address(50)), "where it was before is forgotten")
    }
}
