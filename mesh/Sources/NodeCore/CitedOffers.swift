import DequeModule
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects

/// The offers that bids cite (`node_metadata_cid`) and this node had not heard, as their bidders gave them; the latest
/// of each bidder.
///
/// They say what a bid may claim, and nothing else: who gave one is no executor that is waited for, or counted.
struct CitedOffers: Sendable {
    /// The bounds of the table.
    struct Limits: Sendable {
        /// Bidders; one more puts out the one longest there.
        var biddersMax = 256
    }

    private let limits: Limits
    private var offers: [DID: KnownBidder.Cited] = [:]
    private var order = Deque<DID>()

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// How many there are.
    var count: Int { offers.count }

    /// What a bidder gave last.
    func offer(of bidder: DID) -> KnownBidder.Cited? { offers[bidder] }

    /// Takes the block of a name, which a bidder cites; what it did not sign as its own offer is noted as none.
    mutating func came(_ block: [UInt8], cid: CID, of bidder: DID) {
        guard cid.matches(block) else { return }
        var offer: NodeCapability?
        if let signed = try? SignedObject<NodeCapability>(verifying: block), signed.did == bidder,
            signed.body.peerID == bidder.peerID
        {
            offer = signed.body
        }
        if offers.updateValue(KnownBidder.Cited(cid: cid, capability: offer), forKey: bidder) == nil {
            order.append(bidder)
        }
        while offers.count > limits.biddersMax, let eldest = order.popFirst() { offers[eldest] = nil }
    }
}
