import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import PeerIdentity
import Testing

@testable import LibP2P

/// Two hosts of an in-memory network whose `run` ends with the body.
func withInMemoryPair(_ body: @Sendable @escaping (InMemoryHost, InMemoryHost) async throws -> Void) async throws {
    let network = InMemoryNetwork()
    let left = network.addHost(Identity.generate().peerID)
    let right = network.addHost(Identity.generate().peerID)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await network.run() }
        defer { group.cancelAll() }
        try await body(left, right)
    }
}

@Suite("Request-response", .timeLimit(.minutes(1)))
struct RequestResponseTests {
    private static let name = "/test/message/1.0.0"

    private static var small: RequestResponse.Limits {
        var limits = RequestResponse.Limits()
        limits.requestBytesMax = 100
        limits.responseBytesMax = 100
        return limits
    }

    @Test("A request is answered with the authenticated sender, over sockets and in memory")
    func answered() async throws {
        @Sendable func check(_ client: any StreamHost, _ server: any StreamHost) async throws {
            let serving = RequestResponse(host: server, protocolID: Self.name)
            await serving.serve { peer, bytes in .respond(peer.bytes + bytes) }
            let asking = RequestResponse(host: client, protocolID: Self.name)
            let large = [UInt8](repeating: 7, count: 1024 * 1024 - 38)
            #expect(try await asking.request([1, 2], to: server.localPeer) == client.localPeer.bytes + [1, 2])
            #expect(try await asking.request(large, to: server.localPeer) == client.localPeer.bytes + large)
        }
        try await withInMemoryPair { try await check($0, $1) }
        try await withSwarms(2) { swarms in
            _ = try await swarms[0].dial(swarms[1].dialAddress())
            try await check(swarms[0], swarms[1])
        }
    }

