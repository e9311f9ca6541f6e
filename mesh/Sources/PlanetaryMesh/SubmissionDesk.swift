import CoVM
import Crypto
import IPLD
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import SignedObjects
import Synchronization

/// Checks a submission before the core gets it: what it names is here and can run, and stays for the job.
struct SubmissionDesk: Sendable {
    /// The verdict on a submission.
    enum Checked: Sendable {
        /// It can be submitted, with a module and inputs of this size.
        case request(JobRequest, JobSizes)
        /// It was submitted before, by its idempotency key.
        case known(CID)
    }

    let parts: NodeParts
    let room: StoreRoom
    /// Inspected modules, with the entry points for which they are valid.
    let inspected = InspectedModules()

    /// Checks a submission; may fetch modules and inputs for that.
    ///
    /// - Parameter isRepeatable: whether its seed and clock are to follow from the work.
    func checked(
        _ submission: JobSubmission, isRepeatable: Bool = false
    ) async throws(NodeServiceError) -> Checked {
        let store = parts.store
        if submission.idempotencyKey?.hasPrefix(ReplicaKey.prefix) ?? false {
            throw NodeServiceError(
                .invalidRequest, "A key cannot begin with \(ReplicaKey.prefix), as those of replicas do.",
                hint: "Give the job another key.")
        }
        if try await !isKnown(submission) { try room.require("The job is not submitted") }
        let moduleCID = try await accepted(try CID(named: submission.moduleCID, "module_cid"), "The module")
        var params = try params(of: submission, moduleCID)
        if let token = submission.policy.token {
            try await payBy(
                token: token, submission.policy.payBy, in: &params, isNew: try await !isKnown(submission))
        } else if let issuers = submission.policy.payBy {
            try await payBy(issuers, in: &params, isNew: try await !isKnown(submission))
        }
        for input in params.inputCIDs {
            params.inputCIDs[input.key] = try await accepted(input.value, "The input \(input.key)")
        }
        // One that was inspected before and kept needs no second inspection.
        let isKept = try await stored { () throws(MeshStoreError) in try await store.isFile(moduleCID) }
        let module = try await inspectedModule(params, calls: submission.invoke != nil, isKept: isKept)
        if module.usesSessionCalls { params.executionPolicy?.require(SessionTerms.callsFeature) }
        var sizes = module.sizes
        if let texts = submission.invoke {
            params.invoke = try module.function?.numbers(texts)
        }
        if let refusal = NodeServiceError(sizes, limit: params.maxMemoryBytes) { throw refusal }
        for input in params.inputCIDs { try await fetchFile(input.value, "The input \(input.key)") }
        if let files = params.files { try await fetchMounts(of: files) }
        try await keepFiles(
            (isKept ? [] : [moduleCID]) + params.inputCIDs.map(\.value) + (params.files?.contentRoots ?? []))
        if let key = submission.idempotencyKey,
            let row = try await stored({ () throws(MeshStoreError) in try await store.job(idempotencyKey: key) })
        {
            try await UsedKey(store: store, jobID: row.jobID).require(submission, params)
            return .known(row.jobID)
        }
        let level = try verification(of: submission, params)
        sizes.inputBytes = await inputBytes(of: params)
        var request = JobRequest(
            requesterDID: parts.identity.did, submittedAt: NodeClock.wallClock, params: params,
            idempotencyKey: submission.idempotencyKey ?? Multibase.encode(randomBytes(16), .base32))
        request.verification = level
        try refuseHedge(params, level)
        if isRepeatable, params.determinism == .deterministic {
            request.execution = .repeatable(
                params, of: parts.identity.did, on: parts.machine.engineDescription)
        }
        return .request(request, sizes)
    }

    /// Whether a job was submitted under the key, which needs no room then.
    private func isKnown(_ submission: JobSubmission) async throws(NodeServiceError) -> Bool {
        guard let key = submission.idempotencyKey else { return false }
        return try await stored { () throws(MeshStoreError) in
            try await parts.store.job(idempotencyKey: key) != nil
        }
    }

