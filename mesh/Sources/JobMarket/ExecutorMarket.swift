import Collections
import Economics
import MeshTypes
import Multiformats
import SignedObjects

/// The executor's half of the market: announcements that are judged, bids, assigned runs and their receipts (RFC 4.2).
///
/// Bids are written to the journal for the operator, as far as the originator's share of it goes, but nothing rests on
/// that: an assignment carries the bid with this node's own signature, so a bid made before a crash is still kept.
///
/// Bids and places are shared out by originator (`ShareTable`): one has a quarter of the open bids at most, and once
/// this node was paid by anybody, those that never paid it have half of everything together.
///
/// The restart rule: a run that was cut off by a restart begins again when its lease, counted from the last event of
/// its journal, is not over; else its executor signs a receipt that says that the node failed, so that nobody waits for
/// it. Either way the assignment ends in one receipt, because a run that has a receipt never starts again.
public struct ExecutorMarket: MarketHalf, Sendable {
    static let role = JobRole.executor

    var jobs = JobTable<ExecutedJob>()
    /// Accepted assignments that have no receipt yet.
    var places = RunPlaces()
    /// Their jobs.
    var runs: [CID: JobID] = [:]
    /// Open bids by originator.
    var openBids = ShareTable<PeerID>()
    /// Open bids that are beyond their originator's share of the journal.
    var unwritten: Set<JobID> = []
    /// What bids that came to nothing take of the journal.
    var bidJournal = BidJournalShares()
    /// How fast authors announce.
    var rates = AnnouncementRates()
    /// Announcements that were judged.
    var judged = AnnouncementMemory()
    /// Manifests being fetched, and for whom.
    var manifestFetches: [JobID: PeerID] = [:]
    var manifestFetchShares = ShareTable<PeerID>()
    /// Modules that this node could not compile or hold within its own limits; not journalled, so a start tries again.
    var modulesBeyondLimits = ModuleMemory()
    /// Modules that the own store was asked for and that may be run, as far as it knew.
    var modulesLookedUp = ModuleMemory()
    /// Jobs that wait until the own store was asked for their modules.
    var moduleLooks = ModuleLooks()
    /// The last decisions not to bid, newest last.
    var recentDeclines = Deque<DeclinedJob>()
    /// What originators are told of the runs that go on.
    private var reports = StatusReports()

    /// How full places and queue are, in thousandths.
    func loadPermille(_ configuration: ExecutorConfiguration) -> UInt64 {
        UInt64(min(1000, places.accepted.total * 1000 / max(1, configuration.placesMax)))
    }

    // MARK: Events

    mutating func fold(_ event: JobEvent, _ context: inout MarketContext) {
        let id = event.jobID
        let wasOpen = jobs.read(id, \.isOpenBid) ?? false
        switch event.kind {
        case .bidMade(let manifest, let bid):
            jobs.insert(ExecutedJob(manifest: manifest, bid: bid, at: event.at))
        case .assignmentAccepted(let manifest, let bid, _):
            // Of a bid that was not written the journal begins here.
            let isBidHere = jobs.read(id) { !$0.isClosed && $0.signedBid == bid } ?? false
            if !isBidHere || unwritten.contains(id) {
                jobs.insert(ExecutedJob(manifest: manifest, bid: bid, at: event.at))
            }
            jobs.update(id) { $0.fold(event) }
        default:
            jobs.update(id) { $0.fold(event) }
        }
        guard let job = jobs[id] else { return }
        if job.isOpenBid, !wasOpen {
            let isStranger = !context.knows(job.manifest.originatorDID)
            openBids.add(to: job.manifest.originatorPeerID, isStranger: isStranger)
        } else if wasOpen, !job.isOpenBid {
            openBids.remove(from: job.manifest.originatorPeerID)
        }
        applyToTables(event, job, &context)
        if case .executionProgressed = event.kind { report(id, &context) }
    }

    private mutating func applyToTables(
        _ event: JobEvent, _ job: ExecutedJob, _ context: inout MarketContext
    ) {
        let owner = job.manifest.originatorDID
        switch event.kind {
        case .executionStarted:
            places.fetch(job.id, of: owner, isStranger: !context.knows(owner), now: context.now)
            armFetch(job.id, &context)
        case .executionProgressed(let status) where status.progressRank >= JobStatus.running.progressRank:
            places.run(job.id, of: owner, isStranger: !context.knows(owner))
            context.timers.clear(.fetching(job.id))
        case .receiptSigned:
            places.end(job.id, of: owner)
            if let assignment = job.assignmentCID { runs[assignment] = nil }
            context.timers.clear(.fetching(job.id))
            reports.end(job.id)
            if !context.isReplaying || !context.isLastReceiptStored { context.lastReceipt = job.receiptCID }
        case .assignmentAccepted:
            places.accept(job.id, of: owner, isStranger: !context.knows(owner))
            if let assignment = job.assignment, let cid = job.assignmentCID {
                runs[cid] = job.id
                let quiet = StatusReports.quietMilliseconds(assignment, context.limits)
                if !context.isReplaying {
                    reports.begin(job.id, quietUntil: context.now.advanced(milliseconds: Int64(clamping: quiet)))
                }
            }
            unwritten.remove(job.id)
            bidJournal.release(job.id)
        case .settlementReceived:
            guard context.knows(owner) else { return }
            places.met(owner)
            openBids.met(job.manifest.originatorPeerID)
            bidJournal.met(job.manifest.originatorPeerID)
        case .anchored(let entry, _): context.anchored(entry)
        default: break
        }
    }

