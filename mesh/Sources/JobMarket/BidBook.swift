import Determinism
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// The verdict on a bid that arrived.
enum BidArrival: Sendable {
    /// It is here already.
    case repeated
    /// It is refused, whatever it offers.
    case refused(BidRefusal)
    /// Its sender made too many.
    case ignored(BidRefusal)
    /// It is genuine, and has to be weighed.
    case verified(SignedObject<Bid>)
}

/// Where an acceptable bid finds room.
enum BidPlace: Sendable {
    /// There is room.
    case free
    /// A kept bid is worth less, and gives up its place.
    case instead(of: ReceivedBid)
    /// It is the worst itself, or the journal records enough bids.
    case noRoom(BidRefusal)
}

/// How an originator accepts and orders bids: it counts those of each sender, and remembers which executors failed
/// lately. Not journalled.
struct BidBook: Sendable {
    private var tallies: [JobID: BidTally] = [:]
    private var failedExecutors = RecentFailures<DID>()
    private var missed = MissedPromises()
    /// The jobs that are with executors of which this node knows nothing.
    var unproven = UnprovenHolds()

    /// Checks a bid, from the cheapest check to the signature.
    mutating func arrived(
        _ lean: ProtocolBid, from peer: PeerID, on job: OriginatedJob, _ context: MarketContext
    ) -> BidArrival {
        guard job.isOpen else { return .refused(.jobNotOpen) }
        if job.bidding.bids.contains(where: { $0.signed.bytes == lean.signedBid }) { return .repeated }
        guard job.takesBids else { return .refused(.biddingClosed) }
        if job.manifest.policy.hasPublicBids,
            !job.bidding.sealed.admits(CID.hashing(lean.signedBid, codec: .dagCBOR))
        {
            return .refused(.notCommitted)
        }
        let limits = context.limits
        guard tallies[job.id]?.count(of: peer) ?? 0 < limits.bidsPerPeerMax else {
            return .ignored(.tooManyBids(max: UInt64(limits.bidsPerPeerMax)))
        }
        guard peer == lean.executionNodeID, lean.jobOriginator == context.peerID else {
            return .refused(.notVerified(reason: "the bid is not the sender's, or not for this node"))
        }
        guard lean.signedBid.count <= limits.evidenceBytesMax else {
            return .refused(.notVerified(reason: "longer than \(limits.evidenceBytesMax) bytes"))
        }
        let signed: SignedObject<Bid>
        do {
            signed = try lean.verified()
        } catch {
            return .refused(.notVerified(reason: "\(error)"))
        }
        if job.bidding.bid(signed.cid) != nil { return .repeated }
        tallies[job.id, default: BidTally()].counted(peer, peersMax: limits.biddersPerJobMax)
        return .verified(signed)
    }

    /// Why a bid is not acceptable; `nil` when it is.
    func refusal(of bid: Bid, on job: OriginatedJob, _ context: MarketContext) -> BidRefusal? {
        if job.isExcluded(bid.bidderDID) { return .bidderFailedBefore }
        var selection = Selection(
            manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock)
        selection.missed = (missed, context.now)
        if let refusal = selection.refusal(of: bid) { return refusal }
        if let reason = context.bidder.contradiction(in: bid) { return .termsInvalid(reason: reason) }
        // It cannot know that yet: no manifest says what module and inputs measure.
        return context.bidder.shortage.map {
            .resourceMissing(resource: $0.limit.rawValue, needed: $0.needed, offered: $0.offered)
        }
    }

    /// Notes a refused bid that the journal does not record.
    mutating func leftUnwritten(of job: JobID) { tallies[job, default: BidTally()].refusedUnwritten += 1 }

    /// Notes a bid that was shown, and that the journal does not record.
    mutating func sawUnwritten(_ bid: CID, on job: JobID) {
        guard tallies[job]?.seen.count ?? 0 < PublicJob.Limits().commitmentsMax else { return }
        tallies[job, default: BidTally()].seen.insert(bid)
    }

    /// Commitments whose bids were not shown.
    func hidden(of job: OriginatedJob) -> [SignedObject<BidCommitment>] {
        let seen = tallies[job.id]?.seen ?? []
        return job.bidding.sealed.hidden.filter { !seen.contains($0.body.bidCID) }
    }

    /// Refused bids on a job that the journal does not record.
    func unwritten(of job: JobID) -> UInt64 { tallies[job]?.refusedUnwritten ?? 0 }

    /// Resets the counts of bids on a job.
    mutating func forget(_ job: JobID) { tallies[job] = nil }

