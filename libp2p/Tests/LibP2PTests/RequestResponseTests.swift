import Multiformats
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

    @Test("A request is answered with the authenticated sender, over sockets and in memory")
    func answered() async throws {
        @Sendable func check(_ client: any StreamHost, _ server: any StreamHost) async throws {
            let serving = RequestResponse(host: server, protocolID: Self.name)
            await serving.serve { peer, bytes in peer.bytes + bytes }
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
            let asking = RequestResponse(host: client, protocolID: Self.name, bytesMax: 100)
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
            let hasty = RequestResponse(host: client, protocolID: Self.name, timeoutMilliseconds: 50)
            await #expect(throws: RequestError.timedOut(milliseconds: 50)) {
                try await hasty.request([1], to: server.localPeer)
            }
        }
    }

    @Test("A server resets who announces too much, and a handler that refuses")
    func serverRefuses() async throws {
        try await withInMemoryPair { client, server in
            await RequestResponse(host: server, protocolID: Self.name, bytesMax: 100).serve { _, _ in nil }
            let stream = try await client.openStream(to: server.localPeer, protocols: [Self.name])
            try await stream.write(ByteBuffer(bytes: [101]))
            await #expect(throws: StreamError.reset) { try await stream.read() }
            let asking = RequestResponse(host: client, protocolID: Self.name)
            await #expect(throws: RequestError.streamFailed(.reset)) {
                try await asking.request([1], to: server.localPeer)
            }
        }
    }
}
