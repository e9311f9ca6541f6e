import MeshTypes
import Multiformats
import SignedObjects

extension Selection {
    /// By how much, in thousandths of the score, an executor could beat the best of these bids, if it bids what it
    /// offers and has nothing else to do; none for one whose price is above what the job may cost.
    ///
    /// - Parameter latency: the round trips that were measured; one that was not counts as none.
    func gain(of offer: NodeCapability, over bids: [ReceivedBid], latency: (PeerID) -> UInt64?) -> UInt64 {
        // Offers tell prices in tokens alone, so what a bid in another unit could gain is not known.
        if manifest.policy.payBy != nil { return 1_000 }
        let price = offer.price(ofFuel: manifest.params.maxFuel)
        if let ceiling = manifest.params.priceCeiling, price > ceiling { return 0 }
        let lowest = Dictionary(bids.map { ($0.bid.bidderDID, $0.bid.terms.price) }, uniquingKeysWith: min)
        let scale = PriceScale(ceiling: manifest.params.priceCeiling, prices: Array(lowest.values) + [price])
        let weights = manifest.policy.weights ?? .standard
        func score(_ bidder: DID, _ price: TokenAmount, _ region: String?, idle: UInt64, _ latency: UInt64?) -> UInt64 {
            let parts = parts(of: bidder, price: price, region: region, idle: idle, scale, latency: latency)
            return Self.weighted(parts, weights)
        }
        let best = bids.map { received in
            let bid = received.bid
            return score(
                bid.bidderDID, bid.terms.price, bid.region, idle: idle(bid), latency(bid.bidderPeerID))
        }.max()
        let reach = score(offer.nodeDID, price, offer.region, idle: 1_000, latency(offer.peerID) ?? 0)
        return reach - min(reach, best ?? 0)
    }
}
