import Multiformats
import OrderedCollections

/// What is counted about the bids on one job while it is open for them; nothing of it is written down.
struct BidTally: Sendable {
    /// Refused bids that the journal does not tell of.
    var refusedUnwritten: UInt64 = 0
    private var counts: OrderedDictionary<PeerID, Int> = [:]

    /// How many bids of a peer were judged.
    func count(of peer: PeerID) -> Int { counts[peer] ?? 0 }

    /// One more bid of a peer was judged; beyond `peersMax` the peer that was counted first is forgotten.
    mutating func counted(_ peer: PeerID, peersMax: Int) {
        counts[peer, default: 0] += 1
        if counts.count > peersMax { counts.removeFirst() }
    }
}
