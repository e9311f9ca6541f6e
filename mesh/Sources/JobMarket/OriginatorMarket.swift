import Determinism
import Economics
import MeshTypes
import Multiformats
import SignedObjects

/// The originator's half of the market: the jobs of this node, from submission to the anchored receipt.
///
/// It decides every input by the present state and turns it into events; only folding an event changes the state of a
/// job, so a replay of the events gives the same state. Besides the jobs it owns what no journal needs: how bids are
/// counted and ordered, who was heard when, and which jobs wait for funds.
///
/// The late receipt rule: valid receipts of live and superseded assignments wait in parallel for their outputs, and the
/// first that is complete wins. It is paid under its own terms; the hold of a job covers the dearest of its attempts
/// until the job has its result. Later receipts are recorded, their executors are told "late", and nothing is paid.
package struct OriginatorMarket: WaitingHalf, AssigningHalf, HedgingHalf, AcceptingHalf, Sendable {
    static let role = JobRole.originator

    var jobs = JobTable<OriginatedJob>()
    /// The keys of submissions.
    private var submissions = Submissions()
    /// Why gossip last refused announcements.
    private var announcementErrors: [JobID: String] = [:]
    /// How bids are accepted and ordered.
    var bids = BidBook()
    /// When bids came, and how long others are worth waiting for.
    var bidTimes = BidTimes()
    /// What this node hears of live attempts.
    var leases = LeaseTable()
    /// Jobs whose price could not be held.
    var funds = FundsQueue()
    /// The receipts that are being checked.
    var checks = ReceiptChecks()
    /// The jobs that do one work.
    var quorums = Quorums()
    /// How long runs of each kind took.
    var runTimes = RunTimes()
    /// Assignments of remembered jobs whose executor signed two receipts of one.
    var contradicted: Set<CID> = []

    // MARK: Commands

    mutating func submit(
        _ request: JobRequest, nonce: [UInt8], _ context: inout MarketContext
    ) -> Result<JobID, SubmissionRefusal> {
        if let known = submissions.job(of: request.requesterDID, key: request.idempotencyKey) {
            context.counters.duplicates += 1
            return .success(known)
        }
        let level = request.verification ?? .none
        let opening = context.opening(level, nonce: nonce)
        let draft = JobDraft(
            params: request.effectiveParams, nonce: nonce, level: level, commitment: opening.commitment,
            execution: request.execution ?? context.executionIdentity(nonce: nonce))
        if let refusal = draft.refusal(openCount: openCount, context) { return .failure(refusal) }
        guard let signed = context.sign(draft.manifest(context)) else { return .failure(.cannotSign) }
        guard signed.bytes.count <= context.limits.manifestBytesMax else {
            return .failure(
                .manifestTooLarge(bytes: signed.bytes.count, bytesMax: context.limits.manifestBytesMax))
        }
        context.keep(signed, of: JobID(signed.cid))
        record(
            .submitted(
                manifest: signed, requester: request.requesterDID, idempotencyKey: request.idempotencyKey,
                announceUntil: context.date(inMilliseconds: context.configuration.originator.announcementMilliseconds)),
            of: JobID(signed.cid), &context)
        if level.mayReplay { record(.verificationChosen(opening), of: JobID(signed.cid), &context) }
        makeReplicas(of: JobID(signed.cid), draft, &context)
        return .success(JobID(signed.cid))
    }

    mutating func cancel(
        _ id: JobID, reason: String, _ context: inout MarketContext
    ) -> Result<Void, CancellationRefusal> {
        guard let job = jobs[id] else { return .failure(.jobUnknown) }
        guard job.isOpen else { return .failure(.jobEnded) }
        if job.isDelivered, let checked = job.receipts.candidates.last(where: { $0.check != nil }) {
            // The work is done: what its owner does not want to wait for is the check.
            endCheck(id, checked, .waived, &context)
            memberEnded(id, &context)
            return .success(())
        }
        guard !job.isDelivered else { return .failure(.resultReached) }
        guard job.cancelReason == nil else { return .success(()) }
        let words = PlainText.sanitized(reason)
        // Of two executors the live one may be paid for what it did.
        if job.assignments.hasLive || resumeHedged(id, &context) {
            let until = context.date(inMilliseconds: context.configuration.originator.cancellationMilliseconds)
            record(.cancellationRequested(reason: words, until: until), of: id, &context)
            memberEnded(id, &context)
        } else {
            finish(id, .cancelled(reason: words), &context)
        }
        return .success(())
    }

    mutating func endReplica(_ id: JobID, _ reason: String, _ context: inout MarketContext) {
        _ = cancel(id, reason: reason, &context)
    }

    // MARK: Events

    mutating func fold(_ event: JobEvent, _ context: inout MarketContext) {
        if case .submitted(let manifest, let requester, let key, let until) = event.kind {
            jobs.insert(
                OriginatedJob(submitted: manifest, requester: requester, key: key, until: until, at: event.at))
            submissions.insert(event.jobID, of: requester, key: key)
        } else {
            jobs.update(event.jobID) { $0.fold(event) }
        }
        if case .resultReached = event.kind {
            learnRun(of: event.jobID)
            if !context.isReplaying { judgeSlow(of: event.jobID, context) }
        }
        switch event.kind {
        case .resultReached, .failed, .cancelled:
            for cid in jobs.read(event.jobID, { $0.assignments.all.map(\.cid) }) ?? [] { bids.unproven.ended(cid) }
        default: break
        }
        switch event.kind {
        case .assignmentMade(let signed, _): bids.assigned(signed.cid, to: signed.body.executorDID, context)
        case .verificationEnded(let receipt, let finding, _): recordCheck(of: receipt, finding, event.jobID, &context)
        case .settled: recordEvidence(of: event, &context)
        case .receiptAccepted(let cid, let receipt, _) where !context.isReplaying && leases.isFollowed(cid):
            guard let job = jobs[event.jobID], let attempt = job.assignments[cid] else { return }
            bids.delivered(receipt.body, of: attempt, on: job, beganAt: leases.beganAt(cid), context)
        case .replicaOf(let parent): quorums.insert(event.jobID, of: parent)
        case .attemptEnded(let cid, let end):
            bids.released(cid, end, context)
            guard let attempt = jobs.read(event.jobID, { $0.assignments[cid] }) ?? nil else { return }
            recordEvidence(against: attempt, end, of: event, &context)
            recordSilence(of: attempt, end, of: event, &context)
            guard !context.isReplaying else { return }
            leases.end(cid)
            let promise = jobs.read(event.jobID) { $0.bid(of: attempt)?.queueMilliseconds } ?? nil
            bids.attemptEnded(attempt, end, promisedWithinMilliseconds: promise ?? 0, context)
        case .failed(.crashesEngine): break
        case .resultReached, .failed, .cancelled: recordCrashes(of: event, &context)
        case .anchored(let entry, _): context.anchored(entry)
        default: break
        }
    }

    mutating func drop(_ job: OriginatedJob, isForgotten: Bool) {
        for attempt in job.assignments.all {
            leases.end(attempt.cid)
            bids.unproven.ended(attempt.cid)
        }
        if isForgotten { for attempt in job.assignments.all { contradicted.remove(attempt.cid) } }
        announcementErrors[job.id] = nil
        bids.forget(job.id)
        funds.remove(job.id)
        if isForgotten { quorums.remove(job.id) }
        if isForgotten { submissions.remove(of: job.requester, key: job.idempotencyKey) }
    }

    func checkInvariants(_ context: MarketContext) {
        var held = TokenAmount.zero
        for job in jobs.all {
            let attempts = job.assignments.all
            let live = attempts.filter(\.isLive).count
            precondition(live <= 1, "job \(job.id) has \(live) live assignments")
            precondition(attempts.filter(\.hasWon).count <= 1, "job \(job.id) has two winners")
            let candidates = job.receipts.candidates.count
            precondition(candidates <= context.limits.candidateReceiptsMax, "job \(job.id) has too many receipts")
            precondition(
                attempts.count(where: \.awaitsOutputs) == candidates,
                "job \(job.id) does not know whose outputs it waits for")
            precondition(job.bids.count <= context.limits.bidsPerJobMax, "job \(job.id) keeps too many bids")
            let escrow = context.ledger.escrow(of: job.id)
            if !job.isOpen, job.receipt == nil || job.settlementCID != nil {
                precondition(escrow == .zero, "job \(job.id) is over and still holds \(escrow)")
            } else if let dearest = attempts.filter({ !$0.isCredited }).map(\.assignment.terms.price).max() {
                precondition(escrow == dearest, "job \(job.id) holds \(escrow) instead of \(dearest)")
            }
            held = held.addingSaturated(escrow)
            precondition(job.isClosed || job.hasTimer(context), "job \(job.id) waits for nothing: \(job.status)")
        }
        precondition(openCount <= context.limits.originatedJobsMax, "too many open jobs")
        precondition(held == context.ledger.escrowTotal, "holds of forgotten jobs remain")
    }

    // MARK: Announcement

    mutating func announcementPublished(_ id: JobID, _ context: inout MarketContext) {
        if isBeingAnnounced(id) { beginBidding(id, &context) }
    }

    mutating func announcementFailed(_ id: JobID, reason: String, _ context: inout MarketContext) {
        guard isBeingAnnounced(id) else { return }
        announcementErrors[id] = PlainText.sanitized(reason)
        context.setTimer(.reannounce(id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
    }

    func isBeingAnnounced(_ id: JobID) -> Bool { jobs.read(id) { $0.status == .pendingAnnouncement } ?? false }

    mutating func reannounceDue(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding || job.phase == .announcement,
            !job.hasOffers(context)
        else { return }
        job.announce(&context)
        context.setTimer(.reannounce(id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
    }

    // MARK: Deadlines

    /// Handles the end of a job's phase; each phase has its own reason.
    mutating func phaseElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let phase = jobs.read(id, \.phase) else { return }
        switch phase {
        case .announcement:
            let error = announcementErrors[id] ?? "gossip gave no answer"
            finish(id, .failed(.announcementTimedOut(lastError: error)), &context)
        case .bidding: biddingElapsed(id, &context)
        case .funds: fail(id, fundsFailure(of: id, context), &context)
        case .hold: holdElapsed(id, &context)
        case .confirmation: endLive(id, .unconfirmed, &context)
        case .fetching: endLive(id, .fetchTimedOut, &context)
        case .execution: endLive(id, .executionTimedOut, &context)
        case .receipt:
            // Without a live attempt the job waits for outputs, which have their own deadline.
            if jobs.read(id, \.assignments.hasLive) ?? false { endLive(id, .receiptTimedOut, &context) }
        // A check has the deadline of its receipt, a trial that of the phase.
        case .verification: trialElapsed(id, &context)
        case .cancellation where jobs.read(id, \.isDelivered) ?? false:
            // Of a slow run and its copy the one has given a result, and the other does not answer.
            endLive(id, .forgotten(reason: "no answer to the cancellation"), &context)
        case .cancellation:
            let reason = jobs.read(id, \.cancelReason) ?? nil
            finish(id, .cancelled(reason: reason ?? OriginatedJob.cancellationWords), &context)
        case .over: break
        }
    }

    private mutating func endLive(_ id: JobID, _ end: AttemptEnd, _ context: inout MarketContext) {
        guard let live = jobs.read(id, \.assignments.live?.cid) ?? nil else { return assignNext(id, &context) }
        endAttempt(live, of: id, end, &context)
    }

    /// Ends the attempts of an executor that the owner of this node wants nothing more of; returns how many.
    mutating func drop(_ executor: PeerID, _ context: inout MarketContext) -> Int {
        let dropped = jobs.all.filter { $0.isOpen && $0.assignments.live?.executorPeerID == executor }
        for job in dropped.sorted(by: { $0.id < $1.id }) { endLive(job.id, .dropped, &context) }
        return dropped.count
    }

    /// Handles the end of a job's whole time: without a result it fails; with one it stops waiting for late receipts.
    mutating func wholeElapsed(_ id: JobID, _ context: inout MarketContext) {
        if let job = jobs[id], job.isOpen {
            if let reason = job.cancelReason {
                finish(id, .cancelled(reason: reason), &context)
            } else if job.phase == .funds {
                finish(id, .failed(fundsFailure(of: id, context)), &context)
            } else {
                finish(id, .failed(.expired(during: job.status)), &context)
            }
        }
        closeIfDone(id, &context)
    }

    /// Stops sending settlements to executors.
    mutating func noticesElapsed(_ id: JobID, _ context: inout MarketContext) {
        for notice in jobs.read(id, \.settlements.notices) ?? [] {
            context.dropDelivery(.settlement, job: id, subject: notice.receiptCID)
            record(.settlementDelivered(receipt: notice.receiptCID, acknowledged: false), of: id, &context)
        }
        closeIfDone(id, &context)
    }

    /// Fails a job, unless a receipt still waits for its outputs.
    mutating func fail(_ id: JobID, _ failure: JobFailure, _ context: inout MarketContext) {
        guard jobs.read(id, \.receipts.candidates.isEmpty) ?? false, !resumeHedged(id, &context) else { return }
        finish(id, .failed(failure), &context)
    }

    /// Ends a job without a receipt that counts, and releases everything held for it.
    mutating func finish(_ id: JobID, _ kind: JobEventKind, _ context: inout MarketContext) {
        abandonChecks(of: id, &context)
        let held = context.ledger.escrow(of: id)
        let refund = LedgerEntry.refund(held, job: id, at: context.wallClock)
        record(kind, of: id, ledger: held == .zero ? [] : [refund], &context)
        announcementErrors[id] = nil
        bids.forget(id)
        funds.remove(id)
        memberEnded(id, &context)
        closeIfDone(id, &context)
    }

    // MARK: Restart

    /// Sets the timers of every open job and resumes what its state owes to others.
    mutating func recover(_ context: inout MarketContext) {
        let open = jobs.all.filter { !$0.isClosed }.sorted {
            ($0.manifest.submittedAt, $0.id) < ($1.manifest.submittedAt, $1.id)
        }
        for job in open { job.armTimers(from: nil, &context) }
        for id in open.map(\.id) {
            // What was done for one of them may have changed or ended another.
            guard let job = jobs[id], !job.isClosed else { continue }
            job.oweAgain(&context)
            if job.isOpen { resume(job, &context) } else { settle(job.id, &context) }
            closeIfDone(job.id, &context)
        }
    }

    private mutating func resume(_ job: OriginatedJob, _ context: inout MarketContext) {
        if job.receipt != nil { return settle(job.id, &context) }
        for candidate in job.receipts.candidates {
            if let check = candidate.check {
                queueCheck(of: candidate.accepted.cid, check, job: job.id, &context)
                if !(jobs.read(job.id, \.isOpen) ?? false) { return }
            } else if candidate.missingCount == 0 {
                outputsHere(job.id, receipt: candidate.accepted.cid, &context)
                if !(jobs.read(job.id, \.isOpen) ?? false) { return }
            } else {
                job.fetchOutputs(of: candidate, &context)
            }
        }
        if let trial = job.trial?.assignment { return tryJob(job.id, after: trial, &context) }
        if job.isDelivered, !job.assignments.hasLive { return }
        switch job.status {
        case .pendingAnnouncement: job.announce(&context)
        case .announced, .biddingOpen:
            job.announce(&context)
            closeIfSufficient(job.id, &context)
        default:
            guard let live = job.assignments.live else { return assignNext(job.id, &context) }
            if live.isConfirmed { leases.begin(live.cid, of: job, isNew: false, context) }
            watchForSlowness(job.id, &context)
            if job.cancelReason != nil {
                job.oweCancellation(&context)
            } else if !live.isConfirmed {
                job.oweAssignment(&context)
            }
        }
    }
}
