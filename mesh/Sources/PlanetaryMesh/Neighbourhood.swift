import GossipSub
import Kademlia
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import SignedObjects

/// The peers around a node: finds them, remembers them, and reports what it sees of them.
struct Neighbourhood: Sendable {
    /// How long a lookup of a peer in the DHT may take, in milliseconds.
    static let findPeerMilliseconds: Int64 = 10_000
    /// Peers of earlier runs that a start remembers, and those whose addresses the DHT gets.
    static let recalledMax = 64
    static let dialedMax = 16
    /// How long a lookup of executors may take, and connecting to those found, each in milliseconds: jobs wait for it.
    static let seekMilliseconds: Int64 = 3_000
    /// Executors to which one lookup of an offer leads.
    static let soughtMax = 4
    /// Peers listed for the owner besides the connected ones.
    static let listedMax = 1_000

    /// How many bootstrap addresses that name this node itself are dialed.
    static let ownKeyAddressesMax = 8
    /// When a node first asks the DHT where it is, and how often it looks for its own key, in milliseconds.
    static let ownKeyFirstMilliseconds: Int64 = 3_000
    static let ownKeyMilliseconds: Int64 = 60_000

    let parts: NodeParts

    /// Dials the bootstrap peers, and dials them again when they are lost; returns when all were dialed once.
    func join() async {
        let bootstrap = parts.configuration.bootstrap
        let rows = (try? await parts.store.peers(limit: Self.recalledMax)) ?? []
        for row in rows { await parts.swarm.recall(row.addresses, for: row.peerID) }
        let known = rows.filter { !$0.addresses.isEmpty }.map(\.peerID)
        await parts.peerService.begin(bootstrap: bootstrap, remembered: known)
        let nearest = rows.prefix(Self.dialedMax).flatMap { row in
            row.addresses.prefix(1).map { $0.withPeerID(row.peerID) }
        }
        _ = await parts.dht.bootstrap(bootstrap + nearest)
    }

    /// Stores the addresses of peers for the next start, until the node stops.
    func rememberPeers() async {
        for await event in await parts.swarm.peerEvents() {
            guard case .identified(let peer, _, let addresses) = event, !addresses.isEmpty else { continue }
            let row = PeerRow(peerID: peer, addresses: addresses, lastSeen: NodeClock.wallClock.value)
            parts.store.enqueue([.peer(row)], urgency: .idle) { _ in }
        }
    }

    /// Looks, again and again, for another node with this node's key: at bootstrap addresses that name this node, since
    /// a copied home leads back to where it was copied from, and where the DHT says that this node is, too. A handshake
    /// shows it (`Swarm.ownKeyElsewhere`), to both.
    func watchForOwnKey() async {
        let named = parts.configuration.bootstrap.filter { $0.peerID == parts.identity.peerID }
        var milliseconds = Self.ownKeyFirstMilliseconds
        repeat {
            for address in named.prefix(Self.ownKeyAddressesMax) { _ = try? await parts.swarm.dial(address) }
            guard (try? await Task.sleep(for: .milliseconds(milliseconds))) != nil else { return }
            await lookForOwnKey()
            milliseconds = Self.ownKeyMilliseconds
        } while !Task.isCancelled
    }

    /// Looks once where the DHT says that this node is.
    func lookForOwnKey() async {
        await parts.swarm.lookForOwnKey(at: await parts.dht.foreignAddresses())
    }

    /// What this node sees around itself now.
    func surroundings() async -> Surroundings {
        var around = Surroundings()
        around.isWithinHours = parts.configuration.executor.takesJobs(atMinute: NodeClock.minuteOfDay)
        let peers = await parts.swarm.connectedPeers()
        around.connectionCount = peers.count
        around.listeners = await parts.gossip.peers(of: MeshTopics.capabilities)
        guard around.listeners.isEmpty else { return around }
        for peer in peers where await mayPassOn(peer) {
            around.mayPassOn = true
            break
        }
        return around
    }

    /// Whether a peer speaks gossip, or has not yet announced its protocols.
    private func mayPassOn(_ peer: PeerID) async -> Bool {
        let protocols = await parts.swarm.protocols(of: peer)
        return protocols.isEmpty || protocols.contains { GossipSubVersion(protocolID: $0) != nil }
    }

    /// Looks up a peer's addresses in the DHT, and connects to it; returns whether it is connected.
    func find(_ peer: PeerID) async -> Bool {
        let known = await parts.swarm.addresses(of: peer)
        // Asks the nearest servers even if this node has an address, since that one did not work.
        let found = try? await withDeadline(milliseconds: Self.findPeerMilliseconds) { [dht = parts.dht] in
            let near = try await dht.findClosest(key: peer.bytes).first { $0.peerID == peer }
            if let near { return near.addresses }
            return try await dht.findPeer(peer)
        }
        guard let found, found.contains(where: { !known.contains($0) }) else { return false }
        do {
            try await parts.swarm.connect(to: peer, addresses: found)
            return true
        } catch {
            return false
        }
    }

    /// Looks up in the DHT who offers what a key stands for, and connects to `soughtMax` of them at the most; returns
    /// whether anybody answered, and whether it led to a new connection.
    func seek(_ key: CID) async -> (isAnswered: Bool, hasMet: Bool) {
        // The lookup itself may connect to them.
        let before = Set(await parts.swarm.connectedPeers())
        let found = try? await withDeadline(milliseconds: Self.seekMilliseconds) { [dht = parts.dht] in
            try await dht.findProviders(key, limit: Self.soughtMax)
        }
        guard let found else { return (false, false) }
        let strangers = found.filter { $0.peerID != parts.identity.peerID && !before.contains($0.peerID) }
            .prefix(Self.soughtMax)
        await withTaskGroup(of: Void.self) { group in
            for stranger in strangers {
                group.addTask { [swarm = parts.swarm] in
                    try? await withDeadline(milliseconds: Self.seekMilliseconds) {
                        try await swarm.connect(to: stranger.peerID, addresses: stranger.addresses)
                    }
                }
            }
        }
        return (true, strangers.contains { parts.swarm.isConnected($0.peerID) })
    }

