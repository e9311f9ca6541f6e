import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Noise
import P2PTesting
import PeerIdentity
import Peers
import Testing
import Yamux

@testable import LibP2P

/// A raw TCP client that speaks whatever a test gives it.
struct RawClient {
    let channel: any Channel

    static func connect(to swarm: Swarm) async throws -> RawClient {
        let address = try #require(await swarm.listenAddresses().first)
        guard case .tcp(let port)? = address.components.last else { throw StreamError.reset }
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        return RawClient(channel: try await bootstrap.connect(host: "127.0.0.1", port: Int(port)).get())
    }

    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    /// Waits until the other side closes.
    func closed() async throws {
        try await channel.closeFuture.get()
    }
}

/// A socket that completes the handshake and then hands its raw Yamux bytes to the test.
final class HostileHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var upgrade: ConnectionUpgrade
    private var transport: NoiseTransport?
    private let frames: ByteBuffer

    init(frames: ByteBuffer) throws {
        upgrade = try ConnectionUpgrade(role: .dialer, identity: .generate(), expectedPeer: nil)
        self.frames = frames
    }

    func channelActive(context: ChannelHandlerContext) {
        guard let first = try? upgrade.start() else { return }
        context.writeAndFlush(wrapOutboundOut(first), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard transport == nil, let progress = try? upgrade.received(unwrapInboundIn(data)) else { return }
        context.writeAndFlush(wrapOutboundOut(progress.send), promise: nil)
        guard var transport = progress.upgraded?.transport else { return }
        var frames = frames
        while let piece = frames.readSlice(length: min(frames.readableBytes, 60_000)), piece.readableBytes > 0 {
            var message = ByteBuffer()
            try? transport.seal(piece, into: &message)
            context.write(wrapOutboundOut(message), promise: nil)
        }
        context.flush()
        self.transport = transport
    }

    static func connect(to swarm: Swarm, frames: ByteBuffer) async throws -> any Channel {
        let address = try #require(await swarm.listenAddresses().first)
        guard case .tcp(let port)? = address.components.last else { throw StreamError.reset }
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(HostileHandler(frames: frames))
                }
            }
            .connect(host: "127.0.0.1", port: Int(port)).get()
    }
}

@Suite("Swarm against hostile peers", .timeLimit(.minutes(2)))
struct SwarmLimitTests {
    @Test("Garbage, another protocol and a truncated handshake are closed and counted by reason")
    func malformedHandshakes() async throws {
        try await withSwarms(1) { swarms in
            let garbage = try await RawClient.connect(to: swarms[0])
            try await garbage.send([UInt8](repeating: 0xFF, count: 100))
            try await garbage.closed()
            #expect(swarms[0].counters()[.handshakeNegotiationFailed] == 1)

            var hello: [UInt8] = [19] + Array("/multistream/1.0.0\n".utf8) + [7] + Array("/noise\n".utf8)
            hello += [0, 32] + [UInt8](repeating: 0, count: 32)
            let lowOrder = try await RawClient.connect(to: swarms[0])
            try await lowOrder.send(hello)
            try await lowOrder.closed()
            #expect(swarms[0].counters()[.handshakeNoiseFailed] == 1)

            let truncated = try await RawClient.connect(to: swarms[0])
            try await truncated.send(Array(hello.prefix(40)))
            try await truncated.channel.close()
            try await eventually { swarms[0].counters()[.handshakeAbandoned] == 1 }
            try await eventually { swarms[0].isEmpty }
        }
    }

    @Test("A silent handshake is cut at its time limit")
    func silentHandshake() async throws {
        try await withSwarms(1) {
            $0.limits.handshakeTimeoutMilliseconds = 30
        } _: { swarms in
            let silent = try await RawClient.connect(to: swarms[0])
            try await silent.closed()
            #expect(swarms[0].counters()[.handshakeTimedOut] == 1)
        }
    }

