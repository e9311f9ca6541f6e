import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import Testing

@testable import LibP2P

/// What the two sides of a request-response make of a partner that does not keep to it.
@Suite("Request-response with hostile partners", .timeLimit(.minutes(2)))
struct HostileRequestTests {
    private static let name = "/test/message/1.0.0"
    private static let never: Int64 = 3_600_000

    /// Bounds of which no time is ever up, unless a test wants it.
    private static func limits(_ change: (inout RequestResponse.Limits) -> Void = { _ in }) -> RequestResponse.Limits {
        var limits = RequestResponse.Limits()
        limits.requestBytesMax = 1024 * 1024
        limits.responseBytesMax = 100
        limits.exchangeMilliseconds = never
        limits.arrivalMilliseconds = never
        limits.departureMilliseconds = never
        change(&limits)
        return limits
    }

    private static func exchange(
        on host: any StreamHost, _ change: (inout RequestResponse.Limits) -> Void = { _ in }
    ) -> RequestResponse {
        RequestResponse(host: host, protocolID: name, limits: limits(change))
    }

    private static func open(_ client: any StreamHost, _ server: any StreamHost) async throws -> any PeerStream {
        try await client.openStream(to: server.localPeer, protocols: [name])
    }

    /// A door at which handlers wait until the test opens it.
    private struct Gate: Sendable {
        private let isOpen = NIOLockedValueBox(false)
        func open() { isOpen.withLockedValue { $0 = true } }
        func pass() async { try? await eventually("the gate opens") { isOpen.withLockedValue { $0 } } }
    }

    // MARK: The server's side

    @Test("An incomplete request is reset and not handled, and nobody is blamed")
    func halfRequests() async throws {
        try await withInMemoryPair { client, server in
            let (handled, faults) = (NIOLockedValueBox<[[UInt8]]>([]), NIOLockedValueBox(0))
            await Self.exchange(on: server).serve(
                onFault: { _, _ in faults.withLockedValue { $0 += 1 } }
            ) { _, bytes in
                handled.withLockedValue { $0.append(bytes) }
                return .respond(bytes)
            }
            for bytes in [[], [0x80], [5], [5, 1, 2, 3, 4]] as [[UInt8]] {
                let closed = try await Self.open(client, server)
                try await closed.write(ByteBuffer(bytes: bytes))
                try await closed.closeWrite()
                await #expect(throws: StreamError.reset, "\(bytes)") { try await closed.read() }
                let reset = try await Self.open(client, server)
                try await reset.write(ByteBuffer(bytes: bytes))
                await reset.reset()
            }
            #expect(try await Self.exchange(on: client).request([7], to: server.localPeer) == [7])
            #expect(handled.withLockedValue { $0 } == [[7]])
            #expect(faults.withLockedValue { $0 } == 0)
        }
    }

