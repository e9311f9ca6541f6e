import Determinism
import Multiformats
import NIOCore
import OrderedCollections
import P2PTesting
import Peers
import Yamux

/// The simulator's stand-in for LibP2P: it carries out what the cores of Peers decide, on connections of the virtual
/// network, each with the Yamux session whose pings notice that the other end is gone.
///
/// The network says who answered a dial, as Noise does; each connection says where the peer listens, as identify does.
/// Everything else travels over these connections.
struct SimulatedHost: Sendable {
    /// What the node's services hear.
    enum News: Sendable {
        /// The first connection to a peer is established.
        case connected(PeerID, isOutbound: Bool)
        /// A connection is gone, with its streams, and it was not the peer's last.
        case rerouted(PeerID, from: VirtualConnectionID)
        /// The last connection to a peer is gone.
        case disconnected(PeerID, VirtualConnectionID)
        /// A dial that somebody waited for ended.
        case dialEnded(PeerID, isConnected: Bool)
        /// The host dialed everybody it has to stay connected to once.
        case begun
    }

    /// The result of asking for a connection.
    enum Route: Sendable {
        case over(VirtualConnectionID)
        case dialing
        case unreachable
    }

    /// LibP2P's bounds for the same (`SwarmConfiguration.Limits`).
    struct Limits: Sendable {
        var probeMilliseconds: Int64 = 2_000
        var connectionsPerPeerMax = 8
        var attemptsAtOnceMax = 4
        var yamux = YamuxSession.Limits()
    }

    /// One connection as this end knows it.
    struct Link: Identifiable, Sendable {
        let id: VirtualConnectionID
        let peer: PeerID
        let isOutbound: Bool
        let openedAt: MonotonicInstant
    }

    private struct Dial: Sendable {
        /// `nil` if anybody may answer.
        let peer: PeerID?
        var contacts: [PeersCore.Contact]
        let tried: [Multiaddr]
        var waiting: ArraySlice<Multiaddr>
        var attempts: [VirtualConnectionID: Multiaddr] = [:]
    }

    static let controlProtocol = "/sim/yamux/1"
    static let identifyProtocol = "/sim/identify/1"

    let limits = Limits()
    /// Whom to dial when.
    private(set) var peers = PeersCore() {
        didSet { peersDueAt = peers.nextDeadline }
    }
    /// Where they are.
    private(set) var book = DialBook()
    private var connections: [PeerID: PeerConnections<Link>] = [:]
    private var links: OrderedDictionary<VirtualConnectionID, (link: Link, session: YamuxSession)> = [:]
    private var linksDueAt: MonotonicInstant?
    private var peersDueAt: MonotonicInstant?
    private var dials: OrderedDictionary<Int, Dial> = [:]
    private var nextDial = 0
    private var unbegun: OrderedSet<PeersCore.Contact>?
    private var news: [News] = []
    private let directory: OverlayDirectory
    private let localPeer: PeerID

    init(directory: OverlayDirectory, localPeer: PeerID) {
        self.directory = directory
        self.localPeer = localPeer
    }

    // MARK: What is known

    /// The peers connected, sorted.
    var connectedPeers: [PeerID] { connections.keys.sorted() }

    var connectionCount: Int { connections.count }

    func isConnected(_ peer: PeerID) -> Bool { connections[peer] != nil }

    /// The connection for streams to a peer.
    func preferred(_ peer: PeerID) -> VirtualConnectionID? { connections[peer]?.preferred?.id }

    /// The peer at the other end of a connection.
    func peer(of connection: VirtualConnectionID) -> PeerID? { links[connection]?.link.peer }

    /// All connections, the oldest of each peer first.
    var all: [Link] { connectedPeers.flatMap { connections[$0]?.all ?? [] } }

    /// When something is due.
    var nextDeadline: MonotonicInstant? {
        guard let next = peersDueAt else { return linksDueAt }
        return linksDueAt.map { min($0, next) } ?? next
    }

