import Multiformats
import Multistream
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Noise
import P2PTesting
import PeerIdentity
import Testing
import Yamux

@testable import LibP2P

/// A peer that completes the handshake, sends what a test gives it, and then reads nothing.
private final class MuteHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var upgrade: ConnectionUpgrade
    private let frames: ByteBuffer

    init(_ identity: Identity, frames: ByteBuffer) throws {
        upgrade = try ConnectionUpgrade(role: .dialer, identity: identity, expectedPeer: nil)
        self.frames = frames
    }

    func channelActive(context: ChannelHandlerContext) {
        guard let first = try? upgrade.start() else { return }
        context.writeAndFlush(wrapOutboundOut(first), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let progress = try? upgrade.received(unwrapInboundIn(data)) else { return }
        context.writeAndFlush(wrapOutboundOut(progress.send), promise: nil)
        guard var transport = progress.upgraded?.transport else { return }
        context.channel.setOption(ChannelOptions.autoRead, value: false).whenFailure { _ in }
        var frames = frames
        while frames.readableBytes > 0, let piece = frames.readSlice(length: min(frames.readableBytes, 60_000)) {
            var message = ByteBuffer()
            try? transport.seal(piece, into: &message)
            context.write(wrapOutboundOut(message), promise: nil)
        }
        context.flush()
    }

    /// Opens streams of a protocol and fills the window of each.
    static func connect(
        to swarm: Swarm, as identity: Identity = .generate(), protocolID: String, streams: Int
    ) async throws -> any Channel {
        var frames = ByteBuffer()
        for number in 0..<streams {
            let id = YamuxStreamID(UInt32(2 * number + 1))
            YamuxHeader(kind: .windowUpdate, flags: .syn, streamID: id, length: 0).encode(into: &frames)
            var rest = ByteBuffer(bytes: MultistreamDialer(protocols: [protocolID]).start())
            rest.writeRepeatingByte(7, count: YamuxSession.initialWindowBytes - rest.readableBytes)
            while var body = rest.readSlice(length: min(rest.readableBytes, 64 * 1024)), body.readableBytes > 0 {
                YamuxHeader(kind: .data, flags: [], streamID: id, length: UInt32(body.readableBytes))
                    .encode(into: &frames)
                frames.writeBuffer(&body)
            }
        }
        let address = try #require(await swarm.listenAddresses().first)
        guard case .tcp(let port)? = address.components.last else { throw StreamError.reset }
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { [frames] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(MuteHandler(identity, frames: frames))
                }
            }
            .connect(host: "127.0.0.1", port: Int(port)).get()
    }
}

/// The bytes that peers make a node hold, over real sockets: bounded, given back and counted by reason.
@Suite("Bytes held for peers", .timeLimit(.minutes(5)), .serialized)
struct HeldBytesTests {
    private static let hold = "/hold/1.0.0"

    private func held(_ swarm: Swarm, _ peer: PeerID) -> Int {
        swarm.shared.budget.withLedger { ledger in
            ledger.checkInvariants()
            return ledger.bytes(of: peer)
        }
    }

    private func total(_ swarm: Swarm) -> Int {
        swarm.shared.budget.withLedger { ledger in
            ledger.checkInvariants()
            return ledger.totalBytes
        }
    }

    /// Handlers that hold their streams and read nothing.
    private func holdStreams(_ swarm: Swarm) async {
        await swarm.handle(Self.hold) { stream in
            let (ends, _) = AsyncStream.makeStream(of: Void.self)
            for await _ in ends {}
            withExtendedLifetime(stream) {}
        }
    }

    @Test("Of 128 ping streams of one peer two are served, the others are reset and counted")
    func pings() async throws {
        try await withSwarms(1) { swarms in
            let attacker = Identity.generate()
            let channel = try await MuteHandler.connect(
                to: swarms[0], as: attacker, protocolID: Swarm.pingProtocolID, streams: 128)
            try await eventually {
                #expect(held(swarms[0], attacker.peerID) <= 3 * 1024 * 1024)
                return swarms[0].counters()[.refusedStreamsOfProtocol] == 126
            }
            try await channel.close()
            try await eventually { swarms[0].isEmpty && total(swarms[0]) == 0 }
        }
    }

