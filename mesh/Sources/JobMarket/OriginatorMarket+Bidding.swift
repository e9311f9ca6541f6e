import Economics
import MeshTypes
import Multiformats
import SignedObjects

extension OriginatedJob {
    /// Whether the window is over and nobody has made a bid that can be taken up.
    func isWithoutTakers(_ context: MarketContext) -> Bool {
        result == nil && phase == .bidding && status != .biddingClosed && !context.timers.contains(.window(id))
            && candidates(at: context.steady).isEmpty
    }
}

extension OriginatorMarket {
    mutating func announcementPublished(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.status == .pendingAnnouncement else { return }
        open(job, &context)
    }

    /// Opens the job for bids: for the first time, or again after an attempt failed and no bid is left.
    private mutating func open(_ job: OriginatedJob, _ context: inout MarketContext) {
        let times = context.configuration.originator
        let window = job.manifest.policy.bidWindowMilliseconds ?? times.bidWindowMilliseconds
        // However short bidding is, the window that was asked for is waited for, and a moment after it.
        let milliseconds = max(times.biddingMilliseconds, window + times.reannounceMilliseconds)
        let bidding = min(context.date(inMilliseconds: milliseconds), job.endsAt)
        tallies[job.id] = nil
        record(
            .announced(
                round: job.round + 1, windowUntil: min(context.date(inMilliseconds: window), bidding),
                biddingUntil: bidding),
            of: job.id, &context)
    }

