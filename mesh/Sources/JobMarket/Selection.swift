import Credit
import Determinism
package import MeshTypes
package import Multiformats
package import Reputation
import SignedObjects

/// How an originator judges and compares bids (PROTOCOL.md, "Selection"): hard filters first, then a weighted score in
/// integers; the price, then a draw that no bidder can foresee (`BidDraw`), breaks ties.
package struct Selection: Sendable {
    let manifest: JobManifest
    let reputation: ReputationBook
    let wallClock: UnixMilliseconds
    let draw: BidDraw
    /// Who was later than promised, as of a moment.
    var missed = (promises: MissedPromises(), now: MonotonicInstant.zero)

    /// A selection for one job at one moment; bids are ranked by the draw.
    package init(
        manifest: JobManifest, reputation: ReputationBook, wallClock: UnixMilliseconds,
        draw: BidDraw = BidDraw(seed: [])
    ) {
        self.manifest = manifest
        self.reputation = reputation
        self.wallClock = wallClock
        self.draw = draw
    }

    /// Why a bid is not acceptable; `nil` if it is. Returns the first reason in this order: terms, bidder, price,
    /// region, features, resources, reputation, deadline.
    package func refusal(of bid: Bid) -> BidRefusal? {
        if let reason = Self.contradiction(in: bid) { return .termsInvalid(reason: reason) }
        return bidderRefusal(of: bid.bidderDID) ?? termsRefusal(of: bid) ?? standingRefusal(of: bid)
    }

    /// Acceptable bids, best first, each with its score and its parts. The caller has filtered them.
    package func rank(_ bids: [ReceivedBid], latency: (PeerID) -> UInt64?) -> [RankedBid] {
        rank(bids.map { (cid: $0.cid, bid: $0.bid) }, latency: latency)
    }

    /// The same of bids whose signatures others looked at, each with its name.
    package func rank(_ bids: [(cid: CID, bid: Bid)], latency: (PeerID) -> UInt64?) -> [RankedBid] {
        let lowest = Dictionary(bids.map { ($0.bid.bidderDID, $0.bid.terms.price) }, uniquingKeysWith: min)
        let scale = PriceScale(ceiling: manifest.params.priceCeiling, prices: Array(lowest.values))
        let weights = manifest.policy.weights ?? .standard
        let scored = bids.map { received in
            let parts = parts(of: received.bid, scale, latency: latency(received.bid.bidderPeerID))
            let ranked = RankedBid(
                bid: received.cid, bidder: received.bid.bidderDID, price: received.bid.terms.price,
                score: Self.weighted(parts, weights), parts: parts)
            return (ranked: ranked, tie: draw.number(of: received.cid))
        }
        return scored.sorted { left, right in
            // The originator's own bid counts only if there is no other.
            let isOwn = (left.ranked.bidder == manifest.originatorDID, right.ranked.bidder == manifest.originatorDID)
            if isOwn.0 != isOwn.1 { return isOwn.1 }
            if left.ranked.score != right.ranked.score { return left.ranked.score > right.ranked.score }
            if left.ranked.price != right.ranked.price { return left.ranked.price < right.ranked.price }
            return left.tie.lexicographicallyPrecedes(right.tie)
        }.map(\.ranked)
    }

    /// Features of a bid, and resources of it.
    private static let offerListMax = 64

    private static func contradiction(in bid: Bid) -> String? {
        if bid.terms.basePrice > bid.terms.price { return "the base price is more than the price" }
        if bid.expiresAt <= bid.issuedAt { return "the bid expires before it is made" }
        if bid.expiresAt.milliseconds(since: bid.issuedAt) > JobRules().lifetimeMillisecondsMax {
            return "the bid outlives any job"
        }
        if bid.loadPermille > 1000 { return "more load than the whole" }
        if bid.terms.deadline < bid.issuedAt { return "the result is promised before the bid is made" }
        if bid.terms.deadline < bid.terms.earliestStart { return "the result is promised before the run begins" }
        if bid.features.count > offerListMax || bid.resources.count > offerListMax {
            return "too many features or resources"
        }
        return nil
    }

    /// Why no bid of a bidder is acceptable, whatever it offers.
    func bidderRefusal(of bidder: DID) -> BidRefusal? {
        let policy = manifest.policy
        if let denied = policy.deniedDIDs, denied.contains(bidder) { return .bidderDenied }
        if let allowed = policy.allowedDIDs, !allowed.contains(bidder) { return .bidderNotAllowed }
        return nil
    }

    /// How long after its bid an executor that is paid by a hold may begin, in milliseconds: 6 h.
    private static let heldQueueMillisecondsMax: UInt64 = 21_600_000

    private func termsRefusal(of bid: Bid) -> BidRefusal? {
        switch (manifest.policy.payBy, bid.terms.payment) {
        case (nil, nil): break
        case (let payBy?, let payment?) where payBy.admits(payment): break
        default: return .paymentNotAccepted
        }
        if bid.terms.payment != nil {
            if bid.terms.price == .zero || bid.terms.price > CreditLine.limitMax {
                return .termsInvalid(reason: "no issuer holds \(bid.terms.price)")
            }
            // What is held is held until then, whoever breaks the promise.
            let longest = manifest.params.timeoutSeconds * 1_000 + Self.heldQueueMillisecondsMax
            if bid.terms.deadline.milliseconds(since: bid.issuedAt) > longest {
                return .termsInvalid(reason: "the price would be held for too long")
            }
        }
        if let ceiling = manifest.params.priceCeiling, bid.terms.price > ceiling {
            return .priceTooHigh(price: bid.terms.price, max: ceiling)
        }
        return nil
    }

    private func standingRefusal(of bid: Bid) -> BidRefusal? {
        let policy = manifest.policy
        if let regions = policy.regionFilter, !regions.contains(where: { Self.isSame($0, bid.region) }) {
            return .regionNotAccepted(region: bid.region)
        }
        if let missing = policy.requiredFeatures?.first(where: { feature in
            !bid.features.contains { Self.isSame(feature, $0) }
        }) {
            return .featureMissing(feature: missing)
        }
        // It has to have it, and to keep it for the job.
        let required = manifest.params.resourcesRequired
        if let unmet = required.firstUnmet(by: bid.resources)
            ?? required.firstUnmet(by: bid.terms.resourceGuarantees)
        {
            return .resourceMissing(resource: unmet.resource, needed: unmet.required, offered: unmet.offered)
        }
        if let least = policy.minReputation {
            let score = reputation.score(of: bid.bidderDID, at: wallClock, for: bid.terms.stake)
            if score < least { return .reputationTooLow(reputation: score, min: least) }
        }
        // The promise counts from the bid's arrival, because the bidder's clock may differ.
        // Who was late the last time is expected to be as late again.
        let late = missed.promises.lateMilliseconds(of: bid.bidderDID, now: missed.now)
        let promised = wallClock.advanced(milliseconds: bid.terms.deadline.milliseconds(since: bid.issuedAt))
            .advanced(milliseconds: late)
        if let needed = policy.deadline, promised > needed {
            return .deadlineTooLate(promised: promised, needed: needed)
        }
        return nil
    }

    private func parts(of bid: Bid, _ scale: PriceScale, latency: UInt64?) -> [UInt64] {
        parts(
            of: bid.bidderDID, price: bid.terms.price, stake: bid.terms.stake, region: bid.region, idle: idle(bid),
            scale, latency: latency)
    }

    /// Price, reputation, region, latency and how free the bidder is, in thousandths; more is better.
    func parts(
        of bidder: DID, price: TokenAmount, stake: Stake? = nil, region: String?, idle: UInt64, _ scale: PriceScale,
        latency: UInt64?
    ) -> [UInt64] {
        let price = scale.part(of: price)
        let isLate = missed.promises.lateMilliseconds(of: bidder, now: missed.now) > 0
        let standing = reputation.score(of: bidder, at: wallClock, for: stake) / (isLate ? 2 : 1)
        let regions = manifest.policy.regionFilter ?? []
        let place = regions.firstIndex { Self.isSame($0, region) }
        let region = place.map { 1000 - UInt64($0) * 1000 / UInt64(max(1, regions.count)) } ?? 0
        // A bidder without a measured round trip does not count as near.
        let near = latency.map { 20_000 / (20 + min($0, 100_000)) } ?? 0
        return [price, standing, region, near, idle]
    }

    /// How free a bidder is: the part of its places that is, but no more than the job's own time is of that and the
    /// wait for a turn that the bid admits.
    func idle(_ bid: Bid) -> UInt64 {
        let time = max(1, manifest.params.timeoutSeconds * 1_000)
        // No job lives so long that a longer wait differs.
        let wait = min(bid.queueMilliseconds, JobRules().lifetimeMillisecondsMax)
        return min(1_000 - min(bid.loadPermille, 1_000), 1_000 * time / (time + wait))
    }

    /// Whether two names are the same bytes, as the map of resources compares them.
    private static func isSame(_ wanted: String, _ offered: String?) -> Bool {
        offered.map { wanted.isSameBytes(as: $0) } ?? false
    }

    /// `JobRules.weightMax` bounds the weights, so the sums cannot overflow.
    static func weighted(_ parts: [UInt64], _ weights: SelectionWeights) -> UInt64 {
        let factors = [weights.price, weights.reputation, weights.region, weights.latency, weights.load]
        let total = zip(parts, factors).reduce(UInt64(0)) { $0 &+ $1.0 &* min($1.1, 1_000_000) }
        return total / max(1, factors.reduce(UInt64(0)) { $0 &+ min($1, 1_000_000) })
    }
}

extension BidTerms {
    /// What is at stake.
    var stake: Stake { Stake(amount: price.units, at: payment?.issuerDID, in: payment?.unit) }
}
