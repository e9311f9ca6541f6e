import Collections
import Determinism
import Economics
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// The originator's half of the market: the jobs of this node, from submission to the anchored receipt (RFC 4.2).
///
/// Every input is decided on the present state and becomes events; only `apply` changes the state of a job, so a replay
/// of the events gives the same state. Besides the jobs it holds what no journal needs: who was heard when.
///
/// The late receipt rule: valid receipts of live and superseded assignments wait side by side for their outputs, and
/// the first that has them all here wins. It is paid under its own terms; the hold of a job covers the dearest of its
/// attempts until the job has its result. Receipts after that are recorded, their executors are told "late", and
/// nothing is paid.
public struct OriginatorMarket: MarketHalf, Sendable {
    static let role = JobRole.originator

    struct SubmissionKey: Hashable, Sendable {
        let requester: DID
        let key: ExactText

        init(requester: DID, key: String) {
            self.requester = requester
            self.key = ExactText(key)
        }
    }

    /// All jobs that are remembered: the open ones and the closed ones last.
    var jobs: [JobID: OriginatedJob] = [:]
    private var submissions: [SubmissionKey: JobID] = [:]
    var closedOrder = Deque<JobID>()
    var closedBidOrder = Deque<JobID>()
    /// What is heard of live attempts.
    var leases = LeaseTable()
    /// Executors whose bids rank last for a while.
    var failedExecutors = FailedExecutors()
    /// Jobs whose price could not be held.
    var funds = FundsQueue()
    /// What is counted about the bids of jobs that are open for them.
    var tallies: [JobID: BidTally] = [:]
    /// What gossip last said about announcements that it did not take.
    var announcementErrors: [JobID: String] = [:]

    // MARK: Commands

    mutating func submit(
        _ request: JobRequest, nonce: [UInt8], _ context: inout MarketContext
    ) -> Result<JobID, SubmissionRefusal> {
        let key = SubmissionKey(requester: request.requesterDID, key: request.idempotencyKey)
        if !request.idempotencyKey.isEmpty, let known = submissions[key] {
            context.counters.duplicates += 1
            return .success(known)
        }
        let params = request.effectiveParams
        if let refusal = context.configuration.rules.refusal(of: params) { return .failure(.jobRefused(refusal)) }
        let outputBytesMax = context.configuration.originator.outputBytesMax
        if params.maxOutputBytes > outputBytesMax {
            return .failure(.outputsTooLarge(bytes: params.maxOutputBytes, bytesMax: outputBytesMax))
        }
        guard nonce.count == 16 else { return .failure(.badNonce) }
        guard openCount < context.limits.originatedJobsMax else {
            return .failure(.tooManyJobs(max: context.limits.originatedJobsMax))
        }
        if let deadline = params.executionPolicy?.deadline, deadline <= context.wallClock {
            return .failure(.jobRefused(.expired))
        }
        guard let signed = context.sign(manifest(of: params, nonce: nonce, context)) else {
            return .failure(.cannotSign)
        }
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
        return .success(JobID(signed.cid))
    }

    private func manifest(of params: MeshJobParams, nonce: [UInt8], _ context: MarketContext) -> JobManifest {
        let times = context.configuration.originator
        let attempts = params.executionPolicy?.maxAttempts ?? times.maxAttempts
        let perAttempt =
            times.confirmationMilliseconds + times.fetchingMilliseconds + params.timeoutSeconds * 1000
            + times.executionGraceMilliseconds + times.receiptMilliseconds + times.leaseMilliseconds
        let lifetime = times.announcementMilliseconds + times.biddingMilliseconds + attempts * perAttempt
        let bounded = min(lifetime, context.configuration.rules.lifetimeMillisecondsMax)
        var expiresAt = context.calendarDate(inMilliseconds: bounded)
        if let deadline = params.executionPolicy?.deadline { expiresAt = min(expiresAt, deadline) }
        let bidding = context.calendarDate(
            inMilliseconds: times.announcementMilliseconds + times.biddingMilliseconds)
        return JobManifest(
            params: params, originatorDID: context.did, originatorPeerID: context.peerID,
            originatorAddresses: Array(
                context.configuration.addresses.prefix(context.configuration.rules.addressCountMax)),
            nonce: nonce, submittedAt: context.wallClock, biddingDeadline: min(bidding, expiresAt),
            expiresAt: expiresAt)
    }

