import Logging
import Multiformats
import NIOCore
import PeerIdentity
import Testing

@testable import LibP2P

/// Swarms on loopback that end with the test, all with the same identity if one is given.
func withSwarms(
    _ count: Int, identity: Identity? = nil, configure: @Sendable (inout SwarmConfiguration) -> Void = { _ in },
    _ body: @Sendable @escaping ([Swarm]) async throws -> Void
) async throws {
    var swarms: [Swarm] = []
    for _ in 0..<count {
        var configuration = SwarmConfiguration(
            listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")])
        configure(&configuration)
        let swarm = Swarm(
            configuration: configuration, identity: identity ?? .generate(), logger: Logger(label: "test"))
        try await swarm.listen()
        swarms.append(swarm)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
        for swarm in swarms { group.addTask { try await swarm.run() } }
        defer { group.cancelAll() }
        try await body(swarms)
    }
}

extension Swarm {
    /// The first listen address, with the peer ID.
    func dialAddress() throws -> Multiaddr {
        try #require(listenAddresses().first).withPeerID(localPeer)
    }

    /// Sends back everything it reads.
    func echo(_ protocolID: String = "/echo/1.0.0") {
        handle(protocolID) { stream in
            do {
                while let bytes = try await stream.read() { try await stream.write(bytes) }
                try await stream.closeWrite()
            } catch {
                await stream.reset()
            }
        }
    }
}

/// Waits for a matching event, at most until the test's time limit.
func firstEvent(
    _ events: AsyncStream<PeerEvent>, where fits: (PeerEvent) -> Bool
) async -> PeerEvent? {
    for await event in events where fits(event) { return event }
    return nil
}

/// Returns when the task is cancelled.
func untilCancelled() async {
    let (never, end) = AsyncStream.makeStream(of: Never.self)
    await withTaskCancellationHandler {
        for await _ in never {}
    } onCancel: {
        end.finish()
    }
}

extension ConnectionUpgrade {
    /// An upgrade with credentials of its own.
    init(role: Role, identity: Identity, expectedPeer: PeerID?) throws {
        self.init(role: role, credentials: try Self.credentials(of: identity), expectedPeer: expectedPeer)
    }
}
