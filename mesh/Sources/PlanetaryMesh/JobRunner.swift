import CoVM
import Determinism
import GuestFiles
import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeCore
import SignedObjects
import Synchronization

/// Runs one job: fetches its module and inputs, hands them to the machine, and stores what it made.
///
/// It knows nothing of the market: the same runner serves an executor's order and an auditor's replay.
struct JobRunner: Sendable {
    let machine: CoVM
    let fetcher: ContentFetcher
    let store: MeshStore
    /// The longest module to fetch, in bytes.
    let moduleBytesMax: Int
    /// The longest input to fetch, in bytes.
    let inputBytesMax: Int

    /// The bounds of waiting for blocks.
    struct Limits: Sendable {
        /// How long an executor keeps asking for a block that nobody has just now, in milliseconds: the originator may
        /// be restarting.
        var patienceMilliseconds: Int64 = 15_000
        /// The first pause between two attempts, in milliseconds; doubles up to the maximum.
        var pauseMilliseconds: Int64 = 100
        /// The longest pause between two attempts, in milliseconds.
        var pauseMillisecondsMax: Int64 = 2_000
        /// What a job may hold in memory while it waits for a place, in bytes; a larger one is read again.
        var heldBytesMax = 1 << 20
        /// The bytes that have to arrive before they are reported.
        var reportedBytesMin = 64 << 10
        /// The most output of a run held in memory until it goes to the disk with the receipt, in bytes; more goes
        /// there by itself.
        var madeBytesHeldMax = 256 << 10
        /// How often the time of its job the repetition of a run may take that was cut short, when a receipt is
        /// replayed.
        var repetitionTimesMax: UInt64 = 4
    }

    /// The bounds in use.
    var limits = Limits()

    /// What a run left behind.
    struct Run: Sendable {
        /// How it ended and what it used.
        var report: ExecutionReport
        /// The machine that ran it.
        var engine: EngineDescription
        /// Its blocks that are not on the disk yet; they go there with its receipt.
        var blocks: [MadeBlock] = []
        /// Why it is no repetition of the session that it was given, if it is none.
        var strayed: String?
    }

    /// A run that ended before its module started.
    private func unstarted(_ outcome: ExecutionOutcome, _ startedAt: UnixMilliseconds) -> Run {
        Run(
            report: ExecutionReport(outcome: outcome, startedAt: startedAt, endedAt: NodeClock.wallClock),
            engine: machine.engineDescription)
    }

    /// A run that this node cannot begin.
    func unbegun(_ reason: String) -> Run { unstarted(.nodeFailed(reason: reason), NodeClock.wallClock) }

