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

    /// What a bidder gave under the name that a bid of it cites, where its offer was not heard.
    package struct Cited: Sendable {
        /// The name.
        package let cid: CID
        /// What it says; nil if it is no offer that the bidder signed.
        package let capability: NodeCapability?

        package init(cid: CID, capability: NodeCapability?) {
            self.cid = cid
            self.capability = capability
        }
    }

    /// What it has too little of for the job's module or inputs, if anything.
    package var shortage: OfferedShortage?
    /// Its offer, as this node last heard it.
    package var offer: Offer?
    /// What it gave last of what its bids cite.
    package var cited: Cited?

    /// Nothing is known.
    package init(shortage: OfferedShortage? = nil, offer: Offer? = nil, cited: Cited? = nil) {
        self.shortage = shortage
        self.offer = offer
        self.cited = cited
    }

    /// In what a bid claims more than the offer that it cites, which its bidder has to have signed, too. Of a bid that
    /// cites another offer than those known here, or none, nothing follows: offers change.
    func contradiction(in bid: Bid) -> String? {
        guard let name = bid.nodeMetadataCID else { return nil }
        let known: NodeCapability?
        if let offer, offer.cid == name {
            known = offer.capability
        } else if let cited, cited.cid == name {
            known = cited.capability
        } else {
            return nil
        }
        guard let offered = known else { return "what it cites is no offer of its bidder" }
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
