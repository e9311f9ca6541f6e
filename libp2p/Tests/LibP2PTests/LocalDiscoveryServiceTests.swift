import Logging
import MulticastDNS
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import P2PTesting
import Peers
import Testing

@testable import LibP2P
@testable import P2PServices

/// Real multicast over loopback, each test on a port of its own.
@Suite("Finding peers over real multicast", .serialized)
struct LocalDiscoveryServiceTests {
    private typealias Limits = LocalDiscoveryService.Limits

    /// Services of swarms, with what each counted, until the body ends.
    private func withServices(
        _ swarms: [Swarm], limits: Limits,
        _ body: @Sendable ([NIOLockedValueBox<[String: Int]>]) async throws -> Void
    ) async throws {
        let counts = swarms.map { _ in NIOLockedValueBox<[String: Int]>([:]) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (swarm, counted) in zip(swarms, counts) {
                let service = LocalDiscoveryService(
                    swarm: swarm, limits: limits, logger: Logger(label: "test"),
                    onCount: { name in counted.withLockedValue { $0[name, default: 0] += 1 } })
                group.addTask { await service.run() }
            }
            defer { group.cancelAll() }
            try await body(counts)
        }
    }

    private func limits(port: Int, _ change: (inout Limits) -> Void = { _ in }) -> Limits {
        var limits = Limits()
        limits.port = port
        change(&limits)
        return limits
    }

    @Test("Nodes on one machine that know nobody find each other and are connected")
    func findEachOther() async throws {
        try await withSwarms(3) { swarms in
            try await withServices(swarms, limits: limits(port: 35_301)) { counts in
                try await eventually("all are connected") {
                    for swarm in swarms where await swarm.connectedPeers().count < 2 { return false }
                    return true
                }
                // Whom others found first may be connected before it has found anybody.
                try await eventually("each has found another") {
                    counts.allSatisfy { $0.withLockedValue { $0["mdns_found"] ?? 0 >= 1 } }
                }
            }
        }
    }

    @Test("A node with enough connections, or with as many dials under way as it may have, dials nobody for a find")
    func dialsAreBounded() async throws {
        // Accepts and says nothing, so that a dial goes on.
        let accepted = NIOLockedValueBox(0)
        let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                accepted.withLockedValue { $0 += 1 }
                return channel.eventLoop.makeSucceededVoidFuture()
            }.bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(TCPTransport.multiaddr(silent.localAddress))
        for (port, wanted, expected) in [(35_302, 8, 1), (35_303, 0, 0)] {
            accepted.withLockedValue { $0 = 0 }
            let limits = limits(port: port) {
                $0.connectionsWanted = wanted
                $0.dialsAtOnceMax = 1
            }
            try await withSwarms(1) { swarms in
                try await withServices(swarms, limits: limits) { counts in
                    let link = try #require(MulticastLink.current().first { $0.isLoopback })
                    let speaker = try await MulticastSocket.open(on: link, port: port, bytesMax: 9_000) { _, _, _ in }
                    try await eventually("both claims are taken") {
                        for number in 1...2 { speaker.send(try claim(number, at: address)) }
                        return counts[0].withLockedValue { $0["mdns_found"] ?? 0 >= 2 }
                    }
                    try await eventually("who may be dialed is") { accepted.withLockedValue { $0 } == expected }
                    await speaker.close()
                }
            }
            #expect(accepted.withLockedValue { $0 } == expected)
        }
        try await silent.close()
    }

    private func claim(_ number: Int, at address: Multiaddr) throws -> [UInt8] {
        let instance = try #require(DNSName("claim\(number)._p2p._udp.local"))
        let peer = PeerID(publicKeyProtobuf: Array(String(repeating: "claim \(number) ", count: 12).utf8))
        var message = DNSMessage(isResponse: true)
        message.answers = [
            DNSMessage.Record(
                instance, .texts([Array("dnsaddr=\(address.withPeerID(peer))".utf8)]), lifeSeconds: 120, isUnique: true)
        ]
        return message.encoded()
    }

    @Test("Messages that wait to be read are bounded, and further ones are lost")
    func waitingMessages() {
        let queue = JobQueue<Int>(waitingMax: Limits().messagesWaitingMax)
        #expect((0..<256).allSatisfy { queue.start($0) } && !queue.start(256))
    }

    @Test("A sender is this machine, of the link, or not listened to")
    func reach() {
        let wire = MulticastLink(
            interface: 2, isIPv6: false, isLoopback: false,
            addresses: [.init(address: [192, 168, 7, 5], mask: [255, 255, 254, 0])])
        #expect(wire.reach(of: [192, 168, 7, 5]) == .loopback && wire.reach(of: [127, 0, 0, 1]) == .loopback)
        #expect(wire.reach(of: [192, 168, 6, 200]) == .local && wire.reach(of: [192, 168, 8, 1]) == nil)
        #expect(wire.reach(of: [8, 8, 8, 8]) == nil)
        let own = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
        let six = MulticastLink(
            interface: 2, isIPv6: true, isLoopback: false,
            addresses: [
                .init(address: own, mask: [UInt8](repeating: 255, count: 8) + [UInt8](repeating: 0, count: 8))
            ])
        #expect(six.reach(of: own) == .loopback)
        #expect(six.reach(of: own.dropLast() + [9]) == .local)
        #expect(six.reach(of: [0xFE, 0x80] + own.dropFirst(2)) == .local)
        #expect(six.reach(of: [0x20, 0x02] + own.dropFirst(2)) == nil && six.reach(of: [192, 168, 7, 5]) == nil)
    }
}
