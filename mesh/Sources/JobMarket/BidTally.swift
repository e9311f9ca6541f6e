import Multiformats
import OrderedCollections

/// Counts of the bids on one job while it is open for them. Not journalled.
struct BidTally: Sendable {
    /// Refused bids that the journal does not record.
    var refusedUnwritten: UInt64 = 0
    /// Bids that were shown and are not in the journal; as many as commitments count, at most.
    var seen: Set<CID> = []
    private var counts: OrderedDictionary<PeerID, Int> = [:]

    /// How many bids of a peer were judged.
    func count(of peer: PeerID) -> Int { counts[peer] ?? 0 }

    /// Counts one more judged bid of a peer; beyond `peersMax`, forgets the peer counted first.
    mutating func counted(_ peer: PeerID, peersMax: Int) {
        counts[peer, default: 0] += 1
        if counts.count > peersMax { counts.removeFirst() }
    }
}
