import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// A half of the market whose jobs may have public bids (PROTOCOL.md, "Public bids"): bids are committed to until the
/// window closes, and shown after that.
protocol SealingHalf: CheckingHalf {
    /// How bids are accepted and ordered.
    var bids: BidBook { get set }

    /// Ends the bidding with this order of the bids.
    mutating func close(
        _ id: JobID, _ cause: BiddingClosure, _ ranking: [RankedBid], _ context: inout MarketContext)
    /// Ends the job's time for bids: the best one has it, or it fails.
    mutating func biddingElapsed(_ id: JobID, _ context: inout MarketContext)
    /// Opens the job for bids.
    mutating func beginBidding(_ id: JobID, _ context: inout MarketContext)
    /// Refuses a bid.
    func refuse(_ refusal: BidRefusal, lostTo winner: BidWinner?, _ context: inout MarketContext) -> MeshProtocolReply
}

extension SealingHalf {
    // MARK: Committing

    /// Takes a bidder's commitment to a bid on a job whose bids are public.
    mutating func bidCommitted(
        _ message: JobBidCommitmentV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        let id = message.jobID
        guard let job = jobs[id], job.isOpen else { return refuse(.jobNotOpen, lostTo: nil, &context) }
        guard job.takesBids, job.manifest.policy.hasPublicBids else {
            return refuse(.biddingClosed, lostTo: job.winner, &context)
        }
        guard message.commitment.count <= PublicJob.Limits().commitmentBytesMax,
            let signed = try? SignedObject<BidCommitment>(verifying: message.commitment),
            signed.body.bidderDID.peerID == peer, signed.body.jobID == id,
            signed.body.originatorPeerID == context.peerID, signed.body.bidCID.namesObject
        else {
            return refuse(
                .notVerified(reason: "the commitment is not the sender's, or not for this job"), lostTo: nil, &context)
        }
        if let known = job.bidding.sealed.commitment(of: signed.body.bidderDID) {
            return repeated(signed, known, job, &context)
        }
        if job.bidding.sealed.seal != nil { return refuse(.biddingClosed, lostTo: nil, &context) }
        if let refusal = refusal(of: signed.body.bidderDID, on: job, &context) {
            return refuse(refusal, lostTo: nil, &context)
        }
        if job.status == .pendingAnnouncement { beginBidding(id, &context) }
        record(.bidCommitted(commitment: signed), of: id, &context)
        sealIfSufficient(id, &context)
        return .ack
    }

    /// A bidder says again what it said, perhaps because it was restarted; then it has to hear again that its bid is to
    /// be shown. A second bid of one round does not count: it would be a choice between the two.
    private func repeated(
        _ signed: SignedObject<BidCommitment>, _ known: SignedObject<BidCommitment>, _ job: OriginatedJob,
        _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard known.body.bidCID == signed.body.bidCID else {
            return refuse(.tooManyBids(max: 1), lostTo: nil, &context)
        }
        context.counters.duplicates += 1
        if !job.bidding.sealed.shown.contains(signed.body.bidCID) { job.askToShow(signed.body, &context) }
        return .ack
    }

    /// Why a bidder's commitment is not taken. Nothing is known of its bid; so where places are short, an executor that
    /// proved itself here goes before the newest of those that did not.
    private mutating func refusal(
        of bidder: DID, on job: OriginatedJob, _ context: inout MarketContext
    ) -> BidRefusal? {
        if job.isExcluded(bidder) { return .bidderFailedBefore }
        let selection = Selection(manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock)
        if let refusal = selection.bidderRefusal(of: bidder) { return refusal }
        let commitmentsMax = PublicJob.Limits().commitmentsMax
        let full = BidRefusal.tooManyBids(max: UInt64(commitmentsMax))
        guard job.hasRoom(forBidBytes: PublicJob.Limits().commitmentBytesMax, context.limits) else { return full }
        let commitments = job.bidding.sealed.commitments
        guard commitments.count >= commitmentsMax else { return nil }
        // Who lately kept others waiting gives way to anybody who did not.
        let late =
            bids.failedLately(bidder, context)
            ? nil : commitments.last { isUnwanted($0.body.bidderDID, context) }
        let stranger =
            context.reputation.isProven(bidder)
            ? commitments.last { !context.reputation.isProven($0.body.bidderDID) } : nil
        guard let weakest = late ?? stranger else { return full }
        record(.bidDisplaced(bid: weakest.body.bidCID), of: job.id, &context)
        let message = JobBidRefusedV1(jobID: job.id, bidCID: weakest.body.bidCID, full.refusal)
        context.tell(
            .jobBidRefused(message), .bidRefusal, job: job.id, subject: weakest.body.bidCID,
            to: weakest.body.bidderDID.peerID)
        return nil
    }

