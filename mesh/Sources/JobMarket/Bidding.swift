package import MeshTypes
package import Multiformats
package import SignedObjects

/// The bids on a job, over all rounds of bidding.
struct Bidding: Hashable, Sendable {
    /// How many rounds of bidding began.
    private(set) var round: UInt64 = 0
    /// When the bid window of this round closes.
    private(set) var windowUntil: UnixMilliseconds?
    /// The acceptable bids kept, in the order of arrival; none once the job has its result.
    private(set) var bids: [ReceivedBid] = []
    /// Refused bids for the user to read, one per bidder; none once the job has its result.
    private(set) var refused: [RefusedBid] = []
    /// The bids that the journal records, including those refused or displaced since.
    private(set) var count: UInt64 = 0
    /// Where bids are public: those that were committed to in this round.
    var sealed = SealedBids()

    /// Begins a round.
    mutating func opened(round: UInt64, windowUntil: UnixMilliseconds) {
        self.round = round
        self.windowUntil = windowUntil
        sealed = SealedBids()
    }

    /// Notes a judged bid.
    mutating func received(_ signed: SignedObject<Bid>, refusal: BidRefusal?, at date: UnixMilliseconds) {
        count += 1
        sealed.showed(signed.cid)
        if let refusal {
            refused.append(RefusedBid(signed.body, refusal))
        } else {
            bids.append(ReceivedBid(signed: signed, arrivedAt: date))
        }
    }

    /// A better bid replaced a kept one.
    mutating func displaced(_ cid: CID) {
        bids.removeAll { $0.cid == cid }
        sealed.displaced(cid)
    }

    /// Drops all bids: a job with its result needs none.
    mutating func ended() {
        bids = []
        refused = []
        sealed = SealedBids()
    }

    func bid(_ cid: CID) -> ReceivedBid? { bids.first { $0.cid == cid } }

    /// Whether the journal has room to record one more refused bid of a bidder.
    func hasRoom(forRefusedOf bidder: DID, _ limits: MarketLimits) -> Bool {
        refused.count < limits.refusedBidsPerJobMax && !refused.contains { $0.bidder == bidder }
    }
}

/// A bid as the originator keeps it.
package struct ReceivedBid: Hashable, Sendable {
    /// The bid, as its bidder signed it.
    package let signed: SignedObject<Bid>
    /// When it came.
    package let arrivedAt: UnixMilliseconds

    /// Names the bid.
    package var cid: CID { signed.cid }
    /// What it says.
    package var bid: Bid { signed.body }
    /// Until when it can be taken up, by this node's clock: its validity counted from its arrival, because the bidder's
    /// clock may differ.
    package var takeUpUntil: UnixMilliseconds {
        arrivedAt.advanced(milliseconds: bid.expiresAt.milliseconds(since: bid.issuedAt))
    }
}