    /// How the result is to be checked; refused where this node could not run the job itself.
    private func verification(
        of submission: JobSubmission, _ params: MeshJobParams
    ) throws(NodeServiceError) -> VerificationLevel {
        // What cannot be repeated is not checked, unless that is asked for, and then refused.
        let usual = params.determinism == .deterministic ? parts.configuration.originator.verification : "none"
        let text = submission.verification ?? usual
        guard let level = VerificationLevel(text: text) else {
            throw NodeServiceError(
                .invalidRequest, "\"\(text.cut(bytesMax: 64))\" is no way to check a result.",
                hint: "There are none, spot:P% with P from 0.1 to 100, replay and adaptive, each also with @executor, "
                    + "and quorum:K/N with K more than half of N.")
        }
        // Where this node cannot run the job, the number decides.
        guard level.mayReplay, level.executorsMost == 1 else { return level }
        let own = parts.configuration.executor.limitsMax
        let rows: [(String, UInt64, UInt64, String)] = [
            ("memory", params.maxMemoryBytes, own.maxMemoryBytes, "memory_mib"),
            ("fuel", params.maxFuel, own.maxFuel, "fuel_max"),
            ("time", params.timeoutSeconds, own.timeoutSeconds, "run_seconds_max"),
            ("output", params.maxOutputBytes, own.maxOutputBytes, "output_bytes_max"),
            ("files", params.files?.maxBytes ?? 0, parts.configuration.executor.filesBytesMax, "files_bytes_max"),
        ]
        if let row = rows.first(where: { $0.1 > $0.2 }) {
            throw NodeServiceError(
                .invalidRequest,
                "This node could not check the result: the job may take more \(row.0) (\(GroupedNumber.of(row.1))) "
                    + "than runs here may (\(GroupedNumber.of(row.2))).",
                hint: "Give the job less, raise executor.\(row.3) in config.json, or submit it with --verify none.")
        }
        return level
    }

    /// Refuses a second copy of a slow run where that means nothing.
    private func refuseHedge(_ params: MeshJobParams, _ level: VerificationLevel) throws(NodeServiceError) {
        guard params.executionPolicy?.allowsHedge ?? false else { return }
        if params.session != nil {
            throw NodeServiceError(
                .invalidRequest, "A second copy of an interactive job would ask its user twice.",
                hint: "Submit it without --hedge.")
        }
        if level.executorsMost > 1 {
            throw NodeServiceError(
                .invalidRequest, "Other executors do the work anyway, as the check is \(level).",
                hint: "Submit it without --hedge, or with --verify none, spot:P%, replay or adaptive.")
        }
    }

    private func params(of submission: JobSubmission, _ moduleCID: CID) throws(NodeServiceError) -> MeshJobParams {
        var limits = ExecutionLimits.standard
        limits.timeoutSeconds = submission.limits.timeoutSeconds ?? limits.timeoutSeconds
        limits.maxFuel = submission.limits.maxFuel ?? limits.maxFuel
        limits.maxMemoryBytes = submission.limits.maxMemoryBytes ?? limits.maxMemoryBytes
        limits.maxOutputBytes =
            submission.limits.maxOutputBytes
            ?? min(limits.maxOutputBytes, UInt64(clamping: parts.configuration.limits.outputBytesMax))
        var params = MeshJobParams(wasmCID: moduleCID, limits: limits)
        params.entry = submission.entry
        params.args = submission.args
        params.env = CanonicalMap(submission.env.map { ($0.name, $0.text) })
        var inputs: [(String, CID)] = []
        for input in submission.inputs {
            inputs.append((input.name, try CID(named: input.text, "the input \(input.name)")))
        }
        params.inputCIDs = CanonicalMap(inputs)
        params.files = try submission.files?.jobFiles()
        params.description = submission.label
        params.maxAcceptableBidTokens = submission.budget.map { TokenAmount($0) }
        params.resourcesRequired = try resources(of: submission.policy)
        var policy = try policy(of: submission.policy)
        if params.files != nil { policy.require(JobFiles.feature) }
        if submission.invoke != nil { policy.require(NumberCall.feature) }
        if let session = submission.session {
            let usual = SessionTerms()
            params.session = SessionTerms(
                idleSeconds: session.idleSeconds ?? usual.idleSeconds,
                waitingSeconds: session.waitingSeconds ?? usual.waitingSeconds,
                transcript: try transcript(of: session))
            params.isInteractive = true
            policy.require(SessionTerms.feature)
            if params.session?.transcript != nil { policy.require(SessionTerms.transcriptFeature) }
        }
        params.determinism = try determinism(of: submission)
        if params.isAttestedAlone { policy.require(AttestedRun.feature) }
        params.executionPolicy = policy
        if params.files != nil || params.session != nil, let refusal = JobRules().refusal(of: params) {
            throw NodeServiceError(SubmissionRefusal.jobRefused(refusal))
        }
        return params
    }

