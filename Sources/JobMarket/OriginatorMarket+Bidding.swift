import Economics
import MeshIdentity
import MeshTypes
import Multiformats

extension OriginatorMarket {
    mutating func announcementPublished(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.status == .pendingAnnouncement else { return }
        open(job, &context)
    }

    /// Opens the job for bids: for the first time, or again after an attempt failed and no bid is left.
    private mutating func open(_ job: OriginatedJob, _ context: inout MarketContext) {
        let times = context.configuration.originator
        let window = job.manifest.policy.bidWindowMilliseconds ?? times.bidWindowMilliseconds
        let bidding = min(context.date(inMilliseconds: times.biddingMilliseconds), job.manifest.expiresAt)
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
        if known.bids.contains(where: { $0.block == lean.signedBid && $0.refusal == nil }) {
            context.counters.duplicates += 1
            return .ack
        }
        guard known.phase == .announcement || known.phase == .bidding, known.status != .biddingClosed else {
            return refuse(.biddingClosed, &context)
        }
        let limits = context.limits
        let ofPeer = known.bids.count { $0.bid.bidderPeerID == peer }
        guard known.bids.count < limits.bidsPerJobMax, ofPeer < limits.bidsPerPeerMax else {
            context.counters.bidsIgnored += 1
            return refuse(
                .tooManyBids(
                    max: UInt64(ofPeer < limits.bidsPerPeerMax ? limits.bidsPerJobMax : limits.bidsPerPeerMax)),
                &context)
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
        if let earlier = known.bids.first(where: { $0.cid == signed.cid }) {
            context.counters.duplicates += 1
            return earlier.refusal.map { .refused(code: $0.code, reason: $0.description) } ?? .ack
        }
        return take(signed, &context)
    }

    private mutating func take(_ signed: SignedObject<Bid>, _ context: inout MarketContext) -> MeshProtocolReply {
        let id = signed.body.jobID
        if let job = jobs[id], job.status == .pendingAnnouncement { open(job, &context) }
        guard let job = jobs[id] else { return refuse(.jobNotOpen, &context) }
        let selection = Selection(
            manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock)
        let refusal = job.isExcluded(signed.body.bidderDID) ? .bidderFailedBefore : selection.refusal(of: signed.body)
        context.evidence.lay(signed)
        if refusal == nil { context.keep(signed, of: id) }
        record(.bidReceived(bid: signed.bytes, refusal: refusal), of: id, &context)
        if let refusal { return refuse(refusal, &context) }
        closeIfSufficient(id, &context)
        return .ack
    }

    private func refuse(_ refusal: BidRefusal, _ context: inout MarketContext) -> MeshProtocolReply {
        context.counters.refused("bid_\(refusal.code)")
        return .refused(code: refusal.code, reason: refusal.description)
    }

    mutating func closeIfSufficient(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding else { return }
        let wanted = job.manifest.policy.sufficientBids ?? context.configuration.originator.sufficientBids
        let candidates = job.candidates(at: context.wallClock)
        if UInt64(candidates.count) >= wanted {
            close(job, .sufficientBids, candidates, &context)
        } else if !candidates.isEmpty, !context.timers.contains(.window(id)) {
            close(job, .firstAcceptableBid, candidates, &context)
        }
    }

    mutating func windowElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding else { return }
        let candidates = job.candidates(at: context.wallClock)
        if !candidates.isEmpty { close(job, .windowElapsed, candidates, &context) }
    }

