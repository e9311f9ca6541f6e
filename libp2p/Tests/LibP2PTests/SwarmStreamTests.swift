import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import PeerIdentity
import Testing
import Yamux

@testable import LibP2P

@Suite("Streams of a swarm", .timeLimit(.minutes(2)))
struct SwarmStreamTests {
    @Test("A reader that does not read stops the writer within the two bounds")
    func backpressure() async throws {
        try await withSwarms(2) { swarms in
            let opened = AsyncStream.makeStream(of: (any PeerStream).self)
            await swarms[1].handle("/sink/1.0.0") { stream in
                opened.continuation.yield(stream)
                // Held until the test ends.
                await untilCancelled()
            }
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let stream = try await swarms[0].openStream(to: peer, protocols: ["/sink/1.0.0"])
            let written = NIOLockedValueBox(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<1_000 {
                        try await stream.write(ByteBuffer(repeating: 1, count: 65_536))
                        written.withLockedValue { $0 += 65_536 }
                    }
                }
                let limits = SwarmConfiguration.Limits()
                // The peer's window and our own mark, exceeded by less than one write.
                let bound = 262_144 + limits.unsentBytesPerStreamMax + 65_536
                var iterator = opened.stream.makeAsyncIterator()
                let reader = try #require(await iterator.next())
                var read = 0
                while read < 65_536_000 {
                    let chunk = try #require(try await reader.read())
                    read += chunk.readableBytes
                    let ahead = written.withLockedValue { $0 } - read
                    // Windows grow while the reader is quick, so only the sum of all windows bounds it.
                    #expect(ahead <= bound + limits.yamux.streamWindowBytesMax)
                }
                try await group.waitForAll()
            }
            #expect(written.withLockedValue { $0 } == 65_536_000)
        }
    }

    @Test("A writer whose peer reads nothing holds no more than the window and the mark")
    func stalledWriter() async throws {
        try await withSwarms(2) { swarms in
            await swarms[1].handle("/hold/1.0.0") { _ in await untilCancelled() }
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let stream = try #require(
                try await swarms[0].openStream(to: peer, protocols: ["/hold/1.0.0"]) as? BufferedStream)
            try await withThrowingTaskGroup(of: Void.self) { group in
                let written = NIOLockedValueBox(0)
                group.addTask {
                    while true {
                        try await stream.write(ByteBuffer(repeating: 1, count: 32_768))
                        written.withLockedValue { $0 += 32_768 }
                    }
                }
                // Nothing more can move once the writer waits and the window is used up.
                try await eventually {
                    stream.unsentBytes >= 262_144 && written.withLockedValue { $0 } >= 262_144 + 262_144
                }
                for _ in 0..<100 { try await turn() }
                #expect(written.withLockedValue { $0 } == 262_144 + 262_144)
                await stream.reset()
                let result = await group.nextResult()
                #expect(throws: StreamError.reset) { try result?.get() }
            }
        }
    }

    @Test("Reset reaches the other side's reader and writer")
    func reset() async throws {
        try await withSwarms(2) { swarms in
            let ends = AsyncStream.makeStream(of: StreamError?.self)
            await swarms[1].handle("/hold/1.0.0") { stream in
                do {
                    while try await stream.read() != nil {}
                    ends.continuation.yield(nil)
                } catch {
                    ends.continuation.yield(error as? StreamError)
                }
            }
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            let stream = try await swarms[0].openStream(to: peer, protocols: ["/hold/1.0.0"])
            await stream.reset()
            var iterator = ends.stream.makeAsyncIterator()
            #expect(await iterator.next() == .some(.reset))
            await #expect(throws: StreamError.reset) { try await stream.read() }
            await #expect(throws: StreamError.reset) { try await stream.write(ByteBuffer(string: "x")) }
        }
    }

    @Test("A released stream is reset; a half-closed one still delivers what was written")
    func letGo() async throws {
        try await withSwarms(2) { swarms in
            let texts = AsyncStream.makeStream(of: String.self)
            await swarms[1].handle("/note/1.0.0") { stream in
                let bytes = (try? await stream.readFrame(bytesMax: 100)) ?? nil
                texts.continuation.yield(bytes.map { String(buffer: $0) } ?? "reset")
            }
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            do {
                let stream = try await swarms[0].openStream(to: peer, protocols: ["/note/1.0.0"])
                try await stream.writeFrame(ByteBuffer(string: "farewell"))
                try await stream.closeWrite()
            }
            var iterator = texts.stream.makeAsyncIterator()
            #expect(await iterator.next() == "farewell")
            do { _ = try await swarms[0].openStream(to: peer, protocols: ["/note/1.0.0"]) }
            #expect(await iterator.next() == "reset")
        }
    }

    @Test("Unknown protocols are refused by name; known ones open without a round trip, and a refusal is a reset")
    func protocols() async throws {
        try await withSwarms(2) { swarms in
            let events = await swarms[0].peerEvents()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            _ = await firstEvent(events) { if case .identified = $0 { true } else { false } }
            await #expect(throws: OpenStreamError.protocolsNotSupported(["/none/1.0.0"])) {
                try await swarms[0].openStream(to: peer, protocols: ["/none/1.0.0"])
            }
            let connection = try #require(swarms[0].shared.withRegistry { $0.connection(to: peer) })
            let lazy = try await connection.openStream(protocols: ["/none/1.0.0"], isLazy: true)
            await #expect(throws: StreamError.reset) { try await lazy.read() }
        }
    }

    @Test("Connected peers are told of a protocol registered later")
    func push() async throws {
        try await withSwarms(2) { swarms in
            let events = await swarms[0].peerEvents()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            await swarms[1].echo("/late/1.0.0")
            let told = await firstEvent(events) {
                if case .identified(_, let protocols, _) = $0 { protocols.contains("/late/1.0.0") } else { false }
            }
            #expect(told != nil)
            #expect(await swarms[0].protocols(of: peer).contains("/late/1.0.0"))
        }
    }

    @Test("Sixty-four streams at once each carry their own bytes")
    func manyStreams() async throws {
        try await withSwarms(2) { swarms in
            await swarms[1].echo()
            let peer = try await swarms[0].dial(swarms[1].dialAddress())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<64 as Range<UInt8> {
                    group.addTask {
                        let stream = try await swarms[0].openStream(to: peer, protocols: ["/echo/1.0.0"])
                        for round in 1...20 {
                            let bytes = ByteBuffer(repeating: number, count: 100 * round)
                            try await stream.write(bytes)
                            #expect(try await stream.readExactly(bytes.readableBytes) == bytes)
                        }
                        try await stream.closeWrite()
                        #expect(try await stream.read() == nil)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("Simultaneous dials end in one dial per side and a working connection")
    func simultaneousDials() async throws {
        try await withSwarms(2) { swarms in
            await swarms[0].echo()
            await swarms[1].echo()
            let addresses = [try await swarms[0].dialAddress(), try await swarms[1].dialAddress()]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask { _ = try await swarms[number % 2].dial(addresses[1 - number % 2]) }
                }
                try await group.waitForAll()
            }
            #expect((swarms[0].counters()[.connectionsOpened] ?? 0) <= 2)
            #expect(try await swarms[0].ping(swarms[1].localPeer) > .zero)
            #expect(try await swarms[1].ping(swarms[0].localPeer) > .zero)
        }
    }

    @Test("A thousand connections leave nothing behind")
    func churn() async throws {
        try await withSwarms(2) { swarms in
            let address = try await #require(swarms[1].listenAddresses().first)
            let peer = swarms[1].localPeer
            for _ in 0..<250 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 { group.addTask { _ = try await swarms[0].dial(address) } }
                    try await group.waitForAll()
                }
                await swarms[0].disconnect(peer)
            }
            try await eventually { swarms[0].isEmpty && swarms[1].isEmpty }
            #expect(swarms[0].counters()[.connectionsOpened] == 1_000)
        }
    }

    @Test("A missing, an unreachable and an unusable address each have their reason")
    func dialFailures() async throws {
        try await withSwarms(1) { swarms in
            let peer = Identity.generate().peerID
            await #expect(throws: OpenStreamError.noAddresses) {
                try await swarms[0].openStream(to: peer, protocols: ["/x"])
            }
            let udp = try Multiaddr(parsing: "/ip4/127.0.0.1/udp/1")
            await #expect(throws: OpenStreamError.dialFailed(["\(udp): only TCP over ip4, ip6 and dns can be dialed"]))
            {
                try await swarms[0].connect(to: peer, addresses: [udp])
            }
            await #expect {
                try await swarms[0].connect(to: peer, addresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")])
            } throws: { error in
                guard case OpenStreamError.dialFailed(let reasons) = error else { return false }
                return reasons.count == 2 && reasons.contains { $0.contains("refused") }
            }
        }
    }

    @Test("Names are resolved, and IPv6 is dialed")
    func namesAndIPv6() async throws {
        try await withSwarms(2) {
            $0.listenAddresses.append(Multiaddr([.ip6([UInt8](repeating: 0, count: 15) + [1]), .tcp(0)]))
        } _: { swarms in
            let addresses = await swarms[1].listenAddresses()
            #expect(addresses.count == 2)
            let overIPv6 = try await swarms[0].dial(addresses[1])
            #expect(overIPv6 == swarms[1].localPeer)
            guard case .tcp(let port)? = addresses[0].components.last else { return }
            let byName = try await swarms[0].dial(Multiaddr([.dns4("localhost"), .tcp(port)]))
            #expect(byName == swarms[1].localPeer)
        }
    }

    @Test("A port in use is one clear error")
    func portInUse() async throws {
        try await withSwarms(1) { swarms in
            let address = try await #require(swarms[0].listenAddresses().first)
            let other = Swarm(
                configuration: SwarmConfiguration(listenAddresses: [address]), identity: .generate(),
                logger: .init(label: "test"))
            await #expect {
                try await other.listen()
            } throws: { error in "\(error)".hasPrefix("cannot listen on \(address): ") }
        }
    }
}
