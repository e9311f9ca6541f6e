import Foundation
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

/// Whether this machine passes on what is sent to a group over loopback, as some containers do not.
private enum LoopbackMulticast {
    static let works: Bool = {
        let (receiver, sender) = (
            socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0), socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        )
        defer {
            close(receiver)
            close(sender)
        }
        var (group, loopback) = (in_addr(s_addr: inet_addr("224.0.0.251")), in_addr(s_addr: inet_addr("127.0.0.1")))
        var address = sockaddr_in()
        (address.sin_family, address.sin_port, address.sin_addr) = (
            sa_family_t(AF_INET), in_port_t(35_399).bigEndian, group
        )
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        func withAddress(_ body: (UnsafePointer<sockaddr>) -> Int) -> Bool {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) >= 0 }
            }
        }
        var member = ip_mreq(imr_multiaddr: group, imr_interface: loopback)
        guard withAddress({ Int(bind(receiver, $0, length)) }),
            setsockopt(
                receiver, Int32(IPPROTO_IP), IP_ADD_MEMBERSHIP, &member, socklen_t(MemoryLayout<ip_mreq>.size)) == 0,
            setsockopt(
                sender, Int32(IPPROTO_IP), IP_MULTICAST_IF, &loopback, socklen_t(MemoryLayout<in_addr>.size)) == 0,
            withAddress({ sendto(sender, "x", 1, 0, $0, length) })
        else { return false }
        var waiting = pollfd(fd: receiver, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 2_000) == 1
    }()
}

/// Real multicast over loopback, each test on a port of its own.
@Suite(
    "Finding peers over real multicast", .serialized,
    .enabled("this machine passes nothing on to a group over loopback") { LoopbackMulticast.works })
struct LocalDiscoveryServiceTests {
    private typealias Limits = LocalDiscoveryService.Limits

