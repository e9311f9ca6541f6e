import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import PeerIdentity
import SignedObjects

extension MeshNode {
    public func submit(_ submission: JobSubmission) async throws(NodeServiceError) -> JobAccepted {
        try requireStaying()
        try requireRoom("The job is not submitted")
        let moduleCID = try await accepted(try Self.cid(submission.moduleCID, "module_cid"), "The module")
        var params = try params(of: submission, moduleCID)
        for input in params.inputCIDs {
            params.inputCIDs[input.key] = try await accepted(input.value, "The input \(input.key)")
        }
        // One that was looked at before and is kept needs no second look.
        let isKept = try await stored { try await self.store.isFile(moduleCID) }
        if !isKept || !inspected.contains(moduleCID, entry: params.entryName) {
            try await checkModule(moduleCID, entry: params.entryName)
        }
        for input in params.inputCIDs { try await requireFile(input.value, "the input \(input.key)") }
        try await keepFiles((isKept ? [] : [moduleCID]) + params.inputCIDs.map(\.value))
        let request = JobRequest(
            requesterDID: identity.did, submittedAt: NodeClock.wallClock, params: params,
            idempotencyKey: submission.idempotencyKey ?? Self.randomText())
        if let key = submission.idempotencyKey,
            let row = try await stored({ try await self.store.job(idempotencyKey: key) })
        {
            try await requireSame(request.params, as: row.jobID)
            return JobAccepted(jobID: row.jobID.text, isDuplicate: true)
        }
        let (result, effects) = core.submit(request, nonce: Self.randomBytes(16), at: moment)
        carryOut(effects)
        switch result {
        case .success(let job):
            await durable(job.written)
            if let failure = failure.withLock({ $0 }) { throw failure }
            return JobAccepted(jobID: job.id.cid.text, isDuplicate: job.isDuplicate)
        case .failure(let refusal): throw Self.error(refusal)
        }
    }

    /// An idempotency key stands for what is run: module, entry, arguments, environment and inputs. A job whose
    /// manifest is not here any more counts as the same.
    private func requireSame(_ params: MeshJobParams, as jobID: CID) async throws(NodeServiceError) {
        guard let block = try await stored({ try await self.store.block(jobID) }),
            let first = (try? SignedObject<JobManifest>(verifiedBefore: block))?.body.params
        else { return }
        guard first.wasmCID == params.wasmCID, first.entryName == params.entryName, first.args == params.args,
            first.env == params.env, first.inputCIDs == params.inputCIDs
        else {
            throw NodeServiceError(
                .conflict,
                "The idempotency key was used for the job \(jobID), of another module or other arguments or inputs.",
                hint: "Give this job a key of its own; mesh explain tells of the other one.")
        }
    }

    public func jobs(limit: Int) async throws(NodeServiceError) -> [JobView] {
        try await written()
        let rows = try await stored { try await self.store.jobs(role: nil, limit: max(0, limit)) }
        var views: [JobView] = []
        for row in rows { views.append(marked(try await view(of: row))) }
        return views
    }

    public func job(_ jobID: CID) async throws(NodeServiceError) -> JobView {
        if let job = core.market.originatedJob(JobID(jobID)) { return marked(JobStory.view(of: job)) }
        if let job = core.market.executedJob(JobID(jobID)) { return JobStory.view(of: job) }
        return marked(try await recalled(jobID).view)
    }

    /// A job of this node that says so where this node runs it itself.
    private func marked(_ job: JobView) -> JobView {
        var job = job
        if job.role == StoreRole.originator.rawValue, job.counterpartyDID == identity.did.text { job.isOwnRun = true }
        return job
    }

    public func explain(_ jobID: CID) async throws(NodeServiceError) -> JobExplanation {
        let recalled = try await recalled(jobID)
        return JobExplanation(job: try await job(jobID), lines: recalled.lines)
    }

    public func progress(
        of jobID: CID, _ scope: ProgressScope
    ) async throws(NodeServiceError) -> AsyncStream<JobProgress> {
        let id = JobID(jobID)
        if scope == .result, let job = core.market.originatedJob(id) {
            guard let result = JobStory.result(of: job) else { return board.follow(id, scope, past: []) }
            let event = Self.ending(result, phase: job.status.rawValue, at: job.lastEventAt.value)
            return board.follow(id, scope, past: [event])
        }
        let recalled = try await recalled(jobID)
        var past = recalled.lines.map { JobProgress(kind: .note, phase: $0.phase, text: $0.text, at: $0.at) }
        // The job may have gone on while the journal was read: the state in memory is the newest.
        let result = core.market.originatedJob(id).flatMap(JobStory.result(of:)) ?? recalled.view.result
        if let result { past.append(Self.ending(result, phase: past.last?.phase ?? "", at: past.last?.at ?? 0)) }
        return board.follow(id, scope, past: scope == .everything ? past : past.filter { $0.kind == .result })
    }

