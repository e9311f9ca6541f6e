import Economics
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// From the bids on a job to the reports of the executor that has it.
extension OriginatorMarket {
    // MARK: Bidding

    /// Opens the job for bids: for the first time, or again after an attempt failed and no bid is left.
    mutating func beginBidding(_ id: JobID, _ context: inout MarketContext) {
        let times = context.configuration.originator
        let job = jobs.read(id) { ($0.manifest.policy.bidWindowMilliseconds, $0.bidding.round, $0.endsAt) }
        guard let (named, round, endsAt) = job else { return }
        let window = named ?? times.bidWindowMilliseconds
        // However short the bidding, it lasts until a moment after the requested window.
        let milliseconds = max(times.biddingMilliseconds, window + times.reannounceMilliseconds)
        let bidding = min(context.date(inMilliseconds: milliseconds), endsAt)
        bids.forget(id)
        bidTimes.opened(id, now: context.now)
        context.timers.clear(.worth(id))
        record(
            .announced(
                round: round + 1, windowUntil: min(context.date(inMilliseconds: window), bidding),
                biddingUntil: bidding),
            of: id, &context)
    }

    /// Takes in a bid; the reply tells its fate, the journal why.
    mutating func bidArrived(
        _ lean: ProtocolBid, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        switch jobs.read(lean.jobID, { bids.arrived(lean, from: peer, on: $0, context) }) {
        case nil: return refuse(.jobNotOpen, &context)
        case .repeated:
            context.counters.duplicates += 1
            return .ack
        case .refused(let refusal):
            if refusal == .biddingClosed || refusal == .jobNotOpen {
                bidTimes.late(from: peer, on: lean.jobID, now: context.now)
            }
            return refuse(refusal, lostTo: jobs.read(lean.jobID, \.winner) ?? nil, &context)
        case .ignored(let refusal):
            context.counters.bidsIgnored += 1
            return refuse(refusal, &context)
        case .verified(let signed):
            context.heard(signed.body.bidderPeerID, signedAt: signed.body.issuedAt)
            bidTimes.bid(of: signed.body.bidderDID, on: lean.jobID, now: context.now)
            return weigh(signed, &context)
        }
    }

    private mutating func weigh(_ signed: SignedObject<Bid>, _ context: inout MarketContext) -> MeshProtocolReply {
        let id = signed.body.jobID
        if isBeingAnnounced(id) { beginBidding(id, &context) }
        guard let refusal = jobs.read(id, { bids.refusal(of: signed.body, on: $0, context) }) else {
            return refuse(.jobNotOpen, &context)
        }
        if let refusal {
            keepAccount(ofRefused: signed, refusal, &context)
            sealIfSufficient(id, &context)
            return refuse(refusal, &context)
        }
        switch jobs.read(id, { bids.place(for: signed, in: $0, context) }) {
        case .noRoom(let full):
            context.counters.bidsIgnored += 1
            bids.sawUnwritten(signed.cid, on: id)
            sealIfSufficient(id, &context)
            return refuse(full, &context)
        case .instead(of: let displaced): displace(displaced, &context)
        case .free, nil: break
        }
        record(.bidReceived(bid: signed, refusal: nil), of: id, &context)
        closeIfSufficient(id, &context)
        return .ack
    }

    /// A refused bid takes no place from others: the journal records the first few for the user, one per bidder, and
    /// the others are only counted.
    private mutating func keepAccount(
        ofRefused signed: SignedObject<Bid>, _ refusal: BidRefusal, _ context: inout MarketContext
    ) {
        let id = signed.body.jobID
        let limits = context.limits
        if jobs.read(id, { $0.hasRoom(forRefused: signed, limits) }) ?? false {
            record(.bidReceived(bid: signed, refusal: refusal), of: id, &context)
        } else {
            bids.leftUnwritten(of: id)
            bids.sawUnwritten(signed.cid, on: id)
        }
    }

    /// Replaces a kept bid by a better one, and tells its bidder.
    private mutating func displace(_ displaced: ReceivedBid, _ context: inout MarketContext) {
        let id = displaced.bid.jobID
        record(.bidDisplaced(bid: displaced.cid), of: id, &context)
        let refusal = BidRefusal.tooManyBids(max: UInt64(context.limits.bidsPerJobMax))
        let message = JobBidRefusedV1(jobID: id, bidCID: displaced.cid, refusal.refusal)
        context.tell(
            .jobBidRefused(message), .bidRefusal, job: id, subject: displaced.cid, to: displaced.bid.bidderPeerID)
    }

