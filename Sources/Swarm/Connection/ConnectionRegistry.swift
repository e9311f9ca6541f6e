import Multiformats
import OrderedCollections

/// Which way a connection was made.
enum ConnectionDirection: Hashable, Sendable {
    case inbound
    case outbound
}

/// What a connection holds of the registry's limits until it is released.
struct ConnectionTicket: Hashable, Sendable {
    let id: UInt64
    let direction: ConnectionDirection
    /// The address block that is counted; `nil` when exempt.
    let block: IPBlock?
}

/// An IPv4 address or an IPv6 /56, the unit of the per-IP limit.
struct IPBlock: Hashable, Sendable {
    let bytes: [UInt8]

    /// The block of the first component of a multiaddr; `nil` for loopback when that is exempt, and for names.
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

/// Who is connected and what is in use of the limits. A value: the swarm keeps it under a lock, because event loops and
/// the swarm's tasks ask it in turn and an answer must hold at once.
struct ConnectionRegistry: Sendable {
    private struct Pending: Sendable {
        var inbound = 0
        var outbound = 0
    }

    private let limits: SwarmConfiguration.Limits
    private var pending = Pending()
    private var perBlock: [IPBlock: Int] = [:]
    private var connections: OrderedDictionary<PeerID, [Connection]> = [:]
    private var establishedIDs: Set<UInt64> = []
    private var inboundCount = 0
    /// Connections whose other end is on the open internet.
    private(set) var openConnections = 0
    /// Connections whose other end is on this machine.
    private(set) var loopbackConnections = 0
    private var handlersByPeer: [PeerID: Int] = [:]
    private var handlerCount = 0
    private var nextID: UInt64 = 0

    init(limits: SwarmConfiguration.Limits) {
        self.limits = limits
    }

    // MARK: Connections

    /// Makes room for a connection whose handshake begins, or says which limit is in the way.
    mutating func admit(
        _ direction: ConnectionDirection, from address: Multiaddr?
    ) -> Result<ConnectionTicket, ConnectionRefusal> {
        guard establishedIDs.count + pending.inbound + pending.outbound < limits.connectionsMax else {
            return .failure(ConnectionRefusal(counter: .refusedTotal))
        }
        var block: IPBlock?
        if direction == .inbound {
            guard inboundCount + pending.inbound < limits.inboundConnectionsMax else {
                return .failure(ConnectionRefusal(counter: .refusedTotal))
            }
            guard pending.inbound < limits.pendingInboundMax else {
                return .failure(ConnectionRefusal(counter: .refusedPendingInbound))
            }
            block = address.flatMap { IPBlock($0, isLoopbackExempt: limits.isLoopbackExempt) }
            if let block, perBlock[block, default: 0] >= limits.connectionsPerIPMax {
                return .failure(ConnectionRefusal(counter: .refusedPerIP))
            }
            pending.inbound += 1
        } else {
            guard pending.outbound < limits.pendingOutboundMax else {
                return .failure(ConnectionRefusal(counter: .refusedPendingOutbound))
            }
            pending.outbound += 1
        }
        if let block { perBlock[block, default: 0] += 1 }
        nextID += 1
        return .success(ConnectionTicket(id: nextID, direction: direction, block: block))
    }

    /// The handshake is finished; the number of connections to the peer, this one included.
    mutating func establish(_ connection: Connection) -> Result<Int, ConnectionRefusal> {
        let peer = connection.remotePeer
        let count = connections[peer]?.count ?? 0
        guard count < limits.connectionsPerPeerMax else {
            return .failure(ConnectionRefusal(counter: .refusedPerPeer))
        }
        removePending(connection.ticket.direction)
        if connection.ticket.direction == .inbound { inboundCount += 1 }
        establishedIDs.insert(connection.ticket.id)
        connections[peer, default: []].append(connection)
        countReach(of: connection, 1)
        return .success(count + 1)
    }

    /// The connection is closed; the peer when it was its last.
    mutating func release(_ ticket: ConnectionTicket, peer: PeerID?) -> PeerID? {
        if let block = ticket.block, let count = perBlock[block] {
            perBlock[block] = count > 1 ? count - 1 : nil
        }
        guard establishedIDs.remove(ticket.id) != nil, let peer else {
            removePending(ticket.direction)
            return nil
        }
        if ticket.direction == .inbound { inboundCount -= 1 }
        if let index = connections[peer]?.firstIndex(where: { $0.ticket.id == ticket.id }),
            let connection = connections[peer]?.remove(at: index)
        {
            countReach(of: connection, -1)
        }
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

    private mutating func removePending(_ direction: ConnectionDirection) {
        if direction == .inbound { pending.inbound -= 1 } else { pending.outbound -= 1 }
    }

    /// The connection over which streams to a peer are opened: its oldest that nobody doubts, else its newest.
    func connection(to peer: PeerID) -> Connection? {
        guard let all = connections[peer] else { return nil }
        return all.count == 1 ? all.first : all.first { !$0.isDoubted } ?? all.last
    }

    /// All connections to a peer.
    func connections(to peer: PeerID) -> [Connection] { connections[peer] ?? [] }

    /// All connections.
    var allConnections: [Connection] { connections.values.flatMap { $0 } }

    /// The peers connected, sorted.
    var peers: [PeerID] { connections.keys.sorted() }

    /// Whether nothing is held: for tests of leaks.
    var isEmpty: Bool {
        connections.isEmpty && establishedIDs.isEmpty && perBlock.isEmpty && pending.inbound == 0
            && pending.outbound == 0 && inboundCount == 0 && handlersByPeer.isEmpty && handlerCount == 0
    }

    // MARK: Handlers

    /// Makes room for one more running handler of a peer; the counter of the limit when there is none.
    mutating func takeHandlerSlot(_ peer: PeerID) -> SwarmCounter? {
        guard handlersByPeer[peer, default: 0] < limits.handlersPerPeerMax else { return .refusedStreams }
        guard handlerCount < limits.handlersMax else { return .refusedStreamsTotal }
        handlerCount += 1
        handlersByPeer[peer, default: 0] += 1
        return nil
    }

    /// A handler returned.
    mutating func returnHandlerSlot(_ peer: PeerID) {
        handlerCount -= 1
        let count = handlersByPeer[peer, default: 1]
        handlersByPeer[peer] = count > 1 ? count - 1 : nil
    }
}

/// Why a connection is not let in, as the counter that counts it.
struct ConnectionRefusal: Error, Hashable, Sendable {
    let counter: SwarmCounter
}
