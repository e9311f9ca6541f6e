import GuestFiles
import MeshTypes
import Multiformats

/// One run from its files to its outputs, on the calling thread: the same in the node and in a process of its own.
struct RunExecution {
    let engine: WasmEngine
    let loaded: LoadedModule
    let call: EntryCall
    let limits: CoVMConfiguration.Limits
    let standstills: StandstillWatch

    func run(
        _ job: ExecutionJob, _ host: any ExecutionHost, _ cancellation: ExecutionCancellation,
        waiter: any MountWaiter, source: ExecutionResult.ModuleSource
    ) -> ExecutionResult {
        let start = SystemClock.nanoseconds()
        guard standstills.runBegins() else {
            return ExecutionResult(
                outcome: .nodeFailed(reason: "the system has no thread for the clock"), engine: engine.description)
        }
        defer { standstills.runEnded() }
        let run = JobRun(
            job: job, host: host, cancellation: cancellation, functionCount: engine.functions.functions.count,
            watch: WallClockWatch(
                job: job, now: start, standstills: standstills, processorPercentMin: limits.processorPercentMin),
            waiter: waiter, limits: limits)
        let end = outcome(of: run)
        var result = ExecutionResult(outcome: end.outcome, engine: engine.description, moduleSource: source)
        keepResults(of: run, &result)
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
    private func outcome(of run: JobRun) -> (outcome: ExecutionOutcome, fuel: UInt64) {
        do {
            try run.mount()
        } catch {
            return (TrapReport.outcome(of: error, run: run), 0)
        }
        let runner = GuestRunner(
            engine: engine, loaded: loaded, tableElementsMax: limits.tableElementsMax,
            yieldIntervalFuel: limits.yieldIntervalFuel, looked: limits.looked, call: call)
        return runner.run(run)
    }

    /// Makes an output of what the function returned, if it was called for that.
    private func keepResults(of run: JobRun, _ result: inout ExecutionResult) {
        guard case .exited = result.outcome, !run.results.isEmpty else { return }
        do {
            run.addReserved(NumberCall.resultName, try run.store(NumberCall.output(run.results)))
        } catch {
            result.outcome = TrapReport.outcome(of: error, run: run)
        }
    }

    /// Makes outputs of what the run left in its files, however its module ended.
    private func collect(_ run: JobRun, _ result: inout ExecutionResult) {
        switch result.outcome {
        case .exited, .trapped, .limitExceeded: break
        case .cancelled, .moduleRefused, .filesRefused, .fetchFailed, .nodeFailed: return
        }
        do {
            var collection = FileCollection(run)
            try collection.collect()
        } catch {
            switch error {
            case .output, .filesRefused, .wallClock, .memory:
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

    /// Stores what the guest wrote; a node that cannot store it has not done the job. Nothing is left of a run whose
    /// blocks did not come: it costs nothing, so whoever withholds a block must not have its work.
    private func store(_ run: JobRun, _ host: any ExecutionHost, _ result: inout ExecutionResult) {
        if case .fetchFailed = result.outcome { return }
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