    /// Refuses a bid; one that comes after the choice learns who has the job, like those that lost it then.
    func refuse(
        _ refusal: BidRefusal, lostTo winner: BidWinner? = nil, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        context.counters.refused("bid_\(refusal.name.rawValue)")
        var told = refusal.refusal
        if refusal == .biddingClosed { told.lostTo = winner }
        return .refused(told)
    }

    mutating func close(
        _ id: JobID, _ cause: BiddingClosure, _ ranking: [RankedBid], _ context: inout MarketContext
    ) {
        bids.forget(id)
        bidTimes.closed(id, now: context.now)
        record(.biddingClosed(cause: cause, ranking: ranking), of: id, &context)
        assignNext(id, &context)
    }

    mutating func biddingElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id] else { return }
        // Once bids are committed to, they are shown: then it goes on.
        if !job.bidding.sealed.isEmpty, job.phase == .bidding { return seal(id, .windowElapsed, &context) }
        if !takers(of: job, context).isEmpty { return windowElapsed(id, &context) }
        if endsBidding(of: job, context) { return close(id, .attemptsFailed, [], &context) }
        if waitsForRivals(id, &context) { return beginBidding(id, &context) }
        if job.assignments.isEmpty, bidTimes.widens(id) { return beginBidding(id, &context) }
        if job.assignments.isEmpty {
            if let refusal = job.holds.lastRefusal { return fail(id, .holdRefused(reason: refusal.reason), &context) }
            let count = job.bidCount &+ bids.unwritten(of: id)
            fail(id, job.left(bids: count) ?? .noAcceptableBid(bids: count, refusals: job.refusedBids), &context)
        } else {
            let attempts = job.assignments
            fail(id, .attemptsExhausted(attempts: attempts.count, last: attempts.lastEnd), &context)
        }
    }

    /// Gives up jobs without a bid for this long, because nobody in reach could bid on them; except those this node may
    /// still bid on itself, or whose user-chosen window is not over.
    mutating func nobodyBids(
        _ reason: JobFailure, afterMilliseconds age: UInt64, _ context: inout MarketContext,
        isDoneHere: (JobID) -> Bool
    ) {
        let bidsHere = context.configuration.executor.map { $0.takesJobs && $0.bidsOnOwnJobs } ?? false
        let waiting = jobs.all.filter { job in
            job.waitsInVain(afterMilliseconds: age, context)
                && (!bidsHere || (job.isWithoutTakers(context) && isDoneHere(job.id)))
        }
        for job in waiting.sorted(by: { $0.id < $1.id }) {
            if job.bidCount == 0, job.assignments.isEmpty {
                finish(job.id, .failed(job.refusedByAll ?? reason), &context)
            } else if age == 0 {
                biddingElapsed(job.id, &context)
            }
        }
    }

    /// Tells the owner who is known and what keeps them, once for each change; ends a job that cannot be run.
    mutating func executorsJudged(
        _ id: JobID, _ outlook: ExecutorOutlook, patienceMilliseconds: UInt64?, _ context: inout MarketContext,
        isDoneHere: (JobID) -> Bool
    ) {
        guard let job = jobs[id], job.awaitsFirstBid(context) else { return }
        let rule = OutlookRule(job: job, outlook: outlook.atLast, patienceMilliseconds: patienceMilliseconds)
        if rule.isNews(context.limits) {
            var told = outlook
            // A window that the owner named runs its course.
            told.waitMilliseconds = told.waitMilliseconds.map {
                max($0, job.manifest.policy.bidWindowMilliseconds ?? 0)
            }
            record(.executorsJudged(told), of: id, &context)
        }
        guard rule.isOver(isDoneHere: isDoneHere(id), context) else { return }
        finish(id, .failed(.noExecutor(outlook.atLast, bids: job.bidCount &+ bids.unwritten(of: id))), &context)
    }

    /// Whether no bid decides what becomes of a job: an executor that nobody waited for any more said that it failed,
    /// as others did before, so this node looks first whether the job can be run at all.
    private func endsBidding(of job: OriginatedJob, _ context: MarketContext) -> Bool {
        job.isFailed(context.configuration.originator) && !isGivenByOthers(job.id, context)
    }

    // MARK: Assignment

    /// Continues after an attempt without a result, or after a restart between two steps: the next bidder, another
    /// round, or the end.
    mutating func assignNext(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.isOpen, !job.assignments.hasLive, job.receipt == nil, !job.isDelivered,
            job.trial?.assignment == nil, job.holds.awaited == nil
        else { return }
        if job.phase == .bidding, job.status != .biddingClosed {
            if !job.manifest.policy.hasPublicBids, endsBidding(of: job, context) {
                close(id, .attemptsFailed, bids.rank(takers(of: job, context), of: job, context), &context)
            } else if !context.timers.contains(.phase(id)) {
                biddingElapsed(id, &context)
            }
            return
        }
        if let reason = job.cancelReason { return finish(id, .cancelled(reason: reason), &context) }
        let attempts = job.assignments
        if isSuperfluous(id) {
            return fail(id, .attemptsExhausted(attempts: attempts.count, last: attempts.lastEnd), &context)
        }
        if let failure = job.failureOfAttempts(context.configuration.originator), !isGivenByOthers(id, context) {
            if waitsForOthers(id, context) { return compareWithoutFailed(id, &context) }
            if let last = attempts.all.last?.cid, job.hasAttemptsLeft(context.configuration.originator),
                job.trial == nil, job.endsAt > context.steady, job.receipts.candidates.isEmpty
            {
                return resumeHedged(id, &context) ? () : tryJob(id, after: last, &context)
            }
            return fail(id, failure, &context)
        }
        if job.endsAt <= context.steady { return fail(id, .expired(during: job.status), &context) }
        let candidates = takers(of: job, context)
        if candidates.isEmpty { return bidAgain(id, &context) }
        let available = available(for: job, context)
        let ranked = bids.rank(candidates, of: job, context)
        let behind = Set(ranked.filter { $0.unprovenHeld != nil }.map(\.bidder))
        let ranking = spread(
            ranked, of: id,
            last: { behind.contains($0) || bids.failedLately($0, context) || job.holds.comesLast($0) }, context)
        if let best = ranking.first(where: { $0.price <= available }),
            let bid = candidates.first(where: { $0.cid == best.bid })
        {
            takeUp(bid, of: job, &context)
        } else if !resumeHedged(id, &context) {
            cannotHold(id, cheapest: ranking.map(\.price).min() ?? .zero, &context)
        }
    }

    mutating func assignmentAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard let attempt = jobs.read(id.jobID, \.assignments.live) ?? nil, attempt.cid == id.subject,
            !attempt.isConfirmed
        else { return }
        switch reply {
        case .accepted(let cid, let block) where cid == attempt.cid:
            do throws(AcceptanceFault) {
                let acceptance = try acceptance(of: attempt, block)
                confirm(attempt.cid, of: id.jobID, &context)
                if let acceptance { keep(acceptance, of: id.jobID, &context) }
            } catch {
                context.counters.refused("acceptance_untrue")
                let end = AttemptEnd.declined(code: .known(.badReply), reason: "\(error)")
                endAttempt(attempt.cid, of: id.jobID, end, &context)
            }
        case .declined(let refusal), .refused(let refusal):
            let end = AttemptEnd.declined(code: refusal.code.sanitized, reason: PlainText.sanitized(refusal.text))
            endAttempt(attempt.cid, of: id.jobID, end, &context)
        case .ack, .accepted:
            let reason = "the executor gave no clear answer"
            endAttempt(attempt.cid, of: id.jobID, .declined(code: .known(.badReply), reason: reason), &context)
        }
    }

    private mutating func confirm(_ assignment: CID, of id: JobID, _ context: inout MarketContext) {
        jobs.visit(id) { leases.begin(assignment, of: $0, context) }
        let queue = jobs.read(id) { $0.queueMilliseconds(of: assignment, context) } ?? 0
        let until = context.date(inMilliseconds: context.configuration.originator.fetchingMilliseconds + queue)
        record(.assignmentConfirmed(assignment: assignment, fetchUntil: until), of: id, &context)
        watchForSlowness(id, &context)
        jobs.visit(id) { tellLosers(of: $0, &context) }
    }

    /// Tells acceptable bidders that were not chosen their rank; their bids may still be taken up later.
    private func tellLosers(of job: OriginatedJob, _ context: inout MarketContext) {
        guard let winner = job.assignments.live?.assignment.bidCID else { return }
        let ranking = bids.rank(job.bids, of: job, context)
        for (rank, loser) in ranking.enumerated() where loser.bid != winner {
            guard let bid = job.bidding.bid(loser.bid), !job.isExcluded(loser.bidder) else { continue }
            let refusal = BidRefusal.otherBidTaken(
                rank: UInt64(rank + 1), of: UInt64(ranking.count), score: loser.score,
                best: ranking.first(where: { $0.bid == winner })?.score ?? 0)
            var told = refusal.refusal
            told.lostTo = job.winner
            let message = JobBidRefusedV1(jobID: job.id, bidCID: loser.bid, told)
            context.tell(
                .jobBidRefused(message), .bidRefusal, job: job.id, subject: loser.bid, to: bid.bid.bidderPeerID)
        }
    }

    /// Ends an attempt without a result; the next one follows, or the end of the job.
    mutating func endAttempt(_ cid: CID, of id: JobID, _ end: AttemptEnd, _ context: inout MarketContext) {
        record(.attemptEnded(assignment: cid, end: end), of: id, &context)
        assignNext(id, &context)
        closeIfDone(id, &context)
    }

    /// Takes the answer to a cancellation; an executor that does not know the assignment has nothing to stop.
    mutating func cancellationAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard case .refused(let refusal) = reply,
            jobs.read(id.jobID, { $0.isOpen && $0.assignments.live?.cid == id.subject }) ?? false
        else { return }
        endAttempt(id.subject, of: id.jobID, .forgotten(reason: PlainText.sanitized(refusal.text)), &context)
    }

    // MARK: Lease

    /// Ends the live attempt: its executor was silent for longer than its lease.
    mutating func leaseElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let live = jobs.read(id, { $0.isOpen ? $0.assignments.live : nil }) ?? nil, let run = live.run,
            run.isConfirmed
        else { return }
        endAttempt(live.cid, of: id, .leaseExpired(lastStatus: run.status), &context)
    }

    /// Renews the lease by a status update; refuses one of an attempt that nobody waits for, so that its executor
    /// knows.
    mutating func statusArrived(
        _ update: JobStatusUpdateV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        let known = jobs.read(update.jobID) { ($0.assignments[update.assignmentCID], $0.isOpen) }
        guard case (let attempt?, let isOpen)? = known else {
            context.counters.refused("status_assignment_unknown")
            return .refused(Refusal(.assignmentUnknown, "no such assignment was made here"))
        }
        guard attempt.executorPeerID == peer, attempt.assignment.executorDID == update.executorDID else {
            context.counters.refused("status_wrong_executor")
            return .refused(Refusal(.wrongExecutor, "the assignment is another executor's"))
        }
        if attempt.hasWon || attempt.awaitsOutputs { return .ack }
        guard isOpen else { return .refused(Refusal(.jobOver, "the job has ended")) }
        if attempt.isHedged { return .ack }
        guard attempt.isLive else {
            return .refused(Refusal(.assignmentSuperseded, "the assignment was given to another executor"))
        }
        guard leases.heard(attempt.cid, update, now: context.now) else {
            context.counters.duplicates += 1
            return .ack
        }
        if !attempt.isConfirmed { confirm(attempt.cid, of: update.jobID, &context) }
        if leases.isRenewable(attempt.cid, now: context.now) {
            context.setTimer(.lease(update.jobID), inMilliseconds: attempt.assignment.leaseMilliseconds)
        }
        follow(update, &context)
        return .ack
    }

    private mutating func follow(_ update: JobStatusUpdateV1, _ context: inout MarketContext) {
        let reported =
            update.status.progressRank > JobStatus.producingOutputs.progressRank
            ? JobStatus.producingOutputs : update.status
        guard reported.isUnderLease, let job = jobs[update.jobID], let live = job.assignments.live, let run = live.run,
            reported.follows(run.status, since: job.lastEventAt, context, atLeast: context.limits.turnMilliseconds / 2)
        else { return }
        let milliseconds = leases.milliseconds(of: reported, live.signed, of: job.manifest, context)
        record(
            .statusReported(
                assignment: live.cid, status: reported,
                progressPermille: update.progressPermille.map { min($0, 1000) },
                until: context.date(inMilliseconds: milliseconds)),
            of: update.jobID, &context)
    }
}