    @Test("Every refusal has its reason")
    func refusals() async throws {
        try await withInMemoryPair { client, server in
            let asking = RequestResponse(host: client, protocolID: Self.name, limits: Self.small)
            await #expect(
                throws: RequestError.notConnected(.protocolsNotSupported([Self.name]))
            ) { try await asking.request([1], to: server.localPeer) }
            await #expect(throws: RequestError.requestTooLong(byteCount: 101, bytesMax: 100)) {
                try await asking.request([UInt8](repeating: 0, count: 101), to: server.localPeer)
            }
            await server.handle(Self.name) { stream in
                try? await stream.writeFrame(ByteBuffer(repeating: 0, count: 101))
                _ = try? await stream.read()
            }
            await #expect(throws: RequestError.streamFailed(.frameTooLarge(announced: 101, bytesMax: 100))) {
                try await asking.request([1], to: server.localPeer)
            }
            await server.handle(Self.name) { stream in _ = try? await stream.readExactly(1_000) }
            await server.handle(Self.name) { stream in try? await stream.closeWrite() }
            await #expect(throws: RequestError.noResponse) { try await asking.request([1], to: server.localPeer) }
            await server.handle(Self.name) { stream in
                while (try? await stream.read()) != nil {}
                try? await Task.sleep(for: .seconds(600))
            }
            var short = RequestResponse.Limits()
            short.exchangeMilliseconds = 50
            let hasty = RequestResponse(host: client, protocolID: Self.name, limits: short)
            await #expect(throws: RequestError.timedOut(milliseconds: 50)) {
                try await hasty.request([1], to: server.localPeer)
            }
        }
    }

    @Test("A request that announces too much is reset, and so is one that the handler refuses")
    func serverRefuses() async throws {
        try await withInMemoryPair { client, server in
            let serving = RequestResponse(host: server, protocolID: Self.name, limits: Self.small)
            await serving.serve { _, _ in .refuse }
            let stream = try await client.openStream(to: server.localPeer, protocols: [Self.name])
            try await stream.write(ByteBuffer(bytes: [101]))
            await #expect(throws: StreamError.reset) { try await stream.read() }
            let asking = RequestResponse(host: client, protocolID: Self.name)
            await #expect(throws: RequestError.streamFailed(.reset)) {
                try await asking.request([1], to: server.localPeer)
            }
        }
    }

    @Test("A peer that sends no request is reported by name and reset; one that is not admitted is reset unread")
    func faults() async throws {
        try await withInMemoryPair { client, server in
            let (faults, report) = AsyncStream.makeStream(of: RequestFault.self)
            let isAdmitted = NIOLockedValueBox(true)
            await RequestResponse(host: server, protocolID: Self.name, limits: Self.small).serve(
                admitting: { _ in isAdmitted.withLockedValue { $0 } },
                onFault: { peer, fault in
                    #expect(peer == client.localPeer)
                    report.yield(fault)
                }
            ) { _, bytes in .respond(bytes) }
            var reports = faults.makeAsyncIterator()
            for (bytes, fault) in [
                ([101], RequestFault.tooLong(announced: 101, bytesMax: 100)), ([0x80, 0x00], .malformedLength),
            ] as [([UInt8], RequestFault)] {
                let stream = try await client.openStream(to: server.localPeer, protocols: [Self.name])
                try await stream.write(ByteBuffer(bytes: bytes))
                #expect(await reports.next() == fault)
                await #expect(throws: StreamError.reset) { try await stream.read() }
            }
            let asking = RequestResponse(host: client, protocolID: Self.name)
            #expect(try await asking.request([1], to: server.localPeer) == [1])
            isAdmitted.withLockedValue { $0 = false }
            await #expect(throws: RequestError.streamFailed(.reset)) {
                try await asking.request([1], to: server.localPeer)
            }
        }
    }

    @Test("An error says in words what happened, and whether the peer was reached")
    func words() {
        let errors: [(RequestError, String, isUnreachable: Bool)] = [
            (.notConnected(.noAddresses), "no address of the peer is known", true),
            (.notConnected(.dialFailed(["refused", "lost"])), "refused; lost", true),
            (.notConnected(.connectionLost("closed")), "the connection was lost: closed", false),
            (.streamFailed(.reset), "the peer broke the stream off", false),
            (.noResponse, "the peer ended the stream without a response", false),
            (.timedOut(milliseconds: 5), "no answer within 5 ms", false),
            (.requestTooLong(byteCount: 2, bytesMax: 1), "a request of 2 bytes, of at most 1", false),
        ]
        for (error, text, isUnreachable) in errors {
            #expect("\(error)" == text)
            #expect(error.isUnreachable == isUnreachable)
        }
    }

    @Test("What follows a response runs when the response has gone out")
    func afterwards() async throws {
        try await withInMemoryPair { client, server in
            let (ends, signal) = AsyncStream.makeStream(of: PeerID.self)
            await RequestResponse(host: server, protocolID: Self.name).serve { peer, bytes in
                .respond(bytes, then: { signal.yield(peer) })
            }
            let asking = RequestResponse(host: client, protocolID: Self.name)
            let answer = try await asking.request([7], to: server.localPeer)
            #expect(answer == [7])
            for await peer in ends {
                #expect(peer == client.localPeer)
                break
            }
        }
    }

    /// A client's host that reports whom it was asked to doubt.
    private static func doubting(_ client: InMemoryHost, _ call: @escaping @Sendable (PeerID) -> Void) -> ScriptedHost {
        var host = ScriptedHost(host: client) { peer throws(OpenStreamError) in
            try await client.openStream(to: peer, protocols: [name])
        }
        host.onDoubt = call
        return host
    }

    @Test("A peer that is slow to answer is doubted before the time is up")
    func doubt() async throws {
        try await withInMemoryPair { client, server in
            let (doubts, signal) = AsyncStream.makeStream(of: PeerID.self)
            await server.handle(Self.name) { stream in
                for await _ in doubts { break }
                try? await stream.writeFrame(ByteBuffer(bytes: [9]))
                try? await stream.closeWrite()
            }
            let host = Self.doubting(client) { signal.yield($0) }
            var limits = RequestResponse.Limits()
            limits.exchangeMilliseconds = 3_600_000
            limits.doubtMilliseconds = 20
            let asking = RequestResponse(host: host, protocolID: Self.name, limits: limits)
            let answer = try await asking.request([1], to: server.localPeer)
            #expect(answer == [9])
        }
    }
}