    /// The round trip to a peer, in milliseconds; nil if it does not answer.
    func roundTripMilliseconds(to peer: PeerID) async -> UInt64? {
        let elapsed = try? await parts.swarm.ping(peer, timeoutMilliseconds: DirectMessages.doubtMilliseconds)
        return elapsed.map { elapsed in
            let (seconds, attoseconds) = elapsed.components
            return UInt64(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
        }
    }

    // MARK: For the owner

    /// A peer, as far as the swarm and the store know it.
    struct KnownPeer: Sendable {
        let peer: PeerID
        let did: DID?
        let isConnected: Bool
        let addresses: [Multiaddr]
        let row: PeerRow?
        /// After an order to connect: where the connections to it lead, and whether they were there before.
        var connections: [Multiaddr]?
        var wasConnected = false
    }

    /// The connected and remembered peers, and those that are banned; connected ones first.
    func peers(banned: Set<PeerID>) async throws(NodeServiceError) -> [KnownPeer] {
        let connected = Set(await parts.swarm.connectedPeers())
        let rows = try await stored { () throws(MeshStoreError) in try await parts.store.peers(limit: Self.listedMax) }
        let known = Dictionary(rows.map { ($0.peerID, $0) }) { first, _ in first }
        let all = connected.union(known.keys).union(banned).sorted {
            (connected.contains($0) ? 0 : 1, $0) < (connected.contains($1) ? 0 : 1, $1)
        }
        var peers: [KnownPeer] = []
        for peer in all {
            peers.append(await self.peer(peer, isConnected: connected.contains(peer), known[peer]))
        }
        return peers
    }

    /// Connects to an address; returns the peer that answered.
    func connect(_ address: Multiaddr) async throws(NodeServiceError) -> KnownPeer {
        let before = address.peerID.map { parts.swarm.connectionAddresses(to: $0) } ?? []
        let events = await parts.swarm.peerEvents()
        do {
            let answering = try await parts.swarm.dial(address)
            guard await lasts(answering, by: events) else { throw ClosedAtOnce(peer: answering) }
            var known = await peer(answering, isConnected: true, nil)
            let after = parts.swarm.connectionAddresses(to: answering)
            known.connections = after
            known.wasConnected = !after.isEmpty && after.allSatisfy(before.contains)
            return known
        } catch let closed as ClosedAtOnce {
            throw NodeServiceError(
                .peerUnreachable, "\(closed.peer) answered at \(address) and closed the connection at once.",
                hint: "Its owner may have banned this node, or it has as many connections as it takes: ask its owner.")
        } catch {
            if await isOwn(address) {
                throw NodeServiceError(
                    .peerUnreachable, "\(address) belongs to this node itself, or to a copy of it.",
                    hint: "Name another node's address; mesh status there lists them.")
            }
            let (reason, place) = ("\(error)", "\(address): ")
            throw NodeServiceError(
                .peerUnreachable,
                "No peer answered at \(place)\(reason.hasPrefix(place) ? reason.dropFirst(place.count) : reason[...]).",
                hint: "Check the address, and that the peer is up.")
        }
    }

    /// A peer that ended its handshake and then the connection.
    private struct ClosedAtOnce: Error, CustomStringConvertible {
        let peer: PeerID
        var description: String { "\(peer) closed the connection at once" }
    }

    /// Whether a new connection lasts for a round trip. Who is banned there, or one too many, gets through this node's
    /// half of the handshake, and no further.
    ///
    /// - Parameter events: what happened to peers since before it was made.
    private func lasts(_ peer: PeerID, by events: AsyncStream<PeerEvent>) async -> Bool {
        if await answers(peer) { return true }
        // A ping may also break off with one of two connections, where each side made one, or because the peer takes
        // none: it is connected all the same if another gets through, or if it is not gone soon.
        return await withTaskGroup(of: Bool?.self) { group in
            group.addTask {
                // An earlier connection may have ended while this one was made.
                for await case .disconnected(peer) in events where !self.parts.swarm.isConnected(peer) { return false }
                return nil
            }
            group.addTask { await self.answers(peer) ? true : nil }
            group.addTask {
                let isOver = (try? await Task.sleep(for: .milliseconds(DirectMessages.doubtMilliseconds))) != nil
                return isOver ? self.parts.swarm.isConnected(peer) : nil
            }
            defer { group.cancelAll() }
            for await verdict in group { if let verdict { return verdict } }
            return false
        }
    }

    /// Whether a ping comes back.
    private func answers(_ peer: PeerID) async -> Bool {
        (try? await parts.swarm.ping(peer, timeoutMilliseconds: DirectMessages.doubtMilliseconds)) != nil
    }

    /// Whether an address names this node, or is one at which it listens.
    private func isOwn(_ address: Multiaddr) async -> Bool {
        if let named = address.peerID { return named == parts.identity.peerID }
        return await parts.swarm.listenAddresses().contains(address)
    }

    private func peer(_ peer: PeerID, isConnected: Bool, _ row: PeerRow?) async -> KnownPeer {
        var addresses = await parts.swarm.addresses(of: peer)
        if addresses.isEmpty { addresses = row?.addresses ?? [] }
        return KnownPeer(
            peer: peer, did: (try? PublicKey(peerID: peer))?.did, isConnected: isConnected, addresses: addresses,
            row: row)
    }
}
