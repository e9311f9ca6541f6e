import GossipSub
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import PeerIdentity
import Testing

@testable import LibP2P
@testable import P2PServices

/// Gossip services on hosts of an in-memory network; all end with the test.
struct GossipFixture: Sendable {
    let network: InMemoryNetwork
    let identities: [Identity]
    let hosts: [InMemoryHost]
    let services: [GossipService]
    /// A host without a service, for a test that plays a peer itself.
    let stranger: InMemoryHost

    static func with(
        _ count: Int, limits: GossipService.Limits = .init(), parameters: GossipSubParameters = Self.quick,
        _ body: @Sendable @escaping (GossipFixture) async throws -> Void
    ) async throws {
        let network = InMemoryNetwork()
        var logger = Logger(label: "gossip-test")
        logger.logLevel = .critical
        let identities = (0...count).map { _ in Identity.generate() }
        let hosts = identities.map { network.addHost($0.peerID) }
        let services = (0..<count).map {
            GossipService(
                host: hosts[$0], parameters: parameters, limits: limits, identity: identities[$0], logger: logger)
        }
        let fixture = GossipFixture(
            network: network, identities: identities, hosts: hosts, services: services, stranger: hosts[count])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await network.run() }
            for service in services { group.addTask { await service.run() } }
            defer { group.cancelAll() }
            try await body(fixture)
        }
    }

    /// Quick heartbeats, so that a test does not wait a second for one.
    static var quick: GossipSubParameters {
        var parameters = GossipSubParameters()
        parameters.heartbeatMilliseconds = 50
        parameters.firstHeartbeatMilliseconds = 10
        return parameters
    }

    func connect(_ one: Int, _ other: Int) async throws {
        try await hosts[one].connect(to: hosts[other].localPeer, addresses: [])
    }

    /// Subscribes a service and accepts everything.
    func join(_ number: Int, _ topic: String) async throws -> AsyncStream<GossipMessage> {
        try await services[number].subscribe(topic) { _ in .accept }
    }

    func meshed(_ number: Int, with others: Int..., topic: String) async throws {
        let expected = Set(others.map { hosts[$0].localPeer })
        try await eventually { Set(await services[number].meshPeers(topic)) == expected }
    }
}

private func text(_ message: GossipMessage?) -> String? { message.map { String(decoding: $0.data, as: UTF8.self) } }

