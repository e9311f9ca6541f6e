import Multiformats
import OrderedCollections

/// What a node of the DHT knows of peers that run twice under one key.
///
/// Two copies of one home look like one peer that says first that it is here, then that it is there, and hear nothing
/// of each other: nobody tells a peer about itself. So a server that was told two sets of addresses by a connected peer
/// names both when the peer asks for its own key. That is hearsay: the asker dials what is not its own, and a handshake
/// shows whether its key is there. A peer that has merely moved finds nobody at its old address.
struct DoubleKeys: Sendable {
    /// The bounds of the table.
    struct Limits: Sendable {
        /// Connected peers of which earlier addresses are kept; one more replaces the first.
        var peersMax = 256
        /// Addresses kept of each, and of those that others name as this node's own.
        var addressesMax = 8
    }

    private let limits: Limits
    private var earlier: OrderedDictionary<PeerID, [Multiaddr]> = [:]
    /// Addresses that servers named as this node's own, and that are not; the newest last.
    private var foreign: OrderedSet<Multiaddr> = []

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Notes where a connected peer says it is; keeps what it said before, if each has an address that the other lacks.
    mutating func identified(_ peer: PeerInfo, before: PeerInfo?) {
        guard let before else { return }
        let (earlierOnes, newOnes) = (Set(before.addresses), Set(peer.addresses))
        guard !earlierOnes.isSubset(of: newOnes), !newOnes.isSubset(of: earlierOnes) else { return }
        earlier.removeValue(forKey: peer.peerID)
        if earlier.count >= limits.peersMax { earlier.removeFirst() }
        earlier[peer.peerID] = Array(before.addresses.prefix(limits.addressesMax))
    }

    /// Forgets a peer whose last connection is gone.
    mutating func disconnected(_ peer: PeerID) { earlier.removeValue(forKey: peer) }

    /// All that a peer with two sets of addresses said of itself; nil for any other peer.
    func others(of peer: PeerID, now: PeerInfo?) -> PeerInfo? {
        earlier[peer].map { PeerInfo(peerID: peer, addresses: (now?.addresses ?? []) + $0) }
    }

    /// Notes what a server named as this node's own.
    mutating func named(_ infos: [PeerInfo], notAt own: [Multiaddr]) {
        for address in infos.flatMap(\.addresses).prefix(2 * limits.addressesMax) {
            let plain = address.withoutPeerID()
            guard !own.contains(plain) else { continue }
            foreign.remove(plain)
            foreign.append(plain)
            if foreign.count > limits.addressesMax { foreign.removeFirst() }
        }
    }

    /// Addresses that servers named as this node's own, and that are not; empties the list.
    mutating func takeForeign() -> [Multiaddr] {
        defer { foreign = [] }
        return Array(foreign)
    }
}