    @Test("A silent or dripping peer has arrivalMilliseconds for the whole request")
    func slowRequests() async throws {
        try await withInMemoryPair { client, server in
            let faults = NIOLockedValueBox(0)
            await Self.exchange(on: server) { $0.arrivalMilliseconds = 30 }.serve(
                onFault: { _, _ in faults.withLockedValue { $0 += 1 } }
            ) { _, bytes in .respond(bytes) }
            let silent = try await Self.open(client, server)
            await #expect(throws: StreamError.reset) { try await silent.read() }
            let dripping = try await Self.open(client, server)
            // A length of a million.
            try await dripping.write(ByteBuffer(bytes: [0xC0, 0x84, 0x3D]))
            await #expect(throws: StreamError.reset) {
                while true {
                    try await dripping.write(ByteBuffer(bytes: [1]))
                    try await turn()
                }
            }
            #expect(faults.withLockedValue { $0 } == 0)
        }
    }

    @Test("A second request on one stream is not answered")
    func secondRequest() async throws {
        try await withInMemoryPair { client, server in
            let handled = NIOLockedValueBox<[[UInt8]]>([])
            await Self.exchange(on: server).serve { _, bytes in
                handled.withLockedValue { $0.append(bytes) }
                return .respond(bytes)
            }
            let stream = try await Self.open(client, server)
            try await stream.write(ByteBuffer(bytes: [1, 5, 1, 6]))
            #expect(try await stream.readFrame(bytesMax: 100) == ByteBuffer(bytes: [5]))
            try? await stream.write(ByteBuffer(bytes: [1, 7]))
            #expect(try await stream.read() == nil)
            #expect(handled.withLockedValue { $0 } == [[5]])
        }
    }

    @Test("Silent streams take only their own peer's places, and give them back when they end")
    func manySilentStreams() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.streamsPerProtocolPerPeerMax = 3
        } _: { swarms in
            let (client, server) = (swarms[0], swarms[1])
            await Self.exchange(on: server).serve { _, bytes in .respond(bytes) }
            _ = try await client.dial(server.dialAddress())
            var silent: [any PeerStream] = []
            for _ in 0..<3 { silent.append(try await Self.open(client, server)) }
            await #expect(throws: RequestError.self) {
                try await Self.exchange(on: client).request([1], to: server.localPeer)
            }
            #expect(server.counters()[.refusedStreamsOfProtocol] == 1)
            for stream in silent { await stream.reset() }
            try await eventually("a place is free") {
                (try? await Self.exchange(on: client).request([2], to: server.localPeer)) == [2]
            }
        }
    }

    @Test("A reset request keeps its peer's place until the handler is done")
    func resetWhileHandled() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            $0.limits.streamsPerProtocolPerPeerMax = 2
        } _: { swarms in
            let (client, server) = (swarms[0], swarms[1])
            let (gate, begun) = (Gate(), NIOLockedValueBox(0))
            await Self.exchange(on: server).serve { _, bytes in
                begun.withLockedValue { $0 += 1 }
                await gate.pass()
                return .respond(bytes)
            }
            _ = try await client.dial(server.dialAddress())
            for number in 1...2 {
                let stream = try await Self.open(client, server)
                try await stream.writeFrame(ByteBuffer(bytes: [1]))
                try await eventually("it is handled") { begun.withLockedValue { $0 } == number }
                await stream.reset()
            }
            await #expect(throws: RequestError.self) {
                try await Self.exchange(on: client).request([1], to: server.localPeer)
            }
            #expect(server.counters()[.refusedStreamsOfProtocol] == 1)
            #expect(begun.withLockedValue { $0 } == 2)
            gate.open()
            try await eventually("a place is free") {
                (try? await Self.exchange(on: client).request([2], to: server.localPeer)) == [2]
            }
        }
    }

    @Test("A response that finds no room is dropped after departureMilliseconds; the peer's other streams go on")
    func untakenResponse() async throws {
        try await withSwarms(2) {
            $0.limits.waitForEver()
            // One response fits, and not a second one beside what the peer's window leaves of it.
            $0.limits.heldBytesPerConnectionMax = 1_500_000
            $0.limits.stalledStreamMilliseconds = Self.never
        } _: { swarms in
            let (client, server) = (swarms[0], swarms[1])
            let response = [UInt8](repeating: 7, count: 1_000_000)
            let left = NIOLockedValueBox(0)
            await Self.exchange(on: server) { $0.departureMilliseconds = 100 }.serve { _, _ in
                .respond(response, then: { left.withLockedValue { $0 += 1 } })
            }
            _ = try await client.dial(server.dialAddress())
            let first = try await Self.open(client, server)
            try await first.writeFrame(ByteBuffer(bytes: [1]))
            try await eventually("the first one is written") { left.withLockedValue { $0 } == 1 }
            let second = try await Self.open(client, server)
            try await second.writeFrame(ByteBuffer(bytes: [2]))
            await #expect(throws: StreamError.reset) { try await second.read() }
            #expect(left.withLockedValue { $0 } == 1)
            let taken = try await first.readFrame(bytesMax: response.count)
            #expect(taken.map { Array($0.readableBytesView) } == response)
        }
    }

    // MARK: The client's side

    @Test("Each failure of a server has its own reason")
    func hostileServers() async throws {
        let conducts: [(String, RequestError, @Sendable (any PeerStream) async throws -> Void)] = [
            ("resets at once", .streamFailed(.reset), { await $0.reset() }),
            (
                "resets a request it has read", .streamFailed(.reset),
                { stream in
                    _ = try await stream.readFrame(bytesMax: 100)
                    await stream.reset()
                }
            ),
            (
                "resets within a response", .streamFailed(.reset),
                { stream in
                    try await stream.write(ByteBuffer(bytes: [5, 1]))
                    await stream.reset()
                }
            ),
            (
                "ends within a length", .streamFailed(.endOfStream),
                { stream in
                    try await stream.write(ByteBuffer(bytes: [0x80]))
                    try await stream.closeWrite()
                }
            ),
            (
                "ends within a response", .streamFailed(.endOfStream),
                { stream in
                    try await stream.write(ByteBuffer(bytes: [5, 1, 2]))
                    try await stream.closeWrite()
                }
            ),
            (
                "announces 2^56 bytes", .streamFailed(.frameTooLarge(announced: 1 << 56, bytesMax: 100)),
                { stream in
                    try await stream.write(ByteBuffer(bytes: [UInt8](repeating: 0x80, count: 8) + [1]))
                    try await stream.closeWrite()
                }
            ),
            (
                "sends a length without end", .streamFailed(.malformedLength),
                { stream in
                    try await stream.write(ByteBuffer(repeating: 0x80, count: 10))
                    try await stream.closeWrite()
                }
            ),
        ]
        for (what, error, conduct) in conducts {
            try await withInMemoryPair { client, server in
                await server.handle(Self.name) { try? await conduct($0) }
                await #expect(throws: error, "\(what)") {
                    try await Self.exchange(on: client).request([1], to: server.localPeer)
                }
            }
        }
    }

    @Test("A dripping response has exchangeMilliseconds for all of it")
    func drippingResponse() async throws {
        try await withInMemoryPair { client, server in
            let (ends, signal) = AsyncStream.makeStream(of: Void.self)
            await server.handle(Self.name) { stream in
                do {
                    // A length of a million.
                    try await stream.write(ByteBuffer(bytes: [0xC0, 0x84, 0x3D]))
                    while true {
                        try await stream.write(ByteBuffer(bytes: [1]))
                        try await turn()
                    }
                } catch { signal.yield() }
            }
            await #expect(throws: RequestError.timedOut(milliseconds: 30)) {
                try await Self.exchange(on: client) {
                    $0.exchangeMilliseconds = 30
                    $0.responseBytesMax = 1_000_000
                }.request([1], to: server.localPeer)
            }
            for await _ in ends { break }
        }
    }

    @Test("Bytes behind a response are not read, and do no harm")
    func surplus() async throws {
        try await withInMemoryPair { client, server in
            await server.handle(Self.name) { stream in
                try? await stream.write(ByteBuffer(bytes: [1, 8, 1, 9] + [UInt8](repeating: 0, count: 1_000_000)))
                try? await stream.closeWrite()
            }
            for _ in 0..<20 {
                let answer = try await Self.exchange(on: client).request([1], to: server.localPeer)
                #expect(answer == [8])
            }
        }
    }

    @Test("Cancelling a request resets its stream, and a later answer goes nowhere")
    func cancelled() async throws {
        try await withInMemoryPair { client, server in
            let (gate, sent) = (Gate(), NIOLockedValueBox<[[UInt8]]>([]))
            let (handled, signal) = AsyncStream.makeStream(of: Void.self)
            await Self.exchange(on: server).serve { _, bytes in
                signal.yield()
                if bytes == [1] { await gate.pass() }
                return .respond(bytes, then: { sent.withLockedValue { $0.append(bytes) } })
            }
            let peer = server.localPeer
            let outcome = await withTaskGroup(of: Result<[UInt8], RequestError>.self) { group in
                group.addTask {
                    await Self.outcome { () async throws(RequestError) in
                        try await Self.exchange(on: client).request([1], to: peer)
                    }
                }
                for await _ in handled { break }
                group.cancelAll()
                return await group.next()
            }
            #expect(outcome == .failure(.cancelled))
            gate.open()
            #expect(try await Self.exchange(on: client).request([2], to: peer) == [2])
            try await eventually { sent.withLockedValue { $0 }.contains([2]) }
            #expect(sent.withLockedValue { $0 } == [[2]])
        }
    }

    @Test("Being cancelled, or too late, while the stream opens is reported as that", arguments: [true, false])
    func whileOpening(isCancelled: Bool) async throws {
        try await withInMemoryPair { client, server in
            let (opening, signal) = AsyncStream.makeStream(of: Void.self)
            let host = ScriptedHost(host: client) { _ throws(OpenStreamError) in
                signal.yield()
                await untilCancelled()
                throw .connectionLost("cancelled")
            }
            let peer = server.localPeer
            let asking = Self.exchange(on: host) { if !isCancelled { $0.exchangeMilliseconds = 20 } }
            let outcome = await withTaskGroup(of: Result<[UInt8], RequestError>.self) { group in
                group.addTask {
                    await Self.outcome { () async throws(RequestError) in
                        try await asking.request([1], to: peer)
                    }
                }
                for await _ in opening { break }
                if isCancelled { group.cancelAll() }
                return await group.next()
            }
            #expect(outcome == .failure(isCancelled ? .cancelled : .timedOut(milliseconds: 20)))
        }
    }

    private static func outcome(
        _ request: () async throws(RequestError) -> [UInt8]
    ) async -> Result<[UInt8], RequestError> {
        do throws(RequestError) {
            return .success(try await request())
        } catch {
            return .failure(error)
        }
    }
}