    /// Runs the job of a manifest as `executor` would, with missing blocks from `peers`.
    ///
    /// - Parameters:
    ///   - wallClockMilliseconds: a bound below the job's, for an executor whose time is nearly over.
    ///   - repetition: where a run ends at the latest that repeats one which was cut short.
    ///   - session: what its module talks to its user by, if the job is interactive; without, that user said nothing,
    ///     or what is played.
    ///   - played: what came of the calls of the session before.
    ///   - output: whoever watches what it writes, if the job is not interactive.
    ///   - fetched: receives the number of bytes of module and inputs as they come.
    ///   - compiles: called once they are all here and the module has to be compiled, with the milliseconds that this
    ///     may take.
    ///   - hasPlace: called once they are all here and the module is ready; returns when the job may run, or `false` if
    ///     it may not.
    func run(
        _ manifest: JobManifest, jobID: JobID, executor: DID, from peers: [PeerID], wallClockMilliseconds: UInt64?,
        repetition: ExecutionJob.Repetition? = nil, cancellation: ExecutionCancellation, keep: Bool,
        session: SessionPort? = nil, played: [SessionEvent]? = nil, output: LiveOutput? = nil,
        fetched: @escaping @Sendable (Int) async -> Void = { _ in },
        compiles: @escaping @Sendable (UInt64) async -> Void = { _ in },
        hasPlace: @Sendable () async -> Bool = { true },
        workspaceMade: @Sendable (JobWorkspace) -> Void = { _ in },
        progressed: @Sendable (JobStatus) async -> Void = { _ in }
    ) async -> Run {
        let params = manifest.params
        var startedAt = NodeClock.wallClock
        var job: ExecutionJob
        let workspace: JobWorkspace
        let arrived: [CID]
        let module: CoVM.PreparedModule
        if cancellation.isCancelled { return unstarted(.cancelled, startedAt) }
        do {
            var held: Prepared? = try await prepared(
                params, session, output, from: peers, keep: keep, cancellation, fetched, compiles)
            arrived = held?.arrived ?? []
            // A waiting job's inputs are on the disk: many jobs with large inputs must not wait in memory.
            if keep, (held?.bytes ?? 0) > limits.heldBytesMax { held = nil }
            guard !cancellation.isCancelled, await hasPlace() else { return unstarted(.cancelled, startedAt) }
            if held == nil {
                held = try await prepared(params, session, output, from: peers, keep: keep, cancellation)
            }
            guard let held else { return unstarted(.cancelled, startedAt) }
            (job, workspace) = (held.job, held.workspace)
            // While it waited, others may have taken the module's place in memory.
            module = try await code(of: params, nil, from: peers, keep: keep, cancellation)
        } catch {
            var run = unstarted(cancellation.isCancelled ? .cancelled : error.outcome, startedAt)
            run.report.isModuleBeyondLimits = error.showsModuleBeyondLimits(params.wasmCID)
            return run
        }
        if cancellation.isCancelled { return unstarted(.cancelled, startedAt) }
        job.identify(manifest, jobID, executor)
        (job.wallClockMilliseconds, job.repetition, job.played) = (wallClockMilliseconds, repetition, played)
        workspaceMade(workspace)
        startedAt = session?.began(at: NodeClock.wallClock) ?? NodeClock.wallClock
        let result = await executed(job, module, workspace, cancellation)
        let readList = readList(of: result, manifest)
        let transcript = session.flatMap { transcriptBlock(of: result, manifest, $0) }
        for block in [readList, transcript].compactMap(\.self) { _ = workspace.storeBlock(block.cid, block.bytes) }
        if case .moduleRefused = result.outcome, keep {
            // Nobody will ask for it again; what a user added or a job made stays.
            try? await store.commit(arrived.map { .removeCached($0) })
        }
        var held: [MadeBlock] = []
        if keep, workspace.madeBytes <= limits.madeBytesHeldMax, store.hasPlentyOfRoom {
            held = workspace.blocks.map { MadeBlock(cid: $0.cid, bytes: $0.bytes) }
        } else if keep {
            await progressed(.producingOutputs)
            do {
                try await store.commit(
                    workspace.blocks.map { .output(cid: $0.cid, bytes: $0.bytes, jobID: jobID.cid) })
            } catch {
                return unstarted(.nodeFailed(reason: "the outputs could not be stored: \(error)"), startedAt)
            }
        }
        var report = report(of: result, startedAt)
        report.isModuleBeyondLimits = result.compileLimit != nil || result.formLimit != nil
        report.readCID = readList?.cid
        report.transcriptCID = transcript?.cid
        return Run(
            report: report, engine: result.engine, blocks: held,
            strayed: played == nil ? nil : result.session?.fault)
    }

    /// What the user did in a run's session, if its job asks for that and it is no more than a transcript may have.
    private func transcriptBlock(
        of result: ExecutionResult, _ manifest: JobManifest, _ port: SessionPort
    ) -> (cid: CID, bytes: [UInt8])? {
        guard let access = manifest.params.session?.transcript,
            result.outcome.isOfItsOwn || result.outcome == .cancelled, let events = result.session?.events,
            let evidence = port.evidence
        else { return nil }
        let transcript = SessionTranscript(
            jobID: port.jobID, assignmentCID: port.assignment, originatorDID: manifest.originatorDID,
            isShared: access == .shared, events: events, unread: evidence.unread, statements: evidence.statements)
        return transcript.block
    }

    /// Runs the job, and fetches what its mounts need meanwhile.
    private func executed(
        _ job: ExecutionJob, _ module: CoVM.PreparedModule, _ workspace: JobWorkspace,
        _ cancellation: ExecutionCancellation
    ) async -> ExecutionResult {
        guard let mounts = workspace.mounts else {
            return await machine.execute(job, with: module, host: workspace, cancellation: cancellation)
        }
        async let serving: Void = mounts.serve()
        let result = await machine.execute(job, with: module, host: workspace, cancellation: cancellation)
        mounts.close()
        await serving
        return result
    }

    /// What the module read of the job's files, if the job has any and the module was started.
    private func readList(of result: ExecutionResult, _ manifest: JobManifest) -> (cid: CID, bytes: [UInt8])? {
        guard manifest.params.files != nil else { return nil }
        switch result.outcome {
        case .exited, .trapped, .limitExceeded, .filesRefused: return ReadList(result.read).block
        case .cancelled, .moduleRefused, .fetchFailed, .nodeFailed: return nil
        }
    }

