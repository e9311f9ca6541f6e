import MeshTypes
import Multiformats
import SignedObjects

/// The bids of one round on a job whose bids are public: committed to first, then shown.
///
/// While commitments are taken nobody knows any bid, and once bids are shown nobody can commit any more; so nobody can
/// wait for the others' bids and undercut them.
struct SealedBids: Hashable, Sendable {
    /// The commitments that count, in the order of their arrival.
    private(set) var commitments: [SignedObject<BidCommitment>] = []
    /// Why no more are taken, and until when the bids are to be shown; `nil` while commitments are taken.
    private(set) var seal: Seal?
    /// Those of the bids that were shown, whether they are acceptable or not.
    private(set) var shown: Set<CID> = []

    /// The end of committing.
    struct Seal: Hashable, Sendable {
        let cause: BiddingClosure
        let until: UnixMilliseconds
    }

    /// Whether nobody committed.
    var isEmpty: Bool { commitments.isEmpty }
    /// The bids that count, ascending.
    var bids: [CID] { commitments.map(\.body.bidCID).sorted() }
    /// Those that were not shown.
    var hidden: [SignedObject<BidCommitment>] { commitments.filter { !shown.contains($0.body.bidCID) } }

    /// The commitment of a bidder.
    func commitment(of bidder: DID) -> SignedObject<BidCommitment>? {
        commitments.first { $0.body.bidderDID == bidder }
    }

    /// Whether a bid that is shown now counts.
    func admits(_ bid: CID) -> Bool { seal != nil && commitments.contains { $0.body.bidCID == bid } }

    mutating func committed(_ commitment: SignedObject<BidCommitment>) { commitments.append(commitment) }

    mutating func displaced(_ bid: CID) { commitments.removeAll { $0.body.bidCID == bid } }

    mutating func sealed(_ cause: BiddingClosure, until: UnixMilliseconds) { seal = Seal(cause: cause, until: until) }

    mutating func showed(_ bid: CID) { shown.insert(bid) }
}
