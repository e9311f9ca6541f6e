import Economics
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
package import Multiformats
package import NodeAPI
import NodeCore
import NodeSetup
import SignedObjects

/// What the node does for its owner. Each owner type does its own part, outside the actor unless the core has to
/// decide.
extension MeshNode: NodeService, PublicContent, ChangeSource, LogKeeper, TreeKeeper, ListKeeper, CreditKeeper {
    package func status() async throws(NodeServiceError) -> NodeStatus {
        await report.status(figures, journalWarning: intake.warning)
    }

    package nonisolated func limits() async throws(NodeServiceError) -> NodeLimits {
        let limits = parts.configuration.limits
        var told = NodeLimits(fileBytesMax: limits.fileBytesMax, moduleBytesMax: limits.moduleBytesMax)
        told.verification = parts.configuration.originator.verification
        return told
    }

    // MARK: Jobs

    package nonisolated func submit(_ submission: JobSubmission) async throws(NodeServiceError) -> JobAccepted {
        try await submit(submission, isRepeatable: false)
    }

    /// Submits a job.
    ///
    /// - Parameter isRepeatable: whether its seed and clock follow from the work, so that its result may serve again.
    nonisolated func submit(
        _ submission: JobSubmission, isRepeatable: Bool
    ) async throws(NodeServiceError) -> JobAccepted {
        do {
            switch try await desk.checked(submission, isRepeatable: isRepeatable) {
            case .known(let jobID): return JobAccepted(jobID: jobID.text, isDuplicate: true)
            case .request(let request, let sizes):
                let accepted = try await submit(request, sizes, traceparent: submission.traceparent)
                // Another submission of the same key may have come in between.
                if accepted.isDuplicate {
                    let key = UsedKey(store: parts.store, jobID: try CID(named: accepted.jobID, "job_id"))
                    try await key.require(submission, request.params)
                }
                return accepted
            }
        } catch {
            log.tell(.refusedSubmission(code: error.code.rawValue, reason: error.message))
            throw error
        }
    }

    package func offers(for submission: JobSubmission?) async throws(NodeServiceError) -> OffersView {
        guard let submission else {
            return OffersView(
                offers: try prospects(nil, JobSizes()).map { OfferView($0, usualFuel: nil) },
                banned: core.dealings.bannedExecutors)
        }
        // A key that was used before says nothing of this job.
        var asked = submission
        asked.idempotencyKey = nil
        guard case .request(let request, let sizes) = try await desk.checked(asked) else {
            return OffersView(offers: [])
        }
        let params = request.effectiveParams
        let past = try await PastRuns(store: parts.store).fuel(of: params.wasmCID)
        var job = OffersView.Job(params, past: past, balance: core.market.ledger.wallet)
        job.checks = CheckCost(
            "\(request.verification ?? .none)",
            JobSubmission.Limits(
                timeoutSeconds: params.timeoutSeconds, maxFuel: params.maxFuel, maxMemoryBytes: params.maxMemoryBytes),
            budget: params.priceCeiling?.units)
        return OffersView(
            offers: try prospects(params, sizes).map { OfferView($0, usualFuel: job.usualFuel) }, job: job,
            banned: core.dealings.bannedExecutors)
    }

    private func prospects(
        _ params: MeshJobParams?, _ sizes: JobSizes
    ) throws(NodeServiceError) -> [OfferProspect] {
        do {
            return try core.prospects(for: params, sizes: sizes, at: moment)
        } catch {
            throw NodeServiceError(error)
        }
    }

    package func cancel(_ jobID: CID) async throws(NodeServiceError) -> JobCancellation {
        if let job = core.market.view(of: JobID(jobID)) {
            if !job.outcome.isUnderWay { return JobCancellation(job: marked(job), wasOver: true) }
            if job.role == JobSide.executor.rawValue, job.outcome == .bidding {
                throw JobReader.isOnlyBid(jobID)
            }
            let isOrdered = await cancel(JobID(jobID))
            return JobCancellation(job: try await self.job(jobID), wasOver: !isOrdered)
        }
        return JobCancellation(job: try await job(jobID), wasOver: true)
    }

