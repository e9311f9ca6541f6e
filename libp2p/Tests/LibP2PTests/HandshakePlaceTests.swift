import Foundation
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOPosix
import P2PTesting
import PeerIdentity
import Testing

@testable import LibP2P

/// Sockets that connect from many addresses of loopback, say nothing, and come back when they are cut off.
final class SilentCrowd: Sendable {
    private struct State: Sendable {
        var open: [Int: any Channel] = [:]
        var connected = 0
        var isOver = false
    }

    private let state = NIOLockedValueBox(State())
    private let port: Int
    private let pauseMilliseconds: Int64

    init(port: Int, pauseMilliseconds: Int64) {
        self.port = port
        self.pauseMilliseconds = pauseMilliseconds
    }

    /// Connections established so far.
    var connected: Int { state.withLockedValue { $0.connected } }

    /// Connects the socket of a number; eight share an address.
    func start(_ number: Int) {
        let (block, host) = (number / 8 / 200, number / 8 % 200)
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        guard let own = try? SocketAddress(ipAddress: "127.\(1 + block).1.\(1 + host)", port: 0) else { return }
        bootstrap.bind(to: own).connect(host: "127.0.0.1", port: port).whenComplete { [self] result in
            switch result {
            case .failure: again(number)
            case .success(let channel):
                let isOver = state.withLockedValue { state in
                    state.connected += 1
                    state.open[number] = channel
                    return state.isOver
                }
                if isOver { channel.close(promise: nil) }
                channel.closeFuture.whenComplete { [self] _ in again(number) }
            }
        }
    }

    private func again(_ number: Int) {
        guard !state.withLockedValue({ $0.isOver }) else { return }
        MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .milliseconds(pauseMilliseconds)) { [self] in
            start(number)
        }
    }

    /// Closes all for good.
    func end() {
        let open = state.withLockedValue { state in
            state.isOver = true
            return Array(state.open.values)
        }
        for channel in open { channel.close(promise: nil) }
    }
}

@Suite("Places for handshakes", .timeLimit(.minutes(5)), .serialized)
struct HandshakePlaceTests {
    @Test("Honest dials succeed among silent sockets that come back from many addresses whenever they are cut off")
    func silentCrowd() async throws {
        let (sockets, dials) = (64, 25)
        try await withSwarms(1) {
            $0.limits.isLoopbackExempt = false
        } _: { servers in
            let address = try await servers[0].dialAddress()
            guard case .tcp(let port)? = address.withoutPeerID().components.last else { return }
            let crowd = SilentCrowd(port: Int(port), pauseMilliseconds: 1)
            for number in 0..<sockets { crowd.start(number) }
            try await eventually { crowd.connected >= sockets }
            let places = SwarmConfiguration.Limits().pendingInboundMax
            try await eventually { servers[0].shared.withRegistry { $0.handshakeCount } == places }
            var times: [Duration] = []
            for _ in 0..<dials { times.append(try await honestDial(address, servers[0].localPeer)) }
            crowd.end()
            times.sort()
            print(
                "\(sockets) silent sockets, \(crowd.connected) connects: dial and ping in", times[dials / 2],
                times[dials - 1])
            #expect((servers[0].counters()[.displacedPendingInbound] ?? 0) > 0)
            #expect(servers[0].counters()[.refusedPendingInbound] == nil)
            try await eventually { servers[0].isEmpty }
        }
    }

    /// The time from a new peer's dial to its first ping.
    private func honestDial(_ address: Multiaddr, _ server: PeerID) async throws -> Duration {
        let times = NIOLockedValueBox<Duration>(.zero)
        try await withSwarms(1) { dialers in
            let start = ContinuousClock().now
            let peer = try await dialers[0].dial(address)
            let ping = try await dialers[0].ping(peer)
            times.withLockedValue { $0 = ContinuousClock().now - start }
            #expect(peer == server && ping > .zero)
            await dialers[0].disconnect(peer)
        }
        return times.withLockedValue { $0 }
    }

    private func address(_ text: String) throws -> Multiaddr { try Multiaddr(parsing: "/ip4/\(text)/tcp/4001") }