    private func determinism(of submission: JobSubmission) throws(NodeServiceError) -> DeterminismProfile {
        let isInteractive = submission.session != nil
        guard let word = submission.determinism else { return isInteractive ? .attested : .deterministic }
        guard let profile = DeterminismProfile(rawValue: word) else {
            throw NodeServiceError(
                .invalidRequest, "\"\(word.cut(bytesMax: 64))\" says of no run whether it can be repeated.",
                hint: "There are deterministic and attested.")
        }
        guard !isInteractive || profile == .attested else {
            throw NodeServiceError(
                .invalidRequest, "Nobody can repeat what a user types, so an interactive job is attested.",
                hint: "Leave determinism out.")
        }
        return profile
    }

    private func transcript(of session: JobSubmission.Session) throws(NodeServiceError) -> TranscriptAccess? {
        let word = session.transcript ?? TranscriptAccess.private.rawValue
        guard JobSubmission.Session.transcripts.contains(word) else {
            let words = JobSubmission.Session.transcripts.joined(separator: ", ")
            throw NodeServiceError(
                .invalidRequest, "The transcript of a session is one of \(words), not \(PlainText.sanitized(word)).")
        }
        return TranscriptAccess(rawValue: word)
    }

    private func policy(of given: JobSubmission.Policy) throws(NodeServiceError) -> ExecutionPolicy {
        var policy = ExecutionPolicy()
        policy.minReputation = given.minReputation
        policy.regionFilter = given.regions
        policy.allowedDIDs = try dids(given.allowedDIDs)
        policy.deniedDIDs = try dids(given.deniedDIDs)
        policy.bidWindowMilliseconds = given.bidWindowMilliseconds
        policy.sufficientBids = given.sufficientBids
        policy.requiredFeatures = given.requiredFeatures
        policy.deadline = given.deadline.map(UnixMilliseconds.init)
        policy.maxAttempts = given.maxAttempts
        // Absent and false are the same, and only the first is what older versions write.
        policy.publicBids = given.publicBids == true ? true : nil
        policy.publicStatus = given.publicStatus == true ? true : nil
        if policy.hasPublicBids || policy.hasPublicStatus { policy.require(PublicJob.feature) }
        policy.hedge = given.hedge == true ? true : nil
        if policy.allowsHedge { policy.require(HedgedJob.feature) }
        policy.weights = given.weights.map { weights in
            SelectionWeights(
                price: weights.price ?? 0, reputation: weights.reputation ?? 0, region: weights.region ?? 0,
                latency: weights.latency ?? 0, load: weights.load ?? 0)
        }
        return policy
    }

    /// What an executor must have; a name given twice is refused, since nobody can tell which amount is meant.
    private func resources(of given: JobSubmission.Policy) throws(NodeServiceError) -> ResourceAmounts {
        var amounts = ResourceAmounts()
        for entry in given.resources ?? [] {
            guard amounts[entry.name] == nil else {
                throw NodeServiceError(
                    .invalidRequest, "The resource \(entry.name.cut(bytesMax: 64)) is asked for twice.",
                    hint: "Name each resource once.")
            }
            amounts[entry.name] = entry.amount
        }
        return amounts
    }