    @Test("A dial to a peer that proves to be another fails with both names")
    func wrongPeer() async throws {
        try await withSwarms(2) { swarms in
            let expected = Identity.generate().peerID
            let address = try await #require(swarms[1].listenAddresses().first).withPeerID(expected)
            await #expect {
                try await swarms[0].dial(address)
            } throws: { error in
                guard case OpenStreamError.dialFailed(let reasons) = error else { return false }
                return reasons.count == 1 && reasons[0].hasSuffix("\(swarms[1].localPeer), not \(expected)")
            }
            #expect(swarms[0].counters()[.handshakeWrongPeer] == 1)
        }
    }

    @Test("Dialing ourselves is refused on both sides")
    func selfDial() async throws {
        try await withSwarms(1) { swarms in
            let address = try await #require(swarms[0].listenAddresses().first)
            await #expect(throws: OpenStreamError.self) { try await swarms[0].dial(address) }
            await #expect(throws: OpenStreamError.self) { try await swarms[0].dial(try swarms[0].dialAddress()) }
            #expect((swarms[0].counters()[.refusedSelf] ?? 0) >= 2)
            #expect(swarms[0].ownKeyElsewhere() == nil, "it is this process")
        }
    }

    @Test(
        "Two processes with one key learn of each other by a handshake, and get no connection",
        arguments: [true, false])
    func twoWithOneKey(isNamed: Bool) async throws {
        try await withSwarms(2, identity: .generate()) { swarms in
            let address = try await swarms[1].dialAddress()
            await #expect(throws: OpenStreamError.self) {
                try await swarms[0].dial(isNamed ? address : address.withoutPeerID())
            }
            #expect(swarms[0].ownKeyElsewhere()?.address == address.withoutPeerID())
            #expect(swarms[0].counters()[.ownKeyElsewhere] == 1)
            try await eventually("the other side knows too") { swarms[1].ownKeyElsewhere() != nil }
            #expect(await swarms[0].connectedPeers().isEmpty)
            #expect(await swarms[1].connectedPeers().isEmpty)
        }
    }

    @Test("An address that others name as this node's is not dialed again soon if nobody with its key is there")
    func ownKeyNowhere() async throws {
        try await withSwarms(2) { swarms in
            let address = try await #require(swarms[1].listenAddresses().first)
            for _ in 0..<3 { await swarms[0].lookForOwnKey(at: [address]) }
            #expect(swarms[0].counters()[.handshakeWrongPeer] == 1)
            #expect(await swarms[0].ownKeyRests.count == 1)
        }
        try await withSwarms(2, identity: .generate()) { swarms in
            let address = try await #require(swarms[1].listenAddresses().first)
            for times in 1...2 {
                await swarms[0].lookForOwnKey(at: [address])
                #expect(swarms[0].counters()[.ownKeyElsewhere] == times, "where it is, it is looked for again")
            }
        }
    }

    @Test("Connections past connectionsPerIPMax are refused before their handshake")
    func perIP() async throws {
        try await withSwarms(1) {
            $0.limits.isLoopbackExempt = false
            $0.limits.connectionsPerIPMax = 3
            $0.limits.waitForEver()
        } _: { swarms in
            var held: [RawClient] = []
            for _ in 0..<3 { held.append(try await RawClient.connect(to: swarms[0])) }
            // Each connection is admitted on its own loop, in no particular order.
            try await eventually { swarms[0].shared.withRegistry { $0.handshakeCount } == 3 }
            for _ in 0..<20 {
                let refused = try await RawClient.connect(to: swarms[0])
                try await refused.closed()
            }
            #expect(swarms[0].counters()[.refusedPerIP] == 20)
            try await held[0].channel.close()
            try await eventually { swarms[0].counters()[.handshakeAbandoned] == 1 }
            let next = try await RawClient.connect(to: swarms[0])
            try await next.send([19])
            #expect(swarms[0].counters()[.refusedPerIP] == 20)
        }
    }

    @Test("Unfinished handshakes are limited")
    func pendingInbound() async throws {
        try await withSwarms(2) {
            $0.limits.pendingInboundMax = 4
            $0.limits.waitForEver()
        } _: { swarms in
            var held: [RawClient] = []
            for _ in 0..<4 { held.append(try await RawClient.connect(to: swarms[0])) }
            try await eventually { swarms[0].shared.withRegistry { $0.handshakeCount } == 4 }
            let refused = try await RawClient.connect(to: swarms[0])
            try await refused.closed()
            #expect(swarms[0].counters()[.refusedPendingInbound] == 1)
            try await held[0].channel.close()
            try await eventually { swarms[0].counters()[.handshakeAbandoned] == 1 }
            #expect(try await swarms[1].dial(swarms[0].dialAddress()) == swarms[0].localPeer)
        }
    }

    @Test("Connections to one peer are limited")
    func perPeer() async throws {
        try await withSwarms(2) {
            $0.limits.connectionsPerPeerMax = 2
        } _: { swarms in
            let address = try await #require(swarms[1].listenAddresses().first)
            for _ in 0..<2 { _ = try await swarms[0].dial(address) }
            await #expect(throws: OpenStreamError.self) { try await swarms[0].dial(address) }
            #expect(swarms[0].counters()[.refusedPerPeer] == 1)
            #expect(await swarms[0].connectedPeers() == [swarms[1].localPeer])
        }
    }

    @Test("All connections are limited")
    func total() async throws {
        try await withSwarms(4) {
            $0.limits.inboundConnectionsMax = 2
        } _: { swarms in
            for index in 1...2 { _ = try await swarms[index].dial(swarms[0].dialAddress()) }
            await #expect(throws: OpenStreamError.self) { try await swarms[3].dial(swarms[0].dialAddress()) }
            #expect(swarms[0].counters()[.refusedTotal] == 1)
        }
    }

    @Test("Inbound streams past the handlers of a peer are reset")
    func handlers() async throws {
        try await withSwarms(2) {
            $0.limits.handlersPerPeerMax = 3
        } _: { swarms in
            let running = NIOLockedValueBox((now: 0, most: 0))
            await swarms[1].handle("/hold/1.0.0") { stream in
                running.withLockedValue { running in
                    running.now += 1
                    running.most = max(running.most, running.now)
                }
                _ = try? await stream.read()
                running.withLockedValue { $0.now -= 1 }
            }
            let events = await swarms[0].peerEvents()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            // Identify takes a place too while it runs; after it whatever is refused is a stream of ours.
            _ = await firstEvent(events) { if case .identified = $0 { true } else { false } }
            var opened: [any PeerStream] = []
            for _ in 0..<4 { opened.append(try await swarms[0].openStream(to: peer, protocols: ["/hold/1.0.0"])) }
            // A stream of a known protocol opens before the other side has heard of it.
            try await eventually { swarms[1].counters()[.refusedStreams] != nil }
            let error = await withTaskGroup(of: StreamError?.self) { group in
                for stream in opened {
                    group.addTask {
                        do { while try await stream.read() != nil {} } catch { return error as? StreamError }
                        return nil
                    }
                }
                let first = await group.next() ?? nil
                for stream in opened { await stream.reset() }
                return first
            }
            #expect(error == .reset)
            #expect(running.withLockedValue { $0.most } <= 3)
        }
    }

    @Test("Violations of Yamux close the connection and are counted")
    func yamuxViolations() async throws {
        try await withSwarms(1) { swarms in
            var frames: [ByteBuffer] = []
            func add(
                _ kind: YamuxFrameKind, _ flags: YamuxFlags, _ id: UInt32, _ length: UInt32, after: [ByteBuffer] = []
            ) {
                var bytes = ByteBuffer()
                for var buffer in after { bytes.writeBuffer(&buffer) }
                YamuxHeader(kind: kind, flags: flags, streamID: YamuxStreamID(id), length: length)
                    .encode(into: &bytes)
                frames.append(bytes)
            }
            add(.data, .syn, 1, 262_145)
            add(.data, .syn, 2, 0)
            add(.data, [], 77, 5)
            add(.windowUpdate, .syn, 1, 0xFFFF_FFFF)
            for (number, bytes) in frames.enumerated() {
                let channel = try await HostileHandler.connect(to: swarms[0], frames: bytes)
                try await channel.closeFuture.get()
                #expect(swarms[0].counters()[.muxerViolation] == number + 1)
            }
            try await eventually { swarms[0].isEmpty }
        }
    }

    @Test("A stream that never names its protocol is reset at its time limit")
    func silentStream() async throws {
        try await withSwarms(1) {
            $0.limits.streamNegotiationTimeoutMilliseconds = 30
        } _: { swarms in
            var bytes = ByteBuffer()
            YamuxHeader(kind: .windowUpdate, flags: .syn, streamID: YamuxStreamID(1), length: 0).encode(into: &bytes)
            let channel = try await HostileHandler.connect(to: swarms[0], frames: bytes)
            try await eventually { swarms[0].counters()[.streamNegotiationTimedOut] != nil }
            try await channel.close()
        }
    }

    @Test("A connection without streams is closed when idle")
    func idle() async throws {
        try await withSwarms(2) {
            $0.limits.idleTimeoutMilliseconds = 50
        } _: { swarms in
            let events = await swarms[0].peerEvents()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            #expect(await firstEvent(events) { $0 == .disconnected(peer) } != nil)
            let closed = (swarms[0].counters()[.idleClosed] ?? 0) + (swarms[1].counters()[.idleClosed] ?? 0)
            #expect(closed >= 1)
        }
    }
}