    @Test("For a peer that never reads, 16 MiB are held; then its streams are reset and counted")
    func answersNeverRead() async throws {
        try await withSwarms(1) { swarms in
            await swarms[0].echo()
            let attacker = Identity.generate()
            let channel = try await MuteHandler.connect(
                to: swarms[0], as: attacker, protocolID: "/echo/1.0.0", streams: 128)
            var most = 0
            try await eventually {
                most = max(most, held(swarms[0], attacker.peerID))
                return (swarms[0].counters()[.streamsOverBudget] ?? 0) > 0
            }
            for _ in 0..<200 {
                most = max(most, held(swarms[0], attacker.peerID))
                try await turn()
            }
            #expect(most <= 16 * 1024 * 1024)
            #expect(most > 8 * 1024 * 1024)
            try await channel.close()
            try await eventually { swarms[0].isEmpty && total(swarms[0]) == 0 }
        }
    }

    @Test("A socket that takes nothing is handed at most unsentBytesPerConnectionMax and one message")
    func unsentBytesOfASocket() async throws {
        for max in [32 * 1024, 512 * 1024] {
            let accepted = NIOLockedValueBox<(any Channel)?>(nil)
            try await withSwarms(1) {
                $0.limits.waitForEver()
                $0.limits.unsentBytesPerConnectionMax = max
            } _: { swarms in
                await swarms[0].echo()
                let attacker = Identity.generate()
                let channel = try await MuteHandler.connect(
                    to: swarms[0], as: attacker, protocolID: "/echo/1.0.0", streams: 64)
                try await eventually("the connection stands") {
                    let connection = swarms[0].shared.withRegistry { $0.connection(to: attacker.peerID) }
                    accepted.withLockedValue { $0 = connection?.channel }
                    return connection != nil
                }
                let socket = try #require(accepted.withLockedValue { $0 })
                var most = 0
                // Below a quarter the streams would write on; the smaller bound never lets so much wait as the larger.
                try await eventually("the socket takes no more, and the streams wait") {
                    most = Swift.max(most, try await socket.getOption(.bufferedWritableBytes).get())
                    return most >= max / 4
                }
                for _ in 0..<100 {
                    most = Swift.max(most, try await socket.getOption(.bufferedWritableBytes).get())
                    try await turn()
                }
                #expect(most < max + NoiseTransport.plaintextBytesMax + 64)
                try await channel.close()
                try await eventually { swarms[0].isEmpty && total(swarms[0]) == 0 }
            }
        }
    }

    @Test("The connections of a peer share its bound, and untaken bytes go first")
    func bytesOfAPeer() async throws {
        try await withSwarms(1) {
            $0.limits.heldBytesPerConnectionMax = 1024 * 1024
            $0.limits.heldBytesPerPeerMax = 2 * 1024 * 1024
        } _: { swarms in
            await holdStreams(swarms[0])
            let attacker = Identity.generate()
            var channels: [any Channel] = []
            for _ in 0..<3 {
                channels.append(
                    try await MuteHandler.connect(to: swarms[0], as: attacker, protocolID: Self.hold, streams: 6))
            }
            var most = 0
            // Eighteen windows of 256 KiB arrive, of which eight fit.
            try await eventually {
                most = max(most, held(swarms[0], attacker.peerID))
                return (swarms[0].counters()[.streamsOverBudget] ?? 0) >= 9
            }
            #expect(most <= 2 * 1024 * 1024 && most > 1024 * 1024)
            for channel in channels { try await channel.close() }
            try await eventually { await swarms[0].connectedPeers().isEmpty && total(swarms[0]) == 0 }
        }
    }

