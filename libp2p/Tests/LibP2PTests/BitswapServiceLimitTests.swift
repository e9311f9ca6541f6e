import Bitswap
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import OrderedCollections
import P2PTesting
import Testing

@testable import LibP2P
@testable import P2PServices

/// Each bound of the exchange of blocks is reached, and its consequence has its name.
@Suite("Block exchange limits", .timeLimit(.minutes(5)))
struct BitswapServiceLimitTests {
    private let blocks = MemoryBlocks()

    private func service(
        on host: any StreamHost, _ change: (inout BitswapService.Limits) -> Void
    ) -> BitswapService {
        var limits = BitswapService.Limits()
        limits.tickMilliseconds = 5
        limits.sweepMilliseconds = 5
        // Only the limit in question gives a peer up.
        limits.core.answerTimeoutMilliseconds = 3_600_000
        change(&limits)
        return BitswapService(host: host, store: blocks, limits: limits, logger: ServiceTestNode.logger)
    }

    private func peer(_ number: Int) -> PeerID { ServiceTestNode.peer(number) }

    private func cid(_ number: Int) -> CID { CID.hashing(Array("block \(number)".utf8), codec: .raw) }

    private func run(
        _ service: BitswapService, on network: InMemoryNetwork, _ body: () async throws -> Void
    ) async throws {
        await service.register()
        try await beside([{ await network.run() }, { await service.run() }], body)
    }

    /// A host whose streams never open, and the attempts to open one.
    private func stuck(_ host: InMemoryHost) -> (host: ScriptedHost, attempts: AsyncStream<PeerID>) {
        let (attempts, signal) = AsyncStream.makeStream(of: PeerID.self)
        let scripted = ScriptedHost(host: host) { peer throws(OpenStreamError) in
            signal.yield(peer)
            try? await Task.sleep(for: .seconds(3600))
            throw .connectionLost("cancelled")
        }
        return (scripted, attempts)
    }

    private static func failure(_ service: BitswapService, _ cid: CID, from peer: PeerID) async -> BlockFetchError? {
        do throws(BlockFetchError) {
            _ = try await service.fetch(cid, from: [peer], timeout: .seconds(3600))
            return nil
        } catch {
            return error
        }
    }

    @Test("A peer with more than queuedMessagesPerPeerMax waiting messages is given up and counted")
    func queuedMessages() async throws {
        let network = InMemoryNetwork()
        let (host, attempts) = stuck(network.addHost(peer(0)))
        let service = service(on: host) { $0.queuedMessagesPerPeerMax = 4 }
        let other = peer(1)
        try await run(service, on: network) {
            await withTaskGroup(of: BlockFetchError?.self) { group in
                let first = cid(0)
                group.addTask { await Self.failure(service, first, from: other) }
                for await _ in attempts { break }
                for number in 1...4 {
                    let next = cid(number)
                    group.addTask { await Self.failure(service, next, from: other) }
                }
                try? await eventually { await service.outboxes[other]?.messages.count == 4 }
                #expect(await service.overflowingPeers == 0)
                let last = cid(5)
                group.addTask { await Self.failure(service, last, from: other) }
                for await failure in group { #expect(failure == .allPeersFailed([other: .unreachable])) }
            }
            #expect(await service.overflowingPeers == 1)
            #expect(await service.refusedJobs == 0)
            #expect(await service.outboxes[other]?.messages.isEmpty == true)
        }
    }

    @Test("Wants that wait for a peer are joined, joinedEntriesMax to a message")
    func joinedEntries() async throws {
        let network = InMemoryNetwork()
        let (host, remote) = (network.addHost(peer(0)), network.addHost(peer(1)))
        let (isOpen, attempts) = (NIOLockedValueBox(false), NIOLockedValueBox(0))
        let scripted = ScriptedHost(host: host) { peer throws(OpenStreamError) in
            attempts.withLockedValue { $0 += 1 }
            try? await eventually("the test lets streams open") { isOpen.withLockedValue { $0 } }
            return try await host.openStream(to: peer, protocols: [BitswapService.protocolID])
        }
        let sizes = NIOLockedValueBox<[Int]>([])
        await remote.handle(BitswapService.protocolID) { stream in
            while let frame = try? await stream.readFrame(bytesMax: 1024 * 1024),
                let message = try? BitswapMessageCoding.decode(Array(frame.readableBytesView))
            {
                sizes.withLockedValue { $0.append(message.wants.count) }
            }
        }
        let service = service(on: scripted) { $0.joinedEntriesMax = 2 }
        try await run(service, on: network) {
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<6 {
                    let (next, other) = (cid(number), peer(1))
                    group.addTask { _ = await Self.failure(service, next, from: other) }
                    try? await eventually("the first one is on its way, the others wait") {
                        let waiting = await service.outboxes[other]?.messages.count
                        return attempts.withLockedValue { $0 } == 1 && waiting == number
                    }
                }
                isOpen.withLockedValue { $0 = true }
                try? await eventually("all wants have come") { sizes.withLockedValue { $0.reduce(0, +) } == 6 }
                group.cancelAll()
            }
            #expect(sizes.withLockedValue { $0 } == [1, 2, 2, 1])
        }
    }

