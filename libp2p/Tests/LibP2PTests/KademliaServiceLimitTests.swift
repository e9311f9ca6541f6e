import Kademlia
import Multiformats
import NIOCore
import OrderedCollections
import P2PTesting
import Testing

@testable import LibP2P
@testable import P2PServices

/// Each bound of the DHT service is reached, and its consequence has its name.
@Suite("DHT service limits", .timeLimit(.minutes(5)))
struct KademliaServiceLimitTests {
    private static let protocolID = "/ipfs/kad/1.0.0"

    private func service(
        on host: any StreamHost, _ change: (inout KademliaService.Limits) -> Void
    ) -> KademliaService {
        var configuration = KademliaConfiguration()
        configuration.requestTimeoutMilliseconds = 3_600_000
        configuration.queryTimeoutMilliseconds = 3_600_000
        var limits = KademliaService.Limits()
        limits.tickMilliseconds = 5
        limits.sweepMilliseconds = 5
        change(&limits)
        return KademliaService(
            host: host, configuration: configuration, validators: [.testText], limits: limits,
            logger: ServiceTestNode.logger)
    }

    private func peer(_ number: Int) -> PeerID { ServiceTestNode.peer(number) }

    /// Runs a service and its network beside a body.
    private func run(
        _ service: KademliaService, on network: InMemoryNetwork, _ body: () async throws -> Void
    ) async throws {
        await service.register()
        try await beside([{ await network.run() }, { await service.run() }], body)
    }

