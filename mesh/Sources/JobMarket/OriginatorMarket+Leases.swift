import Determinism
import Economics
import MeshTypes
import Multiformats
import SignedObjects

extension OriginatorMarket {
    mutating func confirm(_ job: OriginatedJob, _ attempt: Attempt, _ context: inout MarketContext) {
        let times = context.configuration.originator
        let until = context.date(inMilliseconds: times.fetchingMilliseconds)
        leases.begin(attempt.cid, renewalEnd: renewalEnd(of: job, context))
        record(.assignmentConfirmed(assignment: attempt.cid, fetchUntil: until), of: job.id, &context)
        tellLosers(of: job, &context)
    }

    // MARK: Lease

    /// How long an originator waits for the confirmation of an executor, and for a sign of life.
    struct Patience {
        let confirmationMilliseconds: UInt64
        let leaseMilliseconds: UInt64
    }

    /// An executor without a verified receipt here may be a key made for this one bid: it gets less time.
    func patience(with executor: DID, _ context: MarketContext) -> Patience {
        let times = context.configuration.originator
        if executor == context.did || context.reputation.isProven(executor) {
            return Patience(
                confirmationMilliseconds: times.confirmationMilliseconds, leaseMilliseconds: times.leaseMilliseconds)
        }
        return Patience(
            confirmationMilliseconds: min(times.confirmationMilliseconds, times.unprovenConfirmationMilliseconds),
            leaseMilliseconds: min(times.leaseMilliseconds, times.unprovenLeaseMilliseconds))
    }

    /// When the renewals of a lease that begins now end, whatever is reported: with the limits of fetching and running.
    func renewalEnd(of job: OriginatedJob, _ context: MarketContext) -> MonotonicInstant {
        let times = context.configuration.originator
        return context.now.advanced(
            milliseconds: Int64(clamping: times.fetchingMilliseconds + Self.runMilliseconds(of: job, times)))
    }

    private static func runMilliseconds(of job: OriginatedJob, _ times: OriginatorConfiguration) -> UInt64 {
        job.manifest.params.timeoutSeconds * 1000 + times.executionGraceMilliseconds
    }

    /// An executor that took a job, or bid for it, and then said nothing or never came to an end ranks last for a
    /// while.
    mutating func judge(attempt cid: CID, of job: OriginatedJob, _ end: AttemptEnd, _ context: MarketContext) {
        guard let attempt = job.attempts.first(where: { $0.cid == cid }) else { return }
        switch end {
        case .unconfirmed, .leaseExpired, .fetchTimedOut, .executionTimedOut, .receiptTimedOut, .outputsMissing:
            let milliseconds = Int64(clamping: context.configuration.originator.failedExecutorMilliseconds)
            failedExecutors.insert(
                attempt.assignment.executorDID, until: context.now.advanced(milliseconds: milliseconds),
                max: context.limits.failedExecutorsMax)
        case .declined, .nodeFailed, .receiptInvalid, .overtaken, .forgotten: break
        }
    }

    /// A status update renews the lease; one of an attempt that nobody waits for is refused, so its executor knows.
    mutating func statusArrived(
        _ update: JobStatusUpdateV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let job = jobs[update.jobID], let index = job.index(of: update.assignmentCID) else {
            context.counters.refused("status_assignment_unknown")
            return .refused(Refusal(.assignmentUnknown, "no such assignment was made here"))
        }
        let attempt = job.attempts[index]
        guard attempt.executorPeerID == peer, attempt.assignment.executorDID == update.executorDID else {
            context.counters.refused("status_wrong_executor")
            return .refused(Refusal(.wrongExecutor, "the assignment is another executor's"))
        }
        if attempt.hasWon || attempt.awaitsOutputs { return .ack }
        guard job.result == nil else { return .refused(Refusal(.jobOver, "the job has ended")) }
        guard attempt.isLive else {
            return .refused(Refusal(.assignmentSuperseded, "the assignment was given to another executor"))
        }
        guard leases.heard(attempt.cid, sequence: update.sequence) else {
            context.counters.duplicates += 1
            return .ack
        }
        if !attempt.isConfirmed { confirm(job, attempt, &context) }
        if context.now < leases.renewalEnd(attempt.cid) ?? .distantFuture {
            context.setTimer(.lease(job.id), inMilliseconds: attempt.assignment.leaseMilliseconds)
        }
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
        let runMilliseconds = Self.runMilliseconds(of: job, times)
        // What is left of fetching and running together, however often a report says that it goes on.
        let end = leases.renewalEnd(attempt.cid) ?? renewalEnd(of: job, context)
        let left = UInt64(clamping: end.milliseconds(since: context.now))
        let milliseconds: UInt64
        switch reported {
        case .running, .awaitingInputs: milliseconds = min(runMilliseconds, left)
        case .producingOutputs:
            milliseconds = min(times.receiptMilliseconds, left + attempt.assignment.leaseMilliseconds)
        default: milliseconds = min(times.fetchingMilliseconds, left - min(left, runMilliseconds))
        }
        record(
            .statusReported(
                assignment: attempt.cid, status: reported,
                progressPermille: update.progressPermille.map { min($0, 1000) },
                until: context.date(inMilliseconds: milliseconds)),
            of: job.id, &context)
    }
}
