import CWasmtime
import MeshTypes

/// Runs one guest to its end on the calling thread: a store of its own, fuel set, instantiate, call.
///
/// The guest runs on a stack of its own and yields every ``yieldIntervalFuel`` units of fuel. There, and at every host
/// call, the runner checks whether it must stop. So the fuel of a stopped run is exact: compiled code keeps its count
/// in a register and writes it back when it yields, calls or ends. Neither results nor fuel depend on the interval.
struct GuestRunner {
    let engine: WasmEngine
    let loaded: LoadedModule
    let tableElementsMax: Int
    let yieldIntervalFuel: UInt64
    let looked: (@Sendable () -> Void)?
    let call: EntryCall

    /// Runs the entry function of the job and returns how it ended, with the fuel it used.
    func run(_ run: JobRun) -> (outcome: ExecutionOutcome, fuel: UInt64) {
        RunThread.withCurrentRun(run) {
            let reference = Unmanaged.passUnretained(run)
            guard let store = engine.makeStore(for: reference), let context = wasmtime_store_context(store) else {
                return (.nodeFailed(reason: "no store for the run"), 0)
            }
            // One store per run, dropped whatever happened in it: a store must not be reused after a trap.
            defer { wasmtime_store_delete(store) }
            prepare(store, context, run)
            let end = execute(run, context)
            run.isExceptionPending = wasmtime_context_has_exception(context)
            return (TrapReport.outcome(of: end, run: run), fuelUsed(run, context))
        }
    }

    private func prepare(_ store: OpaquePointer, _ context: OpaquePointer, _ run: JobRun) {
        // `GuestMemory` limits memory, so that it can remember a refusal.
        wasmtime_store_limiter(
            store, -1, Int64(tableElementsMax), 1, Int64(ModuleLimits().tablesMax), Int64(ModuleLimits().memoriesMax))
        discard(wasmtime_context_fuel_async_yield_interval(context, max(1, yieldIntervalFuel)))
        discard(wasmtime_context_set_fuel(context, run.job.engineFuelMax))
    }

    /// How a run ended, by the engine.
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
        // SAFETY: `finish` deletes the future that writes to the instance before the pointer ends.
        let end = withUnsafeMutablePointer(to: &instance) { instance in
            finish(run) { trap, error in
                wasmtime_instance_pre_instantiate_async(loaded.instancePre, context, instance, trap, error)
            }
        }
        if let end { return end }
        if call.callsInitializer {
            let (end, _) = callFunction("_initialize", [], results: 0, instance, run, context)
            guard case .returned = end else { return end }
        }
        let numbers = (call.numbers ?? []).map(\.engineValue)
        let answer = callFunction(
            call.name, numbers, results: call.hasExitCode ? 1 : call.results.count, instance, run, context)
        guard case .returned = answer.end else { return answer.end }
        if call.hasExitCode { return .returned(answer.values.first?.of.i32) }
        run.results = zip(call.results, answer.values).map { WasmNumber($1, as: $0) }
        return answer.end
    }

    // SAFETY: the arrays keep their place while their pointers are used, with their lengths; the engine writes as many
    // results as the function's type has, which was read from the module.
    /// Calls an exported function, and says what it returned.
    private func callFunction(
        _ name: String, _ numbers: [wasmtime_val_t], results count: Int, _ instance: wasmtime_instance_t,
        _ run: JobRun, _ context: OpaquePointer
    ) -> (end: End, values: [wasmtime_val_t]) {
        var instance = instance
        var item = wasmtime_extern_t()
        guard wasmtime_instance_export_get(context, &instance, name, name.utf8.count, &item) else {
            return (.noEntry, [])
        }
        defer { wasmtime_extern_delete(&item) }
        guard item.kind == UInt8(CW_EXTERN_FUNC) else { return (.noEntry, []) }
        var function = item.of.func
        var results = [wasmtime_val_t](repeating: wasmtime_val_t(), count: count)
        // `finish` deletes the future that uses these before the pointers end.
        let end = results.withUnsafeMutableBufferPointer { results in
            numbers.withUnsafeBufferPointer { numbers in
                withUnsafeMutablePointer(to: &function) { function in
                    finish(run) { trap, error in
                        wasmtime_func_call_async(
                            context, function, numbers.baseAddress, numbers.count, results.baseAddress, results.count,
                            trap, error)
                    }
                }
            }
        }
        return (end ?? .returned(nil), results)
    }

    // SAFETY: what the future writes to lives until it is deleted, which is before the pointers end.
    /// Runs a call until it ends or is stopped; `nil` if it ended well.
    private func finish(
        _ run: JobRun,
        _ begin: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<OpaquePointer?>) -> OpaquePointer?
    ) -> End? {
        var trap: OpaquePointer?
        var error: OpaquePointer?
        let isOver = withUnsafeMutablePointer(to: &trap) { trap in
            withUnsafeMutablePointer(to: &error) { error in
                guard let future = begin(trap, error) else { return false }
                // Unwinds a guest that was stopped at a yield.
                defer { wasmtime_call_future_delete(future) }
                while !wasmtime_call_future_poll(future) {
                    looked?()
                    run.stop = run.interruption()
                    run.tellFuel(ofYields: yieldIntervalFuel)
                    if run.stop != nil { return false }
                }
                return true
            }
        }
        if isOver, error == nil, trap == nil { return nil }
        return .failed(error: error, trap: trap)
    }

    private func fuelUsed(_ run: JobRun, _ context: OpaquePointer) -> UInt64 {
        var left: UInt64 = 0
        discard(wasmtime_context_get_fuel(context, &left))
        let all = run.job.engineFuelMax
        return left <= all ? all - left : 0
    }

    private func discard(_ error: OpaquePointer?) {
        if let error { wasmtime_error_delete(error) }
    }
}

extension WasmNumber {
    /// The number as the engine takes it.
    fileprivate var engineValue: wasmtime_val_t {
        var value = wasmtime_val_t()
        switch type {
        case .i32: (value.kind, value.of.i32) = (UInt8(CW_I32), int32)
        case .i64: (value.kind, value.of.i64) = (UInt8(CW_I64), bits)
        case .f32: (value.kind, value.of.f32) = (UInt8(CW_F32), float)
        case .f64: (value.kind, value.of.f64) = (UInt8(CW_F64), double)
        }
        return value
    }

    /// What the engine returned where the function's type has this type.
    fileprivate init(_ value: wasmtime_val_t, as type: Kind) {
        switch type {
        case .i32: self.init(value.of.i32)
        case .i64: self.init(value.of.i64)
        case .f32: self.init(value.of.f32)
        case .f64: self.init(value.of.f64)
        }
    }
}