    /// How a run of a job would end whose module this node's engine does not take, or cannot have; `nil` if it takes
    /// the module.
    func refusal(of params: MeshJobParams, _ cancellation: ExecutionCancellation) async -> ExecutionOutcome? {
        let fetch = Fetch(
            fetcher: fetcher, limits: limits, peers: [], isPatient: false, cancellation: cancellation,
            arrived: { _ in })
        do {
            let found = try await module(params, fetch, keep: false)
            do {
                _ = try machine.inspect(found.bytes, entry: params.entryName, takes: params.invoke)
            } catch {
                throw Obstacle.refused(error)
            }
            _ = try await code(of: params, found, from: [], keep: false, cancellation)
            return nil
        } catch let obstacle as Obstacle {
            return obstacle.outcome
        } catch {
            return .nodeFailed(reason: "\(error)")
        }
    }

    /// Whether the store shows that a module is longer than this node accepts; the root of a module of many blocks
    /// suffices.
    func isKnownTooLong(_ module: CID) async -> Bool {
        await storedBytes(of: module).map { $0 > UInt64(clamping: moduleBytesMax) } ?? false
    }

    /// How long a file is, by its root in the store; `nil` if that is not there.
    func storedBytes(of file: CID) async -> UInt64? {
        if file.codec == .raw { return ((try? await store.blockSize(file)) ?? nil).map { UInt64(clamping: $0) } }
        guard let root = try? await store.block(file) else { return nil }
        return try? UnixFSNode(root, of: file).fileBytes
    }

    /// Why a run did not begin.
    private enum Obstacle: Error, CustomStringConvertible {
        case notFetched(FetchError)
        case refused(ModuleRefusal)
        case files(reason: String)
        /// The machine does not have the module ready.
        case unprepared(ExecutionResult)

        var outcome: ExecutionOutcome {
            switch self {
            case .unprepared(let result): JobRunner.outcome(of: result)
            case .notFetched(.storage(let error)): .nodeFailed(reason: "what was fetched could not be kept: \(error)")
            case .notFetched(.notAFile(let cid, .fileTooLarge(let bytesMax))):
                .fetchFailed(
                    reason: "\(cid) has more than the \(bytesMax) bytes that the executor takes "
                        + "(limits.module_bytes_max for modules, limits.file_bytes_max for all inputs together)")
            case .notFetched(let error): .fetchFailed(reason: "\(error)")
            case .refused(let refusal) where refusal.isThisNodesLimit:
                .nodeFailed(reason: JobRunner.limitReason("\(refusal)", refusal.setting))
            case .refused(let refusal): .moduleRefused(reason: refusal.reason)
            case .files(let reason): .filesRefused(reason: reason)
            }
        }

        /// Whether it shows that this node's limits are too low for a module.
        func showsModuleBeyondLimits(_ module: CID) -> Bool {
            switch self {
            case .notFetched(.notAFile(module, .fileTooLarge)): true
            case .notFetched, .files: false
            case .refused(let refusal): refusal.isThisNodesLimit
            case .unprepared(let result): result.compileLimit != nil || result.formLimit != nil
            }
        }

        var description: String { outcome.description }
    }

    /// A job with all that it needs.
    private struct Prepared {
        let job: ExecutionJob
        let workspace: JobWorkspace
        /// The blocks of the module that came from others.
        let arrived: [CID]

        var bytes: Int { workspace.inputBytes + (workspace.mounts?.heldBytes ?? 0) }
    }

