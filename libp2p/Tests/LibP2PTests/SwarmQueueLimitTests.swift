import Determinism
import Identify
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import PeerIdentity
import Testing

@testable import LibP2P

/// Each bound of a swarm on what waits and runs is reached, and its consequence has its name.
@Suite("Swarm limits on what waits", .timeLimit(.minutes(5)))
struct SwarmQueueLimitTests {
    private static let hold = "/hold/1.0.0"

    /// Handlers that read until their stream ends, and how many of them run.
    private final class Holding: Sendable {
        private let counts = NIOLockedValueBox((now: 0, most: 0))
        var now: Int { counts.withLockedValue { $0.now } }
        var most: Int { counts.withLockedValue { $0.most } }

        func serve(_ stream: any PeerStream) async {
            counts.withLockedValue { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            while let bytes = try? await stream.read(), bytes.readableBytes > 0 {}
            counts.withLockedValue { $0.now -= 1 }
        }
    }

    @Test("A dial past pendingOutboundMax is refused by that name, and the place comes back")
    func pendingOutbound() async throws {
        let swarm = try await makeIdleSwarm { $0.limits.pendingOutboundMax = 1 }
        let server = SilentServer()
        let (listener, port) = try await server.listen()
        let address = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/\(port)")
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: OpenStreamError.self) { try await swarm.dial(address) }
            }
            try? await eventually { server.accepted == 1 }
            await #expect(
                throws: OpenStreamError.dialFailed(["\(address): this node is dialing as many addresses as it may"])
            ) {
                try await swarm.dial(address)
            }
            server.closeAll()
        }
        #expect(swarm.counters()[.refusedPendingOutbound] == 1)
        #expect(swarm.counters()[.refusedTotal] == nil)
        try await eventually { swarm.isEmpty }
        #expect(server.accepted == 1)
        try await listener.close()
        await end(swarm)
    }

    @Test("No more than concurrentAttemptsMax addresses of a peer are tried at once, and in the end all")
    func concurrentAttempts() async throws {
        try await withSwarms(1) {
            $0.limits.waitForEver()
            $0.limits.concurrentAttemptsMax = 2
            $0.limits.attemptHeadStartMilliseconds = 1
        } _: { swarms in
            let server = SilentServer()
            let (listener, port) = try await server.listen()
            let addresses = try (1...6).map { try Multiaddr(parsing: "/ip4/127.0.0.\($0)/tcp/\(port)") }
            let peer = Identity.generate().peerID
            let reasons = NIOLockedValueBox(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    do throws(OpenStreamError) {
                        try await swarms[0].connect(to: peer, addresses: addresses)
                    } catch .dialFailed(let all) {
                        reasons.withLockedValue { $0 = all.count }
                    } catch {
                        Issue.record("failed for another reason: \(error)")
                    }
                }
                try await eventually { server.accepted == 2 }
                // A head start of 1 ms is over after these turns, so a third attempt would have begun.
                for _ in 0..<100 { try await turn() }
                #expect(server.accepted == 2)
                server.closeAll()
                try await group.waitForAll()
            }
            #expect(server.accepted == 6)
            #expect(reasons.withLockedValue { $0 } == 6)
            try await listener.close()
        }
    }

    @Test("Connections past connectionsMax are refused both ways")
    func connections() async throws {
        try await withSwarms(3) {
            $0.limits.waitForEver()
            $0.limits.connectionsMax = 1
        } _: { swarms in
            _ = try await swarms[0].dial(swarms[1].dialAddress())
            let other = try await #require(swarms[2].listenAddresses().first)
            await #expect(throws: OpenStreamError.dialFailed(["\(other): this node has as many connections as it may"]))
            {
                try await swarms[0].dial(other)
            }
            #expect(swarms[0].counters()[.refusedTotal] == 1)
            let full = try await #require(swarms[1].listenAddresses().first)
            await #expect(throws: OpenStreamError.self) { try await swarms[2].dial(full) }
            try await eventually { swarms[1].counters()[.refusedTotal] == 1 }
        }
    }

    @Test("Inbound streams of all peers past handlersMax are reset, and counted apart from those of one peer")
    func handlers() async throws {
        let holding = Holding()
        try await withSwarms(3) {
            $0.limits.waitForEver()
            $0.limits.handlersMax = 4
        } _: { swarms in
            await swarms[0].handle(Self.hold) { await holding.serve($0) }
            let server = try await swarms[1].dial(swarms[0].dialAddress())
            _ = try await swarms[2].dial(swarms[0].dialAddress())
            // Identify takes a place too while it runs, so some are refused before four are held.
            var held: [any PeerStream] = []
            while holding.now < 4 {
                let opener = swarms[1 + held.count % 2]
                held.append(try await opener.openStream(to: server, protocols: ["/no/1.0.0", Self.hold]))
                try await turn()
            }
            let before = swarms[0].counters()[.refusedStreamsTotal] ?? 0
            let refused = try await swarms[2].openStream(to: server, protocols: ["/no/1.0.0", Self.hold])
            await #expect(throws: StreamError.reset) { try await refused.read() }
            #expect((swarms[0].counters()[.refusedStreamsTotal] ?? 0) > before)
            #expect(swarms[0].counters()[.refusedStreams] == nil)
            #expect(holding.most == 4)
            for stream in held { await stream.reset() }
            try await eventually { holding.now == 0 }
        }
    }

    @Test("A dial past queuedWorkMax fails by that name, and waiting ones are done")
    func queuedDials() async throws {
        let swarm = try await makeIdleSwarm { $0.limits.queuedWorkMax = 2 }
        // Nothing listens on port 1.
        let address = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
        let failures = NIOLockedValueBox<[Int]>([])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    do throws(OpenStreamError) {
                        try await swarm.connect(to: Identity.generate().peerID, addresses: [address])
                    } catch .dialFailed(let reasons) {
                        failures.withLockedValue { $0.append(reasons.count) }
                    } catch {
                        Issue.record("failed for another reason: \(error)")
                    }
                }
            }
            try await eventually { await swarm.dials.count == 2 }
            await #expect(throws: OpenStreamError.limitReached("queuedWorkMax")) {
                try await swarm.connect(to: Identity.generate().peerID, addresses: [address])
            }
            #expect(swarm.counters()[.refusedQueuedWork] == 1)
            group.addTask { try await swarm.run() }
            try await eventually { failures.withLockedValue { $0 } == [1, 1] }
            group.cancelAll()
        }
        await #expect(throws: OpenStreamError.connectionLost("the swarm has stopped")) {
            try await swarm.connect(to: Identity.generate().peerID, addresses: [address])
        }
    }

    @Test("Streams past queuedWorkMax are reset, and identify is skipped")
    func queuedStreams() async throws {
        let busy = try await makeIdleSwarm { $0.limits.queuedWorkMax = 1 }
        try await withSwarms(1) {
            $0.limits.waitForEver()
        } _: { swarms in
            try await withThrowingTaskGroup(of: Void.self) { group in
                // The one place is taken by a dial; nothing listens on port 1.
                let nobody = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
                group.addTask {
                    await #expect(throws: OpenStreamError.self) {
                        try await busy.connect(to: Identity.generate().peerID, addresses: [nobody])
                    }
                }
                try await eventually { await busy.dials.count == 1 }
                let peer = try await swarms[0].dial(busy.dialAddress())
                let stream = try await swarms[0].openStream(to: peer, protocols: [Swarm.pingProtocolID])
                await #expect(throws: StreamError.reset) { try await stream.read() }
                try await eventually { swarms[0].counters()[.identifyFailed] == 1 }
                // The ping, our identify and the peer's.
                #expect(busy.counters()[.refusedQueuedWork] == 3)
                #expect(busy.counters()[.identifyFailed] == 1)
                #expect(busy.counters()[.refusedStreams] == nil)
                await end(busy)
            }
        }
    }

    @Test("A peer that does not answer identify in time stays unidentified")
    func identifyTimeout() async throws {
        let silent = try await makeIdleSwarm()
        try await withSwarms(1) {
            $0.limits.waitForEver()
            $0.limits.identifyTimeoutMilliseconds = 20
        } _: { swarms in
            let peer = try await swarms[0].dial(silent.dialAddress())
            try await eventually { swarms[0].counters()[.identifyFailed] == 1 }
            #expect(await swarms[0].protocols(of: peer).isEmpty)
            #expect(await swarms[0].connectedPeers() == [peer])
        }
        await end(silent)
    }

    @Test("Of an identify message in more than partsMax parts the first partsMax are read")
    func identifyParts() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
        } _: { swarms in
            let message = swarms[1].shared.ownIdentity(observed: nil).encode()
            await swarms[1].handle(IdentifyMessage.protocolID) { stream in
                let partBytes = message.count / (IdentifyMessage.partsMax - 1)
                for number in 0..<IdentifyMessage.partsMax {
                    let part = message.dropFirst(number * partBytes).prefix(partBytes)
                    try? await stream.writeFrame(ByteBuffer(bytes: part))
                }
                // No message; with it nothing of the others would count.
                try? await stream.writeFrame(ByteBuffer(repeating: 0xFF, count: 9))
                try? await stream.closeWrite()
            }
            let events = await swarms[0].peerEvents()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let identified = await firstEvent(events) { if case .identified(peer, _, _) = $0 { true } else { false } }
            #expect(identified != nil)
            #expect(swarms[0].counters()[.identifyFailed] == nil)
        }
    }

    @Test("Identify pushes past their rate on one connection are reset unread; after a while one is taken again")
    func pushes() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.identifyPushesAtOnceMax = 3
        } _: { swarms in
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let message = ByteBuffer(bytes: swarms[0].shared.ownIdentity(observed: nil).encode())
            func push() async throws -> ByteBuffer? {
                let stream = try await swarms[0].openStream(to: peer, protocols: [IdentifyMessage.pushProtocolID])
                try await stream.writeFrame(message)
                try await stream.closeWrite()
                return try await stream.read()
            }
            for _ in 0..<3 { #expect(try await push() == nil) }
            #expect(swarms[1].counters()[.identifyPushRefused] == nil)
            await #expect(throws: StreamError.reset) { try await push() }
            #expect(swarms[1].counters()[.identifyPushRefused] == 1)
            #expect(swarms[1].counters()[.identifyFailed] == nil)
            try await eventually {
                do { return try await push() == nil } catch { return false }
            }
            #expect(await swarms[0].connectedPeers() == [peer], "it is the same connection still")
        }
    }

    @Test("A connection's allowance of pushes refills as long as it lasts")
    func pushAllowance() {
        let limits = SwarmConfiguration.Limits()
        #expect(limits.identifyPushesAtOnceMax == 32)
        #expect(limits.identifyPushesPerMinuteMax == 12)
        var allowance = PushAllowance()
        var now = SwarmClock.now
        func taken(of count: Int) -> Int {
            (0..<count).filter { _ in
                allowance.take(
                    perMinute: limits.identifyPushesPerMinuteMax, burst: limits.identifyPushesAtOnceMax, now: now)
            }.count
        }
        #expect(taken(of: 40) == 32)
        now = now.advanced(milliseconds: 4_999)
        #expect(taken(of: 40) == 0)
        now = now.advanced(milliseconds: 1)
        #expect(taken(of: 40) == 1, "the thirty-third")
        now = now.advanced(milliseconds: 60_000)
        #expect(taken(of: 40) == 12)
        // A node that looks every 5 s and moves every time is heard every time, for a day.
        for _ in 0..<17_280 {
            now = now.advanced(milliseconds: limits.addressRefreshMilliseconds)
            #expect(taken(of: 1) == 1)
        }
        now = now.advanced(milliseconds: 86_400_000)
        #expect(taken(of: 40) == 32)
    }

    @Test("A ping stream without a ping is reset")
    func pingIdle() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.pingIdleTimeoutMilliseconds = 20
        } _: { swarms in
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let stream = try await swarms[0].openStream(to: peer, protocols: [Swarm.pingProtocolID])
            await #expect(throws: StreamError.reset) { try await stream.read() }
            #expect(swarms[1].counters()[.pingIdleTimedOut] == 1)
        }
    }

    private static func streamCount(of connection: Connection) async throws -> Int {
        try await connection.eventLoop.submit { [handler = connection.handler] in handler.value.slots.count }.get()
    }

    @Test("The second connection to a peer has the smaller receive budget, and refuses by its name")
    func furtherConnection() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.furtherConnectionReceiveBytesMax = 600 * 1024
        } _: { swarms in
            let holding = Holding()
            await swarms[1].handle(Self.hold) { await holding.serve($0) }
            let address = try await #require(swarms[1].listenAddresses().first)
            let peer = try await swarms[0].dial(address)
            try await eventually { await swarms[1].connectedPeers() == [swarms[0].localPeer] }
            _ = try await swarms[0].dial(address)
            let connections = swarms[0].shared.withRegistry { $0.connections(to: peer) }
            try #require(connections.count == 2)
            // Both are identified first, because those streams use the budget too.
            try await eventually {
                for swarm in swarms {
                    let other = swarm.localPeer == peer ? swarms[0].localPeer : peer
                    let all = swarm.shared.withRegistry { $0.connections(to: other) }
                    guard all.count == 2, all.allSatisfy({ !$0.protocols.isEmpty }) else { return false }
                    for connection in all where try await Self.streamCount(of: connection) > 0 { return false }
                }
                return true
            }
            let first = try await connections[1].openStream(protocols: [Self.hold], isLazy: false)
            let second = try await connections[1].openStream(protocols: [Self.hold], isLazy: false)
            let refusal = OpenStreamError.limitReached(
                "another stream does not fit into the 614400 bytes for receiving")
            await #expect(throws: refusal) {
                _ = try await connections[1].openStream(protocols: [Self.hold], isLazy: false)
            }
            await first.reset()
            await second.reset()
            for _ in 0..<4 {
                let stream = try await connections[0].openStream(protocols: [Self.hold], isLazy: false)
                await stream.reset()
            }
        }
    }
}

