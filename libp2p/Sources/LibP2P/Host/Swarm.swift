public import Logging
public import Multiformats
public import NIOCore
public import NIOPosix
public import PeerIdentity
import Peers

/// A node on the network: listens and dials, secures and multiplexes connections, and gives services their streams.
///
///     let swarm = Swarm(configuration: configuration, identity: identity, logger: logger)
///     try await swarm.listen()
///     await swarm.handle("/echo/1.0.0") { stream in … }
///     try await swarm.run()                     // until cancelled; owns every task
///
/// `run` performs dials and serves inbound streams; without it a dial waits. Connections live on their event loops
/// (`ConnectionHandler`); this actor owns the listeners, the peer book and the dials under way.
public actor Swarm: StreamHost {
    /// This node's peer ID.
    public nonisolated let localPeer: PeerID

    nonisolated let shared: SwarmContext
    nonisolated let transport: TCPTransport
    private var listeners: [any Channel] = []
    private var isListening = false
    private(set) var isStopped = false
    var book: DialBook
    /// Addresses at which `lookForOwnKey` found nothing.
    var ownKeyRests = AddressRests()
    var dials: [PeerID: [DialWaiter]] = [:]
    var nextWaiterID: UInt64 = 0
    private let interfaces: @Sendable () -> [Multiaddr.Component]

    /// A swarm for an identity. It does nothing before `listen`, `dial` or `run`.
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

    /// Binds the configured addresses and returns those it listens on. Does nothing the second time.
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

    /// Checks again and again which addresses this node has.
    private func followInterfaces() async {
        let milliseconds = shared.limits.addressRefreshMilliseconds
        while (try? await Task.sleep(for: .milliseconds(milliseconds))) != nil { refreshAddresses() }
    }

    /// Tells connected peers when this node's addresses have changed. The change may have broken connections, so each
    /// has to prove that it is alive.
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

    /// The current addresses this node listens on, without `/p2p`; those of every interface if it listens on all.
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

    /// The last time that a handshake, in either direction, proved that another process runs with this node's key.
    public nonisolated func ownKeyElsewhere() -> OwnKeySighting? { shared.ownKeyElsewhere }

    /// The peers connected now, sorted.
    public func connectedPeers() -> [PeerID] { shared.withRegistry { $0.peers } }

    /// The protocols that a connected peer announced; empty before identify.
    public func protocols(of peer: PeerID) -> [String] {
        shared.withRegistry { $0.connection(to: peer)?.protocols ?? [] }.sorted()
    }

    /// Remembers, for later dials, addresses that somebody named, as far as `AddressPolicy` admits them from a peer
    /// without a connection; the book is bounded.
    public func addAddresses(_ addresses: [Multiaddr], for peer: PeerID) {
        let admitted = policy.admitted(addresses, from: nil)
        if admitted.count < addresses.count { shared.count(.addressesNotAdmitted) }
        guard !admitted.isEmpty else { return }
        book.addresses.add(admitted, for: peer, isConnected: isConnected)
    }

    /// Remembers where a peer was, according to this node's owner or an earlier run. This node does not look for a peer
    /// that had an address on the open internet further inside.
    public func recall(_ addresses: [Multiaddr], for peer: PeerID) {
        let farthest = addresses.compactMap(\.unmapped.reach).max()
        let admitted = policy.admitted(addresses, from: farthest ?? .open)
        if !admitted.isEmpty { book.addresses.told(admitted, by: peer, isConnected: isConnected) }
    }

    /// Which addresses of others this node dials, given its own addresses and connections.
    var policy: AddressPolicy {
        let counts = shared.withRegistry { ($0.openConnections, $0.loopbackConnections) }
        return AddressPolicy(
            listening: shared.announcedAddresses, openConnections: counts.0, loopbackConnections: counts.1)
    }

    /// The round trip to a connected peer in milliseconds, as the connection's last ping measured it; `nil` before the
    /// first answer.
    public nonisolated func roundTripMilliseconds(to peer: PeerID) -> UInt64? {
        shared.withRegistry { $0.connection(to: peer) }?.roundTripNanoseconds.map { UInt64(clamping: $0 / 1_000_000) }
    }

    /// Makes the connections to a peer prove that they are alive; closes dead ones within a short time.
    public nonisolated func doubt(_ peer: PeerID) {
        for connection in shared.withRegistry({ $0.doubt(peer) }) { connection.probe() }
    }

    /// The addresses known for a peer.
    public func addresses(of peer: PeerID) -> [Multiaddr] { book.addresses.addresses(of: peer) }

    /// Where the connections to a peer lead, the oldest first.
    package nonisolated func connectionAddresses(to peer: PeerID) -> [Multiaddr] {
        shared.withRegistry { $0.connections(to: peer) }.map(\.remoteAddress)
    }

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

    /// Whether no connection, handshake or handler is left; for tests.
    nonisolated var isEmpty: Bool { shared.withRegistry { $0.isEmpty } }

    // MARK: Streams

    /// Registers the handler of a protocol and tells connected peers.
    public func handle(_ protocolID: String, _ handler: @escaping @Sendable (any PeerStream) async -> Void) {
        shared.register(protocolID) { stream, _ in await handler(stream) }
        for connection in shared.withRegistry({ $0.allConnections }) { _ = shared.enqueue(.push(connection)) }
    }

    /// Opens a stream, connecting first when needed.
    public nonisolated func openStream(
        to peer: PeerID, protocols: [String]
    ) async throws(OpenStreamError) -> any PeerStream {
        if !isConnected(peer) { try await connect(to: peer, addresses: []) }
        guard let connection = shared.withRegistry({ $0.connection(to: peer) }) else {
            throw .connectionLost("the peer disconnected")
        }
        let isKnown = protocols.first.map(connection.protocols.contains) ?? false
        return try await connection.openStream(protocols: protocols, isLazy: isKnown)
    }

    /// Has connections with these peers, and with no others, refused from now on, in both directions, and closes those
    /// that there are; returns how many that were. The caller bounds the set.
    @discardableResult
    public nonisolated func deny(_ peers: Set<PeerID>) async -> Int {
        let connections = shared.withRegistry { $0.deny(peers) }
        for connection in connections { await connection.close() }
        return connections.count
    }

    /// Whether connections with a peer are refused.
    nonisolated func isDenied(_ peer: PeerID) -> Bool { shared.withRegistry { $0.isDenied(peer) } }

    /// Forgets the addresses of a peer; returns how many were known.
    public func forget(_ peer: PeerID) -> Int {
        defer { book.addresses.forget(peer) }
        return book.addresses.addresses(of: peer).count
    }

    /// Closes all connections to a peer.
    public nonisolated func disconnect(_ peer: PeerID) async {
        for connection in shared.withRegistry({ $0.connections(to: peer) }) { await connection.close() }
    }
}