    mutating func drop(_ job: ExecutedJob, isForgotten: Bool) {
        reports.end(job.id)
        unwritten.remove(job.id)
        // One that is forgotten while it is open: its journal did not read.
        guard isForgotten, !job.isClosed else { return }
        if job.isOpenBid { openBids.remove(from: job.manifest.originatorPeerID) }
        if job.occupiesPlace { places.end(job.id, of: job.manifest.originatorDID) }
        if let assignment = job.assignmentCID { runs[assignment] = nil }
    }

    // MARK: Reports

    /// Tells the originator where the run stands, which renews the lease; once, because the next report follows
    /// anyway. While one is under way, only the newest waits behind it: a run that is quicker than the wire is not
    /// told in steps.
    mutating func report(_ id: JobID, progressPermille: UInt64? = nil, _ context: inout MarketContext) {
        guard !context.isReplaying, let job = jobs[id], let assignment = job.assignmentCID, job.occupiesPlace else {
            return
        }
        let update = JobStatusUpdateV1(
            jobID: id, assignmentCID: assignment, executorDID: context.did, status: job.status,
            progressPermille: progressPermille, sequence: 0)
        if let next = reports.add(update, now: context.now, steady: context.steady) { job.tell(next, &context) }
    }

    /// A report was answered or lost: the one that waits behind it goes out.
    mutating func reportAnswered(_ id: JobID, _ context: inout MarketContext) {
        if let next = reports.answered(id) { jobs.visit(id) { $0.tell(next, &context) } }
    }

    /// A report is due, also when the last one was never answered; `false` where there was none yet.
    mutating func stopWaitingForAnswer(to id: JobID) -> Bool { reports.stopWaiting(id) }

    func checkInvariants(_ context: MarketContext) {
        guard let configuration = context.configuration.executor else { return }
        precondition(places.running.count <= configuration.concurrentRunsMax, "\(places.running.count) runs at once")
        let accepted = jobs.all.count(where: \.occupiesPlace)
        precondition(accepted == places.accepted.total, "\(accepted) places, counted \(places.accepted.total)")
        let counted = places.waiting.count + places.fetches.count + places.ready.count + places.running.count
        precondition(accepted == counted, "\(accepted) places, of which \(counted) are accounted for")
        let bids = jobs.all.count(where: \.isOpenBid)
        precondition(bids == openBids.total, "\(bids) open bids, counted \(openBids.total)")
        precondition(openBids.total <= max(configuration.openBidsMax, bids), "too many open bids")
        for job in jobs.all where !job.isClosed {
            precondition(job.hasTimer(context), "job \(job.id) waits for nothing: \(job.status)")
        }
        precondition(openCount <= context.limits.executedJobsMax, "too many open jobs")
    }
}

/// A job that this node did not bid on, and why; for the operator.
public struct DeclinedJob: Hashable, Sendable {
    /// The job.
    public let jobID: JobID
    /// Why.
    public let reason: BidDecline
    /// When.
    public let at: UnixMilliseconds
}

/// Which announcements were judged, the latest ones: the same job is judged once, except where a new look may help.
struct AnnouncementMemory: Sendable {
    private var jobs: [JobID: UInt64] = [:]
    private var order = Deque<(job: JobID, number: UInt64)>()
    private var number: UInt64 = 0

    func contains(_ job: JobID) -> Bool { jobs[job] != nil }

    /// Its place in the order is left to lapse: looking for it would cost more than it is worth.
    mutating func remove(_ job: JobID) { jobs[job] = nil }

    mutating func insert(_ job: JobID, max: Int) {
        guard jobs[job] == nil else { return }
        number += 1
        jobs[job] = number
        order.append((job, number))
        while order.count > max, let oldest = order.popFirst() {
            if jobs[oldest.job] == oldest.number { jobs[oldest.job] = nil }
        }
    }
}

/// Modules, the latest ones.
struct ModuleMemory: Sendable {
    private var modules = OrderedSet<CID>()

    var count: Int { modules.count }

    func contains(_ module: CID) -> Bool { modules.contains(module) }

    mutating func insert(_ module: CID, max: Int) {
        modules.append(module)
        while modules.count > max { modules.removeFirst() }
    }
}
