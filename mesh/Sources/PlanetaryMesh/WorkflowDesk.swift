import Economics
import IPLD
import JobMarket
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import SignedObjects
import Workflows

/// The workflows of this node: it carries out what their plans want, and tells them what came of it.
actor WorkflowDesk {
    /// The bounds of all workflows together.
    struct Limits: Sendable {
        /// Workflows that are not over.
        var openMax = 64
        /// The length of a key, in bytes.
        var keyBytesMax = 256
        /// How long it waits before it asks again for what the node could not do, in milliseconds.
        var pauseMilliseconds = 1_000
        /// How often it asks a node again that has no room for a job.
        var run = WorkflowRun.Limits()
        /// How often in a row it asks for the end of a job that cannot be read; then the job counts as failed.
        var readsMax = 10
        /// Calls that wait for something to happen to a workflow.
        var watchersMax = 256
        /// How long such a call waits, in milliseconds.
        var watchMilliseconds = 10_000
        /// Closed workflows that were asked for last: each is here with all its items, so that its pages are read from
        /// its journal once.
        var closedMax = 4
    }

    private struct Open {
        /// As it was begun.
        let row: WorkflowRow
        var run: WorkflowRun

        var manifest: WorkflowManifest { run.manifest }
        // Lent, not copied: a copy would have all its items.
        var plan: WorkflowPlan { _read { yield run.plan } }

        func row(of status: WorkflowStatus) -> WorkflowRow {
            var row = row
            (row.status, row.isOver) = (status.rawValue, status.isOver)
            return row
        }
    }

    private let parts: NodeParts
    private let end: NodeEnd
    private let limits: Limits
    private var open: [CID: Open] = [:]
    /// Closed workflows that were asked for, the last one at the end.
    private var closed: [Open] = []
    /// How often a workflow was taken up, which may change what a reader of its journal has not seen.
    private var takenUp = 0
    /// Journals that were read, for tests.
    private(set) var journalsRead = 0
    /// Who waits for something to happen to which workflow, each under a number of its own.
    private var watchers: [Int: (id: CID, sink: AsyncStream<Void>.Continuation)] = [:]
    private var watchersBegun = 0
    /// Keys under which a workflow is being begun.
    private var beginning: Set<String> = []
    private let work: AsyncStream<(CID, PlanEffect)>
    private let workIn: AsyncStream<(CID, PlanEffect)>.Continuation

    init(parts: NodeParts, end: NodeEnd, limits: Limits = Limits()) {
        self.limits = limits
        self.parts = parts
        self.end = end
        // BOUNDED: what waits here was begun by plans, which `WorkflowLimits` and `Limits.openMax` bound.
        (work, workIn) = AsyncStream.makeStream(of: (CID, PlanEffect).self)
    }

    /// Takes up the workflows that are not over, and carries out what plans want until the node stops.
    func run(on node: MeshNode) async {
        do throws(NodeServiceError) {
            try await recover()
            try await anchorOwed(on: node)
        } catch {
            parts.logger.warning("Workflows were not taken up.", metadata: ["error": "\(error)"])
        }
        await withDiscardingTaskGroup { group in
            for await (id, effect) in work { group.addTask { await self.carryOut(effect, of: id, on: node) } }
            group.cancelAll()
        }
    }

    private func recover() async throws(NodeServiceError) {
        let rows = try await stored { () throws(MeshStoreError) in
            try await StoredWorkflows(parts.store).newest(onlyOpen: true, limit: 2 * limits.openMax)
        }
        for row in rows {
            // One that cannot be read must not keep the others from going on.
            guard let recalled = await readable(row), open[row.id] == nil else { continue }
            takeUp(recalled)
            for effect in recalled.plan.again() { workIn.yield((row.id, effect)) }
        }
    }

    /// Has the receipts anchored whose entries a crash kept from the disk.
    private func anchorOwed(on node: MeshNode) async throws(NodeServiceError) {
        let owed = try await stored { () throws(MeshStoreError) in try await AnchoredRow.owed(in: parts.store) }
        for (receipt, workflow) in owed {
            await node.take(.fact(.workflowReceiptSigned(workflow: workflow, receipt: receipt)))
        }
    }

    private func readable(_ row: WorkflowRow) async -> Open? {
        do throws(NodeServiceError) {
            return try await recalled(row)
        } catch {
            parts.logger.warning("A workflow was not taken up.", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// A workflow as its journal says.
    private func recalled(_ row: WorkflowRow) async throws(NodeServiceError) -> Open {
        journalsRead += 1
        let journal = try await stored { () throws(MeshStoreError) in
            try await StoredWorkflows(parts.store).journal(of: row.id)
        }
        do {
            let manifest = try SignedObject<WorkflowManifest>(verifiedBefore: row.manifest).body
            return Open(row: row, run: try WorkflowRun(recalling: row.id, manifest, journal: journal))
        } catch {
            throw NodeServiceError(.storageFailed, "The workflow \(row.id) cannot be read: \(error).")
        }
    }

    // MARK: What the owner wants

    func begin(_ submission: WorkflowSubmission) async throws(NodeServiceError) -> WorkflowView {
        let key = submission.key
        guard !key.isEmpty, key.utf8.count <= limits.keyBytesMax else {
            throw NodeServiceError(.invalidRequest, "The key must have 1 to \(limits.keyBytesMax) bytes.")
        }
        let definition = resolved(submission.definition)
        let plan: WorkflowPlan
        do throws(DefinitionFault) {
            plan = try WorkflowPlan(definition)
        } catch {
            throw NodeServiceError(.invalidRequest, "\(error.path): \(error.message)", hint: error.remedy)
        }
        guard beginning.insert(key).inserted else {
            throw NodeServiceError(.conflict, "A workflow is being begun under the key.", hint: "Ask again.")
        }
        defer { beginning.remove(key) }
        if let row = try await stored({ () throws(MeshStoreError) in
            try await StoredWorkflows(parts.store).row(key: key)
        }) {
            guard try await recalled(row).manifest.definition == definition else {
                throw NodeServiceError(
                    .conflict, "The key was used for the workflow \(row.id), which is another one.",
                    hint: "Give this workflow a key of its own.")
            }
            return try await view(row.id)
        }
        try requireRoom()
        let manifest = WorkflowManifest(
            definition: definition, originatorDID: parts.identity.did, key: key, submittedAt: NodeClock.wallClock)
        let signed: SignedObject<WorkflowManifest>
        do {
            signed = try SignedObject.sign(manifest, with: parts.identity)
        } catch {
            throw NodeServiceError(.tooLarge, "The workflow cannot be signed: \(error).", hint: "Make it smaller.")
        }
        let row = WorkflowRow(
            id: signed.cid, key: key, manifest: signed.bytes, status: plan.status.rawValue, isOver: false,
            submittedAt: manifest.submittedAt.value)
        var run = WorkflowRun(signed.cid, manifest, plan: plan)
        let effects = run.begin()
        takeUp(Open(row: row, run: run))
        do throws(NodeServiceError) {
            // What is written later is on the disk later: no job is there before its workflow.
            try await commit([.workflow(row)], of: CrashPoint.Event(.begun, leaving: run.plan.status)) {
                for effect in effects { workIn.yield((signed.cid, effect)) }
            }
        } catch {
            open[signed.cid] = nil
            throw error
        }
        return try await view(signed.cid)
    }

    /// Refuses more workflows that are not over than the bound; those that are being begun count.
    private func requireRoom(for more: Int = 0) throws(NodeServiceError) {
        guard open.count + beginning.count + more > limits.openMax else { return }
        throw NodeServiceError(
            .overloaded, "\(open.count) workflows are not over, the most that this node has at a time.",
            hint: "Wait for one, or cancel one with mesh workflow cancel.")
    }

    /// The definition with all limits that are usual where nothing is said: what the plan asks of a job is fixed by
    /// its signed manifest, whatever is usual elsewhere or later.
    private func resolved(_ definition: WorkflowDefinition) -> WorkflowDefinition {
        var definition = definition
        let (usual, files) = (ExecutionLimits.standard, JobFiles())
        let most = min(usual.maxOutputBytes, UInt64(clamping: parts.configuration.limits.outputBytesMax))
        // What is held of a budget, and which results serve again, depends on how results are checked: the owner may
        // choose another default while the workflow runs.
        definition.verification = definition.verification ?? parts.configuration.originator.verification
        for index in definition.stages.indices {
            var limits = definition.stages[index].limits
            limits.timeoutSeconds = limits.timeoutSeconds ?? usual.timeoutSeconds
            limits.maxFuel = limits.maxFuel ?? usual.maxFuel
            limits.maxMemoryBytes = limits.maxMemoryBytes ?? usual.maxMemoryBytes
            limits.maxOutputBytes = limits.maxOutputBytes ?? most
            if definition.stages[index].hasFiles {
                limits.maxFileBytes = limits.maxFileBytes ?? files.maxBytes
                limits.maxEntries = limits.maxEntries ?? files.maxEntries
            }
            definition.stages[index].limits = limits
        }
        return definition
    }

    private func known(_ id: CID) async throws(NodeServiceError) -> Open {
        if let open = open[id] { return open }
        let row = try await stored { () throws(MeshStoreError) in try await StoredWorkflows(parts.store).row(id) }
        guard let row else {
            throw NodeServiceError(
                .jobNotFound, "This node knows no workflow \(id).",
                hint: "See mesh workflow ls for those that it knows.")
        }
        if let open = open[id] { return open }
        if let index = closed.firstIndex(where: { $0.row.id == id }) {
            let kept = closed.remove(at: index)
            closed.append(kept)
            return kept
        }
        let before = takenUp
        let recalled = try await recalled(row)
        if let open = open[id] { return open }
        // Not if it may have been resumed and closed again meanwhile.
        if recalled.plan.isClosed, takenUp == before, !closed.contains(where: { $0.row.id == id }) {
            closed.append(recalled)
            if closed.count > limits.closedMax { closed.removeFirst() }
        }
        return recalled
    }

    /// Has a workflow go on from here, whatever was known of it.
    private func takeUp(_ workflow: Open) {
        takenUp += 1
        closed.removeAll { $0.row.id == workflow.row.id }
        open[workflow.row.id] = workflow
    }

    func view(_ id: CID) async throws(NodeServiceError) -> WorkflowView {
        view(try await known(id), id)
    }

    private func view(_ known: Open, _ id: CID) -> WorkflowView {
        // It is over for others when its receipt is on the disk.
        WorkflowView(
            known.plan, workflowID: id.text, submittedAt: known.manifest.submittedAt.value, version: known.plan.taken,
            isOver: open[id] == nil && known.plan.status.isOver,
            outputs: known.plan.outputs.map { NamedCID(name: $0.key, cid: $0.value.text) })
    }

    /// A workflow as it is past a version, if it is not over before.
    func view(_ id: CID, past version: UInt64?) async throws(NodeServiceError) -> WorkflowView {
        let now = try await view(id)
        guard let version, now.version <= version, !now.isOver, let known = open[id] else { return now }
        guard known.plan.taken <= version else { return view(known, id) }
        guard watchers.count < limits.watchersMax else {
            throw NodeServiceError(
                .overloaded, "\(watchers.count) calls wait for workflows, the most that this node has at a time.",
                hint: "Follow fewer workflows at the same time.")
        }
        watchersBegun += 1
        let number = watchersBegun
        let (changes, sink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        watchers[number] = (id, sink)
        defer { watchers[number] = nil }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in changes { return } }
            group.addTask { [limits] in try? await Task.sleep(for: .milliseconds(limits.watchMilliseconds)) }
            await group.next()
            group.cancelAll()
        }
        return try await view(id)
    }

    /// How many calls wait.
    var watching: Int { watchers.count }

    /// Tells those who wait that something happened to a workflow.
    private func changed(_ id: CID) {
        for watcher in watchers.values where watcher.id == id { watcher.sink.yield() }
    }

    func list(limit: Int) async throws(NodeServiceError) -> [WorkflowListing] {
        let rows = try await stored { () throws(MeshStoreError) in
            try await StoredWorkflows(parts.store).newest(onlyOpen: false, limit: limit)
        }
        return rows.compactMap { row in
            let signed = open[row.id] == nil ? try? SignedObject<WorkflowManifest>(verifiedBefore: row.manifest) : nil
            guard let manifest = open[row.id]?.manifest ?? signed?.body,
                let status = open[row.id]?.plan.status ?? WorkflowStatus(rawValue: row.status)
            else { return nil }
            return WorkflowListing(
                workflowID: row.id.text, name: manifest.definition.name, status: status,
                isOver: row.isOver && open[row.id] == nil, submittedAt: row.submittedAt)
        }
    }

    func items(of id: CID, _ query: WorkflowItemQuery) async throws(NodeServiceError) -> [WorkflowItemView] {
        let known = try await known(id)
        var stages = known.plan.stages[...]
        if let after = query.after {
            guard let index = stages.firstIndex(where: { $0.definition.id == after.stage }) else {
                throw NodeServiceError(.invalidRequest, "The workflow has no stage \(after.stage.cut(bytesMax: 64)).")
            }
            stages = stages[index...]
        }
        var page: [WorkflowItemView] = []
        for stage in stages where query.stage == nil || stage.definition.id == query.stage {
            let id = stage.definition.id
            let first = query.after?.stage == id ? (query.after?.number ?? 0) + 1 : 0
            for index in stage.items.indices.dropFirst(first) {
                guard page.count < query.limit else { return page }
                let item = stage.items[index]
                var view = WorkflowItemView(stage: id, number: index, item)
                guard query.phase == nil || view.phase == query.phase?.rawValue else { continue }
                if item.phase == .running, let attempt = item.attempt {
                    view.jobID = known.run.jobs[ChildKey(stage: id, item: index, attempt: attempt)]?.text
                }
                page.append(view)
            }
        }
        return page
    }

    func obey(_ order: WorkflowOrder, of id: CID) async throws(NodeServiceError) -> WorkflowView {
        var known = try await known(id)
        // Something else may have come in between.
        if let open = open[id] { known = open }
        guard open[id] != nil || known.plan.status.isOver else {
            throw NodeServiceError(.overloaded, "The node has not taken the workflow up yet.", hint: "Ask again.")
        }
        if order == .resume, open[id] == nil {
            try requireRoom(for: 1)
            let isOfThisHome = try await isOfThisHome(known.row)
            // Another order may have resumed it meanwhile.
            if let open = open[id] { known = open }
            guard isOfThisHome else {
                throw NodeServiceError(
                    .conflict, "The workflow was begun before this home was restored from a backup.",
                    hint: "Begin it again under another key: its receipt may be signed already.")
            }
        }
        let event = order == .cancel ? PlanEvent.cancelled : .resumed
        guard let effects = known.run.tell(event) else {
            throw NodeServiceError(
                .conflict,
                order == .cancel
                    ? "The workflow is over already, or being cancelled."
                    : "There is nothing to run again: the workflow is not over, or all of it is done.",
                hint: "See mesh workflow show \(id).")
        }
        let write = StoreWrite.workflowEvent(id: id, bytes: try Self.encoded(event))
        takeUp(known)
        for effect in effects { workIn.yield((id, effect)) }
        changed(id)
        let status = known.plan.status
        try await commit([write, .workflow(known.row(of: status))], of: CrashPoint.Event(event, leaving: status))
        return try await view(id)
    }

    /// Writes at this place in the order of all that is written, and returns when it is on the disk.
    ///
    /// - Parameter begin: begins what may go on meanwhile.
    private func commit(
        _ writes: [StoreWrite], of event: CrashPoint.Event, meanwhile begin: () -> Void = {}
    ) async throws(NodeServiceError) {
        let result = await withCheckedContinuation { continuation in
            parts.store.enqueue(writes, of: [event], urgency: .now) { continuation.resume(returning: $0) }
            begin()
        }
        if case .failure(let error) = result { throw NodeServiceError(storage: error) }
    }

    private static func encoded(_ event: PlanEvent) throws(NodeServiceError) -> [UInt8] {
        do {
            return try WorkflowRun.entry(event)
        } catch {
            throw NodeServiceError(.internalError, "An event of a workflow cannot be written: \(error).")
        }
    }

    // MARK: What plans want

    private func carryOut(_ effect: PlanEffect, of id: CID, on node: MeshNode) async {
        switch effect {
        case .list(let stage, let round, let folder):
            do {
                tell(id, .listed(stage: stage, round: round, entries: try await entries(of: folder)))
            } catch {
                if Task.isCancelled { return }
                tell(id, .contentFailed(stage: stage, round: round, reason: "its folder cannot be read: \(error)"))
            }
        case .gather(let stage, let round):
            do {
                tell(id, .gathered(stage: stage, round: round, outputs: try await gathered(stage, of: id)))
            } catch {
                if Task.isCancelled { return }
                tell(id, .contentFailed(stage: stage, round: round, reason: "outputs cannot be gathered: \(error)"))
            }
        case .submit(let key):
            if let (end, work) = await ended(key, of: id, on: node) { tell(id, .ended(key, end), work) }
        case .cancel(let key):
            if let job = open[id]?.run.cancel(key) { await cancel(job, on: node) }
        case .finish:
            guard let over = open[id], over.plan.status.isOver, !over.plan.isClosed else { return }
            do throws(NodeServiceError) {
                try await finish(id, over, on: node)
            } catch {
                end.fail(error)
            }
        }
    }

    /// Whether no other copy of this home can have signed the receipt of a workflow.
    private func isOfThisHome(_ row: WorkflowRow) async throws(NodeServiceError) -> Bool {
        try await stored { () throws(MeshStoreError) in
            try await RestoredChain.isOfThisHome(row.id, in: parts.store)
        }
    }

    /// Signs the receipt of a workflow that is over, and tells others of it once all is on the disk.
    private func finish(_ id: CID, _ over: Open, on node: MeshNode) async throws(NodeServiceError) {
        guard try await isOfThisHome(over.row) else {
            open[id] = nil
            changed(id)
            return try await commit(
                [.workflow(over.row(of: over.plan.status))],
                of: CrashPoint.Event(PlanEvent.cancelled, leaving: over.plan.status))
        }
        let receipt: SignedObject<WorkflowReceipt>
        let pages: [(cid: CID, bytes: [UInt8])]
        let date = try await endDate(of: over.plan)
        do {
            let made = try WorkflowReceipt.make(of: over.plan, workflow: id, by: parts.identity.did, at: date)
            receipt = try SignedObject.sign(made.receipt, with: parts.identity)
            pages = made.pages
        } catch {
            throw NodeServiceError(.internalError, "The receipt of the workflow \(id) cannot be signed: \(error).")
        }
        let event = PlanEvent.receiptSigned(receipt.cid)
        let bytes = try Self.encoded(event)
        _ = open[id]?.run.tell(event)
        let blocks = pages + [(id, over.row.manifest), (receipt.cid, receipt.bytes)]
        try await commit(
            blocks.map { .evidence(cid: $0.cid, bytes: $0.bytes, jobID: id) } + [
                .root(receipt.cid), .anchorOwed(receipt.cid, workflow: id), .workflowEvent(id: id, bytes: bytes),
                .workflow(over.row(of: over.plan.status)),
            ], of: CrashPoint.Event(event, leaving: over.plan.status))
        await node.take(.fact(.workflowReceiptSigned(workflow: id, receipt: receipt.cid)))
        // It may have been resumed meanwhile.
        if open[id]?.plan.isClosed == true { open[id] = nil }
        changed(id)
        await publish(receipt)
    }

    /// When a plan ended: later than the end before, whatever the clock says, or the receipts would contradict.
    private func endDate(of plan: WorkflowPlan) async throws(NodeServiceError) -> UnixMilliseconds {
        guard let previous = plan.receiptCID else { return NodeClock.wallClock }
        let block: [UInt8]?
        do {
            block = try await parts.store.block(previous)
        } catch {
            throw NodeServiceError(storage: error)
        }
        let before = block.flatMap { WorkflowReceipt.receipt(of: $0) }?.body.endedAt.value ?? 0
        return max(NodeClock.wallClock, UnixMilliseconds(before + 1))
    }

    /// Puts a receipt into the DHT, so that it is found when this node is gone; a long one is found here alone.
    private func publish(_ receipt: SignedObject<WorkflowReceipt>) async {
        guard receipt.bytes.count <= WorkflowReceipt.Limits().recordBytesMax else { return }
        do {
            try await parts.dht.putValue(key: WorkflowReceipt.key(receipt.cid), value: receipt.bytes)
            parts.tallies.add("workflow_receipts_put")
        } catch {
            parts.tallies.add("workflow_receipts_not_put")
            parts.logger.info(
                "The receipt of a workflow was not put into the DHT.",
                metadata: ["cid": "\(receipt.cid)", "reason": "\(error)"])
        }
    }

    /// Tells a plan what happened, and writes it to the journal, in this order for all that it is told.
    ///
    /// - Parameter work: the result that this leaves, or that served.
    private func tell(_ id: CID, _ event: PlanEvent, _ work: WorkRow? = nil) {
        // In its place, since a copy would have all its items.
        guard let effects = open[id]?.run.tell(event), let status = open[id]?.plan.status else { return }
        let bytes: [UInt8]
        do {
            bytes = try Self.encoded(event)
        } catch {
            return end.fail(error)
        }
        let event = CrashPoint.Event(event, leaving: status)
        let writes = [StoreWrite.workflowEvent(id: id, bytes: bytes)] + [work].compactMap { $0.map(StoreWrite.work) }
        let goesOn = parts.store.enqueue(writes, of: [event], urgency: .idle) { [end] result in
            if case .failure(let error) = result { end.fail(NodeServiceError(storage: error)) }
        }
        if !goesOn { return }
        for effect in effects { workIn.yield((id, effect)) }
        changed(id)
    }

    /// The end of a job by an earlier result, where one may serve; else submits it under its key and waits for its end.
    /// With what is to be remembered of the result; nil if the node stops first.
    private func ended(_ key: ChildKey, of id: CID, on node: MeshNode) async -> (ChildEnd, WorkRow?)? {
        // Taken from the plan in its place: a copy would have all its items.
        guard let params = open[id]?.plan.params(of: key), let name = open[id]?.plan.definition.name,
            let stage = open[id]?.plan.definition(of: key.stage), let rule = open[id]?.plan.memo(of: key.stage)
        else { return nil }
        let earlier = EarlierResults(parts: parts)
        let work = rule == .off ? nil : earlier.key(of: params)
        let level = open[id]?.plan.verification(of: key.stage) ?? parts.configuration.originator.verification
        if let work, await !isSubmitted(key.idempotencyKey(of: id)) {
            do throws(MeshStoreError) {
                let served = try await earlier.end(
                    of: params, work, in: stage, by: rule, checkedBy: VerificationLevel(text: level))
                if let served { return served }
            } catch {
                parts.logger.warning("An earlier result does not serve.", metadata: ["error": "\(error)"])
            }
        }
        var submission = JobSubmission(params)
        submission.label = [name, key.stage].filter { !$0.isEmpty }.joined(separator: "/")
        submission.idempotencyKey = key.idempotencyKey(of: id)
        submission.verification = open[id]?.plan.verification(of: key.stage)
        for attempt in 1... {
            do throws(NodeServiceError) {
                let accepted = try await node.submit(submission, isRepeatable: work != nil)
                let job = try CID(named: accepted.jobID, "job_id")
                // Also of a workflow that could not be begun after all.
                if open[id]?.run.submitted(job, as: key) ?? true { await cancel(job, on: node) }
                guard let found = await result(of: job, on: node) else { return nil }
                guard case .success(let result) = found else { return (await lost(job, found), nil) }
                let end = await ChildEnd(
                    result, job, folders: folders(of: result), paidForReplicas: paidForReplicas(of: job, key, id, node))
                return (end, work.flatMap { earlier.row(of: result, job, $0, in: stage) })
            } catch {
                if error.code == .shuttingDown || Task.isCancelled || open[id] == nil { return nil }
                let isPassing = [.overloaded, .storageFull, .storageFailed].contains(error.code)
                let refused = open[id]?.run.refused(
                    key, attempt: attempt, isPassing: isPassing, reason: error.message, limits: limits.run)
                if let refused { return (refused, nil) }
            }
            await pause()
        }
        return nil
    }

    /// Whether a job was submitted under a key before this start: it runs, or has its result, whatever may serve.
    private func isSubmitted(_ idempotencyKey: String) async -> Bool {
        (try? await parts.store.job(idempotencyKey: idempotencyKey)) != nil
    }

    /// The result of a job that was submitted, which its followers' table may forget meanwhile, or why it cannot be
    /// read; nil if the node stops.
    private func result(of job: CID, on node: MeshNode) async -> Result<JobResult, NodeServiceError>? {
        var failures = 0
        while !Task.isCancelled {
            switch await followed(job, on: node) {
            case .success(let result?): return .success(result)
            case .success(nil): failures = 0
            case .failure(let error) where error.code == .shuttingDown: return nil
            case .failure(let error):
                failures += 1
                if failures >= limits.readsMax { return .failure(error) }
            }
            await pause()
        }
        return nil
    }

    /// Follows a job to its result; without one, if its followers' table forgot it.
    private func followed(_ job: CID, on node: MeshNode) async -> Result<JobResult?, NodeServiceError> {
        do throws(NodeServiceError) {
            for await event in try await node.progress(of: job, .result) {
                if let result = event.result { return .success(result) }
            }
            return .success(nil)
        } catch {
            return .failure(error)
        }
    }

    /// The end of a job whose journal cannot be read: what was held for it and did not come back counts as paid.
    private func lost(_ job: CID, _ found: Result<JobResult, NodeServiceError>) async -> ChildEnd {
        let reason = if case .failure(let error) = found { error.message } else { "" }
        let rows = (try? await parts.store.ledger(of: job)) ?? []
        func sum(_ kind: LedgerEntryKind) -> UInt64 {
            rows.filter { $0.kind == kind.rawValue }.reduce(0) { $0 &+ $1.amount }
        }
        let (held, back) = (sum(.hold), sum(.refund))
        return ChildEnd(.failed(reason: reason, ofMesh: true), jobID: job, paid: held - min(held, back))
    }

    /// The most that is paid to others than the executor of a job for the same work.
    private func paidForReplicas(of job: CID, _ key: ChildKey, _ id: CID, _ node: MeshNode) async -> UInt64 {
        // What the market has forgotten may have cost all that it was allowed to.
        if let known = await node.mostPaidForReplicas(of: job) { return known }
        return open[id]?.plan.priceOfReplicas(in: key.stage) ?? 0
    }

    private func pause() async { try? await Task.sleep(for: .milliseconds(limits.pauseMilliseconds)) }

    private func cancel(_ job: CID, on node: MeshNode) async {
        do throws(NodeServiceError) {
            _ = try await node.cancel(job)
        } catch {
            parts.logger.warning("A job was not cancelled.", metadata: ["job": "\(job)", "error": "\(error)"])
        }
    }

    /// Those of a job's outputs that are folders.
    private func folders(of result: JobResult) async -> Set<String> {
        var folders: Set<String> = []
        for output in result.outputs {
            guard let cid = try? CID(parsing: output.cid), await isFolder(cid) else { continue }
            folders.insert(output.cid)
        }
        return folders
    }

    private func isFolder(_ cid: CID) async -> Bool {
        guard cid.codec == .dagPB, let block = try? await parts.fetcher.block(cid, from: []) else { return false }
        return (try? UnixFSBlock(block, of: cid))?.isDirectory ?? false
    }

    private func entries(of folder: CID) async throws -> [ChildOutput] {
        var limits = UnixFSLimits()
        limits.entriesMax = min(limits.entriesMax, WorkflowLimits().itemsMax + 1)
        var reader = UnixFSDirectoryReader(root: folder, limits: limits)
        while let next = reader.next {
            try reader.received(try await parts.fetcher.block(next, of: folder))
        }
        var entries: [ChildOutput] = []
        for entry in reader.entries {
            guard let name = String(validating: entry.name, as: UTF8.self) else {
                throw NodeServiceError(.invalidRequest, "a name in it is no text in UTF-8")
            }
            entries.append(ChildOutput(name: name, cid: entry.cid, isFolder: await isFolder(entry.cid)))
        }
        return entries
    }

    /// The folders of a stage's outputs, kept like what a job made.
    private func gathered(_ stage: String, of id: CID) async throws -> [ChildOutput] {
        var folders: [ChildOutput] = []
        for (name, items) in open[id]?.plan.gatherings(of: stage) ?? [] {
            var entries: [UnixFSEntry] = []
            for item in items {
                let block = try await parts.fetcher.block(item.cid, from: [])
                let below = item.cid.codec == .dagPB ? try DAGPBNode(decoding: block).links.map(\.totalBytes) : []
                entries.append(
                    UnixFSEntry(
                        name: Array(item.name.utf8), cid: item.cid,
                        totalBytes: below.reduce(UInt64(block.count)) { $0.addingReportingOverflow($1).partialValue }))
            }
            let (directory, blocks) = try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
            try await parts.store.commit(
                blocks.map { .block(cid: $0.cid, bytes: $0.bytes) } + [.file(root: directory.cid)])
            folders.append(ChildOutput(name: name, cid: directory.cid, isFolder: true))
        }
        return folders
    }
}
