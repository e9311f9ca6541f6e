import JobMarket
import MeshTypes
import NodeAPI
import SignedObjects

extension JobNews {
    /// What an event of an originated job says beside its sentence; nil for an event that says no more.
    init?(_ event: JobEvent) {
        guard event.role == .originator else { return nil }
        switch event.kind {
        case .announced(let round, _, _):
            self.init(.announced)
            self.round = round
        case .bidReceived(let signed, let refusal):
            self.init(.bid, bids: [Bid(signed.body, refusal)])
            if refusal == nil { count(in: signed.body.terms.payment?.unit) }
        case .biddingClosed(_, let ranking):
            let bids = ranking.prefix(Self.bidsMax).map { Bid(bidderDID: $0.bidder.text, priceMax: $0.price.units) }
            self.init(.ranking, bids: bids)
        case .assignmentMade(let signed, _):
            self.init(.offer, executorDID: signed.body.executorDID.text)
            priceMax = signed.body.terms.price.units
            count(in: signed.body.terms.payment?.unit)
            round = signed.body.attempt
        case .assignmentConfirmed: self.init(.taken)
        case .statusReported, .attemptResumed: self.init(.state)
        case .attemptEnded: self.init(.attemptEnded)
        case .receiptAccepted(_, let signed, _):
            self.init(.receipt, executorDID: signed.body.executorDID.text)
            price = signed.body.price.units
        case .fundsAwaited, .verificationBegan, .verificationEnded, .replicasMade, .replicaJudged, .checkerMissing,
            .trialBegan, .trialEnded:
            self.init(.other)
        case .executorsJudged(let outlook):
            self.init(.other)
            executors = ExecutorsView(outlook)
            hint = outlook.advice
        default: return nil
        }
    }

    private mutating func count(in unit: CreditUnit?) { (self.unit, decimals) = (unit?.name, unit?.decimals) }
}

extension JobNews.Bid {
    /// A bid, and why it is refused.
    init(_ bid: Bid, _ refusal: BidRefusal?) {
        self.init(
            bidderDID: bid.bidderDID.text, isOwn: bid.bidderPeerID == bid.originatorPeerID,
            priceMax: bid.terms.price.units,
            region: bid.region.map { PlainText.sanitized($0, bytesMax: 40) }, refusal: refusal?.description,
            code: refusal?.name.rawValue)
    }
}