@Suite(.timeLimit(.minutes(5))) struct GossipServiceTests {
    @Test func messagesPassBothWays() async throws {
        try await GossipFixture.with(2) { fixture in
            let left = try await fixture.join(0, "t")
            let right = try await fixture.join(1, "t")
            try await fixture.connect(0, 1)
            try await fixture.meshed(0, with: 1, topic: "t")
            try await fixture.meshed(1, with: 0, topic: "t")
            let id = try await fixture.services[0].publish(Array("there".utf8), topic: "t")
            var rightMessages = right.makeAsyncIterator()
            let arrived = await rightMessages.next()
            #expect(text(arrived) == "there")
            #expect(arrived?.id == id)
            #expect(arrived?.source == fixture.hosts[0].localPeer)
            try await fixture.services[1].publish(Array("and back".utf8), topic: "t")
            var leftMessages = left.makeAsyncIterator()
            #expect(text(await leftMessages.next()) == "and back")
        }
    }

    @Test func aMessageTravelsAlongALineOfFive() async throws {
        try await GossipFixture.with(5) { fixture in
            var streams: [AsyncStream<GossipMessage>] = []
            for number in 0..<5 { streams.append(try await fixture.join(number, "t")) }
            for number in 0..<4 { try await fixture.connect(number, number + 1) }
            try await fixture.meshed(0, with: 1, topic: "t")
            for number in 1..<4 { try await fixture.meshed(number, with: number - 1, number + 1, topic: "t") }
            try await fixture.meshed(4, with: 3, topic: "t")
            try await fixture.services[0].publish(Array("far".utf8), topic: "t")
            for stream in streams.dropFirst() {
                var messages = stream.makeAsyncIterator()
                #expect(text(await messages.next()) == "far")
            }
        }
    }

    @Test func aRejectedMessageGoesNoFurtherAndCostsItsSenderScore() async throws {
        try await GossipFixture.with(3) { fixture in
            _ = try await fixture.join(0, "t")
            _ = try await fixture.services[1].subscribe("t") { text($0) == "bad" ? .reject : .accept }
            let last = try await fixture.join(2, "t")
            try await fixture.connect(0, 1)
            try await fixture.connect(1, 2)
            try await fixture.meshed(0, with: 1, topic: "t")
            try await fixture.meshed(1, with: 0, 2, topic: "t")
            try await fixture.meshed(2, with: 1, topic: "t")
            try await fixture.services[0].publish(Array("good".utf8), topic: "t")
            var messages = last.makeAsyncIterator()
            #expect(text(await messages.next()) == "good")
            try await fixture.services[0].publish(Array("bad".utf8), topic: "t")
            try await eventually { await fixture.services[1].counters.rejected == 1 }
            let sender = fixture.hosts[0].localPeer
            #expect(await fixture.services[1].scoreRecord(of: sender)?.total(.invalidMessage) == 1)
            #expect(await fixture.services[1].score(of: sender) < 0)
            #expect(await fixture.services[2].counters.messagesArrived == 1)
        }
    }

    @Test func aSlowSubscriberLosesTheOldestMessages() async throws {
        try await GossipFixture.with(2) { fixture in
            _ = try await fixture.join(0, "t")
            let slow = try await fixture.join(1, "t")
            try await fixture.connect(0, 1)
            try await fixture.meshed(0, with: 1, topic: "t")
            let count = GossipService.Limits().subscriptionMessagesMax + 10
            for number in 0..<count {
                try await fixture.services[0].publish(Array("\(number)".utf8), topic: "t")
                // One at a time, because validators may end in another order.
                try await eventually { await fixture.services[1].counters.messagesDelivered == UInt64(number + 1) }
            }
            #expect(await fixture.services[1].droppedMessages.subscribers == 10)
            var messages = slow.makeAsyncIterator()
            #expect(text(await messages.next()) == "10")
        }
    }

    @Test func aMessageOf900KilobytesPasses() async throws {
        try await GossipFixture.with(2) { fixture in
            _ = try await fixture.join(0, "t")
            let right = try await fixture.join(1, "t")
            try await fixture.connect(0, 1)
            try await fixture.meshed(0, with: 1, topic: "t")
            let data = [UInt8](repeating: 0xA5, count: 900_000)
            try await fixture.services[0].publish(data, topic: "t")
            var messages = right.makeAsyncIterator()
            #expect(await messages.next()?.data == data)
        }
    }

    @Test func afterADisconnectNothingIsLeftAndANewConnectionIsGreeted() async throws {
        try await GossipFixture.with(2) { fixture in
            _ = try await fixture.join(0, "t")
            let right = try await fixture.join(1, "t")
            try await fixture.connect(0, 1)
            try await fixture.meshed(0, with: 1, topic: "t")
            try await fixture.meshed(1, with: 0, topic: "t")
            fixture.network.disconnect(fixture.hosts[0].localPeer, fixture.hosts[1].localPeer)
            for service in fixture.services {
                try await eventually { await service.occupancy.peers == 0 }
                #expect(await service.occupancy.peerTopics == 0)
            }
            try await fixture.connect(1, 0)
            try await fixture.meshed(0, with: 1, topic: "t")
            try await fixture.meshed(1, with: 0, topic: "t")
            try await fixture.services[0].publish(Array("again".utf8), topic: "t")
            var messages = right.makeAsyncIterator()
            #expect(text(await messages.next()) == "again")
        }
    }

    @Test func aStreamThatIsResetIsOpenedAnewWithAHello() async throws {
        try await GossipFixture.with(1) { fixture in
            _ = try await fixture.join(0, "t")
            let (hellos, input) = AsyncStream.makeStream(of: [UInt8].self)
            await fixture.stranger.handle("/meshsub/1.1.0") { stream in
                if let hello = try? await stream.readFrame(bytesMax: 10_000) {
                    input.yield(Array(hello.readableBytesView))
                }
                await stream.reset()
            }
            try await fixture.hosts[0].connect(to: fixture.stranger.localPeer, addresses: [])
            var iterator = hellos.makeAsyncIterator()
            for _ in 0..<2 {
                let hello = try GossipSubCodec.decode(await iterator.next() ?? [], limits: .init())
                #expect(hello.subscriptions == [.init(subscribes: true, topic: "t")])
            }
        }
    }

    @Test func anRPCThatAnnouncesTooMuchOrIsNoRPCResetsTheStream() async throws {
        for bytes in [Varint.encode(1_048_577), [2, 0xFF, 0xFF]] {
            try await GossipFixture.with(1) { fixture in
                let peer = fixture.stranger.localPeer
                try await fixture.stranger.connect(to: fixture.hosts[0].localPeer, addresses: [])
                await fixture.stranger.handle("/meshsub/1.1.0") { stream in
                    while let read = try? await stream.read() { _ = read }
                }
                try await eventually { await fixture.services[0].occupancy.peers == 1 }
                let stream = try await fixture.stranger.openStream(
                    to: fixture.hosts[0].localPeer, protocols: ["/meshsub/1.1.0"])
                try await stream.write(ByteBuffer(bytes: bytes))
                await #expect(throws: StreamError.reset) { _ = try await stream.read() }
                #expect(await fixture.services[0].scoreRecord(of: peer)?.total(.malformedRPC) == 1)
            }
        }
    }

    @Test func aThirdInboundStreamOfAPeerIsReset() async throws {
        try await GossipFixture.with(1) { fixture in
            await fixture.stranger.handle("/meshsub/1.1.0") { stream in
                while let read = try? await stream.read() { _ = read }
            }
            let target = fixture.hosts[0].localPeer
            try await eventually {
                (try? await fixture.stranger.openStream(to: target, protocols: ["/meshsub/1.1.0"])) != nil
            }
            var streams: [any PeerStream] = []
            for _ in 0..<3 {
                streams.append(try await fixture.stranger.openStream(to: target, protocols: ["/meshsub/1.1.0"]))
            }
            let (resets, input) = AsyncStream.makeStream(of: Int.self)
            await withTaskGroup(of: Void.self) { group in
                for (number, stream) in streams.enumerated() {
                    group.addTask {
                        do { while try await stream.read() != nil {} } catch { input.yield(number) }
                    }
                }
                var iterator = resets.makeAsyncIterator()
                #expect(await iterator.next() != nil, "two are served, the third is reset")
                for stream in streams { await stream.reset() }
            }
        }
    }

    @Test func aPeerThatReadsNothingLosesMessagesAndHoldsUpNobody() async throws {
        var limits = GossipService.Limits()
        limits.core.outgoingBytesMax = 100_000
        try await GossipFixture.with(2, limits: limits) { fixture in
            _ = try await fixture.join(0, "t")
            let good = try await fixture.join(1, "t")
            try await fixture.connect(0, 1)
            try await fixture.meshed(0, with: 1, topic: "t")
            let held = NIOLockedValueBox<[any PeerStream]>([])
            await fixture.stranger.handle("/meshsub/1.1.0") { stream in held.withLockedValue { $0.append(stream) } }
            let target = fixture.hosts[0].localPeer
            let stream = try await fixture.stranger.openStream(to: target, protocols: ["/meshsub/1.1.0"])
            var rpc = GossipSubRPC()
            rpc.subscriptions = [.init(subscribes: true, topic: "t")]
            try await stream.writeFrame(ByteBuffer(bytes: GossipSubCodec.encode(rpc)))
            try await eventually { await fixture.services[0].peers(of: "t").count == 2 }
            var messages = good.makeAsyncIterator()
            for _ in 0..<60 {
                try await fixture.services[0].publish([UInt8](repeating: 1, count: 10_000), topic: "t")
                #expect(await messages.next()?.data.count == 10_000)
            }
            #expect(await fixture.services[0].droppedMessages.peers > 0)
        }
    }

    @Test func aPeerThatDoesNotEvenReadControlIsGivenUp() async throws {
        var limits = GossipService.Limits()
        limits.core.outgoingControlBytesMax = 20_000
        try await GossipFixture.with(1, limits: limits) { fixture in
            let held = NIOLockedValueBox<[any PeerStream]>([])
            await fixture.stranger.handle("/meshsub/1.1.0") { stream in held.withLockedValue { $0.append(stream) } }
            try await fixture.hosts[0].connect(to: fixture.stranger.localPeer, addresses: [])
            try await eventually { await fixture.services[0].occupancy.peers == 1 }
            let name = String(repeating: "x", count: 500)
            for number in 0..<900 {
                _ = try await fixture.join(0, "\(number)\(name)")
                if await fixture.services[0].occupancy.peers == 0 { break }
            }
            #expect(await fixture.services[0].occupancy.peers == 0)
        }
    }

    @Test func onlySoManyMessagesOfAStreamAreValidatedAtOnce() async throws {
        try await GossipFixture.with(2) { fixture in
            let gate = Gate()
            let right = try await fixture.services[1].subscribe("t") { _ in
                await gate.pass()
                return .accept
            }
            try await fixture.connect(0, 1)
            try await eventually { await fixture.services[0].peers(of: "t").count == 1 }
            let count = GossipService.Limits().validationsPerStreamMax + 8
            for number in 0..<count { try await fixture.services[0].publish([UInt8(number)], topic: "t") }
            try await eventually { await gate.waiting == GossipService.Limits().validationsPerStreamMax }
            // Everything else stays unread, so the number cannot grow.
            for _ in 0..<100 { try await turn() }
            #expect(await gate.waiting == GossipService.Limits().validationsPerStreamMax)
            await gate.open()
            var seen: Set<[UInt8]> = []
            for await message in right {
                seen.insert(message.data)
                if seen.count == count { break }
            }
            #expect(seen.count == count)
        }
    }

    @Test func twoSwarmsGossipOverLoopback() async throws {
        try await withSwarms(2) { swarms in
            var logger = Logger(label: "gossip-test")
            logger.logLevel = .critical
            let services = swarms.map { swarm in
                GossipService(
                    host: swarm, parameters: GossipFixture.quick, identity: swarm.shared.identity, logger: logger)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for service in services { group.addTask { await service.run() } }
                defer { group.cancelAll() }
                _ = try await services[0].subscribe("t") { _ in .accept }
                let right = try await services[1].subscribe("t") { _ in .accept }
                _ = try await swarms[0].dial(swarms[1].dialAddress())
                for service in services { try await eventually { await service.meshPeers("t").count == 1 } }
                let large = [UInt8](repeating: 7, count: 900_000)
                try await services[0].publish([1, 2, 3], topic: "t")
                try await services[0].publish(large, topic: "t")
                var messages = right.makeAsyncIterator()
                var lengths: Set<Int> = []
                for _ in 0..<2 { if let message = await messages.next() { lengths.insert(message.data.count) } }
                #expect(lengths == [3, 900_000])
            }
        }
    }
}

/// Holds tasks until it is opened.
private actor Gate {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    var waiting: Int { waiters.count }

    func pass() async {
        if isOpen { return }
        await withCheckedContinuation { waiters.append($0) }
    }

    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }
}
