import Determinism
import MeshTypes
import Multiformats
import SignedObjects

/// An executor's accepted assignments without a receipt: the state of each, and the reports on it.
struct ExecutorRuns: Sendable {
    private(set) var places = RunPlaces()
    /// Their jobs.
    private var jobs: [CID: JobID] = [:] {
        didSet { if fuel.count > jobs.count { fuel = fuel.filter { jobs[$0.key] != nil } } }
    }
    /// The fuel that those of them which run have used at least. Not journalled.
    private var fuel: [CID: UInt64] = [:]
    /// The reports on those under way.
    private var reports = StatusReports()

    /// The job of an assignment that has no receipt.
    func job(of assignment: CID) -> JobID? { jobs[assignment] }

    /// How full places and queue are, in thousandths.
    func loadPermille(_ configuration: ExecutorConfiguration) -> UInt64 {
        UInt64(min(1000, places.accepted.total * 1000 / max(1, configuration.placesMax)))
    }

    /// Notes how much fuel a run has used at least.
    mutating func burnt(_ assignment: CID, fuel used: UInt64) {
        if jobs[assignment] != nil { fuel[assignment] = used }
    }

    // MARK: Events

    /// Follows an event just folded into its job.
    mutating func follow(_ event: JobEvent, _ job: ExecutedJob, _ context: inout MarketContext) {
        let owner = job.manifest.originatorDID
        switch event.kind {
        case .assignmentAccepted:
            places.accept(
                job.id, of: owner, isStranger: !context.knows(owner),
                seconds: job.manifest.params.placeSeconds)
            guard let run = job.run else { return }
            jobs[run.signed.cid] = job.id
            guard !context.isReplaying else { return }
            let quiet = StatusReports.quietMilliseconds(run.signed.body, context.limits)
            reports.begin(job.id, quietUntil: context.now.advanced(milliseconds: Int64(clamping: quiet)))
        case .executionStarted:
            places.fetch(job.id, of: owner, isStranger: !context.knows(owner), now: context.now)
            armFetch(job.id, &context)
        case .executionProgressed(let status):
            if status.progressRank >= JobStatus.running.progressRank {
                places.run(job.id, of: owner, isStranger: !context.knows(owner))
                // Which of them waited is not in the journal: more than there are places means that some did.
                if context.isReplaying, places.runsMoreThan(context.configuration.executor) {
                    _ = places.park(job.id, of: owner)
                }
                context.timers.clear(.fetching(job.id))
            }
            report(job, &context)
        case .receiptSigned:
            places.end(job.id, of: owner)
            if let assignment = job.assignmentCID { jobs[assignment] = nil }
            context.timers.clear(.fetching(job.id))
            reports.end(job.id)
        default: break
        }
    }

    /// Notes that an originator is no longer a stranger.
    mutating func met(_ owner: DID) { places.met(owner) }

    /// Drops what is kept about a job; `isUnfinished` if it goes while it has a place.
    mutating func drop(_ job: ExecutedJob, isUnfinished: Bool) {
        reports.end(job.id)
        guard isUnfinished else { return }
        if job.occupiesPlace { places.end(job.id, of: job.manifest.originatorDID) }
        if let assignment = job.assignmentCID { jobs[assignment] = nil }
    }

    // MARK: Turns and fetches

    mutating func nextToFetch(_ context: MarketContext) -> JobID? { places.nextToFetch(context) }

    mutating func nextToRun(_ configuration: ExecutorConfiguration, _ context: MarketContext) -> JobID? {
        places.nextToRun(configuration, context)
    }

    /// A fetch lasts as long as its blocks come fast enough, and no longer than this node plans for it.
    private func armFetch(_ id: JobID, _ context: inout MarketContext) {
        guard !context.isReplaying, let configuration = context.configuration.executor,
            let until = places.fetchUntil(id, configuration, context.limits)
        else { return }
        context.timers.set(.fetching(id), at: until)
    }