    /// Whether somebody who committed to a bid lately kept others waiting, or was banned since.
    private func isUnwanted(_ bidder: DID, _ context: MarketContext) -> Bool {
        bids.failedLately(bidder, context) || context.configuration.originator.deniedExecutors.contains(bidder)
    }

    // MARK: Sealing

    /// Ends the wait for commitments where as many are in as the policy calls enough, or the window is over; ends the
    /// wait for bids once all are shown that are waited for.
    mutating func sealIfSufficient(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding, job.status != .biddingClosed else { return }
        let sealed = job.bidding.sealed
        if sealed.seal != nil {
            // Where another bid will do, who lately kept others waiting is not waited for.
            let hidden = bids.hidden(of: job)
            let areAwaited = hidden.contains { !isUnwanted($0.body.bidderDID, context) }
            if hidden.isEmpty || (!areAwaited && !takers(of: job, context).isEmpty) { show(id, &context) }
        } else if sealed.isEmpty {
            return
        } else if let enough = job.manifest.policy.sufficientBids,
            // Those of executors that lately kept others waiting are not enough.
            UInt64(sealed.commitments.count { !isUnwanted($0.body.bidderDID, context) }) >= enough
        {
            seal(id, .sufficientBids, &context)
        } else if !context.timers.contains(.window(id)) {
            seal(id, .firstAcceptableBid, &context)
        }
    }

    /// Takes no more commitments, and asks for the bids.
    mutating func seal(_ id: JobID, _ cause: BiddingClosure, _ context: inout MarketContext) {
        guard let sealed = jobs.read(id, \.bidding.sealed), !sealed.isEmpty, sealed.seal == nil else { return }
        let until = context.date(inMilliseconds: context.configuration.originator.showingMilliseconds)
        record(.bidsSealed(cause: cause, showUntil: until), of: id, &context)
        sealIfSufficient(id, &context)
    }

    /// Handles the end of the window, or of the time to show bids; `false` if the job's bids are not public.
    mutating func publicWindowElapsed(_ id: JobID, _ context: inout MarketContext) -> Bool {
        guard let job = jobs[id], job.manifest.policy.hasPublicBids else { return false }
        if job.bidding.sealed.seal == nil { seal(id, .windowElapsed, &context) } else { show(id, &context) }
        return true
    }

    /// Chooses among the bids that were shown. Who did not show its bid ranks last for a while; if none will do, others
    /// may bid for as long as the job's time for bids lasts.
    private mutating func show(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], let seal = job.bidding.sealed.seal else { return }
        for hidden in bids.hidden(of: job) { bids.keptHidden(hidden.body.bidderDID, context) }
        for commitment in job.bidding.sealed.commitments {
            context.dropDelivery(.bidsSealed, job: id, subject: commitment.body.bidCID)
        }
        let candidates = takers(of: job, context)
        if !candidates.isEmpty { return close(id, seal.cause, bids.rank(candidates, of: job, context), &context) }
        let until = job.phaseUntil ?? context.steady
        bids.forget(id)
        // A window again, or whoever commits first would be alone in each round.
        let window = context.date(inMilliseconds: context.configuration.originator.showingMilliseconds)
        record(
            .announced(round: job.bidding.round + 1, windowUntil: min(window, until), biddingUntil: until), of: id,
            &context)
        if until <= context.steady { biddingElapsed(id, &context) }
    }
}

extension ExecutedJob {
    /// Tells the originator that there is a bid, which is shown when the originator takes no more of them; the first
    /// time also everybody.
    func oweCommitment(isFirst: Bool, _ context: inout MarketContext) {
        guard let signed = context.sign(BidCommitment(to: signedBid)) else { return }
        let message = MeshProtocolMessage.jobBidCommitment(JobBidCommitmentV1(signed))
        context.deliver(
            message, .bidCommitment, job: id, subject: bidCID, to: manifest.originatorPeerID,
            addresses: manifest.originatorAddresses, until: bidLapsesAt)
        if isFirst { context.emit(.tellEverybody(id, topic: MeshTopics.bids(on: id), message)) }
    }

    /// Shows the bid to the originator, the first time also to everybody.
    func showBid(isFirst: Bool, _ context: inout MarketContext) {
        context.dropDelivery(.bidCommitment, job: id, subject: bidCID)
        let message = MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(signedBid)))
        context.deliver(
            message, .bid, job: id, subject: bidCID, to: manifest.originatorPeerID,
            addresses: manifest.originatorAddresses, until: bidLapsesAt)
        if isFirst { context.emit(.tellEverybody(id, topic: MeshTopics.bids(on: id), message)) }
    }
}
