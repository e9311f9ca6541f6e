public import MeshTypes
public import Multiformats
public import SignedObjects

/// The bids on a job, over all rounds in which it is open for them.
struct Bidding: Hashable, Sendable {
    /// How often the job was opened for bids.
    private(set) var round: UInt64 = 0
    /// When the bid window of this round closes.
    private(set) var windowUntil: UnixMilliseconds?
    /// The acceptable bids that are kept, in the order of their arrival; none once the job has its result.
    private(set) var bids: [ReceivedBid] = []
    /// Refused bids for the user to read, one of each bidder; none once the job has its result.
    private(set) var refused: [RefusedBid] = []
    /// The bids that the journal tells of, those that were refused or displaced since among them.
    private(set) var count: UInt64 = 0

    /// A round begins.
    mutating func opened(round: UInt64, windowUntil: UnixMilliseconds) {
        self.round = round
        self.windowUntil = windowUntil
    }

    /// A bid was judged.
    mutating func received(_ signed: SignedObject<Bid>, refusal: BidRefusal?, at date: UnixMilliseconds) {
        count += 1
        if let refusal {
            refused.append(
                RefusedBid(bidder: signed.body.bidderDID, price: signed.body.terms.price, refusal: refusal))
        } else {
            bids.append(ReceivedBid(signed: signed, arrivedAt: date))
        }
    }

    /// A kept bid made way for a better one.
    mutating func displaced(_ cid: CID) { bids.removeAll { $0.cid == cid } }

    /// With its result a job needs none of its bids any more.
    mutating func ended() {
        bids = []
        refused = []
    }

    func bid(_ cid: CID) -> ReceivedBid? { bids.first { $0.cid == cid } }

    /// Whether the journal has room to tell of one more refused bid of a bidder.
    func hasRoom(forRefusedOf bidder: DID, _ limits: MarketLimits) -> Bool {
        refused.count < limits.refusedBidsPerJobMax && !refused.contains { $0.bidder == bidder }
    }
}

/// A bid as the originator keeps it.
public struct ReceivedBid: Hashable, Sendable {
    /// The bid as its bidder signed it.
    public let signed: SignedObject<Bid>
    /// When it came.
    public let arrivedAt: UnixMilliseconds

    /// Names the bid.
    public var cid: CID { signed.cid }
    /// What it says.
    public var bid: Bid { signed.body }
    /// Until when it can be taken up, on this node's clock: the bid's own validity counted from its arrival, because
    /// the bidder's clock may differ.
    public var takeUpUntil: UnixMilliseconds {
        arrivedAt.advanced(milliseconds: bid.expiresAt.milliseconds(since: bid.issuedAt))
    }
}