    /// A job keeps its best bids by its own score: at the limit, a better one replaces the worst.
    func place(for signed: SignedObject<Bid>, in job: OriginatedJob, _ context: MarketContext) -> BidPlace {
        let limits = context.limits
        guard job.bidCount < limits.bidsWrittenPerJobMax, job.hasRoom(forBidBytes: signed.bytes.count, limits) else {
            return .noRoom(.tooManyBids(max: min(job.bidCount, limits.bidsWrittenPerJobMax)))
        }
        guard job.bidding.bids.count >= limits.bidsPerJobMax else { return .free }
        let newcomer = ReceivedBid(signed: signed, arrivedAt: context.steady)
        let candidates = job.candidates(context)
        // Expired bids go first, and those of the banned.
        let stale = job.bidding.bids.first { bid in !candidates.contains { $0.cid == bid.cid } }?.cid
        guard let worst = stale ?? rank(candidates + [newcomer], of: job, context).last?.bid, worst != signed.cid,
            let displaced = job.bidding.bid(worst)
        else { return .noRoom(.tooManyBids(max: UInt64(limits.bidsPerJobMax))) }
        return .instead(of: displaced)
    }

    // MARK: Order

    /// What the bids of executors that have said nothing could gain over the best one that ranks by its score, by their
    /// offers; those that failed lately come last, and gain nothing.
    func gains(
        of offers: [NodeCapability], over candidates: [ReceivedBid], on job: OriginatedJob, _ context: MarketContext
    ) -> [(executor: DID, gain: UInt64)] {
        var selection = Selection(
            manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock)
        selection.missed = (missed, context.now)
        let sound = candidates.filter {
            !failedLately($0.bid.bidderDID, context) && !comesTooLate($0, on: job, context)
        }
        return offers.map { offer in
            let isLast = failedLately(offer.nodeDID, context)
            return (offer.nodeDID, isLast ? 0 : selection.gain(of: offer, over: sound) { context.latencies[$0] })
        }
    }

    /// Bids in the order of the job's score; then those of executors that proved nothing here and have as many jobs as
    /// such may have, if one that proved itself has a free place; then those that promise a turn later than the job
    /// waits for one; those of executors that failed lately come last, with a score of zero.
    func rank(_ candidates: [ReceivedBid], of job: OriginatedJob, _ context: MarketContext) -> [RankedBid] {
        var selection = Selection(
            manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock,
            draw: BidDraw(seed: context.opening(.none, nonce: job.manifest.nonce).seed))
        selection.missed = (missed, context.now)
        let ranking = selection.rank(candidates) { $0 == context.peerID ? 0 : context.latencies[$0] }
        let tooBusy = Set(candidates.filter { comesTooLate($0, on: job, context) }.map(\.cid))
        var (others, late, failed): ([RankedBid], [RankedBid], [RankedBid]) = ([], [], [])
        for var bid in ranking {
            if failedExecutors.contains(bid.bidder, now: context.now) {
                bid.score = 0
                failed.append(bid)
            } else if tooBusy.contains(bid.bid) {
                late.append(bid)
            } else {
                others.append(bid)
            }
        }
        let free = Set(candidates.filter { $0.bid.queueMilliseconds == 0 }.map(\.cid))
        return bounded(others, free: free, context) + late + failed
    }

    /// Puts executors that proved nothing here behind the others where they have enough jobs.
    private func bounded(_ ranking: [RankedBid], free: Set<CID>, _ context: MarketContext) -> [RankedBid] {
        let isReplaceable = ranking.contains { free.contains($0.bid) && isKnown($0.bidder, context) }
        guard isReplaceable else { return ranking }
        let taken = unproven.taken(now: context.now)
        var (ahead, behind): ([RankedBid], [RankedBid]) = ([], [])
        for var bid in ranking {
            if bid.bidder != context.did, !context.reputation.isProven(bid.bidder),
                unproven.isFull(for: bid.bidder, taken: taken, context.limits)
            {
                bid.unprovenHeld = UInt64(clamping: taken)
                behind.append(bid)
            } else {
                ahead.append(bid)
            }
        }
        return ahead + behind
    }

    /// Whether somebody else proved itself here.
    private func isKnown(_ executor: DID, _ context: MarketContext) -> Bool {
        executor != context.did && context.reputation.isProven(executor)
    }

    /// Notes who got a job.
    mutating func assigned(_ assignment: CID, to executor: DID, _ context: MarketContext) {
        let isUnproven = executor != context.did && !context.reputation.isProven(executor)
        unproven.began(assignment, executor, isUnproven: isUnproven)
    }

    /// Notes that an executor has a job no more, or is not waited for.
    mutating func released(_ assignment: CID, _ end: AttemptEnd, _ context: MarketContext) {
        switch end {
        // It goes on, beside its copy.
        case .hedged: break
        case .refuted, .receiptInvalid: unproven.lied(assignment, context)
        default: unproven.ended(assignment)
        }
    }