/// A stream that its user half-closed and released.
@Suite("Abandoned streams", .timeLimit(.minutes(5)))
struct AbandonedStreamTests {
    private static let hold = "/hold/1.0.0"

    /// Opens a stream, writes to it, half-closes and releases it.
    private func abandon(_ swarm: Swarm, _ peer: PeerID, _ protocols: [String]) async throws {
        let stream = try await swarm.openStream(to: peer, protocols: protocols)
        try await stream.write(ByteBuffer(bytes: [1]))
        try await stream.closeWrite()
    }

    @Test(
        "A peer that never ends its side of an abandoned stream loses it, agreed on before or only after",
        arguments: [false, true])
    func abandoned(isLazy: Bool) async throws {
        // Only the abandoning side has short limits, or identify would not finish in time.
        try await withSwarms(1) {
            $0.limits.waitForEver()
        } _: { servers in
            let (failures, signal) = AsyncStream.makeStream(of: StreamError?.self)
            await servers[0].handle(Self.hold) { stream in
                do {
                    while try await stream.read() != nil {}
                    // Only a reset ends this.
                    while true {
                        try await stream.write(ByteBuffer(bytes: [2]))
                        try await turn()
                    }
                } catch {
                    signal.yield(error as? StreamError)
                }
            }
            try await withSwarms(1) {
                $0.limits.waitForEver()
                $0.limits.abandonedStreamTimeoutMilliseconds = 20
            } _: { swarms in
                let peer = try await swarms[0].dial(servers[0].dialAddress())
                try await eventually { await swarms[0].protocols(of: peer).contains(Self.hold) }
                // The peer is known to speak the protocol, so its stream opens before the peer agrees.
                try await abandon(swarms[0], peer, isLazy ? [Self.hold] : ["/no/1.0.0", Self.hold])
                for await failure in failures {
                    #expect(failure == .reset)
                    break
                }
                // The stream of identify may have been abandoned as well.
                #expect((swarms[0].counters()[.abandonedStreamTimedOut] ?? 0) >= 1)
                #expect(swarms[0].counters()[.streamNegotiationTimedOut] == nil)
                #expect(swarms[0].isConnected(peer))
            }
        }
    }
}