    @Test("At most jobsMax tasks run at once: a peer that needs one more is given up and counted")
    func jobs() async throws {
        let network = InMemoryNetwork()
        let (host, attempts) = stuck(network.addHost(peer(0)))
        let service = service(on: host) { $0.jobsMax = 1 }
        let (held, other) = (peer(1), peer(2))
        try await run(service, on: network) {
            await withTaskGroup(of: BlockFetchError?.self) { group in
                let (first, second) = (cid(1), cid(2))
                group.addTask { await Self.failure(service, first, from: held) }
                for await peer in attempts {
                    #expect(peer == held)
                    break
                }
                #expect(await Self.failure(service, second, from: other) == .allPeersFailed([other: .unreachable]))
                #expect(await service.refusedJobs == 1)
                #expect(await service.isAsking(held))
                group.cancelAll()
                for await failure in group { #expect(failure == .cancelled) }
            }
        }
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
                try await others[index].openStream(to: peer(0), protocols: [BitswapService.protocolID])
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
            for stream in held { try await stream.closeWrite() }
            for stream in held { #expect(try await stream.read() == nil) }
            try await eventually { await service.inbound.isEmpty }
        }
    }

    @Test("Answers on more streams than are read at once wait for their turn, and none is lost")
    func answersWait() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) {
            $0.inboundStreamsPerPeerMax = 2
            $0.inboundWaitingPerPeerMax = 8
        }
        try await run(service, on: network) {
            let server = network.addHost(peer(1))
            let wants = try await asked(service, 1...10, of: server)
            var streams: [any PeerStream] = []
            for index in 1...10 {
                streams.append(try await server.openStream(to: peer(0), protocols: [BitswapService.protocolID]))
                try await eventually {
                    let waiting = await service.inbound.waitingCount(of: peer(1))
                    return await service.inbound.count + waiting == index
                }
            }
            #expect(await service.inbound.waitingCount(of: peer(1)) == 8)
            let eleventh = try await server.openStream(to: peer(0), protocols: [BitswapService.protocolID])
            await #expect(throws: StreamError.reset) { try await eleventh.read() }
            #expect(await service.streamCounters.refusedPerPeer == 1)
            for (number, stream) in zip(1...10, streams) {
                let answer = BitswapMessage(
                    blocks: [.init(prefix: [1, 0x55, 0x12, 0x20], data: Array("block \(number)".utf8))])
                try await stream.writeFrame(ByteBuffer(bytes: BitswapMessageCoding.encode(answer)))
                try await stream.closeWrite()
            }
            for want in wants { #expect(try await want.value.first != nil) }
            try await eventually { await service.inbound.isEmpty }
            #expect(await service.inbound.waitingCount(of: peer(1)) == 0)
        }
    }

    /// Fetches of blocks by number, which have reached their server.
    private func asked(
        _ service: BitswapService, _ numbers: ClosedRange<Int>, of server: InMemoryHost
    ) async throws -> [Task<[UInt8], any Error>] {
        let (arrivals, signal) = AsyncStream.makeStream(of: Int.self)
        await server.handle(BitswapService.protocolID) { stream in
            while let frame = try? await stream.readFrame(bytesMax: 99_999) {
                let message = try? BitswapMessageCoding.decode(Array(frame.readableBytesView), limits: .init())
                signal.yield(message?.wants.count ?? 0)
            }
        }
        let wants = numbers.map { number in
            Task { try await service.fetch(cid(number), from: [server.localPeer], timeout: .seconds(3600)) }
        }
        var count = 0
        for await arrived in arrivals {
            count += arrived
            if count >= numbers.count { break }
        }
        return wants
    }