    private func dids(_ texts: [String]?) throws(NodeServiceError) -> [DID]? {
        guard let texts else { return nil }
        var dids: [DID] = []
        for text in texts {
            do {
                dids.append(try DID(parsing: text))
            } catch {
                throw NodeServiceError(
                    .invalidRequest, "\(text) is no DID of this mesh: \(error).",
                    hint: "A DID looks like did:key:z6Mk….")
            }
        }
        return dids
    }

    /// The CID by which a job names content, in the form that receipts accept. Converts a `Qm…` to the version 1 CID of
    /// the same block, and keeps the block under that name too.
    private func accepted(_ cid: CID, _ what: String) async throws(NodeServiceError) -> CID {
        let name = cid.version1
        guard name.namesMeshContent else {
            throw NodeServiceError(
                .invalidRequest, "\(what) is named by \(cid), a form of CID that jobs do not accept.",
                hint: "Add the file with mesh add; a job accepts CIDs with SHA-256 and raw, dag-pb or dag-cbor.")
        }
        guard name != cid, try await !has(name) else { return name }
        let block: [UInt8]
        do {
            block = try await parts.fetcher.block(cid, from: [])
        } catch {
            throw NodeServiceError(
                .blockNotFound, "\(what) (\(cid)) cannot be had: \(error).", hint: "Add it with mesh add.")
        }
        try await stored { () throws(MeshStoreError) in
            try await parts.store.commit([.block(cid: name, bytes: block, pinned: true)])
        }
        return name
    }

    func has(_ cid: CID) async throws(NodeServiceError) -> Bool {
        try await stored { () throws(MeshStoreError) in try await parts.store.hasBlock(cid) }
    }

    /// The module of a job, inspected now or before, with the function that the job calls with numbers, if it does.
    private func inspectedModule(
        _ params: MeshJobParams, calls: Bool, isKept: Bool
    ) async throws(NodeServiceError) -> InspectedModules.Inspected {
        let (cid, entry) = (params.wasmCID, params.entryName)
        if isKept, let found = inspected.found(cid, entry: entry, isCalled: calls) { return found }
        let inspection = try await inspection(of: cid, entry: calls ? nil : entry)
        var found = InspectedModules.Inspected(
            sizes: JobSizes(inspection), usesSessionCalls: inspection.usesSessionCalls)
        if calls { found.function = try CallableFunction(entry, of: inspection) }
        inspected.insert(cid, entry: entry, found)
        return found
    }

    /// What inspection finds of a module, which must be able to begin at a program's entry if there is one.
    private func inspection(of cid: CID, entry: String?) async throws(NodeServiceError) -> ModuleInspection {
        let module: [UInt8]
        do {
            module = try await parts.fetcher.file(cid, from: [], bytesMax: parts.configuration.limits.moduleBytesMax)
        } catch FetchError.notAFile(_, .fileTooLarge(let bytesMax)) {
            throw NodeServiceError(
                .moduleRefused, "The module is larger than \(bytesMax) bytes.",
                hint: ModuleRefusal.tooLarge(bytes: bytesMax, limit: bytesMax).advice)
        } catch {
            throw NodeServiceError(
                .blockNotFound, "The module \(cid) is not on this node: \(error).", hint: "Add it with mesh add.")
        }
        let inspection: ModuleInspection
        do {
            inspection = try parts.machine.inspect(module, entry: entry)
        } catch {
            throw NodeServiceError(.moduleRefused, "The module is refused: \(error).", hint: error.advice)
        }
        let elementsMax = parts.machine.tableElementsMax
        guard inspection.initialTableElements <= elementsMax else {
            throw NodeServiceError(
                .moduleRefused,
                "The module needs at least \(GroupedNumber.of(inspection.initialTableElements)) table elements from "
                    + "its start; a run has at most \(GroupedNumber.of(elementsMax)).",
                hint: "Build the module with smaller tables.")
        }
        return inspection
    }

    /// The bytes of all inputs together, each counted once, as an executor does; `nil` if the store does not say.
    private func inputBytes(of params: MeshJobParams) async -> UInt64? {
        var sum: UInt64 = 0
        for input in Set(params.inputCIDs.map(\.value)) {
            guard let bytes = await parts.runner.storedBytes(of: input) else { return nil }
            sum = sum.addingReportingOverflow(bytes).partialValue
        }
        return sum
    }