    private func registry(places: Int) -> ConnectionRegistry {
        var limits = SwarmConfiguration.Limits()
        limits.pendingInboundMax = places
        return ConnectionRegistry(limits: limits)
    }

    @Test("A newcomer displaces the oldest handshake of the largest network, silent ones first")
    func largestNetwork() throws {
        var registry = registry(places: 5)
        var tickets: [String: ConnectionTicket] = [:]
        var channels: [String: EmbeddedChannel] = [:]
        func admit(_ host: String) throws -> String? {
            let channel = EmbeddedChannel()
            channels[host] = channel
            let (result, displaced) = registry.admitInbound(channel, from: try address(host))
            tickets[host] = try result.get()
            return channels.first { $0.value === displaced }?.key
        }
        for host in ["9.9.9.9", "5.5.5.1", "5.5.5.2", "7.7.7.7", "5.5.5.3"] { #expect(try admit(host) == nil) }
        let spoken = try #require(tickets["5.5.5.1"])
        registry.handshakeSpoke(spoken)
        #expect(try admit("8.8.8.8") == "5.5.5.2")
        #expect(try admit("5.5.5.4") == "5.5.5.3")
        #expect(try admit("8.8.4.4") == "5.5.5.4", "5.5.5.1 has spoken")
        #expect(try admit("8.8.8.9") == "9.9.9.9", "every network has one, and this is the oldest silent one")
        // Releasing displaced places gives nothing back twice.
        for host in ["5.5.5.2", "5.5.5.3", "5.5.5.4", "9.9.9.9"] {
            _ = registry.release(try #require(tickets[host]), peer: nil)
        }
        #expect(registry.handshakeCount == 5)
        for host in ["5.5.5.1", "7.7.7.7", "8.8.8.8", "8.8.4.4", "8.8.8.9"] {
            _ = registry.release(try #require(tickets[host]), peer: nil)
        }
        #expect(registry.isEmpty)
    }

    @Test("Within one network, silent handshakes past their grace go before newer ones")
    func silentBeforeNew() throws {
        var registry = registry(places: 3)
        let channels = (0..<4).map { _ in EmbeddedChannel() }
        var tickets: [ConnectionTicket] = []
        for channel in channels.prefix(3) {
            tickets.append(try registry.admitInbound(channel, from: try address("9.9.9.9")).result.get())
        }
        #expect(registry.newHandshakeCount == 3)
        registry.handshakeSpoke(tickets[0])
        registry.handshakeWasHeard(tickets[0])
        registry.handshakeWasHeard(tickets[2])
        #expect(registry.newHandshakeCount == 1)
        let displaced = registry.admitInbound(channels[3], from: try address("9.9.9.8")).displaced
        #expect(displaced === channels[2])
    }

    @Test("Exempt loopback neither loses a place nor takes one; where all are exempt, the next is refused")
    func exempt() throws {
        var registry = registry(places: 2)
        let stranger = EmbeddedChannel()
        _ = try registry.admitInbound(EmbeddedChannel(), from: try address("127.0.0.1")).result.get()
        _ = try registry.admitInbound(stranger, from: try address("9.9.9.9")).result.get()
        let near = registry.admitInbound(EmbeddedChannel(), from: try address("127.0.0.1"))
        #expect(near.displaced === stranger)
        let (result, displaced) = registry.admitInbound(EmbeddedChannel(), from: try address("9.9.9.9"))
        #expect(result == .failure(ConnectionRefusal(counter: .refusedPendingInbound)) && displaced == nil)
    }

    @Test("A displaced handshake is closed and counted as displaced only")
    func displaced() async throws {
        try await withSwarms(1) {
            $0.limits.isLoopbackExempt = false
            $0.limits.pendingInboundMax = 1
        } _: { swarms in
            let first = try await RawClient.connect(to: swarms[0])
            try await eventually { swarms[0].shared.withRegistry { $0.handshakeCount } == 1 }
            let second = try await RawClient.connect(to: swarms[0])
            try await first.closed()
            #expect(swarms[0].counters()[.displacedPendingInbound] == 1)
            #expect(swarms[0].counters()[.handshakeAbandoned] == nil)
            try await second.channel.close()
            try await eventually { swarms[0].isEmpty }
        }
    }
}