    package func jobs(_ query: JobQuery) async throws(NodeServiceError) -> JobPage {
        try await listed.page(query, of: self)
    }

    package func job(_ jobID: CID) async throws(NodeServiceError) -> JobView {
        if let job = core.market.view(of: JobID(jobID)) { return marked(job) }
        return marked(try await reader.recalled(jobID).view)
    }

    package func explain(_ jobID: CID) async throws(NodeServiceError) -> JobExplanation {
        let recalled = try await reader.recalled(jobID)
        return JobExplanation(job: try await job(jobID), lines: recalled.lines, traceID: traces.traceID(of: jobID))
    }

    package func describe(_ jobID: CID) async throws(NodeServiceError) -> JobDescription {
        let recalled = try await reader.recalled(jobID)
        let description = try await reader.described(
            recalled, as: try await job(jobID), traceID: traces.traceID(of: jobID))
        return await logDesk.completed(description)
    }

    /// The most that others than the executor of a job are paid for the same work, in the smallest unit; nil for a job
    /// that the market no longer remembers.
    func mostPaidForReplicas(of jobID: CID) -> UInt64? {
        core.market.mostPaidForReplicas(of: JobID(jobID))?.units
    }

    package func progress(
        of jobID: CID, _ scope: ProgressScope
    ) async throws(NodeServiceError) -> AsyncStream<JobProgress> {
        let id = JobID(jobID)
        if scope == .result, let job = core.market.originatedJob(id) {
            return board.follow(id, scope, past: JobStory.ending(of: job).map { [$0] } ?? [])
        }
        // Followed before its journal is read, so that nothing is missed that happens meanwhile.
        let (follower, stream) = board.reserve(id, scope)
        let recalled: JobReader.Recalled
        do {
            recalled = try await reader.recalled(jobID)
        } catch {
            board.abandon(follower, of: id)
            throw error
        }
        var past = recalled.lines.map {
            JobProgress(kind: .note, phase: $0.phase, text: $0.text, at: $0.at, news: $0.news)
        }
        // The job may have progressed while the journal was read: the state in memory is the newest.
        let result = core.market.originatedJob(id).flatMap(JobStory.result(of:)) ?? recalled.view.result
        // Of a job whose journal a start could not read, nobody will ever tell anything more.
        if result == nil, recalled.view.role == JobSide.originator.rawValue, core.market.originatedJob(id) == nil {
            board.abandon(follower, of: id)
            throw recalled.endless(jobID)
        }
        if let result {
            past.append(JobStory.ending(result, phase: past.last?.phase ?? "", at: past.last?.at ?? 0))
        }
        board.begin(follower, of: id, past: scope == .everything ? past : past.filter { $0.kind == .result })
        return stream
    }

    nonisolated var reader: JobReader { JobReader(store: parts.store, results: parts.endedResults) }

    /// The job as the owner sees it: says so if this node runs it itself, and how far its run is.
    func marked(_ job: JobView) -> JobView {
        var job = job
        if job.role == JobSide.originator.rawValue {
            if job.counterpartyDID == parts.identity.did.text { job.isOwnRun = true }
        } else if job.outcome == .running, let id = try? CID(parsing: job.jobID),
            let assignment = core.market.executedJob(JobID(id))?.assignmentCID
        {
            job.progressPermille = runs.permille(of: assignment).map { UInt64(clamping: $0) }
        }
        return job
    }

    // MARK: Sessions

    package nonisolated func hear(
        _ jobID: CID, from place: SessionPlace
    ) async throws(NodeServiceError) -> SessionNews {
        try await sessions.hear(JobID(jobID), from: place, on: self)
    }

    package nonisolated func say(
        _ bytes: [UInt8], isLast: Bool, to jobID: CID, at place: SessionPlace
    ) async throws(NodeServiceError) -> SessionPlace {
        guard bytes.count <= SessionCalls.saidBytesMax else {
            throw NodeServiceError(.tooLarge, "More than \(SessionCalls.saidBytesMax) bytes of input at once.")
        }
        return try await sessions.say(bytes, isLast: isLast, to: JobID(jobID), at: place, on: self)
    }

