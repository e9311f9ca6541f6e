public import Multiformats
import NIOCore
import OrderedCollections
import Peers

/// Who opened a connection.
enum ConnectionDirection: Hashable, Sendable {
    case inbound
    case outbound
}

/// What a connection counts against the registry's limits until it is released.
struct ConnectionTicket: Hashable, Sendable {
    let id: UInt64
    let direction: ConnectionDirection
    /// The address block it counts for; `nil` when exempt.
    let block: IPBlock?
}

/// An IPv4 address or an IPv6 /56, the unit of the per-IP limit.
struct IPBlock: Hashable, Sendable {
    let bytes: [UInt8]

    /// The block of a multiaddr's first component; `nil` for exempt loopback, and for names.
    init?(_ address: Multiaddr, isLoopbackExempt: Bool) {
        switch address.components.first {
        case .ip4(let bytes):
            if isLoopbackExempt, bytes.first == 127 { return nil }
            self.bytes = bytes
        case .ip6(let bytes):
            if isLoopbackExempt, bytes == [UInt8](repeating: 0, count: 15) + [1] { return nil }
            self.bytes = Array(bytes.prefix(7))
        default: return nil
        }
    }
}

extension Multiaddr {
    /// Whether the address leads to this machine alone.
    public var isLoopback: Bool {
        switch components.first {
        case .ip4(let bytes): bytes.first == 127
        case .ip6(let bytes): bytes == [UInt8](repeating: 0, count: 15) + [1]
        default: false
        }
    }
}

/// Who shares one share of the places for handshakes: the network of an address (`AddressGroup`, an IPv4 /24 or an IPv6
/// /48); off the open internet, where one network may be everybody, the block of an address.
enum HandshakeGroup: Hashable, Sendable {
    case network(AddressGroup)
    case block(IPBlock)

    /// The group of an address; `nil` for exempt loopback, and for names.
    init?(_ address: Multiaddr, isLoopbackExempt: Bool) {
        guard let block = IPBlock(address, isLoopbackExempt: isLoopbackExempt) else { return nil }
        self = AddressGroup.groups(of: [address]).first.map(HandshakeGroup.network) ?? .block(block)
    }
}

/// The state of an unfinished handshake, in the order in which they lose their places.
enum HandshakeStanding: Hashable, Sendable, CaseIterable {
    /// Its peer said nothing within its time.
    case silent
    /// Its event loop may not have looked yet.
    case new
    /// Something came.
    case spoken
}

/// Who is connected, and how much of the limits is in use. A value that the swarm keeps under a lock, because event
/// loops and the swarm's tasks share it and its answers take effect at once.
struct ConnectionRegistry: Sendable {
    /// An inbound connection whose handshake is not finished.
    private struct Handshake: Sendable {
        let block: IPBlock?
        /// `nil` when exempt: never displaced.
        let group: HandshakeGroup?
        let channel: any Channel
        var standing = HandshakeStanding.new
    }

    /// The running handlers of a peer.
    private struct Handlers: Sendable {
        var count = 0
        var byProtocol: [String: Int] = [:]
    }

    private let limits: SwarmConfiguration.Limits
    /// The oldest first.
    private var handshakes: OrderedDictionary<UInt64, Handshake> = [:]
    private var pendingOutbound = 0
    private var perBlock: [IPBlock: Int] = [:]
    private var connections: OrderedDictionary<PeerID, PeerConnections<Connection>> = [:]
    private var establishedIDs: Set<UInt64> = []
    private var inboundCount = 0
    /// Connections whose other end is on the open internet.
    private(set) var openConnections = 0
    /// Connections whose other end is on this machine.
    private(set) var loopbackConnections = 0
    /// Peers that the owner of this node wants no connection with.
    private var denied: Set<PeerID> = []
    private var handlersByPeer: [PeerID: Handlers] = [:]
    private var handlerCount = 0
    private var nextID: UInt64 = 0

    init(limits: SwarmConfiguration.Limits) {
        self.limits = limits
    }

    // MARK: Connections

    /// Reserves room for a connection to dial, or names the limit that forbids it.
    mutating func admitOutbound() -> Result<ConnectionTicket, ConnectionRefusal> {
        guard establishedIDs.count + handshakes.count + pendingOutbound < limits.connectionsMax else {
            return .failure(ConnectionRefusal(counter: .refusedTotal))
        }
        guard pendingOutbound < limits.pendingOutboundMax else {
            return .failure(ConnectionRefusal(counter: .refusedPendingOutbound))
        }
        pendingOutbound += 1
        return .success(makeTicket(.outbound, nil))
    }