    /// Notes that more blocks of a job came.
    mutating func fetched(_ id: JobID, bytes: UInt64, _ context: inout MarketContext) {
        places.fetched(id, bytes: bytes)
        armFetch(id, &context)
    }

    /// Notes that all blocks of a job are here and its module is compiled, which may take so long; `false` if it was
    /// not fetching.
    mutating func compiles(_ id: JobID, milliseconds: UInt64, _ context: inout MarketContext) -> Bool {
        let until = context.now.advanced(milliseconds: Int64(clamping: milliseconds))
        guard places.compiles(id, now: context.now, until: until) else { return false }
        armFetch(id, &context)
        return true
    }

    /// Notes that all blocks of a job are here; `false` if it was not fetching.
    mutating func prepared(_ id: JobID, of owner: DID, _ context: inout MarketContext) -> Bool {
        guard places.prepared(id, of: owner) else { return false }
        context.timers.clear(.fetching(id))
        return true
    }

    /// Notes that the blocks of a job did not come: its originator has fewer places for a while.
    mutating func fetchDied(of owner: DID, _ context: MarketContext) { places.fetchDied(of: owner, context) }

    /// Notes that a run of an originator crashed the engine: it has fewer places for a while, as if its blocks had not
    /// come.
    mutating func runDied(of owner: DID, _ context: MarketContext) { places.fetchDied(of: owner, context) }

    /// Notes that a job waits for blocks of its mounts while it runs; `false` if it did so before.
    mutating func park(_ id: JobID, of owner: DID) -> Bool { places.park(id, of: owner) }

    // MARK: Reports

    /// Reports the state of a run to the originator, which renews the lease. While one report is under way, only the
    /// newest waits behind it, so a run faster than the wire skips steps.
    mutating func report(_ job: ExecutedJob, _ context: inout MarketContext) {
        guard !context.isReplaying, let assignment = job.assignmentCID, job.occupiesPlace else { return }
        var update = JobStatusUpdateV1(
            jobID: job.id, assignmentCID: assignment, executorDID: context.did, status: job.status,
            fuelSoFar: fuel[assignment], sequence: 0)
        if job.status == .preparingExecution { update.preparation = places.preparation(of: job.id, now: context.now) }
        if let next = reports.add(update, now: context.now, steady: context.steady) { job.tell(next, &context) }
    }

    /// Reports how far the preparation is, unless that was reported a moment ago.
    mutating func reportPreparation(_ job: ExecutedJob, _ context: inout MarketContext) {
        let since = context.now.advanced(milliseconds: -Int64(context.limits.preparationReportMilliseconds))
        if !reports.hasReported(job.id, since: since) { report(job, &context) }
    }

    /// Notes what a module said about its progress, for the reports to come.
    mutating func progressed(_ id: JobID, permille: UInt64) { reports.progressed(id, permille: permille) }

    /// Notes that a report was answered or lost; returns the one that waited behind it.
    mutating func reportAnswered(_ id: JobID) -> JobStatusUpdateV1? { reports.answered(id) }

    /// Sends the next report even if the last one was never answered; `false` if there was none yet.
    mutating func stopWaitingForAnswer(to id: JobID) -> Bool { reports.stopWaiting(id) }

    func checkInvariants(_ jobs: JobTable<ExecutedJob>, _ configuration: ExecutorConfiguration) {
        let running = places.running.count - places.parked.count
        let runningMax = max(configuration.concurrentRunsMax, configuration.concurrentRunsPeak)
        precondition(running <= runningMax, "\(running) runs at once")
        let accepted = jobs.all.count(where: \.occupiesPlace)
        precondition(accepted == places.accepted.total, "\(accepted) places, counted \(places.accepted.total)")
        let counted = places.waiting.count + places.fetches.count + places.ready.count + places.running.count
        precondition(accepted == counted, "\(accepted) places, of which \(counted) are accounted for")
    }
}
