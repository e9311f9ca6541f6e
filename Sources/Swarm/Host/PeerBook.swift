import Collections
import Multiformats

/// Addresses of peers, bounded: the peer added longest ago and not connected is forgotten first.
struct PeerBook: Sendable {
    private struct Entry: Sendable {
        var addresses: OrderedSet<Multiaddr> = []
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

    init(peersMax: Int, addressesMax: Int) {
        self.peersMax = peersMax
        self.addressesMax = addressesMax
    }

    var count: Int { entries.count }

    /// Places kept, stale ones included; for tests.
    var orderCount: Int { order.count }

    func addresses(of peer: PeerID) -> [Multiaddr] { entries[peer].map { Array($0.addresses) } ?? [] }

    /// Adds addresses; the newest stay.
    mutating func add(_ addresses: [Multiaddr], for peer: PeerID, isConnected: (PeerID) -> Bool) {
        var known = entries[peer]?.addresses ?? []
        for address in addresses.suffix(addressesMax) {
            guard address.peerID == nil || address.peerID == peer else { continue }
            known.append(address.withoutPeerID())
        }
        if known.count > addressesMax { known.removeFirst(known.count - addressesMax) }
        touch(peer, isConnected: isConnected)
        entries[peer]?.addresses = known
    }

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