    /// Whether a bid promises a turn later than the job waits for one.
    private func comesTooLate(_ received: ReceivedBid, on job: OriginatedJob, _ context: MarketContext) -> Bool {
        let bid = received.bid
        return bid.queueMilliseconds > Patience.queueMilliseconds(of: bid, on: job.manifest, context)
    }

    /// An executor that accepted a job, or bid for it, and then went silent or never finished ranks last for a while;
    /// so does one that says that it failed, or that its engine crashed, whosever doing that was, and one whose receipt
    /// was not borne out. One that declined its assignment may be busy, so it does for a shorter time, as does one
    /// whose turn would have come later than this node waits, and one that could not fetch, perhaps from this node.
    ///
    /// - Parameter promise: within how many milliseconds from the assignment the bid promised a turn.
    mutating func attemptEnded(
        _ attempt: Attempt, _ end: AttemptEnd, promisedWithinMilliseconds promise: UInt64, _ context: MarketContext
    ) {
        let executor = attempt.assignment.executorDID
        let times = context.configuration.originator
        switch end {
        case .fetchTimedOut where context.steady.milliseconds(since: attempt.madeAt) <= promise,
            .nodeFailed(_, .fetchFailed):
            failed(executor, context, for: times.declinedExecutorMilliseconds)
        case .unconfirmed, .leaseExpired, .fetchTimedOut, .executionTimedOut, .receiptTimedOut, .outputsMissing,
            .refuted, .unverified, .nodeFailed, .receiptInvalid:
            failed(executor, context)
        case .declined:
            let isProven = context.reputation.isProven(executor)
            failed(
                executor, context,
                for: isProven ? times.provenDeclineMilliseconds : times.declinedExecutorMilliseconds)
        case .overtaken, .hedged, .forgotten, .dropped: break
        }
    }

    /// An executor committed to a bid and did not show it, so that all waited for it: it ranks last, too.
    mutating func keptHidden(_ executor: DID, _ context: MarketContext) { failed(executor, context) }

    /// Whether an executor's bids rank last now.
    func failedLately(_ executor: DID, _ context: MarketContext) -> Bool {
        failedExecutors.contains(executor, now: context.now)
    }

    private mutating func failed(_ executor: DID, _ context: MarketContext, for milliseconds: UInt64? = nil) {
        let time = milliseconds ?? context.configuration.originator.failedExecutorMilliseconds
        failedExecutors.insert(
            executor, until: context.now.advanced(milliseconds: Int64(clamping: time)),
            max: context.limits.failedExecutorsMax)
    }

    /// Holds a result against what its executor's bid promised.
    ///
    /// - Parameter beganAt: when its executor first said that it runs; `nil` if it was not heard to, as of a short run:
    ///   then the receipt tells, which makes nothing later than it came.
    mutating func delivered(
        _ receipt: ExecutionReceipt, of attempt: Attempt, on job: OriginatedJob, beganAt: MonotonicInstant?,
        _ context: MarketContext
    ) {
        guard let bid = job.bidding.bid(attempt.assignment.bidCID)?.bid else { return }
        let ended = context.steady.milliseconds(since: attempt.madeAt)
        let ago = beganAt.map { UInt64(clamping: context.now.milliseconds(since: $0)) }
        let began = ended - min(ended, ago ?? receipt.resourceUsage.wallMilliseconds)
        let promised = bid.terms.deadline.milliseconds(since: bid.issuedAt)
        let timeout = job.manifest.params.timeoutSeconds * 1_000
        missed.measured(
            receipt.executorDID,
            MissedPromises.Measured(
                beginsBy: promised - min(promised, timeout),
                endsBy: job.manifest.params.session == nil ? promised : nil, began: began, ended: ended),
            now: context.now)
    }

    /// Holds a run that has not ended, and is not waited for any more, against what its executor's bid promised.
    mutating func keptWaiting(_ attempt: Attempt, of job: OriginatedJob, _ context: MarketContext) {
        guard let bid = job.bidding.bid(attempt.assignment.bidCID)?.bid else { return }
        let now = context.steady.milliseconds(since: attempt.madeAt)
        let promised = bid.terms.deadline.milliseconds(since: bid.issuedAt)
        guard now > promised else { return }
        missed.measured(
            attempt.assignment.executorDID,
            MissedPromises.Measured(beginsBy: promised, endsBy: promised, began: 0, ended: now), now: context.now)
    }

    /// Notes that an executor did its part.
    mutating func delivered(_ executor: DID) { failedExecutors.remove(executor) }
}
