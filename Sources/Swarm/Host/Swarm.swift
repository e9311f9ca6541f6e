import Logging
import MeshIdentity
import Multiformats
import NIOCore
import NIOPosix

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
    var book: PeerBook
    var dials: [PeerID: [DialWaiter]] = [:]
    var nextWaiterID: UInt64 = 0

    /// A swarm for an identity. Nothing happens before `listen`, `dial` or `run`.
    public init(
        configuration: SwarmConfiguration, identity: Identity, logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        localPeer = identity.peerID
        let shared = SwarmContext(configuration: configuration, identity: identity, logger: logger)
        self.shared = shared
        transport = TCPTransport(shared: shared, group: group)
        book = PeerBook(
            peersMax: configuration.limits.rememberedPeersMax, addressesMax: configuration.limits.addressesPerPeerMax)
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
            shared.announce(listenAddresses())
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

    /// The addresses this node listens on, without `/p2p`; all interfaces' where it listens on all.
    public func listenAddresses() -> [Multiaddr] {
        if !shared.configuration.announceAddresses.isEmpty { return shared.configuration.announceAddresses }
        return listeners.compactMap { TCPTransport.multiaddr($0.localAddress) }.flatMap(Self.concreteAddresses)
    }

    /// An unspecified address becomes those of the interfaces, loopback last.
    private static func concreteAddresses(_ address: Multiaddr) -> [Multiaddr] {
        guard let first = address.components.first, case .tcp(let port)? = address.components.last else { return [] }
        switch first {
        case .ip4(let bytes) where bytes.allSatisfy({ $0 == 0 }): break
        case .ip6(let bytes) where bytes.allSatisfy({ $0 == 0 }): break
        default: return [address]
        }
        let isIPv6 = if case .ip6 = first { true } else { false }
        let all = ((try? System.enumerateDevices()) ?? []).compactMap { device -> Multiaddr? in
            guard var socket = device.address, (socket.protocol == .inet6) == isIPv6 else { return nil }
            socket.port = Int(port)
            return TCPTransport.multiaddr(socket)
        }
        let isLoopback: (Multiaddr) -> Bool = { IPBlock($0, isLoopbackExempt: true) == nil }
        return all.filter { !isLoopback($0) && !$0.text.hasPrefix("/ip6/fe80") } + all.filter(isLoopback)
    }

    /// Everything refused or ended so far, by reason.
    public nonisolated func counters() -> [SwarmCounter: Int] { shared.counts }

    /// The peers connected now, sorted.
    public func connectedPeers() -> [PeerID] { shared.withRegistry { $0.peers } }

    /// The protocols that a connected peer told to speak; empty before identify.
    public func protocols(of peer: PeerID) -> [String] {
        shared.withRegistry { $0.connection(to: peer)?.protocols ?? [] }.sorted()
    }

    /// Remembers addresses for later dials, within the book's bounds.
    public func addAddresses(_ addresses: [Multiaddr], for peer: PeerID) {
        book.add(addresses, for: peer, isConnected: isConnected)
    }

    /// The addresses known for a peer.
    public func addresses(of peer: PeerID) -> [Multiaddr] { book.addresses(of: peer) }

    nonisolated func isConnected(_ peer: PeerID) -> Bool {
        shared.withRegistry { $0.connection(to: peer) != nil }
    }

    /// Events from now on.
    public func peerEvents() -> AsyncStream<PeerEvent> { shared.events.subscribe() }

    /// Whether no connection, handshake or handler is left behind; for tests.
    nonisolated var isEmpty: Bool { shared.withRegistry { $0.isEmpty } }

    // MARK: Streams

    /// Registers the handler of a protocol; connected peers are told.
    public func handle(_ protocolID: String, _ handler: @escaping @Sendable (any MeshStream) async -> Void) {
        shared.register(protocolID) { stream, _ in await handler(stream) }
        for connection in shared.withRegistry({ $0.allConnections }) { _ = shared.enqueue(.push(connection)) }
    }

    /// Opens a stream, connecting first when needed.
    public func openStream(
        to peer: PeerID, protocols: [String]
    ) async throws(OpenStreamError) -> any MeshStream {
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