    /// Where the session of a job is.
    func sessionTarget(of id: JobID) -> SessionTarget {
        guard let job = core.market.originatedJob(id), let terms = job.manifest.params.session else { return .none }
        guard job.result == nil else { return .over }
        guard let live = job.liveAttempt, live.isConfirmed else { return .pending }
        return .executor(
            SessionRun(
                assignment: live.cid, attempt: live.assignment.attempt, executor: live.executorPeerID,
                isWitnessed: terms.transcript != nil))
    }

    /// Rings at once, and whenever something has happened to a job, until `stopListening`.
    func listen(to job: JobID) -> (number: UInt64, rings: AsyncStream<Void>) { bells.listen(to: job) }

    /// Ends a `listen`.
    func stopListening(_ number: UInt64, to job: JobID) { bells.leave(number, of: job) }

    package nonisolated func output(
        of jobID: CID, from place: OutputPlace
    ) async throws(NodeServiceError) -> OutputNews {
        // A job that this node has not heard of is another fault than one that it has not asked for.
        if place == OutputPlace() { _ = try await job(jobID) }
        return try await outputs.watch(JobID(jobID), from: place, on: self)
    }

    /// The jobs that do the same work as one of this node's, for the check of its result.
    func replicas(of id: JobID) -> [JobID] { core.market.replicas(of: id) }

    /// Where the output of a job comes from.
    func outputTarget(of id: JobID) async -> OutputTarget {
        guard let job = core.market.originatedJob(id) else {
            // The market forgets a job some time after its end.
            guard let view = try? await self.job(id.cid), view.role == JobSide.originator.rawValue else { return .none }
            return .over
        }
        guard job.result == nil else { return .over }
        if job.manifest.params.session != nil { return .session }
        guard let live = job.liveAttempt, live.isConfirmed else { return .pending }
        return .executor(
            OutputRun(
                assignment: live.cid, attempt: live.assignment.attempt, executor: live.executorPeerID,
                outputBytesMax: job.manifest.params.maxOutputBytes))
    }

    /// Returns once the output of a job comes from elsewhere, or this task is cancelled.
    nonisolated func leaves(_ target: OutputTarget, of job: JobID) async {
        let (number, rings) = await listen(to: job)
        for await _ in rings where await outputTarget(of: job) != target { break }
        await stopListening(number, to: job)
    }

    /// An executor broke the rules of a session, or of sending output.
    func sessionFault(of peer: PeerID, _ fault: String) { take(.misbehaved(peer, fault, isConnected: true)) }

    // MARK: Receipts

    package nonisolated func receipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptView {
        try await parts.shownReceipts.view(of: cid, by: auditor)
    }