    /// Reserves room for an accepted connection, or names the limit that forbids it.
    ///
    /// When all places for handshakes are taken, the newcomer displaces the oldest of the group that has most of them,
    /// silent ones first; returns its channel for the caller to close.
    mutating func admitInbound(
        _ channel: any Channel, from address: Multiaddr?
    ) -> (result: Result<ConnectionTicket, ConnectionRefusal>, displaced: (any Channel)?) {
        let block = address.flatMap { IPBlock($0, isLoopbackExempt: limits.isLoopbackExempt) }
        if let block, perBlock[block, default: 0] >= limits.connectionsPerIPMax {
            return (.failure(ConnectionRefusal(counter: .refusedPerIP)), nil)
        }
        var displaced: (any Channel)?
        if let full = fullForInbound {
            guard let place = placeToGiveUp, let victim = handshakes.removeValue(forKey: place.id) else {
                return (.failure(ConnectionRefusal(counter: full)), nil)
            }
            displaced = victim.channel
            returnBlock(place.block)
        }
        if let block { perBlock[block, default: 0] += 1 }
        let ticket = makeTicket(.inbound, block)
        let group = address.flatMap { HandshakeGroup($0, isLoopbackExempt: limits.isLoopbackExempt) }
        handshakes[ticket.id] = Handshake(block: block, group: group, channel: channel)
        return (.success(ticket), displaced)
    }

    /// The limit that forbids another inbound handshake.
    private var fullForInbound: SwarmCounter? {
        if establishedIDs.count + handshakes.count + pendingOutbound >= limits.connectionsMax { return .refusedTotal }
        if inboundCount + handshakes.count >= limits.inboundConnectionsMax { return .refusedTotal }
        return handshakes.count >= limits.pendingInboundMax ? .refusedPendingInbound : nil
    }

    /// The handshake to displace: in the groups with most handshakes, the oldest silent one, else the oldest new one.
    private var placeToGiveUp: (id: UInt64, block: IPBlock?)? {
        var sizes: [HandshakeGroup: Int] = [:]
        for handshake in handshakes.values { if let group = handshake.group { sizes[group, default: 0] += 1 } }
        guard let largest = sizes.values.max() else { return nil }
        let ofLargest = handshakes.filter { $0.value.group.flatMap { sizes[$0] } == largest }
        let victim = HandshakeStanding.allCases.lazy.compactMap { standing in
            ofLargest.elements.first { $0.value.standing == standing }
        }.first
        return victim.map { ($0.key, $0.value.block) }
    }

    private mutating func makeTicket(_ direction: ConnectionDirection, _ block: IPBlock?) -> ConnectionTicket {
        nextID += 1
        return ConnectionTicket(id: nextID, direction: direction, block: block)
    }

    private mutating func returnBlock(_ block: IPBlock?) {
        guard let block, let count = perBlock[block] else { return }
        perBlock[block] = count > 1 ? count - 1 : nil
    }

    /// Inbound connections whose handshake is not finished.
    var handshakeCount: Int { handshakes.count }

    /// Those among them whose time to say something still runs.
    var newHandshakeCount: Int { handshakes.values.count { $0.standing == .new } }

    /// Notes that the peer of an unfinished handshake said something.
    mutating func handshakeSpoke(_ ticket: ConnectionTicket) { handshakes[ticket.id]?.standing = .spoken }

    /// Notes that the peer of an unfinished handshake said nothing within its time.
    mutating func handshakeWasHeard(_ ticket: ConnectionTicket) {
        if handshakes[ticket.id]?.standing == .new { handshakes[ticket.id]?.standing = .silent }
    }

    /// The handshake is finished; the older connections to the peer, which have to prove that they are alive.
    mutating func establish(_ connection: Connection) -> Result<[Connection], ConnectionRefusal> {
        let (peer, ticket) = (connection.remotePeer, connection.ticket)
        if ticket.direction == .inbound, handshakes[ticket.id] == nil {
            return .failure(ConnectionRefusal(counter: .displacedPendingInbound))
        }
        if denied.contains(peer) { return .failure(ConnectionRefusal(counter: .refusedDenied)) }
        let count = connections[peer]?.count ?? 0
        guard count < limits.connectionsPerPeerMax else {
            return .failure(ConnectionRefusal(counter: .refusedPerPeer))
        }
        switch ticket.direction {
        case .inbound:
            handshakes[ticket.id] = nil
            inboundCount += 1
        case .outbound: pendingOutbound -= 1
        }
        establishedIDs.insert(ticket.id)
        countReach(of: connection, 1)
        return .success(connections[peer, default: PeerConnections()].opened(connection))
    }

    /// Refuses connections with these peers from now on, and with no others; returns those that there are.
    mutating func deny(_ peers: Set<PeerID>) -> [Connection] {
        denied = peers
        return peers.flatMap { connections(to: $0) }
    }