    @Test("A stream past the limit for all peers is reset, and counted apart from one past the limit for a peer")
    func inboundStreams() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) {
            $0.inboundStreamsMax = 3
            $0.inboundStreamsPerPeerMax = 2
        }
        try await run(service, on: network) {
            let others = [network.addHost(peer(1)), network.addHost(peer(2))]
            var held: [any PeerStream] = []
            func open(_ index: Int) async throws -> any PeerStream {
                try await others[index].openStream(to: peer(0), protocols: [Self.protocolID])
            }
            for index in [0, 0, 1] {
                held.append(try await open(index))
                try await eventually { await service.inbound.count == held.count }
            }
            let third = try await open(0)
            await #expect(throws: StreamError.reset) { try await third.read() }
            #expect(await service.streamCounters.refusedPerPeer == 1)
            #expect(await service.streamCounters.refusedInAll == 0)
            let fourth = try await open(1)
            await #expect(throws: StreamError.reset) { try await fourth.read() }
            #expect(await service.streamCounters.refusedPerPeer == 1)
            #expect(await service.streamCounters.refusedInAll == 1)
            // The place of a stream that has ended is free.
            try await held[0].closeWrite()
            #expect(try await held[0].read() == nil)
            try await eventually { await service.inbound.count == 2 }
            let fifth = try await open(1)
            try await fifth.writeFrame(
                ByteBuffer(bytes: KademliaMessageCoding.encode(KademliaMessage(kind: .ping))))
            #expect(try await fifth.readFrame(bytesMax: 100) != nil)
        }
    }

    @Test("A stream on which a peer asks nothing is reset")
    func inboundIdle() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) { $0.inboundIdleMilliseconds = 20 }
        try await run(service, on: network) {
            let stream = try await network.addHost(peer(1)).openStream(to: peer(0), protocols: [Self.protocolID])
            await #expect(throws: StreamError.reset) { try await stream.read() }
            #expect(await service.streamCounters.inboundIdle == 1)
            #expect(await service.inbound.isEmpty)
        }
    }

    /// A server that answers without naming peers, and records how its streams end.
    private func answering(_ host: InMemoryHost) async -> AsyncStream<Void> {
        let (ends, signal) = AsyncStream.makeStream(of: Void.self)
        await host.handle(Self.protocolID) { stream in
            while let bytes = try? await stream.readFrame(bytesMax: 9_999),
                let request = try? KademliaMessageCoding.decode(Array(bytes.readableBytesView))
            {
                let answer = KademliaMessage(kind: request.kind, key: request.key)
                try? await stream.writeFrame(ByteBuffer(bytes: KademliaMessageCoding.encode(answer)))
            }
            try? await stream.closeWrite()
            signal.yield()
        }
        return ends
    }

    @Test("Our own stream is closed when it is not used again")
    func ownIdle() async throws {
        let network = InMemoryNetwork()
        let host = network.addHost(peer(0))
        let service = service(on: host) { $0.idleStreamMilliseconds = 20 }
        try await run(service, on: network) {
            let server = network.addHost(peer(1))
            let ends = await answering(server)
            try await host.connect(to: server.localPeer, addresses: [])
            for await _ in ends { break }
            try await eventually { await service.streamCounters.ownIdle >= 1 }
            // The service's own lookups may have used another one meanwhile.
            try await eventually {
                let (count, idle) = await (service.idleCount, service.idle)
                return count == 0 && idle.isEmpty
            }
            #expect(await service.streamCounters.ownSurplus == 0)
        }
    }

    @Test("Our own stream is closed after use when enough are kept", arguments: [true, false])
    func ownSurplus(isInAll: Bool) async throws {
        let network = InMemoryNetwork()
        let host = network.addHost(peer(0))
        let service = service(on: host) {
            $0.idleStreamMilliseconds = 600_000
            if isInAll { $0.idleStreamsMax = 0 } else { $0.idleStreamsPerPeerMax = 0 }
        }
        try await run(service, on: network) {
            let server = network.addHost(peer(1))
            let ends = await answering(server)
            try await host.connect(to: server.localPeer, addresses: [])
            for await _ in ends { break }
            #expect(await service.streamCounters.ownSurplus >= 1)
            #expect(await service.streamCounters.ownIdle == 0)
            #expect(await service.idleCount == 0)
        }
    }

    @Test("Requests past requestsQueuedMax are dropped and counted, the operation says so, and no peer is blamed")
    func queuedRequests() async throws {
        let network = InMemoryNetwork()
        let host = network.addHost(peer(0))
        let service = service(on: host) {
            $0.requestsUnderWayMax = 1
            $0.requestsQueuedMax = 1
        }
        try await run(service, on: network) {
            for number in 1...5 {
                let silent = network.addHost(peer(number))
                await silent.handle(Self.protocolID) { stream in
                    while let bytes = try? await stream.read(), bytes.readableBytes > 0 {}
                }
                try await host.connect(to: silent.localPeer, addresses: [])
            }
            try await eventually { await service.routingTable().count == 5 }
            await withTaskGroup(of: KademliaFailure?.self) { group in
                // One request is under way for ever and one waits for ever; all others find no place.
                for number in 0..<8 {
                    group.addTask {
                        do throws(KademliaFailure) {
                            _ = try await service.findClosest(key: Array("key \(number)".utf8))
                            return nil
                        } catch {
                            return error
                        }
                    }
                }
                for _ in 0..<6 {
                    let failure = await group.next()
                    #expect(failure == .notFound(asked: 5))
                }
                group.cancelAll()
            }
            #expect(await service.droppedRequests >= 6 * 5)
            #expect(await service.requestsUnderWay == 1)
            #expect(await service.routingTable().count == 5)
        }
    }

    @Test("Past bootstrapJobsMax no dial of bootstrap addresses waits for its task")
    func bootstrapJobs() async throws {
        let service = service(on: InMemoryNetwork().addHost(peer(0))) {
            $0.requestsUnderWayMax = 3
            $0.bootstrapJobsMax = 2
        }
        // Nobody runs the service, so nothing takes them.
        var taken: [Bool] = []
        for _ in 0..<7 { taken.append(await service.jobs.start(.bootstrap([]))) }
        #expect(taken == [true, true, true, true, true, false, false])
    }

    @Test("Bootstrap addresses past bootstrapAddressesMax are left out")
    func bootstrapAddresses() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) { $0.bootstrapAddressesMax = 2 }
        let others = (1...3).map { network.addHost(peer($0)) }
        let reached = await service.bootstrap(others.map(\.address))
        #expect(reached == [peer(1), peer(2)].sorted())
    }
}