    /// What happened since the last call.
    mutating func takeNews() -> [News] {
        defer { news = [] }
        return news
    }

    func checkInvariants() {
        peers.checkInvariants()
        precondition(peers.liveCount == connections.count, "\(peers.liveCount) of \(connections.count) peers are known")
        precondition(!connections.values.contains(where: \.isEmpty), "a peer without a connection counts as connected")
        precondition(connections.values.reduce(0) { $0 + $1.count } == links.count, "connections are counted wrongly")
    }

    // MARK: Commands

    /// Names whom to be connected to for good, and whom the node met before, the latest first.
    mutating func begin(bootstrap: [Multiaddr], remembered: [PeerID], _ context: inout SimulatedContext) {
        for address in bootstrap { peers.bootstrap(address, now: context.now) }
        unbegun = OrderedSet(peers.contacts)
        for peer in remembered.reversed() where peer != localPeer { peers.met(peer, now: context.now) }
        if unbegun?.isEmpty == true { haveBegun() }
    }

    /// Remembers where a peer was in an earlier life.
    mutating func recall(_ addresses: [Multiaddr], for peer: PeerID) {
        book.addresses.told(addresses, by: peer, isConnected: isConnected)
    }

    /// The peers that are remembered with their addresses, for the next life, those met last first.
    func remembered() -> [(peer: PeerID, addresses: [Multiaddr])] {
        let met = peers.contacts.compactMap { if case .peer(let peer) = $0 { peer } else { nil } }
        return met.map { ($0, book.addresses.addresses(of: $0)) }
    }

    /// A connection to a peer: the one that is there, or one that is dialed for now.
    mutating func connect(to peer: PeerID, addresses: [Multiaddr], _ context: inout SimulatedContext) -> Route {
        if let id = preferred(peer) { return .over(id) }
        let admitted = policy(context).admitted(addresses, from: nil)
        if !admitted.isEmpty { book.addresses.add(admitted, for: peer, isConnected: isConnected) }
        if dials.values.contains(where: { $0.peer == peer }) { return .dialing }
        let order = book.order(of: peer)
        guard peer != localPeer, !order.isEmpty, case .success = book.admits(peer, at: order, now: context.now) else {
            return .unreachable
        }
        dial(peer, order, for: nil, &context)
        return .dialing
    }

    /// Has the connections to a peer prove that they are alive.
    mutating func doubt(_ peer: PeerID, _ context: inout SimulatedContext) {
        for link in connections[peer]?.doubtAll() ?? [] { probe(link.id, &context) }
    }

    /// Parts with a peer for a while.
    mutating func shun(_ peer: PeerID, milliseconds: Int64, _ context: inout SimulatedContext) {
        peers.avoid(peer, until: context.now.advanced(milliseconds: milliseconds))
        for link in connections[peer]?.all ?? [] {
            context.close(link.id)
            ended(link.id, &context)
        }
    }

    private func policy(_ context: SimulatedContext) -> AddressPolicy {
        AddressPolicy(
            listening: [OverlayDirectory.address(context.place)], openConnections: links.count, loopbackConnections: 0)
    }

    // MARK: Inputs

    /// A message that belongs to the connection itself; `false` for one of the services.
    mutating func received(_ message: SimulatedMessage, _ context: inout SimulatedContext) -> Bool {
        guard let id = message.connection else { return false }
        switch message.protocolID {
        case Self.controlProtocol: controlArrived(message.bytes, id, &context)
        case Self.identifyProtocol: identified(message.bytes, id, &context)
        default: return false
        }
        return true
    }

    mutating func connectionChanged(_ change: VirtualConnectionNews, _ context: inout SimulatedContext) {
        switch change {
        case .opened(let id, let node, true): answered(id, by: directory.peer(node), &context)
        case .opened(let id, let node, false):
            establish(
                Link(id: id, peer: directory.peer(node), isOutbound: false, openedAt: context.now), &context)
        case .dialFailed(let id): attemptFailed(id, &context)
        case .closed(let id): ended(id, &context)
        }
    }

