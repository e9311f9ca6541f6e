import Multiformats
import NIOCore
import P2PTesting
import Testing

@testable import LibP2P

/// The bounds of peer events and of the network in memory.
@Suite("Event and memory limits", .timeLimit(.minutes(5)))
struct EventAndMemoryLimitTests {
    private func peer(_ number: Int) -> PeerID { ServiceTestNode.peer(number) }

    @Test("A listener past listenersMax gets an ended stream; a released place is free again")
    func listeners() async throws {
        let hub = PeerEventHub()
        var streams = (0..<PeerEventHub.Limits().listenersMax).map { _ in hub.subscribe() }
        for await event in hub.subscribe() { Issue.record("the stream told \(event)") }
        hub.send(.connected(peer(1)))
        #expect(hub.lostEvents == 0)
        streams.removeLast()
        let late = hub.subscribe()
        hub.send(.connected(peer(2)))
        hub.finish()
        var seen: [PeerEvent] = []
        for await event in late { seen.append(event) }
        #expect(seen == [.connected(peer(2))])
        for stream in streams {
            seen = []
            for await event in stream { seen.append(event) }
            #expect(seen == [.connected(peer(1)), .connected(peer(2))])
        }
    }

    @Test("A listener that falls queuedEventsMax behind loses the newest events, and they are counted")
    func queuedEvents() async throws {
        let hub = PeerEventHub()
        let slow = hub.subscribe()
        for _ in 0..<PeerEventHub.Limits().queuedEventsMax { hub.send(.connected(peer(1))) }
        for _ in 0..<3 { hub.send(.disconnected(peer(1))) }
        #expect(hub.lostEvents == 3)
        hub.finish()
        var count = 0
        for await event in slow {
            #expect(event == .connected(peer(1)))
            count += 1
        }
        #expect(count == PeerEventHub.Limits().queuedEventsMax)
    }

    @Test("A swarm's counters include lost events")
    func countedEvents() async throws {
        let swarm = try await makeIdleSwarm()
        let slow = await swarm.peerEvents()
        #expect(swarm.counters()[.peerEventsLost] == nil)
        for _ in 0...PeerEventHub.Limits().queuedEventsMax { swarm.shared.events.send(.connected(peer(1))) }
        #expect(swarm.counters()[.peerEventsLost] == 1)
        withExtendedLifetime(slow) {}
        await end(swarm)
    }

    @Test("Streams past queuedStreamsMax of a network that nobody runs are refused by that name")
    func queuedStreams() async throws {
        let network = InMemoryNetwork()
        let (near, far) = (network.addHost(peer(1)), network.addHost(peer(2)))
        await far.handle("/x") { await $0.reset() }
        var streams: [any PeerStream] = []
        for _ in 0..<InMemoryNetwork.queuedStreamsMax {
            streams.append(try await near.openStream(to: far.localPeer, protocols: ["/x"]))
        }
        await #expect(throws: OpenStreamError.limitReached("InMemoryNetwork.queuedStreamsMax")) {
            _ = try await near.openStream(to: far.localPeer, protocols: ["/x"])
        }
        // Once it runs, the network serves those that waited.
        try await beside([{ await network.run() }]) {
            for stream in streams { await #expect(throws: StreamError.reset) { try await stream.read() } }
        }
    }

    @Test("A host in memory remembers the newest addresses of a peer")
    func addresses() async throws {
        let host = InMemoryNetwork().addHost(peer(1))
        let addresses = (1...40 as ClosedRange<UInt16>).map { Multiaddr([.ip4([1, 2, 3, 4]), .tcp($0)]) }
        await host.addAddresses(addresses, for: peer(2))
        #expect(await host.addresses(of: peer(2)) == Array(addresses.suffix(InMemoryHost.addressesPerPeerMax)))
    }

    @Test("A swarm remembers rememberedPeersMax peers and addressesPerPeerMax addresses of each")
    func book() async throws {
        let swarm = try await makeIdleSwarm {
            $0.limits.rememberedPeersMax = 3
            $0.limits.addressesPerPeerMax = 2
        }
        let addresses = (1...5 as ClosedRange<UInt16>).map { Multiaddr([.ip4([1, 2, 3, 4]), .tcp($0)]) }
        for number in 1...5 { await swarm.addAddresses(addresses, for: peer(number)) }
        for number in 1...5 {
            #expect(await swarm.addresses(of: peer(number)) == (number > 2 ? Array(addresses.suffix(2)) : []))
        }
        await end(swarm)
    }
}