    private static func ending(_ result: JobResult, phase: String, at: UInt64) -> JobProgress {
        JobProgress(kind: .result, phase: phase, text: result.detail, at: at, result: result)
    }

    public func cancel(_ jobID: CID) async throws(NodeServiceError) -> JobView {
        let (number, effects) = core.cancel(JobID(jobID), at: moment)
        carryOut(effects)
        await durable(number)
        return try await job(jobID)
    }

    // MARK: Followers

    /// Tells those who follow a job of an event, and of the result once it is there.
    func tellFollowers(of event: JobEvent) {
        guard event.role == .originator, let interest = board.interest(in: event.jobID) else { return }
        let job = core.market.originatedJob(event.jobID)
        let phase = job?.status.rawValue ?? ""
        if interest == .everything {
            board.tell(
                event.jobID, JobProgress(kind: .phase, phase: phase, text: event.explanation, at: event.at.value))
        }
        guard let job, let result = JobStory.result(of: job) else { return }
        board.tell(event.jobID, Self.ending(result, phase: phase, at: event.at.value))
    }

    // MARK: The journal

    /// A job as its journal tells it.
    struct Recalled {
        var view: JobView
        var lines: [JobExplanation.Line]
    }

    /// Folds a job's journal again, apart from the market: for jobs that the market has forgotten, and for reading
    /// aloud.
    private func recalled(_ jobID: CID) async throws(NodeServiceError) -> Recalled {
        let id = JobID(jobID)
        try await written()
        let journal = try await stored { try await self.store.readableJournal(of: jobID) }
        guard !journal.entries.isEmpty || !journal.damaged.isEmpty else {
            throw NodeServiceError(
                .jobNotFound, "This node knows no job \(jobID).", hint: "See mesh jobs for those that it knows.")
        }
        var scratch = JobMarket(identity: identity, configuration: core.market.configuration)
        _ = try? scratch.grant(TokenAmount(.max / 4), reference: "fold", wallClock: NodeClock.wallClock)
        var lines: [JobExplanation.Line] = []
        var progress: JobEventKind?
        for entry in journal.entries {
            guard let event = try? JobEvent.decode(entry.bytes) else { continue }
            try? scratch.replay(event)
            if case .executionProgressed = event.kind {
                // Its executor writes again and again that a run goes on.
                if progress == event.kind { continue }
                progress = event.kind
            }
            let phase =
                event.role == .originator
                ? scratch.originatedJob(id)?.status.rawValue : scratch.executedJob(id)?.status.rawValue
            lines.append(JobExplanation.Line(at: entry.at, phase: phase ?? "", text: event.explanation))
        }
        if !journal.damaged.isEmpty {
            let rows = journal.damaged.map(String.init).joined(separator: ", ")
            lines.append(
                JobExplanation.Line(
                    at: lines.last?.at ?? 0, phase: lines.last?.phase ?? "",
                    text: "damaged, and left out of this: the rows \(rows) of the journal"))
        } else if let job = scratch.originatedJob(id) {
            return Recalled(view: JobStory.view(of: job), lines: lines)
        } else if let job = scratch.executedJob(id) {
            return Recalled(view: JobStory.view(of: job), lines: lines)
        }
        for role in StoreRole.allCases {
            guard let row = try await stored({ try await self.store.job(jobID, role: role) }) else { continue }
            return Recalled(view: try await view(of: row), lines: lines)
        }
        throw NodeServiceError(.storageFailed, "The journal of \(jobID) does not read.")
    }

    /// Waits until everything is on the disk that was given to the store before; not for others, or for room, which may
    /// take long: then what is there is told.
    private func written() async throws(NodeServiceError) {
        guard !store.isStuck else { return }
        try await stored { try await self.store.settled() }
    }

    private func view(of row: JobRow) async throws(NodeServiceError) -> JobView {
        let id = JobID(row.jobID)
        if row.role == .originator, let job = core.market.originatedJob(id) { return JobStory.view(of: job) }
        if row.role == .executor, let job = core.market.executedJob(id) { return JobStory.view(of: job) }
        // How a job ended that the market has forgotten stands in its receipt.
        var result = StandardJobStatus.failed
        if let cid = row.receiptCID, let receipt = try await stored({ try await self.store.receipt(cid) }) {
            result = StandardJobStatus(rawValue: receipt.status) ?? .failed
        }
        let status = JobStatus(rawValue: row.status) ?? .failed
        return JobStory.view(row, standard: status.standard(result: result), result: nil)
    }

    // MARK: Checks before a job is announced