    mutating func deadlineReached(_ context: inout SimulatedContext) {
        if let due = linksDueAt, due <= context.now {
            for id in Array(links.keys) { passDeadline(id, &context) }
            rearm()
        }
        for case .dial(let contact) in peers.deadlineReached(now: context.now) { dial(contact, &context) }
    }

    // MARK: Dials

    private mutating func dial(_ contact: PeersCore.Contact, _ context: inout SimulatedContext) {
        switch contact {
        case .peer(let peer):
            guard let first = book.addresses.addresses(of: peer).first else { return report(contact, nil, &context) }
            dial(peer, book.order(of: peer, first: first), for: contact, &context)
        case .address(let address):
            guard let peer = address.peerID else { return dial(nil, [address], for: contact, &context) }
            if isConnected(peer) {
                doubt(peer, &context)
                return report(contact, peer, &context)
            }
            dial(peer, book.order(of: peer, first: address), for: contact, &context)
        }
    }

    private mutating func dial(
        _ peer: PeerID?, _ addresses: [Multiaddr], for contact: PeersCore.Contact?, _ context: inout SimulatedContext
    ) {
        let contacts = contact.map { [$0] } ?? []
        if let peer, let number = dials.first(where: { $0.value.peer == peer })?.key {
            dials[number]?.contacts += contacts
            return
        }
        let number = nextDial
        nextDial += 1
        dials[number] = Dial(peer: peer, contacts: contacts, tried: addresses, waiting: addresses[...])
        tryNext(number, &context)
    }

    /// Tries addresses as long as there is room; the dial has failed when none is left.
    private mutating func tryNext(_ number: Int, _ context: inout SimulatedContext) {
        while let dial = dials[number], dial.attempts.count < limits.attemptsAtOnceMax,
            let address = dials[number]?.waiting.popFirst()
        {
            guard let place = OverlayDirectory.place(address), place != context.place else { continue }
            dials[number]?.attempts[context.dial(place)] = address
        }
        guard let dial = dials[number], dial.attempts.isEmpty else { return }
        end(number, answeredAt: nil, by: nil, &context)
    }

    private mutating func attemptFailed(_ id: VirtualConnectionID, _ context: inout SimulatedContext) {
        guard let number = dials.first(where: { $0.value.attempts[id] != nil })?.key else { return }
        dials[number]?.attempts[id] = nil
        tryNext(number, &context)
    }

    private mutating func answered(_ id: VirtualConnectionID, by peer: PeerID, _ context: inout SimulatedContext) {
        guard let (number, dial) = dials.first(where: { $0.value.attempts[id] != nil }).map({ ($0.key, $0.value) })
        else {
            // Another address was faster.
            return context.close(id)
        }
        guard peer != localPeer, dial.peer == nil || dial.peer == peer,
            establish(Link(id: id, peer: peer, isOutbound: true, openedAt: context.now), &context)
        else {
            context.close(id)
            return attemptFailed(id, &context)
        }
        end(number, answeredAt: dial.attempts[id], by: peer, &context)
    }

    private mutating func end(
        _ number: Int, answeredAt address: Multiaddr?, by peer: PeerID?, _ context: inout SimulatedContext
    ) {
        guard let dial = dials.removeValue(forKey: number) else { return }
        // The peer may have dialed this node in the meantime.
        let reached = peer ?? dial.peer.flatMap { isConnected($0) ? $0 : nil }
        if let wanted = dial.peer ?? peer {
            book.dialEnded(
                wanted, tried: dial.tried, answeredAt: address, now: context.now, isConnected: isConnected)
            if reached != nil, !dial.contacts.isEmpty, let first = dial.tried.first {
                book.addresses.add([first], for: wanted, isConnected: isConnected)
            }
            news.append(.dialEnded(wanted, isConnected: reached != nil))
        }
        for contact in dial.contacts { report(contact, reached, &context) }
    }