    /// Whether connections with a peer are refused.
    func isDenied(_ peer: PeerID) -> Bool { denied.contains(peer) }

    /// Notes a closed connection; returns the peer if it was its last.
    mutating func release(_ ticket: ConnectionTicket, peer: PeerID?) -> PeerID? {
        guard establishedIDs.remove(ticket.id) != nil, let peer else {
            switch ticket.direction {
            // A displaced one has already given back what it held.
            case .inbound: if handshakes.removeValue(forKey: ticket.id) != nil { returnBlock(ticket.block) }
            case .outbound: pendingOutbound -= 1
            }
            return nil
        }
        returnBlock(ticket.block)
        if ticket.direction == .inbound { inboundCount -= 1 }
        if let connection = connections[peer]?.closed(ticket.id) { countReach(of: connection, -1) }
        guard connections[peer]?.isEmpty == true else { return nil }
        connections[peer] = nil
        return peer
    }

    private mutating func countReach(of connection: Connection, _ change: Int) {
        switch connection.reach {
        case .open: openConnections += change
        case .loopback: loopbackConnections += change
        case .local: break
        }
    }

    /// The connection for new streams to a peer: its oldest that nobody doubts, else its newest.
    func connection(to peer: PeerID) -> Connection? { connections[peer]?.preferred }

    /// All connections to a peer.
    func connections(to peer: PeerID) -> [Connection] { connections[peer]?.all ?? [] }

    /// All connections.
    var allConnections: [Connection] { connections.values.flatMap(\.all) }

    /// Doubts all connections to a peer, and returns them for a probe.
    mutating func doubt(_ peer: PeerID) -> [Connection] { connections[peer]?.doubtAll() ?? [] }

    /// Doubts all connections, and returns them for a probe.
    mutating func doubtAll() -> [Connection] { connections.keys.flatMap { connections[$0]?.doubtAll() ?? [] } }

    /// Something came over a connection that was probed.
    mutating func proved(_ connection: Connection) { connections[connection.remotePeer]?.proved(connection.id) }

    /// Whether a connection has still to prove that it is alive.
    func isDoubted(_ connection: Connection) -> Bool {
        connections[connection.remotePeer]?.isDoubted(connection.id) ?? false
    }

    /// The peers connected, sorted.
    var peers: [PeerID] { connections.keys.sorted() }

    /// Whether nothing is held; for tests of leaks.
    var isEmpty: Bool {
        connections.isEmpty && establishedIDs.isEmpty && perBlock.isEmpty && handshakes.isEmpty
            && pendingOutbound == 0 && inboundCount == 0 && handlersByPeer.isEmpty && handlerCount == 0
    }

    // MARK: Handlers

    /// Reserves room for one more running handler of a peer, with a bound per protocol; returns the counter of the
    /// limit that forbids it.
    mutating func takeHandlerSlot(_ peer: PeerID, of protocolID: String, atMost protocolMax: Int) -> SwarmCounter? {
        var handlers = handlersByPeer[peer] ?? Handlers()
        guard handlers.count < limits.handlersPerPeerMax else { return .refusedStreams }
        guard handlers.byProtocol[protocolID, default: 0] < protocolMax else { return .refusedStreamsOfProtocol }
        guard handlerCount < limits.handlersMax else { return .refusedStreamsTotal }
        handlerCount += 1
        handlers.count += 1
        handlers.byProtocol[protocolID, default: 0] += 1
        handlersByPeer[peer] = handlers
        return nil
    }

    /// Notes that a handler returned.
    mutating func returnHandlerSlot(_ peer: PeerID, of protocolID: String) {
        handlerCount -= 1
        guard var handlers = handlersByPeer.removeValue(forKey: peer) else { return }
        handlers.count -= 1
        let left = handlers.byProtocol[protocolID, default: 1] - 1
        handlers.byProtocol[protocolID] = left > 0 ? left : nil
        if handlers.count > 0 { handlersByPeer[peer] = handlers }
    }
}

/// Why a connection is refused, as the counter that counts it.
struct ConnectionRefusal: Error, Hashable, Sendable {
    let counter: SwarmCounter
}

extension ConnectionRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    var description: String {
        switch counter {
        case .refusedTotal: "this node has as many connections as it may"
        case .refusedPendingOutbound: "this node is dialing as many addresses as it may"
        case .refusedPerIP: "the network of the peer has as many connections to this node as it may"
        case .refusedPendingInbound, .displacedPendingInbound: "too many peers are connecting to this node"
        case .refusedPerPeer: "the peer has as many connections to this node as it may"
        case .refusedSelf: "the node there has this node's own key"
        case .refusedDenied: "the owner of this node denies the peer"
        default: "this node does not accept the connection"
        }
    }
}