    mutating func cancel(
        _ id: JobID, reason: String, _ context: inout MarketContext
    ) -> Result<Void, CancellationRefusal> {
        guard let job = jobs[id] else { return .failure(.jobUnknown) }
        guard job.result == nil else { return .failure(.jobEnded) }
        guard !job.isDelivered else { return .failure(.resultReached) }
        guard job.cancelReason == nil else { return .success(()) }
        let words = PlainText.sanitized(reason)
        if job.liveAttempt == nil {
            finish(job, .cancelled(reason: words), &context)
        } else {
            let until = context.date(inMilliseconds: context.configuration.originator.cancellationMilliseconds)
            record(.cancellationRequested(reason: words, until: until), of: id, &context)
        }
        return .success(())
    }

    // MARK: Events

    mutating func fold(_ event: JobEvent, _ context: inout MarketContext) {
        if case .submitted(let manifest, let requester, let key, let until) = event.kind {
            jobs[event.jobID] = OriginatedJob(
                submitted: manifest, requester: requester, key: key, until: until, at: event.at)
            submissions[SubmissionKey(requester: requester, key: key)] = event.jobID
        } else {
            jobs[event.jobID]?.fold(event)
        }
        if let job = jobs[event.jobID] { applyToShared(event, job, &context) }
    }

    /// Reputation and the anchored heads follow from events too.
    private func applyToShared(
        _ event: JobEvent, _ job: OriginatedJob, _ context: inout MarketContext
    ) {
        switch event.kind {
        case .settled:
            if let accepted = job.receipt,
                var evidence = ReputationEvidence(receipt: accepted.receipt, receiptCID: accepted.cid)
            {
                // A date of the executor's clock that lies ahead would never decay.
                evidence.at = min(evidence.at, event.at)
                context.reputation.record(evidence)
            }
        case .attemptEnded(let cid, let end):
            guard let attempt = job.attempts.first(where: { $0.cid == cid }) else { return }
            let verdict: ReputationVerdict
            let receipt: CID
            switch end {
            case .nodeFailed(let cid, _): (receipt, verdict) = (cid, .abandoned)
            case .receiptInvalid(let cid, _): (receipt, verdict) = (cid, .invalid)
            default: return
            }
            context.reputation.record(
                ReputationEvidence(
                    subject: attempt.assignment.executorDID, payer: job.manifest.originatorDID, receiptCID: receipt,
                    verdict: verdict, at: event.at))
        case .anchored(let entry, _): context.anchored(entry)
        default: break
        }
    }

    mutating func drop(_ job: OriginatedJob, isForgotten: Bool) {
        for attempt in job.attempts { leases.end(attempt.cid) }
        announcementErrors[job.id] = nil
        tallies[job.id] = nil
        funds.remove(job.id)
        if isForgotten { submissions[SubmissionKey(requester: job.requester, key: job.idempotencyKey)] = nil }
    }

    func checkInvariants(_ context: MarketContext) {
        var held = TokenAmount.zero
        for job in jobs.values {
            let live = job.attempts.filter(\.isLive).count
            precondition(live <= 1, "job \(job.id) has \(live) live assignments")
            precondition(job.attempts.filter(\.hasWon).count <= 1, "job \(job.id) has two winners")
            precondition(
                job.candidateReceipts.count <= context.limits.candidateReceiptsMax,
                "job \(job.id) has too many receipts")
            precondition(
                job.attempts.count(where: \.awaitsOutputs) == job.candidateReceipts.count,
                "job \(job.id) does not know whose outputs it waits for")
            precondition(job.bids.count <= context.limits.bidsPerJobMax, "job \(job.id) keeps too many bids")
            let escrow = context.ledger.escrow(of: job.id)
            if job.result != nil, job.phase == .over, job.receipt == nil || job.settlementCID != nil {
                precondition(escrow == .zero, "job \(job.id) is over and still holds \(escrow)")
            } else if let dearest = job.attempts.map(\.assignment.terms.price).max() {
                precondition(escrow == dearest, "job \(job.id) holds \(escrow) instead of \(dearest)")
            }
            held = held.addingSaturated(escrow)
            precondition(job.isClosed || hasTimer(job, context), "job \(job.id) waits for nothing: \(job.status)")
        }
        precondition(openCount <= context.limits.originatedJobsMax, "too many open jobs")
        precondition(held == context.ledger.escrowTotal, "holds of forgotten jobs remain")
    }

    private func hasTimer(_ job: OriginatedJob, _ context: MarketContext) -> Bool {
        let timers: [MarketTimer] = [
            .phase(job.id), .outputs(job.id), .whole(job.id), .notices(job.id), .anchor(job.id, .originator),
        ]
        return timers.contains { context.timers.contains($0) }
    }
}