    /// Services of swarms, with what each counted, until the body ends.
    private func withServices(
        _ swarms: [Swarm], limits: Limits,
        _ body: @Sendable ([LocalDiscoveryService], [NIOLockedValueBox<[String: Int]>]) async throws -> Void
    ) async throws {
        let counts = swarms.map { _ in NIOLockedValueBox<[String: Int]>([:]) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let services = zip(swarms, counts).map { swarm, counted in
                LocalDiscoveryService(
                    swarm: swarm, limits: limits, logger: Logger(label: "test"),
                    onCount: { name in counted.withLockedValue { $0[name, default: 0] += 1 } })
            }
            for service in services { group.addTask { await service.run() } }
            defer { group.cancelAll() }
            try await body(services, counts)
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
            try await withServices(swarms, limits: limits(port: 35_301)) { _, counts in
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

    /// Accepts and says nothing, so that dials go on until it closes them.
    private final class Silent: Sendable {
        private let listener: any Channel
        private let accepted: NIOLockedValueBox<[any Channel]>
        let address: Multiaddr

        init() async throws {
            let accepted = NIOLockedValueBox<[any Channel]>([])
            self.accepted = accepted
            listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    accepted.withLockedValue { $0.append(channel) }
                    return channel.eventLoop.makeSucceededVoidFuture()
                }.bind(host: "127.0.0.1", port: 0).get()
            address = try #require(TCPTransport.multiaddr(listener.localAddress))
        }

        var count: Int { accepted.withLockedValue { $0.count } }

        func closeAccepted() { for channel in accepted.withLockedValue(\.self) { channel.close(promise: nil) } }

        func close() async throws {
            closeAccepted()
            try await listener.close()
        }
    }

    /// Sends to the group of loopback from an address of this machine and a port of its own, as rust-libp2p does.
    private struct Speaker: Sendable {
        private let channel: any Channel
        private let group: SocketAddress

        init(from host: String, port: Int) async throws {
            let interface = ChannelOptions.Types.SocketOption(level: .ip, name: .ip_multicast_if)
            channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                // 127.0.0.1 in the network's order.
                .channelOption(interface, value: .init(Int32(0x7F00_0001).bigEndian))
                .bind(host: host, port: 0).get()
            group = try SocketAddress(ipAddress: "224.0.0.251", port: port)
        }

        func send(_ bytes: [UInt8]) {
            channel.writeAndFlush(
                AddressedEnvelope(remoteAddress: group, data: ByteBuffer(bytes: bytes)), promise: nil)
        }

        func close() async throws { try await channel.close() }
    }

    @Test("Dials under way are one of each source and bounded; further finds wait, and go when a dial is really over")
    func dialsAreBounded() async throws {
        let silent = try await Silent()
        let limits = limits(port: 35_302) {
            $0.dialsAtOnceMax = 2
            $0.findsWaitingMax = 2
        }
        try await withSwarms(1) { swarms in
            try await withServices(swarms, limits: limits) { services, counts in
                // Whoever claims, the finds under way and those that wait then. The last one is dropped.
                let steps = [(2, 1, 1, 0), (2, 2, 1, 1), (3, 3, 2, 1), (4, 4, 2, 2), (5, 5, 2, 2)]
                var speakers: [Speaker] = []
                for host in 2...5 { speakers.append(try await Speaker(from: "127.0.0.\(host)", port: 35_302)) }
                for (host, number, dialing, waiting) in steps {
                    let message = try claim(number, at: silent.address)
                    let speaker = speakers[host - 2]
                    try await eventually("claim \(number) is taken") {
                        speaker.send(message)
                        return counts[0].withLockedValue { $0["mdns_found"] ?? 0 >= number }
                    }
                    let taken = await services[0].findsTaken
                    #expect(taken.dialing == dialing && taken.waiting == waiting, "claim \(number): \(taken)")
                }
                #expect(counts[0].withLockedValue { $0["mdns_finds_dropped"] ?? 0 >= 1 })
                try await eventually("two are dialed") { silent.count == 2 }
                silent.closeAccepted()
                try await eventually("those that waited are dialed") { silent.count == 4 }
                silent.closeAccepted()
                let dropped = (speakers[3], try claim(5, at: silent.address))
                try await eventually("the one that was dropped is dialed when it is told again") {
                    dropped.0.send(dropped.1)
                    return silent.count == 5
                }
                for speaker in speakers { try await speaker.close() }
            }
        }
        try await silent.close()
    }

    @Test("A node with enough connections dials nobody for a find")
    func enoughConnections() async throws {
        let silent = try await Silent()
        try await withSwarms(1) { swarms in
            try await withServices(swarms, limits: limits(port: 35_303) { $0.connectionsWanted = 0 }) {
                services, counts in
                let speaker = try await Speaker(from: "127.0.0.2", port: 35_303)
                let messages = [try claim(1, at: silent.address), try claim(2, at: silent.address)]
                try await eventually("both claims are taken") {
                    for message in messages { speaker.send(message) }
                    return counts[0].withLockedValue { $0["mdns_found"] ?? 0 >= 2 }
                }
                // A dial would go on for as long as nothing is said.
                try await eventually("both are done with") {
                    let taken = await services[0].findsTaken
                    return taken.dialing == 0 && taken.waiting == 0
                }
                try await speaker.close()
            }
        }
        #expect(silent.count == 0)
        try await silent.close()
    }

    @Test("A socket that an error of the network ended is counted and opened again")
    func lostSocket() async throws {
        let limits = limits(port: 35_304) {
            $0.connectionsWanted = 0
            $0.linksMilliseconds = 20
        }
        try await withSwarms(1) { swarms in
            try await withServices(swarms, limits: limits) { services, counts in
                try await eventually("there is a socket") { await services[0].sockets.count == 1 }
                for (_, socket) in await services[0].sockets.values { await socket.close() }
                try await eventually("it is missed") {
                    counts[0].withLockedValue { $0["mdns_sockets_lost"] == 1 }
                }
                let speaker = try await Speaker(from: "127.0.0.2", port: 35_304)
                let message = try claim(1, at: try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1"))
                try await eventually("there is another that hears") {
                    speaker.send(message)
                    return counts[0].withLockedValue { $0["mdns_found"] == 1 }
                }
                try await speaker.close()
            }
        }
    }

    @Test("Where a found peer is said to be is remembered only once it has answered there")
    func findsAreNotRemembered() async throws {
        let silent = try await Silent()
        try await silent.close()
        try await withSwarms(2) { swarms in
            let stranger = PeerID(publicKeyProtobuf: Array(String(repeating: "stranger ", count: 12).utf8))
            await #expect(throws: OpenStreamError.self) {
                try await swarms[0].connect(to: stranger, foundAt: [silent.address], from: .loopback)
            }
            #expect(await swarms[0].addresses(of: stranger).isEmpty)
            let other = swarms[1].localPeer
            let addresses = await swarms[1].listenAddresses()
            try await swarms[0].connect(to: other, foundAt: addresses, from: .loopback)
            #expect(swarms[0].isConnected(other))
            let known = await swarms[0].addresses(of: other)
            #expect(known.contains { addresses.contains($0) })
        }
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

    private let wire = MulticastLink(
        interface: 2, isIPv6: false, addresses: [Subnet(address: [192, 168, 7, 5], mask: [255, 255, 254, 0])])
    private let loopback = MulticastLink(
        interface: 1, isIPv6: false,
        addresses: [
            Subnet(address: [10, 9, 8, 7], mask: [255, 255, 255, 255]),
            Subnet(address: [127, 0, 0, 1], mask: [255, 0, 0, 0]),
        ])

    @Test("A sender is of the link or not listened to, and this machine on loopback alone, whatever address it writes")
    func reach() {
        #expect(wire.reach(of: [192, 168, 7, 5]) == .local && wire.reach(of: [127, 0, 0, 1]) == nil)
        #expect(wire.reach(of: [192, 168, 6, 200]) == .local && wire.reach(of: [192, 168, 8, 1]) == nil)
        #expect(wire.reach(of: [8, 8, 8, 8]) == nil)
        // One more address does not make another link of loopback.
        #expect(loopback.isLoopback && !wire.isLoopback)
        #expect(loopback.reach(of: [127, 0, 0, 9]) == .loopback && loopback.reach(of: [10, 9, 8, 7]) == .loopback)
        #expect(loopback.reach(of: [10, 9, 8, 6]) == nil)
        let own = [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
        let six = MulticastLink(
            interface: 2, isIPv6: true,
            addresses: [
                Subnet(address: own, mask: [UInt8](repeating: 255, count: 8) + [UInt8](repeating: 0, count: 8))
            ])
        #expect(six.reach(of: own) == .local && six.reach(of: [UInt8](repeating: 0, count: 15) + [1]) == nil)
        #expect(six.reach(of: own.dropLast() + [9]) == .local)
        #expect(six.reach(of: [0xFE, 0x80] + own.dropFirst(2)) == .local)
        #expect(six.reach(of: [0x20, 0x02] + own.dropFirst(2)) == nil && six.reach(of: [192, 168, 7, 5]) == nil)
    }

    @Test("A link is told of the node's addresses in its own subnets, and loopback of those of loopback")
    func announced() throws {
        let own = try [
            "/ip4/192.168.7.5/tcp/1", "/ip4/172.16.0.1/tcp/1", "/ip6/fd00::1/tcp/1", "/ip4/127.0.0.1/tcp/1",
            "/ip6/::1/tcp/1", "/ip4/10.9.8.7/tcp/1",
        ].map { try Multiaddr(parsing: $0) }
        #expect(own.filter(wire.announces) == [own[0]])
        #expect(own.filter(loopback.announces) == Array(own[3...]))
    }
}