    /// Fetches and inspects the module, only then fetches the inputs, and compiles last; does not keep a refused
    /// module. Nobody reads a module that is in memory.
    private func prepared(
        _ params: MeshJobParams, _ session: (any GuestSession)?, _ output: LiveOutput?, from peers: [PeerID],
        keep: Bool, _ cancellation: ExecutionCancellation,
        _ arrived: @escaping @Sendable (Int) async -> Void = { _ in },
        _ compiles: @escaping @Sendable (UInt64) async -> Void = { _ in }
    ) async throws(Obstacle) -> Prepared {
        var files: [CID: [UInt8]] = [:]
        var found: ContentFetcher.File?
        var left = inputBytesMax
        let fetch = Fetch(
            fetcher: fetcher, limits: limits, peers: peers, isPatient: keep, cancellation: cancellation,
            arrived: arrived)
        if machine.prepared(params.wasmCID) == nil {
            found = try await module(params, fetch, keep: keep)
        }
        for input in params.inputCIDs where files[input.value] == nil {
            do {
                let file = try await fetch.file(input.value, bytesMax: left)
                if keep { try await fetcher.keep(file.arrived) }
                left -= file.bytes.count
                files[input.value] = file.bytes
            } catch {
                throw .notFetched(error)
            }
        }
        if let found {
            _ = try await code(of: params, found, from: peers, keep: keep, cancellation, compiles)
        }
        var job = ExecutionJob(
            moduleCID: params.wasmCID, module: [], entry: params.entryName, arguments: params.args,
            limits: params.limits)
        job.numbers = params.invoke
        job.environment = params.env.map { ($0.key, $0.value) }
        job.inputs = params.inputCIDs.map { ($0.key, $0.value) }
        if let standardInput = params.inputCIDs["stdin"] { job.standardInput = files[standardInput] ?? [] }
        if let terms = params.session { job.session = terms }
        let mounts = try await mounts(
            of: params, &job, from: peers, patience: keep ? limits.patienceMilliseconds : 0, cancellation, arrived)
        return Prepared(
            job: job, workspace: JobWorkspace(inputs: files, mounts: mounts, session: session, output: output),
            arrived: found?.arrived.map(\.cid) ?? [])
    }

    /// Gives a job its files, and looks at what it mounts: that it is there, and can be mounted.
    private func mounts(
        of params: MeshJobParams, _ job: inout ExecutionJob, from peers: [PeerID], patience milliseconds: Int64,
        _ cancellation: ExecutionCancellation, _ arrived: @Sendable (Int) async -> Void
    ) async throws(Obstacle) -> MountedContent? {
        guard let files = params.files else { return nil }
        let standardInput = job.files.standardInput
        job.files = files.plan(standardInput: nil)
        job.files.standardInput = standardInput
        do {
            let selections = try files.selections()
            job.collect = selections.sorted { $0.key < $1.key }.map { (name: $0.key, selection: $0.value) }
        } catch {
            throw .files(reason: "a pattern of what is to be collected \(error)")
        }
        let limits = limits
        let content = MountedContent(roots: files.contentRoots, fetcher: fetcher, from: peers) {
            RetryPause(
                milliseconds: limits.pauseMilliseconds, millisecondsMax: limits.pauseMillisecondsMax,
                until: NodeClock.now.advanced(milliseconds: milliseconds))
        }
        do {
            let fault = try await content.prepare(
                job.files, limits: machine.fileLimits, isCancelled: { cancellation.isCancelled }, arrived: arrived)
            if let fault { throw Obstacle.files(reason: fault) }
            return content
        } catch let obstacle as Obstacle {
            throw obstacle
        } catch let error as FetchError {
            if case .tooMuchAtOnce = error { throw .files(reason: "\(error)") }
            throw .notFetched(error)
        } catch {
            throw .files(reason: "\(error)")
        }
    }

    /// Fetches a module, and inspects one that came from others: one that was here already was inspected when it came,
    /// or will be when it is compiled.
    private func module(
        _ params: MeshJobParams, _ fetch: Fetch, keep: Bool
    ) async throws(Obstacle) -> ContentFetcher.File {
        let found: ContentFetcher.File
        do {
            found = try await fetch.file(params.wasmCID, bytesMax: moduleBytesMax)
        } catch {
            throw .notFetched(error)
        }
        if !found.arrived.isEmpty {
            do {
                _ = try machine.inspect(found.bytes, entry: params.entryName, takes: params.invoke)
            } catch {
                throw .refused(error)
            }
        }
        do {
            if keep { try await fetcher.keep(found.arrived) }
        } catch {
            throw .notFetched(error)
        }
        return found
    }

    /// A module that is ready to run; `found` if it was just fetched.
    private func code(
        of params: MeshJobParams, _ found: ContentFetcher.File?, from peers: [PeerID], keep: Bool,
        _ cancellation: ExecutionCancellation, _ compiles: @Sendable (UInt64) async -> Void = { _ in }
    ) async throws(Obstacle) -> CoVM.PreparedModule {
        if let ready = machine.prepared(params.wasmCID) { return ready }
        var file = found
        if file == nil {
            let fetch = Fetch(
                fetcher: fetcher, limits: limits, peers: peers, isPatient: keep, cancellation: cancellation,
                arrived: { _ in })
            file = try await module(params, fetch, keep: keep)
        }
        guard let file else { throw .notFetched(.notFound(params.wasmCID, reason: "it was not read")) }
        switch await machine.prepare(
            file.bytes, named: params.wasmCID, cancellation: cancellation, compiles: compiles)
        {
        case .success(let ready): return ready
        case .failure(let unprepared):
            if case .moduleRefused = unprepared.result.outcome, keep {
                // Nobody will ask for it again; what a user added or a job made stays.
                try? await store.commit(file.arrived.map { .removeCached($0.cid) })
            }
            throw .unprepared(unprepared.result)
        }
    }

