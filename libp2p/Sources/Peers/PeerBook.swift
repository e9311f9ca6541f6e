import DequeModule
package import Multiformats
import OrderedCollections

/// Addresses of peers, bounded: the book first forgets the peer added longest ago and not connected.
///
/// What a peer says of itself, over a connection that proves its key, replaces what it said before. The book keeps what
/// others say about it apart, and ranks it lower.
package struct PeerBook: Sendable {
    private struct Entry: Sendable {
        var told: OrderedSet<Multiaddr> = []
        /// Oldest first.
        var heard: OrderedSet<Multiaddr> = []
        /// Addresses at which the peer answered a dial with its key, oldest first.
        var proven: OrderedSet<Multiaddr> = []
        var place: UInt64 = 0
    }

    private struct Place: Sendable {
        let peer: PeerID
        let number: UInt64
    }

    private let peersMax: Int
    private let addressesMax: Int
    private var entries: [PeerID: Entry] = [:]
    private var order = Deque<Place>()
    private var nextPlace: UInt64 = 0

    package init(peersMax: Int, addressesMax: Int) {
        self.peersMax = peersMax
        self.addressesMax = addressesMax
    }

    /// Peers of which an address is kept.
    package var count: Int { entries.count }

    /// Addresses kept, stale ones included; for tests.
    package var orderCount: Int { order.count }

    /// The peer's own addresses, then hearsay, the newest last; at most `addressesMax`.
    package func addresses(of peer: PeerID) -> [Multiaddr] {
        guard let entry = entries[peer] else { return [] }
        let room = max(0, addressesMax - entry.told.count)
        return Array(entry.told) + entry.heard.filter { !entry.told.contains($0) }.suffix(room)
    }

    /// The addresses in the order in which a dial tries them: the peer's own and the newest `hearsayMax` that others
    /// named, alternating, since either may be out of date.
    package func dialOrder(of peer: PeerID, hearsayMax: Int) -> [Multiaddr] {
        guard let entry = entries[peer] else { return [] }
        let heard = entry.heard.reversed().filter { !entry.told.contains($0) }.prefix(hearsayMax)
        var (own, others) = (Array(entry.told)[...], heard[...])
        var order: [Multiaddr] = []
        while order.count < addressesMax, !own.isEmpty || !others.isEmpty {
            if let address = own.popFirst() { order.append(address) }
            if let address = others.popFirst(), order.count < addressesMax { order.append(address) }
        }
        return order
    }

    /// Replaces all that was known of a connected peer's addresses by what it says of itself.
    package mutating func told(_ addresses: [Multiaddr], by peer: PeerID, isConnected: (PeerID) -> Bool) {
        touch(peer, isConnected: isConnected)
        entries[peer]?.told = OrderedSet(Self.plain(addresses.prefix(addressesMax), of: peer))
        entries[peer]?.heard = []
    }

    /// Adds addresses that others named; keeps the newest.
    package mutating func add(_ addresses: [Multiaddr], for peer: PeerID, isConnected: (PeerID) -> Bool) {
        var known = entries[peer]?.heard ?? []
        for address in Self.plain(addresses.suffix(addressesMax), of: peer) {
            // An address named again is new again.
            known.remove(address)
            known.append(address)
        }
        if known.count > addressesMax { known.removeFirst(known.count - addressesMax) }
        touch(peer, isConnected: isConnected)
        entries[peer]?.heard = known
    }

    /// Notes that the peer answered a dial of this address with its key.
    package mutating func answered(_ address: Multiaddr, by peer: PeerID, isConnected: (PeerID) -> Bool) {
        touch(peer, isConnected: isConnected)
        let plain = address.withoutPeerID()
        entries[peer]?.proven.remove(plain)
        entries[peer]?.proven.append(plain)
        if let count = entries[peer]?.proven.count, count > addressesMax { entries[peer]?.proven.removeFirst() }
    }

    /// Whether the peer itself has answered at each of these addresses before.
    package func hasAnswered(at addresses: [Multiaddr], _ peer: PeerID) -> Bool {
        guard let proven = entries[peer]?.proven else { return false }
        return addresses.allSatisfy { proven.contains($0.withoutPeerID()) }
    }

    /// Without `/p2p`; those of another peer are left out.
    private static func plain(_ addresses: ArraySlice<Multiaddr>, of peer: PeerID) -> [Multiaddr] {
        addresses.filter { $0.peerID == nil || $0.peerID == peer }.map { $0.withoutPeerID() }
    }

    /// Forgets all that is known of a peer; its place in the order lapses.
    package mutating func forget(_ peer: PeerID) { entries[peer] = nil }

    private mutating func touch(_ peer: PeerID, isConnected: (PeerID) -> Bool) {
        nextPlace += 1
        entries[peer, default: Entry()].place = nextPlace
        order.append(Place(peer: peer, number: nextPlace))
        var kept = 0
        while entries.count > peersMax || order.count > 2 * peersMax + 16, kept <= peersMax,
            let place = order.popFirst()
        {
            guard entries[place.peer]?.place == place.number else { continue }
            if place.peer == peer || isConnected(place.peer) || entries.count <= peersMax {
                order.append(place)
                kept += 1
            } else {
                entries[place.peer] = nil
            }
        }
    }
}
