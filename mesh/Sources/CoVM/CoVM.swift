import Crypto
package import GuestFiles
package import MeshTypes
import Multiformats

/// The Cooperative Virtual Machine: runs the WebAssembly modules of jobs under fuel, in a sandbox whose only doors are
/// WASI preview 1 and ``MeshHostABI``.
///
/// The life of a run: CoVM checks arguments and module; gets the machine code from memory, from the cache on disk, or
/// from a child process that compiles the module under limits; waits for one of a bounded number of threads; and gives
/// the run a store of its own, fuel and a memory limit. The run ends in exactly one `ExecutionOutcome`, and CoVM stores
/// whatever it wrote as blocks.
package final class CoVM: Sendable {
    private let configuration: CoVMConfiguration
    private let engine: WasmEngine
    private let standstills: StandstillWatch
    private let cache: CompiledModuleCache
    private let compiler: ModuleCompiler
    private let loadedModules: LoadedModules
    private let runSlots: RunSlots
    private let compileSlots: RunSlots

    /// Starts the engine, checks its version, and opens the cache of compiled modules.
    package init(configuration: CoVMConfiguration) throws(CoVMError) {
        self.configuration = configuration
        let limits = configuration.limits
        engine = try WasmEngine()
        standstills = StandstillWatch(
            tickMilliseconds: limits.watchTickMilliseconds, standstillMilliseconds: limits.standstillMilliseconds)
        cache = try CompiledModuleCache(
            directory: configuration.cacheDirectory, entryBytesMax: limits.compiledModuleBytesMax,
            bytesMax: limits.cacheBytesMax,
            context: engine.codeContext)
        let worker = configuration.compileWorker ?? ModuleCompiler.standardWorker()
        guard PrivateFile.exists(worker.executable) else { throw .compileWorkerMissing(path: worker.executable) }
        compiler = ModuleCompiler(
            worker: worker, limits: configuration.compileLimits, compiledBytesMax: limits.compiledModuleBytesMax,
            directory: configuration.cacheDirectory)
        loadedModules = LoadedModules(countMax: limits.loadedModulesMax, bytesMax: limits.loadedModuleBytesMax)
        runSlots = RunSlots(
            slotsMax: limits.concurrentRunsMax, waitersMax: limits.queuedRunsMax,
            parkedMax: limits.parkedRunsMax)
        compileSlots = RunSlots(slotsMax: limits.concurrentCompilesMax, waitersMax: limits.queuedCompilesMax)
    }

    /// The engine, as receipts and capability advertisements name it.
    package var engineDescription: EngineDescription { engine.description }

    /// Engines of earlier releases that give the same results and the same fuel as this one, except where a run uses up
    /// the stack, and to modules that they refused.
    package var likeEngines: [EngineDescription] {
        EngineProfile.earlierDigests.map {
            EngineDescription(
                name: engine.description.name, version: engine.description.version, configurationDigest: $0)
        }
    }

    /// Runs in progress, runs in the queue, and runs that wait for blocks of their mounts.
    package var load: (running: Int, queued: Int, parked: Int) {
        let load = runSlots.load
        return (load.used, load.waiting, load.parked)
    }

    /// The bounds of the files of a run.
    package var fileLimits: GuestFileSystem.Limits { configuration.limits.files }

    /// Cache entries refused because they were not as this node wrote them.
    package var corruptedCacheEntries: Int { cache.corruptedCount }

    /// Checks a module as far as possible without compiling it: limits, imports, entry point, validity. The compiler
    /// may still refuse a module that passes, at its limits.
    package func inspect(_ module: [UInt8], entry: String = "_start") throws(ModuleRefusal) -> ModuleInspection {
        let inspection = try checked(module)
        try inspection.checkEntryPoint(entry)
        try engine.validate(module)
        return inspection
    }

    private func checked(_ module: [UInt8]) throws(ModuleRefusal) -> ModuleInspection {
        let inspection = try ModuleInspection(module, limits: configuration.moduleLimits)
        try inspection.checkImports(engine.functions, limits: configuration.moduleLimits)
        return inspection
    }

    /// Runs a job to its end, whatever that is, in bounded time; never throws.
    ///
    /// Cancelling the calling task does the same as `cancellation`.
    package func execute(
        _ job: ExecutionJob, host: any ExecutionHost, cancellation: ExecutionCancellation = ExecutionCancellation()
    ) async -> ExecutionResult {
        await withTaskCancellationHandler {
            await executeUncancelled(job, host, cancellation)
        } onCancel: {
            cancellation.cancel()
        }
    }

    private func executeUncancelled(
        _ job: ExecutionJob, _ host: any ExecutionHost, _ cancellation: ExecutionCancellation
    ) async -> ExecutionResult {
        let module: ReadyModule
        let source: ExecutionResult.ModuleSource
        do {
            (module, source) = try await ready(job, cancellation)
        } catch {
            var result = ExecutionResult(outcome: error.outcome, engine: engine.description)
            switch error {
            case .beyond(let limit): result.compileLimit = limit
            case .refused(let refusal) where refusal.isThisNodesLimit: result.formLimit = refusal
            case .refused, .cancelled, .node: break
            }
            return result
        }
        if let outcome = exceededAtStart(module.inspection, job) {
            return ExecutionResult(outcome: outcome, engine: engine.description, moduleSource: source)
        }
        switch await runSlots.enter(cancellation) {
        case .admitted: break
        case .cancelled:
            return ExecutionResult(outcome: .cancelled, engine: engine.description, moduleSource: source)
        case .queueFull:
            let outcome = ExecutionOutcome.nodeFailed(reason: "too many jobs are waiting for a thread")
            return ExecutionResult(outcome: outcome, engine: engine.description, moduleSource: source)
        }
        let place = RunPlace(in: runSlots)
        defer { place.leave() }
        return await onThread(
            { self.run(job, host, cancellation, module, source, place) },
            otherwise: ExecutionResult(
                outcome: .nodeFailed(reason: "the system has no thread for the run"), engine: engine.description))
    }

    /// The limit that the module's own declarations already exceed, if any.
    private func exceededAtStart(_ inspection: ModuleInspection, _ job: ExecutionJob) -> ExecutionOutcome? {
        if inspection.initialMemoryBytes > job.limits.maxMemoryBytes { return .limitExceeded(.memory) }
        if inspection.initialTableElements > UInt64(configuration.limits.tableElementsMax) {
            return .limitExceeded(.table)
        }
        return nil
    }

    // MARK: Machine code

    private enum Unready: Error, CustomStringConvertible {
        case refused(ModuleRefusal)
        case beyond(CompileLimit)
        case cancelled
        case node(String)

        var outcome: ExecutionOutcome {
            switch self {
            case .refused(let refusal) where refusal.isThisNodesLimit: .nodeFailed(reason: refusal.description)
            case .refused(let refusal): .moduleRefused(reason: refusal.reason)
            case .beyond(let limit): .nodeFailed(reason: limit.reason)
            case .cancelled: .cancelled
            case .node(let reason): .nodeFailed(reason: reason)
            }
        }

        var description: String { outcome.description }
    }

    private func ready(
        _ job: ExecutionJob, _ cancellation: ExecutionCancellation
    ) async throws(Unready) -> (ReadyModule, ExecutionResult.ModuleSource) {
        let digest = Array(SHA256.hash(data: job.module))
        guard job.moduleCID.multihash.digest == digest else {
            throw .node("the module's bytes do not hash to \(job.moduleCID)")
        }
        do {
            try job.checkArguments()
            if let module = loadedModules[digest] {
                try module.inspection.checkEntryPoint(job.entry)
                return (module, .memory)
            }
            let inspection = try checked(job.module)
            try inspection.checkEntryPoint(job.entry)
            return try await load(job.module, digest, inspection, cancellation)
        } catch let refusal as ModuleRefusal {
            throw .refused(refusal)
        } catch let unready as Unready {
            throw unready
        } catch {
            throw .node("the module could not be loaded")
        }
    }

    private func load(
        _ module: [UInt8], _ digest: [UInt8], _ inspection: ModuleInspection, _ cancellation: ExecutionCancellation
    ) async throws(Unready) -> (ReadyModule, ExecutionResult.ModuleSource) {
        switch await compileSlots.enter(cancellation) {
        case .admitted: break
        case .cancelled: throw .cancelled
        case .queueFull: throw .node("too many modules are waiting to be compiled")
        }
        defer { compileSlots.leave() }
        // Another job may have loaded the module while this one waited.
        if let module = loadedModules[digest] { return (module, .memory) }
        if let loaded = await onThread({ self.loadFromDisk(digest) }, otherwise: nil) {
            return (keep(loaded, digest, inspection), .disk)
        }
        let compiled: [UInt8]
        do {
            compiled = try await compiler.compile(module, cancellation: cancellation)
        } catch {
            switch error {
            case .refused(.invalid(let message)): throw .refused(ModuleInspection.refusal(of: module, message: message))
            case .refused(let refusal): throw .refused(refusal)
            case .beyond(let limit): throw .beyond(limit)
            case .cancelled: throw .cancelled
            case .node(let reason): throw .node(reason)
            }
        }
        let result = await onThread({ self.loadAndStore(compiled, digest) }, otherwise: nil)
        switch result {
        case .success(let loaded): return (keep(loaded, digest, inspection), .compiled)
        case .failure(let error): throw .node("the compiled module could not be loaded: \(error.message)")
        case nil: throw .node("the system has no thread to load the module")
        }
    }

    private func keep(_ loaded: LoadedModule, _ digest: [UInt8], _ inspection: ModuleInspection) -> ReadyModule {
        let module = ReadyModule(inspection: inspection, loaded: loaded)
        loadedModules.insert(module, digest)
        return module
    }

    private func loadFromDisk(_ digest: [UInt8]) -> LoadedModule? {
        guard case .hit(let compiled) = cache.load(digest) else { return nil }
        switch engine.load(trusted: compiled) {
        case .success(let loaded): return loaded
        case .failure:
            cache.forget(digest)
            return nil
        }
    }

    private func loadAndStore(_ compiled: [UInt8], _ digest: [UInt8]) -> Result<LoadedModule, EngineError> {
        let result = engine.load(trusted: compiled)
        if case .success = result { cache.store(digest, compiled) }
        return result
    }

    // MARK: The run itself, on its thread

    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () -> Value, otherwise: Value
    ) async -> Value {
        await withCheckedContinuation { continuation in
            let isStarted = RunThread.start(stackBytes: configuration.limits.threadStackBytes) {
                continuation.resume(returning: body())
            }
            if !isStarted { continuation.resume(returning: otherwise) }
        }
    }

    private func run(
        _ job: ExecutionJob, _ host: any ExecutionHost, _ cancellation: ExecutionCancellation, _ module: ReadyModule,
        _ source: ExecutionResult.ModuleSource, _ place: RunPlace
    ) -> ExecutionResult {
        let start = SystemClock.nanoseconds()
        guard standstills.runBegins() else {
            return ExecutionResult(
                outcome: .nodeFailed(reason: "the system has no thread for the clock"), engine: engine.description)
        }
        defer { standstills.runEnded() }
        let run = JobRun(
            job: job, host: host, cancellation: cancellation, functionCount: engine.functions.functions.count,
            entryHasResult: module.inspection.entryHasResult(job.entry),
            watch: WallClockWatch(
                job: job, now: start, standstills: standstills,
                processorPercentMin: configuration.limits.processorPercentMin),
            place: place, limits: configuration.limits)
        let end = outcome(of: run, module)
        var result = ExecutionResult(outcome: end.outcome, engine: engine.description, moduleSource: source)
        collect(run, &result)
        result.usage = ResourceUsage(
            fuel: end.fuel, peakMemoryBytes: run.memory.peakBytes, hostCalls: hostCalls(run),
            bytesRead: run.bytesRead, bytesWritten: run.bytesWritten,
            wallMilliseconds: (SystemClock.nanoseconds() - start - run.stillNanoseconds) / 1_000_000)
        result.interruptions = run.interruptions
        store(run, host, &result)
        return result
    }

    /// Builds the guest's files and runs it.
    private func outcome(of run: JobRun, _ module: ReadyModule) -> (outcome: ExecutionOutcome, fuel: UInt64) {
        do {
            try run.mount()
        } catch {
            return (TrapReport.outcome(of: error, run: run), 0)
        }
        let entry = run.job.entry
        let runner = GuestRunner(
            engine: engine, loaded: module.loaded, tableElementsMax: configuration.limits.tableElementsMax,
            yieldIntervalFuel: configuration.limits.yieldIntervalFuel, looked: configuration.limits.looked,
            callsInitializer: module.inspection.hasInitializer && entry != "_start" && entry != "_initialize")
        return runner.run(run)
    }

    /// Makes outputs of what the run left in its files, however its module ended.
    private func collect(_ run: JobRun, _ result: inout ExecutionResult) {
        switch result.outcome {
        case .exited, .trapped, .limitExceeded: break
        case .cancelled, .moduleRefused, .filesRefused, .fetchFailed, .nodeFailed: return
        }
        do {
            var collection = FileCollection(run, millisecondsMax: configuration.limits.collectMillisecondsMax)
            try collection.collect()
        } catch {
            switch error {
            case .output, .filesRefused:
                // How the module ended by itself says more.
                guard case .exited = result.outcome else { return }
                result.outcome = TrapReport.outcome(of: error, run: run)
            default: result.outcome = TrapReport.outcome(of: error, run: run)
            }
        }
    }

    private func hostCalls(_ run: JobRun) -> CanonicalMap<UInt64> {
        CanonicalMap(
            zip(engine.functions.functions, run.hostCalls).filter { $0.1 > 0 }.map { ("\($0.module).\($0.name)", $1) })
    }

    /// Stores what the guest wrote; a node that cannot store it has not done the job.
    private func store(_ run: JobRun, _ host: any ExecutionHost, _ result: inout ExecutionResult) {
        result.outputs = run.outputs
        result.anchoredCIDs = run.anchored
        if let files = run.files { result.read = files.record }
        var isStored = true
        func stored(_ bytes: [UInt8]) -> CID? {
            guard !bytes.isEmpty else { return nil }
            guard let cid = host.storeBlock(bytes) else {
                isStored = false
                return nil
            }
            return cid
        }
        result.standardOutputCID = stored(run.standardOutput)
        result.standardErrorCID = stored(run.standardError)
        result.logCID = stored(run.logLines)
        if !isStored { result.outcome = .nodeFailed(reason: "what the job wrote could not be stored") }
    }
}