    package nonisolated func verifyReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        if let workflow = try await WorkflowAuditor(auditor).find(cid) {
            let report = ReceiptReport(verified: try await WorkflowAuditor(auditor).verify(workflow))
            return try await logDesk.completed(report, of: cid)
        }
        return try await logDesk.completed(ReceiptReport(verified: try await auditor.verify(cid).report), of: cid)
    }

    package nonisolated func replayReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        if let workflow = try await WorkflowAuditor(auditor).find(cid) {
            return ReceiptReport(try await WorkflowAuditor(auditor).replay(workflow))
        }
        return ReceiptReport(try await auditor.replay(cid))
    }

    package nonisolated func exportReceipt(
        _ cid: CID, withOutputs: Bool
    ) async throws(NodeServiceError) -> [UInt8] {
        if let workflow = try await WorkflowAuditor(auditor).find(cid) {
            return try await WorkflowAuditor(auditor).export(workflow, withOutputs: withOutputs)
        }
        return try await auditor.export(cid, withOutputs: withOutputs)
    }

    package nonisolated func proof(_ cid: CID) async throws(NodeServiceError) -> ProofView {
        try await ProofDesk(auditor: auditor).proof(cid)
    }

    package nonisolated func verifyProof(_ cid: CID) async throws(NodeServiceError) -> ProofReport {
        let (report, fault) = try await ProofDesk(auditor: auditor).verify(cid)
        if let fault { await take(.fact(.faultProved(fault))) }
        return report
    }

    package nonisolated var logDesk: LogDesk { parts.logDesk }
    package nonisolated var logFollower: LogFollower { parts.follower }
    package nonisolated var memberDesk: MemberDesk { parts.member }

    private nonisolated var auditor: ReceiptAuditor { ReceiptAuditor(parts) }

    // MARK: Peers and tokens

    package nonisolated func changes() async throws(NodeServiceError) -> AsyncStream<NodeChange> { try feed.follow() }

    /// Tells those who follow what came and went around this node since the last look.
    func tellFollowers() async {
        guard feed.isFollowed else { return }
        let peers = Set(await parts.swarm.connectedPeers())
        let offers = Set(core.capabilities.offers(now: moment.now).map(\.nodeDID))
        feed.look(peers: peers, offers: offers, at: moment.wallClock.value)
    }

    package func peers() async throws(NodeServiceError) -> [PeerView] {
        let known = try await neighbourhood.peers(banned: core.dealings.bans.peers)
        return known.map { PeerView($0, core, at: moment) }
    }

    package func reputation(of executor: String?) async throws(NodeServiceError) -> ReputationView {
        try ReputationView(core.market, of: executor, at: moment.wallClock)
    }

    package func bans() async throws(NodeServiceError) -> [PeerBan] { PeerDesk.views(of: core.dealings.bans) }

    package nonisolated func obey(
        _ order: PeerOrder, about peer: OrderedPeer
    ) async throws(NodeServiceError) -> PeerOrderOutcome {
        try await peerDesk.obey(order, about: peer, on: self)
    }

    package nonisolated func settings() async throws(NodeServiceError) -> [RunningSetting] {
        try parts.settings.views()
    }

    package nonisolated func reloadSettings() async throws(NodeServiceError) -> SettingsReload {
        try await parts.settings.reload(on: self)
    }

    package nonisolated func change(_ settings: SettingChanges) async throws(NodeServiceError) -> SettingsReload {
        try await parts.settings.change(settings.changes, on: self)
    }

    package nonisolated func network() async throws(NodeServiceError) -> NetworkView { await parts.networkView() }

    package func connect(_ address: Multiaddr) async throws(NodeServiceError) -> PeerView {
        PeerView(try await neighbourhood.connect(address), core, at: moment)
    }

    package func wallet(_ query: WalletQuery) async throws(NodeServiceError) -> WalletView {
        try await report.wallet(core.market.ledger, query)
    }

    // MARK: Files

    package nonisolated func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile {
        try await files.add(bytes)
    }

    package nonisolated func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8] { try await files.get(cid) }

    package nonisolated func block(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        try await auditor.block(of: cid).bytes
    }

    package nonisolated var trees: OwnerTrees { OwnerTrees(parts: parts, room: files.room, announcer: files.announcer) }

    package nonisolated func warm(_ module: CID) async throws(NodeServiceError) -> WarmModule {
        try await files.warm(module)
    }

    package func order(_ order: ExecutorOrder) async throws(NodeServiceError) -> ExecutorState {
        try await obey(OwnerOrder(order))
    }

    // MARK: Workflows

    package nonisolated func begin(_ workflow: WorkflowSubmission) async throws(NodeServiceError) -> WorkflowView {
        try room.require("The workflow is not begun")
        return try await workflows.begin(workflow)
    }

    package nonisolated func workflows(limit: Int) async throws(NodeServiceError) -> [WorkflowListing] {
        try await workflows.list(limit: limit)
    }

    package nonisolated func workflow(
        _ id: CID, past version: UInt64?
    ) async throws(NodeServiceError) -> WorkflowView {
        try await workflows.view(id, past: version)
    }

    package nonisolated func items(
        of id: CID, _ query: WorkflowItemQuery
    ) async throws(NodeServiceError) -> [WorkflowItemView] {
        try await workflows.items(of: id, query)
    }

    package nonisolated func obey(_ order: WorkflowOrder, of id: CID) async throws(NodeServiceError) -> WorkflowView {
        try await workflows.obey(order, of: id)
    }

    package nonisolated func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks {
        try await files.collectGarbage()
    }

    package func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks {
        try await ClosingBooks.remove(cid, on: self)
    }
}