    private func params(of submission: JobSubmission, _ moduleCID: CID) throws(NodeServiceError) -> MeshJobParams {
        var limits = ExecutionLimits.standard
        limits.timeoutSeconds = submission.limits.timeoutSeconds ?? limits.timeoutSeconds
        limits.maxFuel = submission.limits.maxFuel ?? limits.maxFuel
        limits.maxMemoryBytes = submission.limits.maxMemoryBytes ?? limits.maxMemoryBytes
        limits.maxOutputBytes =
            submission.limits.maxOutputBytes
            ?? min(limits.maxOutputBytes, UInt64(clamping: configuration.limits.outputBytesMax))
        var params = MeshJobParams(wasmCID: moduleCID, limits: limits)
        params.entry = submission.entry
        params.args = submission.args
        params.env = CanonicalMap(submission.env.map { ($0.name, $0.text) })
        var inputs: [(String, CID)] = []
        for input in submission.inputs {
            inputs.append((input.name, try Self.cid(input.text, "the input \(input.name)")))
        }
        params.inputCIDs = CanonicalMap(inputs)
        params.description = submission.label
        params.maxAcceptableBidTokens = submission.budget.map { TokenAmount($0) }
        params.executionPolicy = try policy(of: submission.policy)
        return params
    }

    private func policy(of given: JobSubmission.Policy) throws(NodeServiceError) -> ExecutionPolicy {
        var policy = ExecutionPolicy()
        policy.minReputation = given.minReputation
        policy.regionFilter = given.regions
        policy.allowedDIDs = try Self.dids(given.allowedDIDs)
        policy.deniedDIDs = try Self.dids(given.deniedDIDs)
        policy.bidWindowMilliseconds = given.bidWindowMilliseconds
        policy.sufficientBids = given.sufficientBids
        return policy
    }

    /// The CID by which a job names content, in the form that receipts take. A `Qm…` is converted to the CID of version
    /// 1 of the same block, which is kept under that name too.
    private func accepted(_ cid: CID, _ what: String) async throws(NodeServiceError) -> CID {
        let name = cid.version1
        guard name.namesMeshContent else {
            throw NodeServiceError(
                .invalidRequest, "\(what) is named by \(cid), a form of CID that jobs do not take.",
                hint: "Hand the file in with mesh add; a job takes CIDs with SHA-256 and raw, dag-pb or dag-cbor.")
        }
        guard name != cid, try await !stored({ try await self.store.hasBlock(name) }) else { return name }
        let block: [UInt8]
        do {
            block = try await fetcher.block(cid, from: [])
        } catch {
            throw NodeServiceError(
                .blockNotFound, "\(what) (\(cid)) cannot be had: \(error).", hint: "Hand it in with mesh add.")
        }
        try await stored { try await self.store.commit([.block(cid: name, bytes: block, pinned: true)]) }
        return name
    }

    private func checkModule(_ cid: CID, entry: String) async throws(NodeServiceError) {
        let module: [UInt8]
        do {
            module = try await fetcher.file(cid, from: [], bytesMax: configuration.limits.moduleBytesMax)
        } catch FetchError.notAFile(_, .fileTooLarge(let bytesMax)) {
            throw NodeServiceError(
                .moduleRefused, "The module is larger than \(bytesMax) bytes.",
                hint: "Make it smaller, or raise limits.module_bytes_max in config.json here and on the executors.")
        } catch {
            throw NodeServiceError(
                .blockNotFound, "The module \(cid) is not on this node: \(error).", hint: "Hand it in with mesh add.")
        }
        do {
            _ = try machine.inspect(module, entry: entry)
            inspected.insert(cid, entry: entry)
        } catch {
            throw NodeServiceError(
                .moduleRefused, "The module is refused: \(error).",
                hint: "A job may import WASI preview 1 and mesh_host_v1 only, and starts at _start or --entry.")
        }
    }

    private func requireFile(_ cid: CID, _ what: String) async throws(NodeServiceError) {
        guard try await stored({ try await self.store.hasBlock(cid) }) else {
            throw NodeServiceError(
                .blockNotFound, "\(what) (\(cid)) is not on this node.", hint: "Hand it in with mesh add.")
        }
    }

    /// Keeps what a job names like a file that was put, so that it is not evicted before the job has ended.
    private func keepFiles(_ roots: [CID]) async throws(NodeServiceError) {
        try await stored {
            var loose: [StoreWrite] = []
            for root in roots {
                if try await !self.store.isFile(root) { loose.append(.file(root: root)) }
            }
            if !loose.isEmpty { try await self.store.commit(loose) }
        }
    }

    private static func error(_ refusal: SubmissionRefusal) -> NodeServiceError {
        switch refusal {
        case .tooManyJobs:
            NodeServiceError(
                .overloaded, "The job is not submitted: \(refusal).",
                hint: "Wait until some of the open jobs have ended.")
        case .outputsTooLarge:
            NodeServiceError(
                .tooLarge, "The job is not submitted: \(refusal).",
                hint: "Ask for less with --max-output, or raise limits.file_bytes_max in config.json.")
        case .manifestTooLarge:
            NodeServiceError(
                .tooLarge, "The job is not submitted: \(refusal).", hint: "Shorten arguments and environment.")
        default:
            NodeServiceError(.invalidRequest, "The job is not submitted: \(refusal).", hint: "See mesh run --help.")
        }
    }
}