    @Test("Peers that fill the node's total leave a share to later ones")
    func total() async throws {
        try await withSwarms(2) {
            $0.limits.heldBytesMax = 8 * 1024 * 1024
        } _: { swarms in
            await holdStreams(swarms[0])
            await swarms[0].echo()
            var channels: [any Channel] = []
            for _ in 0..<24 {
                channels.append(try await MuteHandler.connect(to: swarms[0], protocolID: Self.hold, streams: 16))
            }
            try await eventually {
                #expect(total(swarms[0]) <= 8 * 1024 * 1024)
                return (swarms[0].counters()[.streamsOverBudget] ?? 0) > 24
            }
            let peer = try await swarms[1].dial(swarms[0].dialAddress())
            let stream = try await swarms[1].openStream(to: peer, protocols: ["/echo/1.0.0"])
            for number in 0..<100 as Range<UInt8> {
                let bytes = ByteBuffer(repeating: number, count: 30_000)
                try await stream.write(bytes)
                #expect(try await stream.readExactly(30_000) == bytes)
                #expect(total(swarms[0]) <= 8 * 1024 * 1024)
            }
            for channel in channels { try await channel.close() }
            await swarms[1].disconnect(peer)
            try await eventually { await swarms[0].connectedPeers().isEmpty && total(swarms[0]) == 0 }
        }
    }

    @Test("Writers wait for room and then go on, and the books agree to the byte")
    func writersWait() async throws {
        let bound = 400 * 1024
        try await withSwarms(1) {
            $0.limits.waitForEver()
            $0.limits.heldBytesPerConnectionMax = bound
            $0.limits.stalledStreamMilliseconds = 3_600_000
        } _: { servers in
            await servers[0].handle("/flow/1.0.0") { stream in
                for _ in 0..<16 { try? await stream.write(ByteBuffer(repeating: 1, count: 65_536)) }
                try? await stream.closeWrite()
            }
            // The reader has room for everything.
            try await withSwarms(1) {
                $0.limits.waitForEver()
            } _: { clients in
                try await readLate(from: servers[0], clients[0], bound: bound)
            }
        }
    }

    /// Opens two streams that each send a mebibyte, and reads them once the writers wait for room.
    private func readLate(from server: Swarm, _ client: Swarm, bound: Int) async throws {
        let peer = try await client.dial(server.dialAddress())
        var streams: [any PeerStream] = []
        for _ in 0..<2 {
            streams.append(try await client.openStream(to: peer, protocols: ["/no/1.0.0", "/flow/1.0.0"]))
        }
        let served = try await connection(of: server, to: client.localPeer)
        try await eventually {
            let charges = try await served.charges()
            #expect(charges.connection <= bound)
            return charges.shortStreams > 0
        }
        for stream in streams {
            #expect(try await stream.readExactly(1024 * 1024).readableBytes == 1024 * 1024)
            #expect(try await stream.read() == nil)
            try await stream.closeWrite()
        }
        for side in [served, try await connection(of: client, to: peer)] {
            try await eventually {
                let charges = try await side.charges()
                return charges.connection == charges.streams + charges.socket
                    && charges.socket <= ConnectionHandler.untoldBytesMax
            }
        }
        #expect(server.counters()[.streamsOverBudget] == nil && client.counters()[.streamsOverBudget] == nil)
    }

    private func connection(of swarm: Swarm, to peer: PeerID) async throws -> Connection {
        try await eventually { swarm.isConnected(peer) }
        return try #require(swarm.shared.withRegistry { $0.connection(to: peer) })
    }

    @Test("Windows grow to half of a connection's bound and no further, and a long stream arrives whole")
    func grownWindows() async throws {
        let bound = 4 * 1024 * 1024
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.heldBytesPerConnectionMax = bound
        } _: { swarms in
            let most = NIOLockedValueBox(0)
            let sum = AsyncStream.makeStream(of: Int.self)
            let writer = swarms[1].localPeer
            await swarms[0].handle("/sink/1.0.0") { [swarms] stream in
                var count = 0
                while let bytes = try? await stream.read() {
                    count += bytes.readableBytes
                    let held = swarms[0].shared.budget.withLedger { $0.bytes(of: writer) }
                    most.withLockedValue { $0 = max($0, held) }
                }
                sum.continuation.yield(count)
            }
            let peer = try await swarms[1].dial(swarms[0].dialAddress())
            let stream = try await swarms[1].openStream(to: peer, protocols: ["/sink/1.0.0"])
            for _ in 0..<512 { try await stream.write(ByteBuffer(repeating: 1, count: 65_536)) }
            try await stream.closeWrite()
            var sums = sum.stream.makeAsyncIterator()
            #expect(await sums.next() == 512 * 65_536)
            #expect(most.withLockedValue { $0 } <= bound / 2 + 512 * 1024)
            #expect(swarms[0].counters()[.streamsOverBudget] == nil)
        }
    }
}
