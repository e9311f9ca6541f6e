import MeshTypes
import Multiformats

extension OriginatorMarket {
    /// The phase of a job is over: each phase has its own reason.
    mutating func phaseElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil else { return }
        switch job.phase {
        case .announcement:
            let error = announcementErrors[id] ?? "gossip gave no answer"
            finish(job, .failed(.announcementTimedOut(lastError: error)), &context)
        case .bidding: biddingElapsed(job, &context)
        case .funds: fail(job, cannotHold(job, context), &context)
        case .confirmation: endLive(job, .unconfirmed, &context)
        case .fetching: endLive(job, .fetchTimedOut, &context)
        case .execution: endLive(job, .executionTimedOut, &context)
        case .receipt:
            // Without a live attempt it is outputs that are awaited, and they have a deadline of their own.
            if job.liveAttempt != nil { endLive(job, .receiptTimedOut, &context) }
        case .cancellation:
            finish(job, .cancelled(reason: job.cancelReason ?? "the originator asked for the end"), &context)
        case .over: break
        }
    }

    /// The outputs of a receipt did not come in time; it is the one that waits longest.
    mutating func outputsElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil,
            let overdue = job.candidateReceipts.min(by: { $0.outputsUntil < $1.outputsUntil })
        else { return }
        let end = AttemptEnd.outputsMissing(receipt: overdue.accepted.cid, missing: overdue.missingCount)
        endAttempt(overdue.accepted.assignmentCID, of: id, end, &context)
    }

    mutating func biddingElapsed(_ job: OriginatedJob, _ context: inout MarketContext) {
        if !job.candidates(at: context.steady).isEmpty { return windowElapsed(job.id, &context) }
        let bids = job.bidCount &+ (tallies[job.id]?.refusedUnwritten ?? 0)
        if job.attempts.isEmpty {
            fail(job, .noAcceptableBid(bids: bids, refusals: job.refusedBids), &context)
        } else {
            let last = job.attempts.last?.end
            fail(job, .attemptsExhausted(attempts: UInt64(job.attempts.count), last: last), &context)
        }
    }

    /// Nobody is there who could bid on the jobs that wait for bids: those that nobody bid on for so long need not wait
    /// any longer, unless this node may yet bid on them itself, or their users gave a window that is not over.
    mutating func nobodyBids(
        _ reason: JobFailure, afterMilliseconds age: UInt64, _ context: inout MarketContext,
        isDoneHere: (JobID) -> Bool
    ) {
        let bidsHere = context.configuration.executor.map { $0.acceptsJobs && $0.bidsOnOwnJobs } ?? false
        let waiting = jobs.values.filter { job in
            let isOpen = job.result == nil && (job.phase == .announcement || job.phase == .bidding)
            guard isOpen, job.candidates(at: context.steady).isEmpty else { return false }
            if age > 0 {
                // Counted on the clock that only moves forward, as the end of the job is.
                let lifetime = job.manifest.expiresAt.milliseconds(since: job.manifest.submittedAt)
                guard !context.timers.contains(.window(job.id)),
                    context.steady.advanced(milliseconds: lifetime) >= job.endsAt.advanced(milliseconds: age)
                else { return false }
            }
            return !bidsHere || (job.isWithoutTakers(context) && isDoneHere(job.id))
        }
        for job in waiting.sorted(by: { $0.id < $1.id }) {
            if job.bidCount == 0, job.attempts.isEmpty {
                finish(job, .failed(reason), &context)
            } else if age == 0 {
                biddingElapsed(job, &context)
            }
        }
    }

    private mutating func endLive(_ job: OriginatedJob, _ end: AttemptEnd, _ context: inout MarketContext) {
        guard let live = job.liveAttempt else { return assignNext(job.id, &context) }
        endAttempt(live.cid, of: job.id, end, &context)
    }

    /// The live executor was silent for longer than its lease.
    mutating func leaseElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.result == nil, let live = job.liveAttempt, live.isConfirmed else { return }
        endAttempt(live.cid, of: id, .leaseExpired(lastStatus: live.status), &context)
    }

    /// The whole time of a job is over: without a result it fails, with one it need not wait for late receipts any
    /// more.
    mutating func wholeElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id] else { return }
        if job.result == nil {
            if let reason = job.cancelReason {
                finish(job, .cancelled(reason: reason), &context)
            } else if job.phase == .funds {
                finish(job, .failed(cannotHold(job, context)), &context)
            } else {
                finish(job, .failed(.expired(during: job.status)), &context)
            }
        }
        closeIfDone(id, &context)
    }

    /// Executors were told of their settlements long enough.
    mutating func noticesElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id] else { return }
        for notice in job.notices {
            context.dropDelivery(.settlement, job: id, subject: notice.receiptCID)
            record(.settlementDelivered(receipt: notice.receiptCID, acknowledged: false), of: id, &context)
        }
        closeIfDone(id, &context)
    }

    /// After a restart: sets the timers of every open job and takes up what its state owes to others.
    mutating func recover(_ context: inout MarketContext) {
        let open = jobs.values.filter { !$0.isClosed }.sorted {
            ($0.manifest.submittedAt, $0.id) < ($1.manifest.submittedAt, $1.id)
        }
        for job in open {
            armTimers(from: nil, to: job, &context)
            for notice in job.notices { owe(notice, of: job, &context) }
            if job.anchor.isPending { publishHeads(of: job, &context) }
            if job.result == nil { resume(job, &context) } else { settle(job.id, &context) }
            closeIfDone(job.id, &context)
        }
    }

    private mutating func resume(_ job: OriginatedJob, _ context: inout MarketContext) {
        if job.receipt != nil { return settle(job.id, &context) }
        for candidate in job.candidateReceipts {
            if candidate.missingCount == 0 { return conclude(job.id, with: candidate.accepted.cid, &context) }
            fetchOutputs(candidate, job, &context)
        }
        if job.isDelivered { return }
        switch job.status {
        case .pendingAnnouncement: announce(job, &context)
        case .announced, .biddingOpen:
            announce(job, &context)
            closeIfSufficient(job.id, &context)
        default:
            guard let live = job.liveAttempt else { return assignNext(job.id, &context) }
            if live.isConfirmed { leases.begin(live.cid, renewalEnd: renewalEnd(of: job, context)) }
            if job.cancelReason != nil {
                oweCancellation(of: job, &context)
            } else if !live.isConfirmed {
                owe(assignmentOf: job, &context)
            }
        }
    }
}
