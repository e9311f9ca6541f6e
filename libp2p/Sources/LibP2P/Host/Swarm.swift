public import Logging
public import Multiformats
public import NIOCore
public import NIOPosix
public import PeerIdentity
import Peers

/// The node on the network: listens and dials, secures and multiplexes connections, and gives services their streams.
///
///     let swarm = Swarm(configuration: configuration, identity: identity, logger: logger)
///     try await swarm.listen()
///     await swarm.handle("/echo/1.0.0") { stream in … }
///     try await swarm.run()                     // until cancelled; owns every task
///
/// Dials and inbound streams are worked off by `run`; without it a dial waits. Connections live on their event loops
/// (`ConnectionHandler`); this actor owns the listeners, the book of peers and the dials under way.
public actor Swarm: StreamHost {
    /// This node's peer ID.
    public nonisolated let localPeer: PeerID

    nonisolated let shared: SwarmContext
    nonisolated let transport: TCPTransport
    private var listeners: [any Channel] = []
    private var isListening = false
    private(set) var isStopped = false
    var book: DialBook
    var dials: [PeerID: [DialWaiter]] = [:]
    var nextWaiterID: UInt64 = 0
    private let interfaces: @Sendable () -> [Multiaddr.Component]

    /// A swarm for an identity. Nothing happens before `listen`, `dial` or `run`.
    public init(
        configuration: SwarmConfiguration, identity: Identity, logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.init(
            configuration: configuration, identity: identity, logger: logger, group: group,
            interfaces: InterfaceAddresses.current)
    }

    /// A swarm on a machine with other interfaces, for tests.
    init(
        configuration: SwarmConfiguration, identity: Identity, logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        interfaces: @escaping @Sendable () -> [Multiaddr.Component]
    ) {
        localPeer = identity.peerID
        self.interfaces = interfaces
        let shared = SwarmContext(configuration: configuration, identity: identity, logger: logger)
        self.shared = shared
        transport = TCPTransport(shared: shared, group: group)
        book = DialBook(limits: configuration.limits.dialing)
        registerServices()
    }

    // MARK: Life

    /// Binds the configured addresses; returns those listened on. Does nothing the second time.
    @discardableResult
    public func listen() async throws -> [Multiaddr] {
        if !isListening {
            isListening = true
            for address in shared.configuration.listenAddresses {
                listeners.append(try await transport.listen(on: address))
            }
            _ = shared.announce(listenAddresses())
        }
        return listenAddresses()
    }

    /// Serves until the task is cancelled, then says goodbye to all peers and closes everything.
    public func run() async throws {
        do {
            try await listen()
        } catch {
            await shutDown()
            throw error
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.followInterfaces() }
            for await item in shared.work {
                group.addTask { [self] in await perform(item) }
            }
            group.cancelAll()
        }
        await shutDown()
    }

    private nonisolated func perform(_ item: SwarmWork) async {
        switch item {
        case .serve(let stream, let connection, let handler):
            await handler(stream, connection)
            shared.withRegistry { $0.returnHandlerSlot(connection.remotePeer, of: stream.protocolID) }
        case .identify(let connection): await identify(connection)
        case .push(let connection): await pushIdentity(to: connection)
        case .dial(let peer, let addresses): await performDial(peer, addresses)
        case .cancelDial(let peer, let waiter): await cancelDial(peer, waiter: waiter)
        }
    }

    /// Looks again and again which addresses this node has.
    private func followInterfaces() async {
        let milliseconds = shared.limits.addressRefreshMilliseconds
        while (try? await Task.sleep(for: .milliseconds(milliseconds))) != nil { refreshAddresses() }
    }

    /// Tells connected peers when this node's addresses have changed. Connections may have lost their footing with
    /// them, so each has to prove that it is alive.
    func refreshAddresses() {
        guard shared.announce(listenAddresses()) else { return }
        shared.count(.addressesChanged)
        for connection in shared.withRegistry({ $0.doubtAll() }) {
            connection.probe()
            _ = shared.enqueue(.push(connection))
        }
    }

    private func shutDown() async {
        isStopped = true
        shared.stop()
        for listener in listeners { try? await listener.close() }
        listeners = []
        failAllDials(.connectionLost("the swarm has stopped"))
        await withDiscardingTaskGroup { group in
            for connection in shared.withRegistry({ $0.allConnections }) {
                group.addTask { await connection.close() }
            }
        }
    }

    // MARK: What is known

    /// The addresses this node listens on, without `/p2p`, as they are now; all interfaces' where it listens on all.
    public func listenAddresses() -> [Multiaddr] {
        if !shared.configuration.announceAddresses.isEmpty {
            return InterfaceAddresses.tellable(shared.configuration.announceAddresses)
        }
        let interfaces = interfaces()
        return listeners.compactMap { TCPTransport.multiaddr($0.localAddress) }.flatMap {
            InterfaceAddresses.concrete($0, interfaces: interfaces)
        }
    }

    /// Everything refused or ended so far, by reason.
    public nonisolated func counters() -> [SwarmCounter: Int] { shared.counts }

    /// The peers connected now, sorted.
    public func connectedPeers() -> [PeerID] { shared.withRegistry { $0.peers } }

    /// The protocols that a connected peer told to speak; empty before identify.
    public func protocols(of peer: PeerID) -> [String] {
        shared.withRegistry { $0.connection(to: peer)?.protocols ?? [] }.sorted()
    }

    /// Remembers addresses that somebody named for later dials, as far as `AddressPolicy` admits them from a peer
    /// without a connection, within the book's bounds.
    public func addAddresses(_ addresses: [Multiaddr], for peer: PeerID) {
        let admitted = policy.admitted(addresses, from: nil)
        if admitted.count < addresses.count { shared.count(.addressesNotAdmitted) }
        guard !admitted.isEmpty else { return }
        book.addresses.add(admitted, for: peer, isConnected: isConnected)
    }

    /// Remembers where a peer was, as this node's owner or an earlier run of this node has it. A peer that had an
    /// address on the open internet is not looked for further inside.
    public func recall(_ addresses: [Multiaddr], for peer: PeerID) {
        let farthest = addresses.compactMap(\.unmapped.reach).max()
        let admitted = policy.admitted(addresses, from: farthest ?? .open)
        if !admitted.isEmpty { book.addresses.told(admitted, by: peer, isConnected: isConnected) }
    }

    /// Which addresses of others are dialed, as this node stands now.
    var policy: AddressPolicy {
        let counts = shared.withRegistry { ($0.openConnections, $0.loopbackConnections) }
        return AddressPolicy(
            listening: shared.announcedAddresses, openConnections: counts.0, loopbackConnections: counts.1)
    }

    /// The round trip to a connected peer in milliseconds, as the last ping of the connection measured it; `nil` where
    /// none was answered yet.
    public nonisolated func roundTripMilliseconds(to peer: PeerID) -> UInt64? {
        shared.withRegistry { $0.connection(to: peer) }?.roundTripNanoseconds.map { UInt64(clamping: $0 / 1_000_000) }
    }

    /// Has the connections to a peer prove that they are alive; dead ones are closed within a short time.
    public nonisolated func doubt(_ peer: PeerID) {
        for connection in shared.withRegistry({ $0.doubt(peer) }) { connection.probe() }
    }

    /// The addresses known for a peer.
    public func addresses(of peer: PeerID) -> [Multiaddr] { book.addresses.addresses(of: peer) }

    /// Whether this node opened its oldest connection to a peer.
    public nonisolated func isOutbound(_ peer: PeerID) -> Bool {
        shared.withRegistry { $0.connection(to: peer)?.ticket.direction == .outbound }
    }

    /// Whether there is a connection to a peer.
    public nonisolated func isConnected(_ peer: PeerID) -> Bool {
        shared.withRegistry { $0.connection(to: peer) != nil }
    }

    /// Events from now on.
    public func peerEvents() -> AsyncStream<PeerEvent> { shared.events.subscribe() }

    /// Whether no connection, handshake or handler is left behind; for tests.
    nonisolated var isEmpty: Bool { shared.withRegistry { $0.isEmpty } }

    // MARK: Streams

    /// Registers the handler of a protocol; connected peers are told.
    public func handle(_ protocolID: String, _ handler: @escaping @Sendable (any PeerStream) async -> Void) {
        shared.register(protocolID) { stream, _ in await handler(stream) }
        for connection in shared.withRegistry({ $0.allConnections }) { _ = shared.enqueue(.push(connection)) }
    }

    /// Opens a stream, connecting first when needed.
    public func openStream(
        to peer: PeerID, protocols: [String]
    ) async throws(OpenStreamError) -> any PeerStream {
        if !isConnected(peer) { try await connect(to: peer, addresses: []) }
        guard let connection = shared.withRegistry({ $0.connection(to: peer) }) else {
            throw .connectionLost("the peer disconnected")
        }
        let isKnown = protocols.first.map(connection.protocols.contains) ?? false
        return try await connection.openStream(protocols: protocols, isLazy: isKnown)
    }

    /// Closes all connections to a peer.
    public func disconnect(_ peer: PeerID) async {
        for connection in shared.withRegistry({ $0.connections(to: peer) }) { await connection.close() }
    }
}
