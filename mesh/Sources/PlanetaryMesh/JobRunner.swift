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
    }

    /// A run that ended before its module started.
    private func unstarted(_ outcome: ExecutionOutcome, _ startedAt: UnixMilliseconds) -> Run {
        Run(
            report: ExecutionReport(outcome: outcome, startedAt: startedAt, endedAt: NodeClock.wallClock),
            engine: machine.engineDescription)
    }

    /// Runs the job of a manifest as `executor` would, with missing blocks from `peers`.
    ///
    /// - Parameters:
    ///   - wallClockMilliseconds: a bound below the job's, for an executor whose time is nearly over.
    ///   - fetched: receives the number of bytes of module and inputs as they come.
    ///   - hasPlace: called once they are all here; returns when the job may run, or `false` if it may not.
    func run(
        _ manifest: JobManifest, jobID: JobID, executor: DID, from peers: [PeerID], wallClockMilliseconds: UInt64?,
        cancellation: ExecutionCancellation, keep: Bool,
        fetched: @escaping @Sendable (Int) async -> Void = { _ in }, hasPlace: @Sendable () async -> Bool = { true },
        workspaceMade: @Sendable (JobWorkspace) -> Void = { _ in },
        progressed: @Sendable (JobStatus) async -> Void = { _ in }
    ) async -> Run {
        let params = manifest.params
        var startedAt = NodeClock.wallClock
        var job: ExecutionJob
        let workspace: JobWorkspace
        let arrived: [CID]
        if cancellation.isCancelled { return unstarted(.cancelled, startedAt) }
        do {
            var held: Prepared? = try await prepared(params, from: peers, keep: keep, cancellation, fetched)
            arrived = held?.arrived ?? []
            // A waiting job's inputs are on the disk: many jobs with large inputs must not wait in memory.
            if keep, (held?.bytes ?? 0) > limits.heldBytesMax { held = nil }
            guard !cancellation.isCancelled, await hasPlace() else { return unstarted(.cancelled, startedAt) }
            if held == nil { held = try await prepared(params, from: peers, keep: keep, cancellation) { _ in } }
            guard let held else { return unstarted(.cancelled, startedAt) }
            (job, workspace) = (held.job, held.workspace)
        } catch {
            var run = unstarted(cancellation.isCancelled ? .cancelled : error.outcome, startedAt)
            run.report.isModuleBeyondLimits = error.showsModuleBeyondLimits(params.wasmCID)
            return run
        }
        if cancellation.isCancelled { return unstarted(.cancelled, startedAt) }
        job.jobID = jobID.cid.text
        job.originatorDID = manifest.originatorDID.text
        job.executorDID = executor.text
        job.wallClockMilliseconds = wallClockMilliseconds
        job.seed = manifest.nonce.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        job.clockStartNanoseconds = manifest.submittedAt.value.multipliedReportingOverflow(by: 1_000_000).partialValue
        workspaceMade(workspace)
        startedAt = NodeClock.wallClock
        let result = await executed(job, workspace, cancellation)
        let readList = readList(of: result, manifest)
        if let readList { _ = workspace.storeBlock(readList.cid, readList.bytes) }
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
        return Run(report: report, engine: result.engine, blocks: held)
    }

    /// Runs the job, and fetches what its mounts need meanwhile.
    private func executed(
        _ job: ExecutionJob, _ workspace: JobWorkspace, _ cancellation: ExecutionCancellation
    ) async -> ExecutionResult {
        guard let mounts = workspace.mounts else {
            return await machine.execute(job, host: workspace, cancellation: cancellation)
        }
        async let serving: Void = mounts.serve()
        let result = await machine.execute(job, host: workspace, cancellation: cancellation)
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

        var outcome: ExecutionOutcome {
            switch self {
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

        var bytes: Int { job.module.count + workspace.inputBytes + (workspace.mounts?.heldBytes ?? 0) }
    }

    /// Fetches and inspects the module, and only then fetches the inputs; does not keep a refused module. Returns the
    /// module's blocks that came from others.
    private func prepared(
        _ params: MeshJobParams, from peers: [PeerID], keep: Bool, _ cancellation: ExecutionCancellation,
        _ arrived: @escaping @Sendable (Int) async -> Void
    ) async throws(Obstacle) -> Prepared {
        let patience = RetryPause(
            milliseconds: limits.pauseMilliseconds, millisecondsMax: limits.pauseMillisecondsMax,
            until: NodeClock.now.advanced(milliseconds: keep ? limits.patienceMilliseconds : 0))
        let news = ByteNews(bytesMin: limits.reportedBytesMin)
        func fetched(_ cid: CID, bytesMax: Int) async throws(FetchError) -> ContentFetcher.File {
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
        var files: [CID: [UInt8]] = [:]
        let found: ContentFetcher.File
        do {
            found = try await fetched(params.wasmCID, bytesMax: moduleBytesMax)
            // One that was here already was inspected when it came, or will be when it is compiled.
            if !found.arrived.isEmpty { try inspected(found.bytes, entry: params.entryName) }
            if keep { try await fetcher.keep(found.arrived) }
            var left = inputBytesMax
            for input in params.inputCIDs where files[input.value] == nil {
                let file = try await fetched(input.value, bytesMax: left)
                if keep { try await fetcher.keep(file.arrived) }
                left -= file.bytes.count
                files[input.value] = file.bytes
            }
        } catch let error as Obstacle {
            throw error
        } catch let error as FetchError {
            throw .notFetched(error)
        } catch {
            throw .notFetched(.notFound(params.wasmCID, reason: "\(error)"))
        }
        let module = found.bytes
        // The machine names code by the hash of its bytes; a module of many chunks has another CID.
        let codeCID = params.wasmCID.codec == .raw ? params.wasmCID : CID.hashing(module, codec: .raw)
        var job = ExecutionJob(
            moduleCID: codeCID, module: module, entry: params.entryName, arguments: params.args, limits: params.limits)
        job.environment = params.env.map { ($0.key, $0.value) }
        job.inputs = params.inputCIDs.map { ($0.key, $0.value) }
        if let standardInput = params.inputCIDs["stdin"] { job.standardInput = files[standardInput] ?? [] }
        let mounts = try await mounts(of: params, &job, from: peers, patience: keep ? limits.patienceMilliseconds : 0)
        return Prepared(
            job: job, workspace: JobWorkspace(inputs: files, mounts: mounts), arrived: found.arrived.map(\.cid))
    }

    /// Gives a job its files, and looks at what it mounts: that it is there, and can be mounted.
    private func mounts(
        of params: MeshJobParams, _ job: inout ExecutionJob, from peers: [PeerID], patience milliseconds: Int64
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
            let fault = try await content.prepare(job.files, limits: machine.fileLimits)
            if let fault { throw Obstacle.files(reason: "\(fault)") }
            return content
        } catch let obstacle as Obstacle {
            throw obstacle
        } catch let error as FetchError {
            throw .notFetched(error)
        } catch {
            throw .files(reason: "\(error)")
        }
    }

    private func inspected(_ module: [UInt8], entry: String) throws(Obstacle) {
        do {
            _ = try machine.inspect(module, entry: entry)
        } catch {
            throw .refused(error)
        }
    }

    /// A reason that names the setting behind it.
    private static func limitReason(_ reason: String, _ setting: String?) -> String {
        reason + (setting.map { " (\($0) in the executor's config.json)" } ?? "")
    }

    private func report(of result: ExecutionResult, _ startedAt: UnixMilliseconds) -> ExecutionReport {
        var outcome = result.outcome
        if case .nodeFailed(let reason) = outcome {
            outcome = .nodeFailed(reason: Self.limitReason(reason, result.setting))
        }
        var report = ExecutionReport(
            outcome: outcome, usage: result.usage, startedAt: startedAt, endedAt: NodeClock.wallClock)
        report.outputs = CanonicalMap(result.outputs.map { ($0.name, $0.cid) })
        report.stdoutCID = result.standardOutputCID
        report.stderrCID = result.standardErrorCID
        report.logCID = result.logCID
        report.anchoredCIDs = result.anchoredCIDs
        return report
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
