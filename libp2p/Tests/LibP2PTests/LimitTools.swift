import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import P2PTesting
import PeerIdentity
import Testing
import Yamux

@testable import LibP2P

/// One millisecond in which everything else gets a turn, for tests of what must *not* happen meanwhile.
func turn() async throws {
    try Task.checkCancellation()
    let loop = MultiThreadedEventLoopGroup.singleton.any()
    try await loop.scheduleTask(in: .milliseconds(1)) {}.futureResult.get()
}

extension SwarmConfiguration.Limits {
    /// Raises every time limit past any test, however slow the machine is.
    mutating func waitForEver() {
        let never: Int64 = 3_600_000
        handshakeTimeoutMilliseconds = never
        connectTimeoutMilliseconds = never
        streamNegotiationTimeoutMilliseconds = never
        identifyTimeoutMilliseconds = never
        idleTimeoutMilliseconds = never
        abandonedStreamTimeoutMilliseconds = never
        pingIdleTimeoutMilliseconds = never
        probeTimeoutMilliseconds = never
        yamux.keepAliveIntervalMilliseconds = never
        yamux.keepAliveTimeoutMilliseconds = never
    }
}

/// A swarm that listens on loopback without running: handshakes succeed, and all work waits.
func makeIdleSwarm(_ configure: (inout SwarmConfiguration) -> Void = { _ in }) async throws -> Swarm {
    var configuration = SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")])
    configuration.limits.waitForEver()
    configure(&configuration)
    let swarm = Swarm(configuration: configuration, identity: .generate(), logger: Logger(label: "test"))
    try await swarm.listen()
    return swarm
}

/// Ends a swarm that never ran.
func end(_ swarm: Swarm) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { try? await swarm.run() }
        group.cancelAll()
    }
}

/// A TCP server that accepts, stays silent, and closes its connections when the test says so.
final class SilentServer: Sendable {
    private struct State: Sendable {
        var open: [any Channel] = []
        var accepted = 0
        var closes = false
    }

    private let state = NIOLockedValueBox(State())

    /// Connections accepted so far.
    var accepted: Int { state.withLockedValue { $0.accepted } }

    /// Listens on all addresses of the host; returns the port.
    func listen() async throws -> (channel: any Channel, port: UInt16) {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [state] channel in
                let closes = state.withLockedValue { state in
                    state.accepted += 1
                    state.open.append(channel)
                    return state.closes
                }
                if closes { channel.close(promise: nil) }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "0.0.0.0", port: 0).get()
        return (channel, UInt16(try #require(channel.localAddress?.port)))
    }

    /// Closes all connections, and each new one from now on.
    func closeAll() {
        let open = state.withLockedValue { state in
            state.closes = true
            return state.open
        }
        for channel in open { channel.close(promise: nil) }
    }
}

/// A host of an in-memory network whose streams a test opens as it likes.
struct ScriptedHost: StreamHost, Sendable {
    let host: InMemoryHost
    let open: @Sendable (PeerID) async throws(OpenStreamError) -> any PeerStream
    var onDoubt: @Sendable (PeerID) -> Void = { _ in }
    /// Addresses whose dials never end.
    var stuck: [Multiaddr] = []
    /// Whether nobody hears of peers that come and go.
    var losesEvents = false

    init(
        host: InMemoryHost, open: @escaping @Sendable (PeerID) async throws(OpenStreamError) -> any PeerStream
    ) {
        self.host = host
        self.open = open
    }

    var localPeer: PeerID { host.localPeer }
    func doubt(_ peer: PeerID) { onDoubt(peer) }
    func listenAddresses() async -> [Multiaddr] { await host.listenAddresses() }
    func openStream(to peer: PeerID, protocols: [String]) async throws(OpenStreamError) -> any PeerStream {
        try await open(peer)
    }
    func handle(_ protocolID: String, _ handler: @escaping @Sendable (any PeerStream) async -> Void) async {
        await host.handle(protocolID, handler)
    }
    func connect(to peer: PeerID, addresses: [Multiaddr]) async throws(OpenStreamError) {
        try await host.connect(to: peer, addresses: addresses)
    }
    func dial(_ address: Multiaddr) async throws(OpenStreamError) -> PeerID {
        if stuck.contains(address) {
            await untilCancelled()
            throw .connectionLost("cancelled")
        }
        return try await host.dial(address)
    }
    func addAddresses(_ addresses: [Multiaddr], for peer: PeerID) async {
        await host.addAddresses(addresses, for: peer)
    }
    func addresses(of peer: PeerID) async -> [Multiaddr] { await host.addresses(of: peer) }
    func connectedPeers() async -> [PeerID] { await host.connectedPeers() }
    func disconnect(_ peer: PeerID) async { await host.disconnect(peer) }
    func peerEvents() async -> AsyncStream<PeerEvent> {
        guard losesEvents else { return await host.peerEvents() }
        return AsyncStream {
            await untilCancelled()
            return nil
        }
    }
}

/// Runs services beside a body, until the body ends.
func beside(_ services: [@Sendable () async -> Void], _ body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for service in services { group.addTask { await service() } }
        defer { group.cancelAll() }
        try await body()
    }
}
