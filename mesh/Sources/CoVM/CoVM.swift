import CSandbox
package import GuestFiles
package import MeshTypes
package import Multiformats

/// The Cooperative Virtual Machine: runs the WebAssembly modules of jobs under fuel, in a sandbox whose only doors are
/// WASI preview 1 and ``MeshHostABI``.
///
/// The life of a run: CoVM checks arguments and module; gets the machine code from memory, from the cache on disk, or
/// from a child process that compiles the module under limits; waits for one of a bounded number of places; and gives
/// the run a store of its own, fuel and a memory limit. The run ends in exactly one `ExecutionOutcome`, and CoVM stores
/// whatever it wrote as blocks.
package final class CoVM: Sendable {
    private let configuration: CoVMConfiguration
    private let engine: WasmEngine
    private let standstills: StandstillWatch
    private let stock: ModuleStock
    private let runSlots: RunSlots

    /// Starts the engine, checks its version, and opens the cache of compiled modules.
    package init(configuration: CoVMConfiguration) throws(CoVMError) {
        self.configuration = configuration
        let limits = configuration.limits
        engine = try WasmEngine()
        standstills = StandstillWatch(
            tickMilliseconds: limits.watchTickMilliseconds, standstillMilliseconds: limits.standstillMilliseconds)
        stock = try ModuleStock(configuration, engine)
        runSlots = RunSlots(
            slotsMax: limits.concurrentRunsMax, waitersMax: limits.queuedRunsMax,
            parking: .init(runsMax: limits.parkedRunsMax, bytesMax: limits.parkedBytesMax))
    }

    /// Changes how many runs there are at once; with fewer, those under way run on.
    package func resize(concurrentRunsMax: Int) { runSlots.resize(slotsMax: concurrentRunsMax) }

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

    /// How runs are kept apart from this process, by the words of `mesh status`: `process`, `seccomp`, `landlock`.
    package var isolation: [String] {
        guard stock.runsInProcesses else { return [] }
        let kernel = sandbox_of_kernel()
        let means = [(SANDBOX_SYSTEM_CALLS, "seccomp"), (SANDBOX_FILES, "landlock")]
        return ["process"] + means.filter { kernel & Int32($0.0) != 0 }.map(\.1)
    }

    /// Runs in progress, runs in the queue, and runs that wait for blocks of their mounts.
    package var load: (running: Int, queued: Int, parked: Int) {
        let load = runSlots.load
        return (load.used, load.waiting, load.parked)
    }

    /// The bounds of the files of a run.
    package var fileLimits: GuestFileSystem.Limits { configuration.limits.files }

    /// Cache entries refused because they were not as this node wrote them.
    package var corruptedCacheEntries: Int { stock.corruptedCount }

    /// Checks a module as far as possible without compiling it: limits, imports, entry point, validity. The compiler
    /// may still refuse a module that passes, at its limits.
    ///
    /// - Parameters:
    ///   - entry: the function that a job calls; nil to look at none.
    ///   - numbers: what it is called with, if for its results.
    package func inspect(
        _ module: [UInt8], entry: String? = "_start", takes numbers: [WasmNumber]? = nil
    ) throws(ModuleRefusal) -> ModuleInspection {
        let inspection = try stock.checked(module)
        if let entry { try inspection.checkEntryPoint(entry, takes: numbers) }
        try engine.validate(module)
        return inspection
    }

    /// Table elements that a run may have; a module that starts with more never runs.
    package var tableElementsMax: UInt64 { UInt64(clamping: configuration.limits.tableElementsMax) }

    /// A module that is ready to run, with what inspection found.
    package struct PreparedModule: Sendable {
        let ready: ReadyModule
        /// Where its machine code came from.
        package let source: ExecutionResult.ModuleSource
        /// Its functions.
        package var functionCount: Int { ready.inspection.functionCount }
    }

    /// A module that is in memory, by the CID that jobs name it by: nobody needs to read it again.
    ///
    /// Keep it no longer than for the run: it holds the machine code.
    package func prepared(_ name: CID) -> PreparedModule? {
        stock.inMemory(name).map { PreparedModule(ready: $0, source: .memory) }
    }

    /// Makes a module ready to run: from memory, from disk, or compiled.
    ///
    /// - Parameters:
    ///   - name: the CID that jobs name it by; that of its bytes, or the root of its blocks, which whoever fetched them
    ///     has checked.
    ///   - compiles: called if the module has to be compiled, with the milliseconds that this may take.
    /// - Returns: the module, or the result of a job that cannot have it.
    package func prepare(
        _ module: [UInt8], named name: CID, cancellation: ExecutionCancellation,
        compiles: @Sendable (UInt64) async -> Void = { _ in }
    ) async -> Result<PreparedModule, Unprepared> {
        do {
            let found = try await stock.module(module, named: name, cancellation, compiles: compiles)
            return .success(PreparedModule(ready: found.module, source: found.source))
        } catch {
            return .failure(Unprepared(result: unstarted(error)))
        }
    }

    /// Why a module cannot run: the result of a job that brings it.
    package struct Unprepared: Error, CustomStringConvertible {
        /// How the job ends.
        package let result: ExecutionResult
        /// The outcome in words.
        package var description: String { result.outcome.description }
        /// Why, without whose doing it is.
        package var reason: String {
            switch result.outcome {
            case .moduleRefused(let reason), .nodeFailed(let reason): reason
            default: description
            }
        }
    }

    private func unstarted(_ failure: ModuleStock.Failure) -> ExecutionResult {
        var result = ExecutionResult(outcome: failure.outcome, engine: engine.description)
        switch failure {
        case .beyond(let limit): result.compileLimit = limit
        case .refused(let refusal) where refusal.isThisNodesLimit: result.formLimit = refusal
        case .refused, .cancelled, .node: break
        }
        return result
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
        switch await prepare(job.module, named: job.moduleCID, cancellation: cancellation) {
        case .success(let prepared): return await executePrepared(job, prepared, host, cancellation)
        case .failure(let unprepared): return unprepared.result
        }
    }

    /// Runs a job like `execute`, with a module that is ready; the job's own bytes are not looked at.
    package func execute(
        _ job: ExecutionJob, with module: PreparedModule, host: any ExecutionHost,
        cancellation: ExecutionCancellation = ExecutionCancellation()
    ) async -> ExecutionResult {
        await withTaskCancellationHandler {
            await executePrepared(job, module, host, cancellation)
        } onCancel: {
            cancellation.cancel()
        }
    }

    private func executePrepared(
        _ job: ExecutionJob, _ prepared: PreparedModule, _ host: any ExecutionHost,
        _ cancellation: ExecutionCancellation
    ) async -> ExecutionResult {
        let (module, source) = (prepared.ready, prepared.source)
        let call: EntryCall
        do {
            try job.checkArguments()
            call = try module.inspection.call(job.entry, job.numbers)
        } catch {
            return unstarted(.refused(error))
        }
        if let outcome = exceededAtStart(module.inspection, job) {
            return ExecutionResult(outcome: outcome, engine: engine.description, moduleSource: source)
        }
        switch await runSlots.enter(cancellation) {
        case .admitted: break
        case .cancelled:
            return ExecutionResult(outcome: .cancelled, engine: engine.description, moduleSource: source)
        case .queueFull:
            let outcome = ExecutionOutcome.nodeFailed(reason: "too many jobs are waiting for a place")
            return ExecutionResult(outcome: outcome, engine: engine.description, moduleSource: source)
        }
        let place = RunPlace(in: runSlots, of: job.originatorDID)
        defer { place.leave() }
        let result = await RunThread.value(stackBytes: configuration.limits.threadStackBytes) {
            self.run(job, call, host, cancellation, module, source, place)
        }
        return result
            ?? ExecutionResult(
                outcome: .nodeFailed(reason: "the system has no thread for the run"), engine: engine.description)
    }

    /// The limit that the module's own declarations already exceed, if any.
    private func exceededAtStart(_ inspection: ModuleInspection, _ job: ExecutionJob) -> ExecutionOutcome? {
        if inspection.initialMemoryBytes > job.limits.maxMemoryBytes { return .limitExceeded(.memory) }
        if inspection.initialTableElements > UInt64(configuration.limits.tableElementsMax) {
            return .limitExceeded(.table)
        }
        return nil
    }

    // MARK: The run itself, on its thread

    private func run(
        _ job: ExecutionJob, _ call: EntryCall, _ host: any ExecutionHost, _ cancellation: ExecutionCancellation,
        _ module: ReadyModule, _ source: ExecutionResult.ModuleSource, _ place: RunPlace
    ) -> ExecutionResult {
        let limits = configuration.limits
        let waiter = PlaceWaiter(host, place, cancellation, limits, job)
        switch module.code {
        case .here(let loaded):
            RunThread.beNice(limits.nice)
            let execution = RunExecution(
                engine: engine, loaded: loaded, call: call, limits: limits, standstills: standstills)
            let result = execution.run(job, host, cancellation, waiter: waiter, source: source)
            return waiter.recorded(in: result)
        case .process(let process):
            let result = ExecutionResult(
                outcome: .nodeFailed(reason: "the run has not begun"), engine: engine.description,
                moduleSource: source)
            let run = SupervisedRun(
                job: job, order: RunOrder(job, call, limits), host: host, waiter: waiter,
                cancellation: cancellation, limits: limits)
            return waiter.recorded(in: run.run(in: process, result))
        }
    }
}