    private mutating func report(
        _ contact: PeersCore.Contact, _ peer: PeerID?, _ context: inout SimulatedContext
    ) {
        peers.dialed(contact, answeredBy: peer, now: context.now, using: &context.generator)
        unbegun?.remove(contact)
        if unbegun?.isEmpty == true { haveBegun() }
    }

    private mutating func haveBegun() {
        unbegun = nil
        news.append(.begun)
    }

    // MARK: Connections

    /// Enters a connection; `false` where there are too many to its peer.
    @discardableResult
    private mutating func establish(_ link: Link, _ context: inout SimulatedContext) -> Bool {
        let (peer, now) = (link.peer, context.now)
        guard connections[peer]?.count ?? 0 < limits.connectionsPerPeerMax else {
            context.close(link.id)
            return false
        }
        let older = connections[peer, default: PeerConnections()].opened(link)
        let role: YamuxSession.Role = link.isOutbound ? .dialer : .listener
        links[link.id] = (link, YamuxSession(role: role, limits: limits.yamux, now: now))
        if older.isEmpty {
            peers.connected(peer, now: now)
            news.append(.connected(peer, isOutbound: link.isOutbound))
        }
        let own = OverlayDirectory.address(context.place).bytes
        context.send(own, over: link.id, protocolID: Self.identifyProtocol, channel: .control)
        send(link.id, &context)
        for other in older { probe(other.id, &context) }
        rearm()
        return true
    }

    private mutating func ended(_ id: VirtualConnectionID, _ context: inout SimulatedContext) {
        guard let (link, _) = links.removeValue(forKey: id) else { return attemptFailed(id, &context) }
        _ = connections[link.peer]?.closed(id)
        rearm()
        guard connections[link.peer]?.isEmpty == true else { return news.append(.rerouted(link.peer, from: id)) }
        connections[link.peer] = nil
        peers.disconnected(link.peer, now: context.now, using: &context.generator)
        news.append(.disconnected(link.peer, id))
    }

    private mutating func probe(_ id: VirtualConnectionID, _ context: inout SimulatedContext) {
        links[id]?.session.probe(milliseconds: limits.probeMilliseconds, now: context.now)
        send(id, &context)
        rearm()
    }

    private mutating func passDeadline(_ id: VirtualConnectionID, _ context: inout SimulatedContext) {
        guard let due = links[id]?.session.nextDeadline, due <= context.now else { return }
        do throws(YamuxViolation) {
            try links[id]?.session.deadlineReached(now: context.now)
            send(id, &context)
        } catch {
            context.close(id)
            ended(id, &context)
        }
    }

    private mutating func controlArrived(
        _ bytes: [UInt8], _ id: VirtualConnectionID, _ context: inout SimulatedContext
    ) {
        guard let link = links[id]?.link else { return }
        do throws(YamuxViolation) {
            _ = try links[id]?.session.received(ByteBuffer(bytes: bytes), now: context.now)
        } catch {
            preconditionFailure("a session of the same core sends \(error)")
        }
        connections[link.peer]?.proved(id)
        send(id, &context)
        rearm()
    }

    private mutating func identified(_ bytes: [UInt8], _ id: VirtualConnectionID, _ context: inout SimulatedContext) {
        guard let link = links[id]?.link, let address = try? Multiaddr(bytes: bytes) else { return }
        let admitted = policy(context).admitted([address], from: .open)
        book.addresses.told(admitted, by: link.peer, isConnected: isConnected)
        if !admitted.isEmpty { peers.met(link.peer, now: context.now) }
    }

    private mutating func send(_ id: VirtualConnectionID, _ context: inout SimulatedContext) {
        guard links[id]?.session.hasOutput == true else { return }
        var output = ByteBuffer()
        _ = links[id]?.session.nextOutput(bytesMax: 1_024, into: &output)
        context.send(Array(output.readableBytesView), over: id, protocolID: Self.controlProtocol, channel: .control)
    }

    private mutating func rearm() {
        linksDueAt = links.values.lazy.compactMap(\.session.nextDeadline).min()
    }
}