    @Test("A stream on which a peer stays silent is reset")
    func inboundIdle() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) { $0.inboundIdleMilliseconds = 20 }
        try await run(service, on: network) {
            let stream = try await network.addHost(peer(1)).openStream(
                to: peer(0), protocols: [BitswapService.protocolID])
            await #expect(throws: StreamError.reset) { try await stream.read() }
            #expect(await service.streamCounters.inboundIdle == 1)
            #expect(await service.inbound.isEmpty)
        }
    }

    @Test("Our own stream is closed when it falls silent")
    func ownIdle() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) { $0.outboundIdleMilliseconds = 20 }
        try await run(service, on: network) {
            let server = network.addHost(peer(1))
            let (ends, signal) = AsyncStream.makeStream(of: Void.self)
            let block = Array("block 7".utf8)
            await server.handle(BitswapService.protocolID) { stream in
                let answer = BitswapMessage(blocks: [.init(prefix: [1, 0x55, 0x12, 0x20], data: block)])
                while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {
                    try? await stream.writeFrame(ByteBuffer(bytes: BitswapMessageCoding.encode(answer)))
                }
                try? await stream.closeWrite()
                signal.yield()
            }
            let fetched = try await service.fetch(cid(7), from: [server.localPeer], timeout: .seconds(3600))
            #expect(fetched == block)
            for await _ in ends { break }
            #expect(await service.streamCounters.ownIdle == 1)
            #expect(await service.streamCounters.sendsTimedOut == 0)
            #expect(await service.outboxes.isEmpty)
        }
    }

    @Test("A peer that does not take what it asked for loses its stream, and gets no new one")
    func sendTimeout() async throws {
        let network = InMemoryNetwork()
        let service = service(on: network.addHost(peer(0))) { $0.sendTimeoutMilliseconds = 20 }
        // The first fills the stream, the second waits.
        let cids = (1...2).map { blocks.add([UInt8](repeating: $0, count: 4 * InMemoryHost.windowBytes)) }
        try await run(service, on: network) {
            let lazy = network.addHost(peer(1))
            let (failures, signal) = AsyncStream.makeStream(of: StreamError?.self)
            await lazy.handle(BitswapService.protocolID) { stream in
                // It reads nothing of the answer; a write fails when the stream is gone.
                do {
                    while true {
                        try await stream.write(ByteBuffer(bytes: [0]))
                        try await turn()
                    }
                } catch {
                    signal.yield(error as? StreamError)
                }
            }
            let stream = try await lazy.openStream(to: peer(0), protocols: [BitswapService.protocolID])
            let want = BitswapMessage(wants: cids.map { .init(cid: $0) })
            try await stream.writeFrame(ByteBuffer(bytes: BitswapMessageCoding.encode(want)))
            for await failure in failures {
                #expect(failure == .reset)
                break
            }
            #expect(await service.streamCounters.sendsTimedOut >= 1)
            #expect(await service.streamCounters.ownIdle == 0)
            try await eventually { await service.outboxes.isEmpty }
        }
    }

    @Test("A message longer than unaskedMessageBytesMax is accepted only from a peer that was asked")
    func unaskedMessages() async throws {
        let network = InMemoryNetwork()
        let host = network.addHost(peer(0))
        let service = service(on: host) { $0.unaskedMessageBytesMax = 100 }
        let block = [UInt8](repeating: 7, count: 1_000)
        let answer = ByteBuffer(
            bytes: BitswapMessageCoding.encode(
                BitswapMessage(blocks: [.init(prefix: [1, 0x55, 0x12, 0x20], data: block)])))
        try await run(service, on: network) {
            let stranger = try await network.addHost(peer(1)).openStream(
                to: peer(0), protocols: [BitswapService.protocolID])
            try await stranger.writeFrame(answer)
            await #expect(throws: StreamError.reset) { try await stranger.read() }
            #expect(await service.refusedMessages == 1)
            let server = network.addHost(peer(2))
            await server.handle(BitswapService.protocolID) { stream in
                while (try? await stream.readFrame(bytesMax: 9_999)) ?? nil != nil {
                    try? await stream.writeFrame(answer)
                }
            }
            let fetched = try await service.fetch(
                CID.hashing(block, codec: .raw), from: [server.localPeer], timeout: .seconds(3600))
            #expect(fetched == block)
            #expect(await service.refusedMessages == 1)
        }
    }
}