    /// A reason that names the setting behind it.
    private static func limitReason(_ reason: String, _ setting: String?) -> String {
        reason + (setting.map { " (\($0) in the executor's config.json)" } ?? "")
    }

    private static func outcome(of result: ExecutionResult) -> ExecutionOutcome {
        guard case .nodeFailed(let reason) = result.outcome else { return result.outcome }
        return .nodeFailed(reason: limitReason(reason, result.setting))
    }

    private func report(of result: ExecutionResult, _ startedAt: UnixMilliseconds) -> ExecutionReport {
        var report = ExecutionReport(
            outcome: Self.outcome(of: result), usage: result.usage, startedAt: startedAt, endedAt: NodeClock.wallClock)
        report.outputs = CanonicalMap(result.outputs.map { ($0.name, $0.cid) })
        report.stdoutCID = result.standardOutputCID
        report.stderrCID = result.standardErrorCID
        report.logCID = result.logCID
        report.anchoredCIDs = result.anchoredCIDs
        return report
    }
}

/// Fetches the files of one job, with patience where the originator may be restarting.
private struct Fetch: Sendable {
    let fetcher: ContentFetcher
    let limits: JobRunner.Limits
    let peers: [PeerID]
    let cancellation: ExecutionCancellation
    private let patience: RetryPause
    private let news: ByteNews
    private let arrived: @Sendable (Int) async -> Void

    init(
        fetcher: ContentFetcher, limits: JobRunner.Limits, peers: [PeerID], isPatient: Bool,
        cancellation: ExecutionCancellation, arrived: @escaping @Sendable (Int) async -> Void
    ) {
        self.fetcher = fetcher
        self.limits = limits
        self.peers = peers
        self.cancellation = cancellation
        self.arrived = arrived
        patience = RetryPause(
            milliseconds: limits.pauseMilliseconds, millisecondsMax: limits.pauseMillisecondsMax,
            until: NodeClock.now.advanced(milliseconds: isPatient ? limits.patienceMilliseconds : 0))
        news = ByteNews(bytesMin: limits.reportedBytesMin)
    }

    func file(_ cid: CID, bytesMax: Int) async throws(FetchError) -> ContentFetcher.File {
        var patience = patience
        while true {
            do {
                return try await fetcher.unkept(cid, from: peers, bytesMax: bytesMax) { bytes in
                    if let sum = news.came(bytes) { await arrived(sum) }
                }
            } catch {
                guard case .notFound = error, let pause = patience.next(now: NodeClock.now),
                    !cancellation.isCancelled, (try? await Task.sleep(for: .milliseconds(pause))) != nil
                else { throw error }
            }
        }
    }
}

/// Adds up arriving bytes, so that not every small block is reported.
private final class ByteNews: Sendable {
    private let bytesMin: Int
    private let bytes = Mutex(0)

    init(bytesMin: Int) {
        self.bytesMin = bytesMin
    }

    /// Notes arrived bytes; returns the unreported sum once it is worth reporting.
    func came(_ count: Int) -> Int? {
        bytes.withLock { bytes in
            bytes += count
            guard bytes >= bytesMin else { return nil }
            defer { bytes = 0 }
            return bytes
        }
    }
}

extension ExecutionJob {
    /// Sets what the guest may learn of its job, and what chance and clock begin with.
    fileprivate mutating func identify(_ manifest: JobManifest, _ id: JobID, _ executor: DID) {
        jobID = manifest.visibleJobID(of: id)
        originatorDID = manifest.originatorDID.text
        executorDID = manifest.visibleExecutor(executor)
        seed = manifest.guestSeed
        clockStartNanoseconds =
            manifest.guestClockStart.value.multipliedReportingOverflow(by: 1_000_000).partialValue
        guard manifest.params.isAttestedAlone else { return }
        seed = UInt64.random(in: .min ... .max)
        clockStartNanoseconds = NodeClock.wallClock.value.multipliedReportingOverflow(by: 1_000_000).partialValue
    }
}
