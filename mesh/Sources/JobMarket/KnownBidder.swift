package import MeshTypes
package import Multiformats

/// What an originator knows of a bidder besides its bid.
package struct KnownBidder: Sendable {
    /// An executor's offer, and by which name a bid cites it (`node_metadata_cid`).
    package struct Offer: Sendable {
        /// Its name.
        package let cid: CID
        /// What it says.
        package let capability: NodeCapability

        package init(cid: CID, capability: NodeCapability) {
            self.cid = cid
            self.capability = capability
        }
    }

    /// What it has too little of for the job's module or inputs, if anything.
    package var shortage: OfferedShortage?
    /// Its offer, as this node last heard it.
    package var offer: Offer?

    /// Nothing is known.
    package init(shortage: OfferedShortage? = nil, offer: Offer? = nil) {
        self.shortage = shortage
        self.offer = offer
    }

    /// In what a bid claims more than the offer that it cites, which its bidder signed, too. Of a bid that cites
    /// another offer than the one known here, or none, nothing follows: offers change.
    func contradiction(in bid: Bid) -> String? {
        guard let offer, bid.nodeMetadataCID == offer.cid else { return nil }
        let offered = offer.capability
        if bid.region != offered.region { return "its region is not that of the offer it cites" }
        if offered.isAbridged != true, !Set(bid.features).isSubset(of: offered.features) {
            return "it has features that the offer it cites has not"
        }
        if bid.resources.firstUnmet(by: offered.resources) != nil {
            return "it has more resources than the offer it cites"
        }
        return nil
    }
}
