import CWasmtime
import MeshTypes

/// Runs one guest to its end on the calling thread: a store of its own, fuel and epoch set, instantiate, call.
struct GuestRunner {
    let engine: WasmEngine
    let loaded: LoadedModule
    let tableElementsMax: Int
    let callsInitializer: Bool

    /// Runs the entry function of the job and returns how it ended, with the fuel it used.
    func run(_ run: JobRun) -> (outcome: ExecutionOutcome, fuel: UInt64) {
        RunThread.withCurrentRun(run) {
            let reference = Unmanaged.passUnretained(run)
            guard let store = engine.makeStore(for: reference), let context = wasmtime_store_context(store) else {
                return (.nodeFailed(reason: "no store for the run"), 0)
            }
            // One store per run, dropped whatever happened in it: a store is not reused after a trap.
            defer { wasmtime_store_delete(store) }
            prepare(store, context, reference)
            let end = execute(run, context)
            return (TrapReport.outcome(of: end, run: run), fuelUsed(run, context))
        }
    }

    private func prepare(_ store: OpaquePointer, _ context: OpaquePointer, _ run: Unmanaged<JobRun>) {
        // Memory is limited where it is made (`GuestMemory`), so that a refusal is remembered.
        wasmtime_store_limiter(store, -1, Int64(tableElementsMax), 1, Int64(ModuleLimits().tablesMax), 1)
        discard(wasmtime_context_set_fuel(context, run.takeUnretainedValue().job.limits.maxFuel))
        wasmtime_context_set_epoch_deadline(context, 1)
        wasmtime_store_epoch_deadline_callback(
            store,
            { _, data, delta, kind in
                guard let data else { return wasmtime_error_new("no run") }
                let run = Unmanaged<JobRun>.fromOpaque(data).takeUnretainedValue()
                if let stop = run.interruption(now: SystemClock.nanoseconds()) {
                    run.stop = stop
                    return wasmtime_error_new("stopped by the host")
                }
                delta?.pointee = 1
                kind?.pointee = 0
                return nil
            }, run.toOpaque(), nil)
    }

    /// How the engine said that a run ended.
    enum End {
        case returned(Int32?)
        case failed(error: OpaquePointer?, trap: OpaquePointer?)
        case noEntry
    }

    private func execute(_ run: JobRun, _ context: OpaquePointer) -> End {
        if run.cancellation.isCancelled {
            run.stop = .cancelled
            return .failed(error: nil, trap: nil)
        }
        var instance = wasmtime_instance_t()
        var trap: OpaquePointer?
        let error = wasmtime_instance_pre_instantiate(loaded.instancePre, context, &instance, &trap)
        if error != nil || trap != nil { return .failed(error: error, trap: trap) }
        if callsInitializer {
            let end = call("_initialize", hasResult: false, instance, context)
            guard case .returned = end else { return end }
        }
        return call(run.job.entry, hasResult: run.entryHasResult, instance, context)
    }

    private func call(
        _ name: String, hasResult: Bool, _ instance: wasmtime_instance_t, _ context: OpaquePointer
    ) -> End {
        var instance = instance
        var item = wasmtime_extern_t()
        guard wasmtime_instance_export_get(context, &instance, name, name.utf8.count, &item) else { return .noEntry }
        defer { wasmtime_extern_delete(&item) }
        guard item.kind == UInt8(CW_EXTERN_FUNC) else { return .noEntry }
        var function = item.of.func
        var result = wasmtime_val_t()
        var trap: OpaquePointer?
        let error = wasmtime_func_call(context, &function, nil, 0, &result, hasResult ? 1 : 0, &trap)
        if error != nil || trap != nil { return .failed(error: error, trap: trap) }
        return .returned(hasResult ? result.of.i32 : nil)
    }

    private func fuelUsed(_ run: JobRun, _ context: OpaquePointer) -> UInt64 {
        var left: UInt64 = 0
        discard(wasmtime_context_get_fuel(context, &left))
        let all = run.job.limits.maxFuel
        return left <= all ? all - left : 0
    }

    private func discard(_ error: OpaquePointer?) {
        if let error { wasmtime_error_delete(error) }
    }
}
