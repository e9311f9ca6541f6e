import Foundation
package import Multiformats
package import NodeAPI

/// A node's service whose answers the test chooses; every call is answered from the script or refused.
package struct ScriptedNode: NodeService {
    /// What one test wants to differ; the rest answers with the samples.
    package struct Script: Sendable {
        /// What every call fails with, if it is set.
        package var failure: NodeServiceError?
        /// What a follower of any job is told; nothing unless it is set.
        package var events: AsyncStream<JobProgress>?
        /// The files that can be had and removed.
        package var files: [CID: [UInt8]]
        /// The job; the sample unless it is set.
        package var job: JobView?
        /// The job at the moment when it is asked for, alone or in a list; the one above unless it is set.
        package var jobNow: (@Sendable () -> JobView)?
        /// The receipt at that moment; the sample unless it is set.
        package var receiptNow: (@Sendable () -> ReceiptView)?
        /// The jobs, newest first; as many of the sample as are asked for unless it is set.
        package var jobs: [JobView]?
        /// Sees which jobs are asked for.
        package var listed: @Sendable (JobQuery) -> Void
        /// The receipts that can be exported; with outputs, a byte is added.
        package var archives: [CID: [UInt8]] = [:]
        /// What the node anchored, the newest first.
        package var log: [LogEntryView] = []
        /// The logs of others that it keeps.
        package var followedLogs: [FollowedLogView] = []
        /// The proofs of two histories that it has.
        package var forks: [LogForkView] = []
        /// The proofs of fraud that the node made.
        package var proofs: [ProofView] = []
        /// What running their jobs again shows.
        package var proofVerdict = ProofReport.Verdict.holds
        /// Whether the node has a gateway.
        package var hasGateway = false
        /// Blocks that were put, and roots that were pinned.
        package var kept = KeptBlocks()
        /// Whether the node reads files by their paths.
        package var readsFiles = false
        /// Sees every submission.
        package var submitted: @Sendable (JobSubmission) -> Void
        /// Sees every token that is asked for.
        package var given: @Sendable (TokenGift) -> Void = { _ in }
        /// The workflow that every call about one answers with.
        package var workflow: WorkflowView?
        /// The items of that workflow.
        package var items: [WorkflowItemView] = []
        /// The movements of the ledger, the newest first; without any, those of the sample.
        package var movements: [WalletView.Entry] = []
        /// What every call about output answers with; a piece where it is asked from, unless it is set.
        package var output: OutputNews?
        /// The executors that are known.
        package var offers = OffersView(offers: [])
        /// What happens before a submission is answered.
        package var delayed: @Sendable () async -> Void
        /// Sees how much each follower wants to hear.
        package var followed: @Sendable (ProgressScope) -> Void

        package init(
            failure: NodeServiceError? = nil, events: AsyncStream<JobProgress>? = nil, files: [CID: [UInt8]] = [:],
            submitted: @escaping @Sendable (JobSubmission) -> Void = { _ in },
            delayed: @escaping @Sendable () async -> Void = {},
            followed: @escaping @Sendable (ProgressScope) -> Void = { _ in },
            listed: @escaping @Sendable (JobQuery) -> Void = { _ in }
        ) {
            self.failure = failure
            self.events = events
            self.files = files
            self.submitted = submitted
            self.delayed = delayed
            self.followed = followed
            self.listed = listed
        }
    }

    /// What this node does.
    package var script: Script

    package init(script: Script = Script()) { self.script = script }

    package func status() async throws(NodeServiceError) -> NodeStatus { try answer(Samples.status) }

    package func limits() async throws(NodeServiceError) -> NodeLimits { try answer(Samples.limits) }

    package func submit(_ submission: JobSubmission) async throws(NodeServiceError) -> JobAccepted {
        script.submitted(submission)
        await script.delayed()
        return try answer(JobAccepted(jobID: Samples.jobID.text, isDuplicate: submission.idempotencyKey == "again"))
    }

    package func jobs(_ query: JobQuery) async throws(NodeServiceError) -> JobPage {
        script.listed(query)
        let jobs = script.jobs ?? Array(repeating: script.jobNow?() ?? Samples.job, count: query.limit)
        let named = jobs.filter { job in
            query.named.map { job.jobID.hasSuffix($0) || job.jobID.hasPrefix($0) } ?? true
        }
        let left = Array(named.filter { query.role == nil || $0.role == query.role?.rawValue }.prefix(query.limit))
        return try answer(JobPage(jobs: left, next: left.count < named.count ? left.last?.jobID : nil))
    }

    package func job(_ jobID: CID) async throws(NodeServiceError) -> JobView {
        guard jobID == Samples.jobID else { throw NodeServiceError(.jobNotFound, "No job \(jobID) here.") }
        return try answer(script.jobNow?() ?? script.job ?? Samples.job)
    }

    package func progress(
        of jobID: CID, _ scope: ProgressScope
    ) async throws(NodeServiceError) -> AsyncStream<JobProgress> {
        script.followed(scope)
        // BOUNDED: nothing is sent.
        return try answer(script.events ?? AsyncStream { $0.finish() })
    }

    package func explain(_ jobID: CID) async throws(NodeServiceError) -> JobExplanation {
        let line = JobExplanation.Line(at: 12, phase: "BiddingOpen", text: "price 40 > max 30")
        return try answer(JobExplanation(job: Samples.job, lines: [line]))
    }

    package func describe(_ jobID: CID) async throws(NodeServiceError) -> JobDescription {
        try answer(Samples.description)
    }

    package func cancel(_ jobID: CID) async throws(NodeServiceError) -> JobCancellation {
        try answer(JobCancellation(job: Samples.job, wasOver: true))
    }

    package func hear(_ jobID: CID, from place: SessionPlace) async throws(NodeServiceError) -> SessionNews {
        try answer(
            SessionNews(
                place: place, pieces: [.init(isError: true, bytes: Array("echo".utf8))], inputPosition: 9,
                isOver: true))
    }

    package func say(
        _ bytes: [UInt8], isLast: Bool, to jobID: CID, at place: SessionPlace
    ) async throws(NodeServiceError) -> SessionPlace {
        try answer(
            SessionPlace(
                client: place.client, attempt: place.attempt, position: place.position + UInt64(bytes.count)))
    }

    package func output(of jobID: CID, from place: OutputPlace) async throws(NodeServiceError) -> OutputNews {
        try answer(
            script.output
                ?? OutputNews(
                    place: place, pieces: [.init(isError: false, position: place.position, bytes: Array("live".utf8))],
                    prospect: .over))
    }

    package func receipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptView {
        try answer(script.receiptNow?() ?? Samples.receipt)
    }

    package func verifyReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        try answer(Samples.report)
    }

    package func replayReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        try answer(Samples.report)
    }

    package func proofs(against receipt: CID?, limit: Int) async throws(NodeServiceError) -> [ProofView] {
        try answer(script.proofs.filter { receipt == nil || $0.receiptCID == receipt?.text })
    }

    package func proof(_ cid: CID) async throws(NodeServiceError) -> ProofView {
        guard let proof = script.proofs.first(where: { $0.proofCID == cid.text }) else {
            throw NodeServiceError(.receiptNotFound, "Nobody has \(cid).")
        }
        return try answer(proof)
    }

    package func verifyProof(_ cid: CID) async throws(NodeServiceError) -> ProofReport {
        let proof = try await proof(cid)
        return ProofReport(
            proofCID: proof.proofCID, receiptCID: proof.receiptCID, verdict: script.proofVerdict, detail: "as told")
    }

    package func log(below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView] {
        try answer(Array(script.log.filter { $0.number < number ?? .max }.prefix(limit)))
    }

    package func logHead(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView {
        let origin = "icn-mesh/dag/global/\(Samples.peer.did ?? "")"
        return try answer(
            LogHeadView(origin: origin, size: 3, root: "root", text: size.map { "old \($0)\n" } ?? "checkpoint\n"))
    }

    package func witnessKey() async throws(NodeServiceError) -> WitnessKeyView {
        try answer(WitnessKeyView(key: "icn-mesh/witness/\(Samples.peer.did ?? "")+00000000+BA==", authors: []))
    }

    package func logProof(of cid: CID) async throws(NodeServiceError) -> LogProofView {
        guard let entry = script.log.first(where: { $0.anchors.contains(cid.text) }) else {
            throw NodeServiceError(.receiptNotFound, "This node has anchored no \(cid).")
        }
        return try answer(LogProofView(cid: cid.text, entry: entry, text: "proof\n"))
    }

    package func followedLogs() async throws(NodeServiceError) -> [FollowedLogView] {
        try answer(script.followedLogs)
    }

    package func log(
        of author: String, below number: UInt64?, limit: Int
    ) async throws(NodeServiceError) -> [LogEntryView] {
        guard author == script.followedLogs.first?.author else {
            throw NodeServiceError(.invalidRequest, "The author is not named by a DID.")
        }
        return try answer(Array(script.log.filter { $0.number < number ?? .max }.prefix(limit)))
    }

    package func logBlocks(
        of author: String, from number: UInt64, limit: Int
    ) async throws(NodeServiceError) -> [LogBlockView] {
        let entries = script.log.filter { $0.number >= number }.sorted { $0.number < $1.number }.prefix(limit)
        return try answer(
            entries.map {
                LogBlockView(
                    author: author, number: $0.number, entryCID: $0.entryCID, anchors: $0.anchors,
                    recordedAt: $0.recordedAt, block: "")
            })
    }

    package func syncLogs(of author: String?) async throws(NodeServiceError) -> [LogSyncView] {
        try answer(
            script.followedLogs.filter { author == nil || $0.author == author }.map {
                LogSyncView(log: $0, newEntries: $0.entries, newBytes: $0.bytes, milliseconds: 12)
            })
    }

    package func logForks(
        of author: String?, after: String?, limit: Int
    ) async throws(NodeServiceError) -> [LogForkView] {
        let found = script.forks.filter { fork in
            author ?? fork.author == fork.author && (after.map { $0 < fork.author } ?? true)
        }
        return try answer(Array(found.prefix(limit)))
    }

    package func forgetLog(of author: String) async throws(NodeServiceError) -> ForgottenLog {
        let log = script.followedLogs.first { $0.author == author }
        return try answer(ForgottenLog(author: author, entries: log?.entries ?? 0, bytes: log?.bytes ?? 0))
    }

    package func exportReceipt(_ cid: CID, withOutputs: Bool) async throws(NodeServiceError) -> [UInt8] {
        guard let archive = script.archives[cid] else { throw NodeServiceError(.receiptNotFound, "Nobody has \(cid).") }
        return try answer(withOutputs ? archive + [0] : archive)
    }

    package func peers() async throws(NodeServiceError) -> [PeerView] { try answer([Samples.peer]) }

    package func reputation(of executor: String?) async throws(NodeServiceError) -> ReputationView {
        var subject = ReputationView.Subject(
            did: executor ?? Samples.peer.did ?? "", score: 250, isProven: true, receipts: ["fulfilled": 1])
        (subject.good, subject.prior) = (1_000, 3_000)
        if executor != nil {
            subject.reasons = [
                ReputationView.Reason(
                    receiptCID: Samples.receiptCID.text, assignmentCID: Samples.receiptCID.text, verdict: "fulfilled",
                    at: 1, weight: 1_000, isReset: false)
            ]
            subject.elsewhere = [
                ReputationView.Payer(
                    did: Samples.peer.did ?? "", weight: 1_000, keptPermille: 1_000,
                    receipts: [
                        ReputationView.Payer.Receipt(
                            receiptCID: Samples.receiptCID.text, issuer: Samples.peer.did ?? "", amount: 1_250,
                            unit: "hours", decimals: 2, proofCID: Samples.receiptCID.text, at: 1)
                    ])
            ]
        }
        let payer = ReputationView.Subject(
            did: Samples.peer.did ?? "", score: 0, isProven: false, receipts: ["unpaid": 1])
        return try answer(ReputationView(at: 1, subjects: [subject], originators: [payer]))
    }

    package func bans() async throws(NodeServiceError) -> [PeerBan] {
        try answer([PeerBan(peerID: Samples.peer.peerID, did: Samples.peer.did, at: 1, note: "spam")])
    }

    package func obey(
        _ order: PeerOrder, about peer: OrderedPeer
    ) async throws(NodeServiceError) -> PeerOrderOutcome {
        var outcome = PeerOrderOutcome(peerID: peer.peer, did: nil)
        outcome.isBanned = order == .ban
        return try answer(outcome)
    }

    package func settings() async throws(NodeServiceError) -> [RunningSetting] {
        try answer([
            RunningSetting(
                key: "executor.price_base", value: ["250"], source: "file", changesAtOnce: true, isOutdated: false,
                standard: ["100"], isList: false, allowed: "a whole number from 0 to 9")
        ])
    }

    package func reloadSettings() async throws(NodeServiceError) -> SettingsReload {
        try answer(SettingsReload(applied: ["executor.price_base"], needsRestart: ["listen"]))
    }

    package func change(_ settings: SettingChanges) async throws(NodeServiceError) -> SettingsReload {
        try answer(SettingsReload(applied: settings.changes.map { "\($0.key)=\($0.value?.joined() ?? "default")" }))
    }

    package func network() async throws(NodeServiceError) -> NetworkView { try answer(Samples.network) }

    package func connect(_ address: Multiaddr) async throws(NodeServiceError) -> PeerView {
        var peer = Samples.peer
        peer.addresses = [address.text]
        return try answer(peer)
    }

    package func wallet(_ query: WalletQuery) async throws(NodeServiceError) -> WalletView {
        var wallet = Samples.wallet
        if !script.movements.isEmpty { wallet.entries = script.movements }
        wallet.entries = Array(wallet.entries.filter { ($0.number ?? 0) < query.before ?? .max }.prefix(query.limit))
        return try answer(wallet)
    }

    package func activity(_ query: ActivityQuery) async throws(NodeServiceError) -> ActivityView {
        try answer(
            ActivityView(
                from: query.from, stepMilliseconds: query.stepMilliseconds,
                parts: Array(repeating: .init(), count: query.parts), isWhole: true))
    }

    package func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile {
        try answer(AddedFile(cid: CID.hashing(bytes, codec: .raw).text, size: bytes.count))
    }

    package func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        guard let bytes = script.files[cid] ?? script.kept.block(cid) else {
            throw NodeServiceError(.blockNotFound, "Nobody has \(cid).")
        }
        return try answer(bytes)
    }

    package func block(_ cid: CID) async throws(NodeServiceError) -> [UInt8] { try await get(cid) }

    package func block(_ cid: CID, of root: CID) async throws(NodeServiceError) -> [UInt8] { try await get(cid) }

    package func missing(_ cids: [CID]) async throws(NodeServiceError) -> [CID] {
        try answer(cids.filter { script.files[$0] == nil && script.kept.block($0) == nil })
    }

    package func put(_ blocks: [ContentBlock]) async throws(NodeServiceError) {
        script.kept.add(blocks)
        try answer(())
    }

    package func put(_ part: FilePart) async throws(NodeServiceError) -> FileLeaves {
        guard script.readsFiles, let file = FileManager.default.contents(atPath: part.path) else {
            throw NodeServiceError(.permissionDenied, "The node cannot read \(part.path) itself.")
        }
        let whole = file.dropFirst(Int(part.offset)).prefix(part.chunks * part.chunkBytes)
        let chunks = stride(from: 0, to: whole.count, by: part.chunkBytes).map { at in
            Array(whole.dropFirst(at).prefix(part.chunkBytes))
        }
        let blocks = chunks.map { ContentBlock(cid: CID.hashing($0, codec: .raw), bytes: $0) }
        let lacked = blocks.filter { script.kept.block($0.cid) == nil }
        script.kept.add(lacked)
        return FileLeaves(
            cids: blocks.map(\.cid.text), bytes: UInt64(whole.count), newBlocks: lacked.count,
            newBytes: lacked.reduce(0) { $0 + UInt64($1.bytes.count) })
    }

    package func pin(_ root: CID, fetching: Bool) async throws(NodeServiceError) -> PinnedTree {
        script.kept.pin(root)
        return try answer(PinnedTree(cid: root.text, isPinned: true, blocks: 1, bytes: 1))
    }

    package func pins(after next: Int64?, limit: Int) async throws(NodeServiceError) -> PinPage {
        let roots = script.kept.pinned
        let start = min(roots.count, Int(next ?? 0))
        let end = min(roots.count, start + limit)
        return try answer(
            PinPage(
                pins: roots[start..<end].map(\.text),
                publicPins: roots[start..<end].filter(script.kept.published.contains).map(\.text),
                next: end < roots.count ? Int64(end) : nil))
    }

    package func publish(_ root: CID, isPublic: Bool) async throws(NodeServiceError) -> Publication {
        guard script.kept.publish(root, isPublic) else {
            throw NodeServiceError(.blockNotFound, "\(root) is not kept.")
        }
        return try answer(Publication(cid: root.text, isPublic: isPublic, isServed: script.hasGateway))
    }

    package func warm(_ module: CID) async throws(NodeServiceError) -> WarmModule {
        let bytes = try await get(module)
        return WarmModule(
            cid: module.text, size: bytes.count, functions: 3, features: ["SIMD"], source: "compiled",
            milliseconds: 1_234)
    }

    package func offers(for submission: JobSubmission?) async throws(NodeServiceError) -> OffersView {
        var view = script.offers
        view.job = submission.map { submission in
            var job = OffersView.Job(
                moduleCID: submission.moduleCID, maxFuel: submission.limits.maxFuel ?? 10_000_000_000,
                budget: submission.budget, usualFuel: 2_000_000, pastRuns: 3, balance: 1_000_000)
            job.checks = submission.verification.flatMap {
                CheckCost($0, submission.limits, budget: submission.budget)
            }
            return job
        }
        return try answer(view)
    }

    package func order(_ order: ExecutorOrder) async throws(NodeServiceError) -> ExecutorState {
        switch order {
        case .pause: try answer(ExecutorState(state: "paused", running: 2, keptMilliseconds: 60_000))
        case .drain: try answer(ExecutorState(state: "drained"))
        case .resume: try answer(ExecutorState(state: "open", running: 2))
        }
    }

    package func begin(_ workflow: WorkflowSubmission) async throws(NodeServiceError) -> WorkflowView {
        try answer(theWorkflow())
    }

    package func workflows(limit: Int) async throws(NodeServiceError) -> [WorkflowListing] {
        let listed = script.workflow.map {
            WorkflowListing(
                workflowID: $0.workflowID, name: $0.name, status: $0.status, isOver: $0.isOver,
                submittedAt: $0.submittedAt)
        }
        return try answer(Array([listed].compactMap(\.self).prefix(limit)))
    }

    package func workflow(_ id: CID, past version: UInt64?) async throws(NodeServiceError) -> WorkflowView {
        try answer(theWorkflow())
    }

    package func items(of id: CID, _ query: WorkflowItemQuery) async throws(NodeServiceError) -> [WorkflowItemView] {
        let first = query.after.flatMap { place in script.items.firstIndex { $0.place == place } }.map { $0 + 1 } ?? 0
        return try answer(Array(script.items.dropFirst(first).prefix(query.limit)))
    }

    package func obey(_ order: WorkflowOrder, of id: CID) async throws(NodeServiceError) -> WorkflowView {
        try answer(theWorkflow())
    }

    private func theWorkflow() throws(NodeServiceError) -> WorkflowView {
        if let workflow = script.workflow { return workflow }
        throw NodeServiceError(.jobNotFound, "No workflow here.")
    }

    package func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks {
        try answer(RemovedBlocks(blocks: 2, bytes: 3_000_000))
    }

    package func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks {
        guard script.files[cid] != nil else { throw NodeServiceError(.conflict, "\(cid) is not removed.") }
        return try answer(RemovedBlocks(blocks: 1, bytes: 1_000))
    }

    package func shutdown() async throws(NodeServiceError) { try answer(()) }

    func answer<Value>(_ value: Value) throws(NodeServiceError) -> Value {
        if let failure = script.failure { throw failure }
        return value
    }
}