    mutating func reannounceDue(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding || job.phase == .announcement else { return }
        guard job.candidates(at: context.wallClock).isEmpty else { return }
        announce(job, &context)
        context.setTimer(.reannounce(id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
    }

    private mutating func close(
        _ job: OriginatedJob, _ cause: BiddingClosure, _ candidates: [ReceivedBid], _ context: inout MarketContext
    ) {
        let ranking = rank(candidates, of: job, context)
        record(.biddingClosed(cause: cause, ranking: ranking), of: job.id, &context)
        assignNext(job.id, &context)
    }

    private func rank(
        _ candidates: [ReceivedBid], of job: OriginatedJob, _ context: MarketContext
    ) -> [RankedBid] {
        Selection(manifest: job.manifest, reputation: context.reputation, wallClock: context.wallClock)
            .rank(candidates) { context.latencies[$0] }
    }

    /// What follows an attempt that gave no result, and also a restart between two steps: the next bidder, another
    /// round, or the end.
    mutating func assignNext(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil, job.liveAttempt == nil, job.receipt == nil else { return }
        if let reason = job.cancelReason { return finish(job, .cancelled(reason: reason), &context) }
        let attemptsMax = job.manifest.policy.maxAttempts ?? context.configuration.originator.maxAttempts
        if UInt64(job.attempts.count) >= attemptsMax {
            let last = job.attempts.last?.end
            return finish(
                job, .failed(.attemptsExhausted(attempts: UInt64(job.attempts.count), last: last)), &context)
        }
        if job.manifest.expiresAt <= context.wallClock {
            return finish(job, .failed(.expired(during: job.status)), &context)
        }
        let candidates = job.candidates(at: context.wallClock)
        if candidates.isEmpty { return open(job, &context) }
        let available = context.ledger.wallet.addingSaturated(context.ledger.escrow(of: id))
        let ranking = rank(candidates, of: job, context)
        if let best = ranking.first(where: { $0.price <= available }),
            let bid = candidates.first(where: { $0.cid == best.bid })
        {
            assign(bid, of: job, &context)
        } else {
            let needed = ranking.map(\.price).min() ?? .zero
            finish(job, .failed(.cannotHold(needed: needed, available: available)), &context)
        }
    }

    private mutating func assign(_ bid: ReceivedBid, of job: OriginatedJob, _ context: inout MarketContext) {
        let body = Assignment(
            jobID: job.id, originatorDID: context.did, bidCID: bid.cid, executorDID: bid.bid.bidderDID,
            attempt: UInt64(job.attempts.count + 1),
            leaseMilliseconds: context.configuration.originator.leaseMilliseconds, terms: bid.bid.terms,
            assignedAt: context.wallClock, acceptBy: bid.bid.expiresAt)
        guard let signed = context.sign(body) else {
            let reason = "the assignment could not be signed"
            return finish(job, .failed(.originatorFailed(reason: reason)), &context)
        }
        context.evidence.lay(signed)
        context.keep(signed, of: job.id)
        let missing = bid.bid.terms.price.subtractingSaturated(context.ledger.escrow(of: job.id))
        let hold = LedgerEntry.hold(missing, job: job.id, assignment: signed.cid, at: context.wallClock)
        let confirm = context.date(inMilliseconds: context.configuration.originator.confirmationMilliseconds)
        record(
            .assignmentMade(assignment: signed.bytes, confirmUntil: confirm), of: job.id,
            ledger: missing == .zero ? [] : [hold], &context)
    }

    /// Ends a job without a receipt that counts, and gives everything back that is held for it.
    mutating func finish(_ job: OriginatedJob, _ kind: JobEventKind, _ context: inout MarketContext) {
        let held = context.ledger.escrow(of: job.id)
        let refund = LedgerEntry.refund(held, job: job.id, at: context.wallClock)
        record(kind, of: job.id, ledger: held == .zero ? [] : [refund], &context)
        announcementErrors[job.id] = nil
        closeIfDone(job.id, &context)
    }

    // MARK: Confirmation

    mutating func assignmentAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard let job = jobs[id.jobID], let attempt = job.liveAttempt, attempt.cid == id.subject, !attempt.isConfirmed
        else { return }
        switch reply {
        case .accepted(let cid) where cid == attempt.cid: confirm(job, attempt, &context)
        case .declined(let code, let reason), .refused(let code, let reason):
            let end = AttemptEnd.declined(code: PlainText.sanitized(code, max: 64), reason: PlainText.sanitized(reason))
            endAttempt(attempt.cid, of: id.jobID, end, &context)
        case .ack, .accepted:
            endAttempt(
                attempt.cid, of: id.jobID, .declined(code: "bad_reply", reason: "the executor gave no clear answer"),
                &context)
        }
    }

    private mutating func confirm(_ job: OriginatedJob, _ attempt: Attempt, _ context: inout MarketContext) {
        let until = context.date(inMilliseconds: context.configuration.originator.fetchingMilliseconds)
        record(.assignmentConfirmed(assignment: attempt.cid, fetchUntil: until), of: job.id, &context)
        tellLosers(of: job, &context)
    }

    /// Tells bidders that were acceptable and not taken where they stood; their bids may still be taken up later.
    private func tellLosers(of job: OriginatedJob, _ context: inout MarketContext) {
        guard let winner = job.liveAttempt?.assignment.bidCID else { return }
        let acceptable = job.bids.filter { $0.refusal == nil }
        let ranking = rank(acceptable, of: job, context)
        for (rank, loser) in ranking.enumerated() where loser.bid != winner {
            guard let bid = acceptable.first(where: { $0.cid == loser.bid }), !job.isExcluded(loser.bidder) else {
                continue
            }
            let refusal = BidRefusal.otherBidTaken(
                rank: UInt64(rank + 1), of: UInt64(ranking.count), score: loser.score,
                best: ranking.first(where: { $0.bid == winner })?.score ?? 0)
            let message = JobBidRefusedV1(
                jobID: job.id, bidCID: loser.bid, code: refusal.code, reason: refusal.description)
            context.tell(
                .jobBidRefused(message), .bidRefusal, job: job.id, subject: loser.bid, to: bid.bid.bidderPeerID)
        }
    }

    // MARK: Lease

    /// A status update renews the lease; one of an attempt that nobody waits for is refused, so its executor knows.
    mutating func statusArrived(
        _ update: JobStatusUpdateV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let job = jobs[update.jobID], let index = job.index(of: update.assignmentCID) else {
            context.counters.refused("status_assignment_unknown")
            return .refused(code: "assignment_unknown", reason: "no such assignment was made here")
        }
        let attempt = job.attempts[index]
        guard attempt.executorPeerID == peer, attempt.assignment.executorDID == update.executorDID else {
            context.counters.refused("status_wrong_executor")
            return .refused(code: "wrong_executor", reason: "the assignment is another executor's")
        }
        if attempt.hasWon { return .ack }
        guard job.result == nil else { return .refused(code: "job_over", reason: "the job has ended") }
        guard attempt.isLive else {
            return .refused(code: "assignment_superseded", reason: "the assignment was given to another executor")
        }
        guard update.sequence > heard[attempt.cid] ?? 0 else {
            context.counters.duplicates += 1
            return .ack
        }
        heard[attempt.cid] = update.sequence
        if !attempt.isConfirmed { confirm(job, attempt, &context) }
        context.setTimer(.lease(job.id), inMilliseconds: attempt.assignment.leaseMilliseconds)
        follow(update, &context)
        return .ack
    }

    private mutating func follow(_ update: JobStatusUpdateV1, _ context: inout MarketContext) {
        guard let job = jobs[update.jobID], let attempt = job.liveAttempt else { return }
        let reported =
            update.status.progressRank > JobStatus.producingOutputs.progressRank
            ? JobStatus.producingOutputs : update.status
        guard reported.isUnderLease, reported.progressRank > attempt.status.progressRank else { return }
        let times = context.configuration.originator
        let milliseconds: UInt64
        switch reported {
        case .running, .awaitingInputs:
            milliseconds = job.manifest.params.timeoutSeconds * 1000 + times.executionGraceMilliseconds
        case .producingOutputs: milliseconds = times.receiptMilliseconds
        default: milliseconds = times.fetchingMilliseconds
        }
        record(
            .statusReported(
                assignment: attempt.cid, status: reported,
                progressPermille: update.progressPermille.map { min($0, 1000) },
                until: context.date(inMilliseconds: milliseconds)),
            of: job.id, &context)
    }
}