    /// Gets a file that is not here from the mesh: the node serves what its jobs need.
    private func fetchFile(_ cid: CID, _ what: String) async throws(NodeServiceError) {
        if try await has(cid) { return }
        guard cid.codec != .dagCBOR else {
            throw NodeServiceError(
                .blockNotFound, "\(what) (\(cid)) is not on this node.", hint: "Add it with mesh add.")
        }
        let bytesMax = parts.configuration.limits.fileBytesMax
        do {
            _ = try await parts.fetcher.file(cid, from: [], bytesMax: bytesMax)
        } catch FetchError.notAFile(_, .fileTooLarge) {
            throw NodeServiceError(
                .tooLarge, "\(what) has more than the \(bytesMax) bytes that this node takes.",
                hint: "Cut it up, or raise limits.file_bytes_max in config.json here.")
        } catch FetchError.notAFile {
            throw NodeServiceError(
                .invalidRequest, "\(what) (\(cid)) is not a file.", hint: "Name a file that was added with mesh add.")
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .blockNotFound, "\(what) (\(cid)) is neither on this node nor found in the mesh.",
                hint: "Add the file with mesh add, or give its path.")
        }
    }

    /// Keeps what a job names like an added file, so that it is not evicted before the job has ended.
    private func keepFiles(_ roots: [CID]) async throws(NodeServiceError) {
        try await stored { () throws(MeshStoreError) in
            var loose: [StoreWrite] = []
            for root in roots {
                if try await !parts.store.isFile(root) { loose.append(.file(root: root)) }
            }
            if !loose.isEmpty { try await parts.store.commit(loose) }
        }
    }
}

extension JobSizes {
    /// What an inspected module measures.
    init(_ inspection: ModuleInspection) {
        self.init()
        moduleBytes = UInt64(clamping: inspection.moduleBytes)
        moduleFunctions = UInt64(clamping: inspection.functionCount)
        functionBytes = UInt64(clamping: inspection.largestFunctionBodyBytes)
        memoryBytes = inspection.initialMemoryBytes
    }
}

extension CID {
    /// The CID that the owner gave as `what`.
    init(named text: String, _ what: String) throws(NodeServiceError) {
        do {
            self = try CID(parsing: text)
        } catch {
            throw NodeServiceError(.invalidRequest, "\(what) is no CID: \(error).", hint: "A CID looks like bafkrei….")
        }
    }
}

extension NodeServiceError {
    /// Why a module cannot even start with the memory that its job may have; `nil` if it can.
    init?(_ sizes: JobSizes, limit: UInt64) {
        guard let needed = sizes.memoryBytes, needed > limit else { return nil }
        self.init(
            .moduleRefused,
            "The module needs at least \(GroupedNumber.bytes(needed)) of memory from its start; the job's limit is "
                + "\(GroupedNumber.bytes(limit)).",
            hint: "Raise it with --max-memory, or build the module with a smaller initial memory.")
    }

    /// Why the core refused a job, and what to do next.
    init(_ refusal: SubmissionRefusal) {
        let message = "The job was not submitted: \(refusal)."
        switch refusal {
        case .tooManyJobs:
            self.init(.overloaded, message, hint: "Wait until some of the open jobs have ended.")
        case .outputsTooLarge:
            self.init(
                .tooLarge, message,
                hint: "Ask for less with --max-output, or raise limits.file_bytes_max in config.json.")
        case .manifestTooLarge:
            self.init(.tooLarge, message, hint: "Shorten arguments and environment, or mount fewer files.")
        default:
            self.init(.invalidRequest, message, hint: "See mesh run --help.")
        }
    }
}

/// Bytes that nobody can guess.
func randomBytes(_ count: Int) -> [UInt8] {
    // SAFETY: the bytes are copied before the pointer ends.
    SymmetricKey(size: SymmetricKeySize(bitCount: count * 8)).withUnsafeBytes(Array.init)
}
