import Economics
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// The executor's half of the market: announcements to judge, bids, assigned runs and their receipts.
///
/// Bids are written to the journal for the operator, as far as the originator's share of it goes, but nothing depends
/// on that: an assignment carries the bid with this node's own signature, so a bid made before a crash is still kept.
///
/// Originators share bids and places (`ShareTable`): one has at most a quarter of the open bids, and once anybody has
/// paid this node, those that never paid it have half of everything together.
///
/// The restart rule: a run that a restart interrupted begins again if its lease, counted from the last event of its
/// journal, is not over; otherwise its executor signs a receipt that says that the node failed, so that nobody waits
/// for it. Either way the assignment ends in one receipt, because a run with a receipt never starts again.
package struct ExecutorMarket: CreditedHalf, Sendable {
    static let role = JobRole.executor

    var jobs = JobTable<ExecutedJob>()
    /// Accepted assignments without a receipt.
    var runs = ExecutorRuns()
    /// Bids that may still be taken up.
    var openBids = OpenBids()
    /// Announcements that came.
    var announcements = Announcements()
    /// Manifests being fetched.
    var manifestFetches = ManifestFetches()
    /// What is known of modules.
    var modules = ModuleLooks()
    /// How fast this machine runs them.
    var pace = RunPace()
    /// How often each originator asks why there is no bid.
    var inquiryRates = AnnouncementRates()
    /// Holds that were given up with their assignments.
    var released = ReleasedHolds()
    /// How often each originator is told why there is no bid now.
    var interestRates = AnnouncementRates()

    // MARK: Events

    mutating func fold(_ event: JobEvent, _ context: inout MarketContext) {
        let id = event.jobID
        let wasOpen = jobs.read(id, \.isOpenBid) ?? false
        switch event.kind {
        case .bidMade(let manifest, let bid):
            jobs.insert(ExecutedJob(manifest: manifest, bid: bid, at: event.at))
        case .assignmentAccepted(let manifest, let bid, _):
            // The journal of a bid that was not written begins here.
            let isBidHere = jobs.read(id) { !$0.isClosed && $0.signedBid == bid } ?? false
            if !isBidHere || !openBids.isWritten(id) {
                jobs.insert(ExecutedJob(manifest: manifest, bid: bid, at: event.at))
            }
            jobs.update(id) { $0.fold(event) }
        default:
            jobs.update(id) { $0.fold(event) }
        }
        guard let job = jobs[id] else { return }
        if job.isOpenBid, !wasOpen {
            openBids.opened(job.manifest, context)
        } else if wasOpen, !job.isOpenBid {
            openBids.closed(job.manifest)
        }
        runs.follow(event, job, &context)
        if let evidence = ReputationEvidence(payment: event, of: job) { context.judge(evidence, as: .originator) }
        switch event.kind {
        case .receiptSigned:
            if !context.isReplaying || !context.isLastReceiptStored { context.lastReceipt = job.receiptCID }
        case .assignmentAccepted: openBids.taken(id)
        case .settlementReceived:
            guard context.knows(job.manifest.originatorDID) else { return }
            runs.met(job.manifest.originatorDID)
            openBids.met(job.manifest.originatorPeerID)
        case .anchored(let entry, _): context.anchored(entry)
        default: break
        }
    }

    mutating func drop(_ job: ExecutedJob, isForgotten: Bool) {
        // Forgotten while open: its journal was unreadable.
        let isUnfinished = isForgotten && !job.isClosed
        runs.drop(job, isUnfinished: isUnfinished)
        openBids.forget(job.id)
        if isUnfinished, job.isOpenBid { openBids.closed(job.manifest) }
    }

    // MARK: Restart

    /// Sets the timers of every open job and resumes what its state owes to others.
    mutating func recover(_ context: inout MarketContext) {
        let open = jobs.all.filter { !$0.isClosed }.sorted { ($0.lastEventAt, $0.id) < ($1.lastEventAt, $1.id) }
        for job in open {
            job.armTimers(from: nil, &context)
            announcements.judged(job.id, context.limits)
            if job.isOpenBid {
                job.oweBid(&context)
            } else if job.occupiesPlace {
                resume(job, &context)
            } else {
                resumeReceipt(job, &context)
            }
        }
        startNext(&context)
    }

    private mutating func resume(_ job: ExecutedJob, _ context: inout MarketContext) {
        guard let assignment = job.assignment else { return }
        let silent = context.steady.milliseconds(since: job.lastEventAt)
        if job.stopReason != nil {
            end(job, .cancelled, &context)
        } else if silent >= assignment.leaseMilliseconds {
            end(job, .nodeFailed(reason: "the executor restarted after its lease was over"), &context)
        } else if job.isStarted, let session = job.manifest.params.session, session.transcript == nil {
            end(job, .nodeFailed(reason: "the executor restarted, and what its user had typed is gone"), &context)
        } else {
            // The node checks again whether all its blocks are here.
            if job.isStarted { fetch(job.id, &context) } else { jobs.visit(job.id) { runs.report($0, &context) } }
        }
    }

    private mutating func resumeReceipt(_ job: ExecutedJob, _ context: inout MarketContext) {
        job.deliverReceipt(&context)
        // The settlement may have been the last that was written.
        if job.receiptDelivery?.settlement != .awaited { job.publishReceipt(&context) }
        if job.anchor.isNone, let receipt = job.receiptCID {
            anchor(receipt, of: job.id, &context)
        } else if job.anchor.isPending {
            context.publishHeads(anchorOf: job.id)
        }
        closeIfDone(job.id, &context)
    }

    func checkInvariants(_ context: MarketContext) {
        guard let configuration = context.configuration.executor else { return }
        runs.checkInvariants(jobs, configuration)
        let bids = jobs.all.count(where: \.isOpenBid)
        precondition(bids == openBids.count, "\(bids) open bids, counted \(openBids.count)")
        precondition(openBids.count <= max(configuration.openBidsMax, bids), "too many open bids")
        for job in jobs.all where !job.isClosed {
            precondition(job.hasTimer(context), "job \(job.id) waits for nothing: \(job.status)")
        }
        precondition(openCount <= context.limits.executedJobsMax, "too many open jobs")
    }
}