    mutating func announcementFailed(_ id: JobID, reason: String, _ context: inout MarketContext) {
        guard let job = jobs[id], job.status == .pendingAnnouncement else { return }
        announcementErrors[id] = PlainText.sanitized(reason)
        context.setTimer(.reannounce(id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
    }

    /// A bid arrived; the reply tells its fate, the journal why.
    mutating func bidArrived(
        _ lean: ProtocolBid, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let known = jobs[lean.jobID], known.result == nil else { return refuse(.jobNotOpen, &context) }
        if known.bids.contains(where: { $0.signed.bytes == lean.signedBid }) {
            context.counters.duplicates += 1
            return .ack
        }
        guard known.phase == .announcement || known.phase == .bidding, known.status != .biddingClosed else {
            return refuse(.biddingClosed, &context)
        }
        let limits = context.limits
        guard tallies[known.id]?.count(of: peer) ?? 0 < limits.bidsPerPeerMax else {
            context.counters.bidsIgnored += 1
            return refuse(.tooManyBids(max: UInt64(limits.bidsPerPeerMax)), &context)
        }
        guard peer == lean.executionNodeID, lean.jobOriginator == context.peerID else {
            return refuse(.notVerified(reason: "the bid is not the sender's, or not for this node"), &context)
        }
        guard lean.signedBid.count <= limits.evidenceBytesMax else {
            return refuse(.notVerified(reason: "longer than \(limits.evidenceBytesMax) bytes"), &context)
        }
        let signed: SignedObject<Bid>
        do {
            signed = try lean.verified()
        } catch {
            return refuse(.notVerified(reason: "\(error)"), &context)
        }
        if known.bids.contains(where: { $0.cid == signed.cid }) {
            context.counters.duplicates += 1
            return .ack
        }
        tallies[known.id, default: BidTally()].counted(peer, peersMax: limits.biddersPerJobMax)
        return take(signed, &context)
    }

    private mutating func take(_ signed: SignedObject<Bid>, _ context: inout MarketContext) -> MeshProtocolReply {
        let id = signed.body.jobID
        context.heard(signed.body.bidderPeerID, signedAt: signed.body.issuedAt)
        if let job = jobs[id], job.status == .pendingAnnouncement { open(job, &context) }
        guard let job = jobs[id] else { return refuse(.jobNotOpen, &context) }
        let selection = Selection(
            manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock)
        let refusal = job.isExcluded(signed.body.bidderDID) ? .bidderFailedBefore : selection.refusal(of: signed.body)
        if let refusal {
            keepAccount(ofRefused: signed, refusal, of: job, &context)
            return refuse(refusal, &context)
        }
        if let full = makeRoom(for: signed, in: job, &context) {
            context.counters.bidsIgnored += 1
            return refuse(full, &context)
        }
        record(.bidReceived(bid: signed, refusal: nil), of: id, &context)
        closeIfSufficient(id, &context)
        return .ack
    }

    /// A refused bid takes no place from others: the first few stand in the journal for the user to read, one of each
    /// bidder, and the others are only counted.
    private mutating func keepAccount(
        ofRefused signed: SignedObject<Bid>, _ refusal: BidRefusal, of job: OriginatedJob,
        _ context: inout MarketContext
    ) {
        guard job.refusedBids.count < context.limits.refusedBidsPerJobMax,
            !job.refusedBids.contains(where: { $0.bidder == signed.body.bidderDID })
        else {
            tallies[job.id, default: BidTally()].refusedUnwritten += 1
            return
        }
        record(.bidReceived(bid: signed, refusal: refusal), of: job.id, &context)
    }

    /// A job keeps its best bids by its own score: once it has as many as it may, a better one takes the place of the
    /// worst, whose bidder is told. Gives the refusal where the new bid is the worst itself.
    private mutating func makeRoom(
        for signed: SignedObject<Bid>, in job: OriginatedJob, _ context: inout MarketContext
    ) -> BidRefusal? {
        let limits = context.limits
        guard job.bidCount < limits.bidsWrittenPerJobMax,
            job.hasRoom(forBidBytes: signed.bytes.count, limits)
        else { return .tooManyBids(max: min(job.bidCount, limits.bidsWrittenPerJobMax)) }
        guard job.bids.count >= limits.bidsPerJobMax else { return nil }
        let newcomer = ReceivedBid(signed: signed, arrivedAt: context.steady)
        let candidates = job.candidates(at: context.steady)
        // Bids that nobody can take up any more go before any that can.
        let stale = job.bids.first { bid in !candidates.contains { $0.cid == bid.cid } }?.cid
        guard let worst = stale ?? rank(candidates + [newcomer], of: job, context).last?.bid, worst != signed.cid,
            let displaced = job.bids.first(where: { $0.cid == worst })
        else { return .tooManyBids(max: UInt64(limits.bidsPerJobMax)) }
        record(.bidDisplaced(bid: displaced.cid), of: job.id, &context)
        let refusal = BidRefusal.tooManyBids(max: UInt64(limits.bidsPerJobMax))
        let message = JobBidRefusedV1(jobID: job.id, bidCID: displaced.cid, refusal.refusal)
        context.tell(
            .jobBidRefused(message), .bidRefusal, job: job.id, subject: displaced.cid, to: displaced.bid.bidderPeerID)
        return nil
    }

    private func refuse(_ refusal: BidRefusal, _ context: inout MarketContext) -> MeshProtocolReply {
        context.counters.refused("bid_\(refusal.name.rawValue)")
        return .refused(refusal.refusal)
    }

    /// Closes the window before its end once enough acceptable bids are in. How many are enough is the policy's to say;
    /// where it says nothing, keys that cost nothing must not close it before others had their time, so the best of
    /// the bids has to be of an executor that proved itself here.
    mutating func closeIfSufficient(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding, job.status != .biddingClosed else { return }
        let named = job.manifest.policy.sufficientBids
        let candidates = job.candidates(at: context.steady)
        if UInt64(candidates.count) >= named ?? context.configuration.originator.sufficientBids {
            let ranking = rank(candidates, of: job, context)
            if named != nil || ranking.first.map({ context.reputation.isProven($0.bidder) }) ?? false {
                return close(job, .sufficientBids, ranking, &context)
            }
        }
        if !candidates.isEmpty, !context.timers.contains(.window(id)) {
            close(job, .firstAcceptableBid, rank(candidates, of: job, context), &context)
        }
    }

    mutating func windowElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding else { return }
        let candidates = job.candidates(at: context.steady)
        if !candidates.isEmpty { close(job, .windowElapsed, rank(candidates, of: job, context), &context) }
    }

    mutating func reannounceDue(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding || job.phase == .announcement else { return }
        guard job.candidates(at: context.steady).isEmpty else { return }
        announce(job, &context)
        context.setTimer(.reannounce(id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
    }

    private mutating func close(
        _ job: OriginatedJob, _ cause: BiddingClosure, _ ranking: [RankedBid], _ context: inout MarketContext
    ) {
        tallies[job.id] = nil
        record(.biddingClosed(cause: cause, ranking: ranking), of: job.id, &context)
        assignNext(job.id, &context)
    }

    /// Bids in the order of the job's score; those of executors that failed lately come last, with a score of zero.
    private func rank(
        _ candidates: [ReceivedBid], of job: OriginatedJob, _ context: MarketContext
    ) -> [RankedBid] {
        let ranking = Selection(
            manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock
        ).rank(candidates) { $0 == context.peerID ? 0 : context.latencies[$0] }
        var (others, failed): ([RankedBid], [RankedBid]) = ([], [])
        for var bid in ranking {
            if failedExecutors.contains(bid.bidder, now: context.now) {
                bid.score = 0
                failed.append(bid)
            } else {
                others.append(bid)
            }
        }
        return others + failed
    }

    /// What follows an attempt that gave no result, and also a restart between two steps: the next bidder, another
    /// round, or the end.
    mutating func assignNext(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil, job.liveAttempt == nil, job.receipt == nil, !job.isDelivered
        else { return }
        if job.phase == .bidding, job.status != .biddingClosed {
            if !context.timers.contains(.phase(id)) { biddingElapsed(job, &context) }
            return
        }
        if let reason = job.cancelReason { return finish(job, .cancelled(reason: reason), &context) }
        let attemptsMax = job.manifest.policy.maxAttempts ?? context.configuration.originator.maxAttempts
        if UInt64(job.attempts.count) >= attemptsMax
            || job.nodeFailures >= context.configuration.originator.nodeFailuresMax
        {
            let last = job.attempts.last?.end
            return fail(job, .attemptsExhausted(attempts: UInt64(job.attempts.count), last: last), &context)
        }
        if job.endsAt <= context.steady {
            return fail(job, .expired(during: job.status), &context)
        }
        let candidates = job.candidates(at: context.steady)
        if candidates.isEmpty { return open(job, &context) }
        let available = available(for: job, context)
        let ranking = rank(candidates, of: job, context)
        if let best = ranking.first(where: { $0.price <= available }),
            let bid = candidates.first(where: { $0.cid == best.bid })
        {
            assign(bid, of: job, &context)
        } else {
            cannotHold(job, cheapest: ranking.map(\.price).min() ?? .zero, &context)
        }
    }

    private mutating func assign(_ bid: ReceivedBid, of job: OriginatedJob, _ context: inout MarketContext) {
        let patience = patience(with: bid.bid.bidderDID, context)
        let body = Assignment(
            jobID: job.id, originatorDID: context.did, bidCID: bid.cid, executorDID: bid.bid.bidderDID,
            attempt: UInt64(job.attempts.count + 1),
            leaseMilliseconds: patience.leaseMilliseconds, terms: bid.bid.terms,
            assignedAt: context.wallClock, acceptBy: bid.bid.expiresAt)
        guard let signed = context.sign(body) else {
            let reason = "the assignment could not be signed"
            return finish(job, .failed(.originatorFailed(reason: reason)), &context)
        }
        context.keep(bid.signed, of: job.id)
        context.keep(signed, of: job.id)
        let missing = bid.bid.terms.price.subtractingSaturated(context.ledger.escrow(of: job.id))
        let hold = LedgerEntry.hold(missing, job: job.id, assignment: signed.cid, at: context.wallClock)
        let confirm = context.date(inMilliseconds: patience.confirmationMilliseconds)
        record(
            .assignmentMade(assignment: signed, confirmUntil: confirm), of: job.id,
            ledger: missing == .zero ? [] : [hold], &context)
    }

    /// Ends a job that has come to nothing, unless a receipt still waits for its outputs.
    mutating func fail(_ job: OriginatedJob, _ failure: JobFailure, _ context: inout MarketContext) {
        if job.candidateReceipts.isEmpty { finish(job, .failed(failure), &context) }
    }

    /// Ends a job without a receipt that counts, and gives everything back that is held for it.
    mutating func finish(_ job: OriginatedJob, _ kind: JobEventKind, _ context: inout MarketContext) {
        let held = context.ledger.escrow(of: job.id)
        let refund = LedgerEntry.refund(held, job: job.id, at: context.wallClock)
        record(kind, of: job.id, ledger: held == .zero ? [] : [refund], &context)
        announcementErrors[job.id] = nil
        tallies[job.id] = nil
        funds.remove(job.id)
        closeIfDone(job.id, &context)
    }

    // MARK: Confirmation

    mutating func assignmentAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard let job = jobs[id.jobID], let attempt = job.liveAttempt, attempt.cid == id.subject, !attempt.isConfirmed
        else { return }
        switch reply {
        case .accepted(let cid) where cid == attempt.cid: confirm(job, attempt, &context)
        case .declined(let refusal), .refused(let refusal):
            let end = AttemptEnd.declined(code: refusal.code.sanitized, reason: PlainText.sanitized(refusal.text))
            endAttempt(attempt.cid, of: id.jobID, end, &context)
        case .ack, .accepted:
            let reason = "the executor gave no clear answer"
            endAttempt(attempt.cid, of: id.jobID, .declined(code: .known(.badReply), reason: reason), &context)
        }
    }

    /// Tells bidders that were acceptable and not taken where they stood; their bids may still be taken up later.
    func tellLosers(of job: OriginatedJob, _ context: inout MarketContext) {
        guard let winner = job.liveAttempt?.assignment.bidCID else { return }
        let acceptable = job.bids
        let ranking = rank(acceptable, of: job, context)
        for (rank, loser) in ranking.enumerated() where loser.bid != winner {
            guard let bid = acceptable.first(where: { $0.cid == loser.bid }), !job.isExcluded(loser.bidder) else {
                continue
            }
            let refusal = BidRefusal.otherBidTaken(
                rank: UInt64(rank + 1), of: UInt64(ranking.count), score: loser.score,
                best: ranking.first(where: { $0.bid == winner })?.score ?? 0)
            let message = JobBidRefusedV1(jobID: job.id, bidCID: loser.bid, refusal.refusal)
            context.tell(
                .jobBidRefused(message), .bidRefusal, job: job.id, subject: loser.bid, to: bid.bid.bidderPeerID)
        }
    }
}
