import CWasmtime
import MeshTypes

/// Turns the engine's account of the end of a run into its one true outcome.
///
/// In this order: a machine that lacked the memory which the limit allows, because the guest then saw a growth refused
/// that another machine grants; the reason for which a host function or a check at a yield stopped it; the engine's own
/// limits (fuel, stack); the memory limit; the guest's own trap, exception or exit.
///
/// **Memory.** The host refuses growth past the limit with -1, as the specification says, and the guest may go on. If
/// its last growth was refused and it then traps or exits with another code than zero, the outcome is the memory limit:
/// guests answer a failed allocation with `unreachable` (Swift, Rust) or an exit code (C, Python). If a later growth
/// succeeds, the guest managed without, and a trap after that is its own.
// SAFETY: names and messages are read with the lengths that the engine gives, before it takes them back.
enum TrapReport {
    static func outcome(of end: GuestRunner.End, run: JobRun) -> ExecutionOutcome {
        let outcome = ownOutcome(of: end, run: run)
        return run.memory.isMachineShort && outcome != .cancelled
            ? .nodeFailed(reason: MemoryBudget.shortage) : outcome
    }

    private static func ownOutcome(of end: GuestRunner.End, run: JobRun) -> ExecutionOutcome {
        switch end {
        case .returned(let code):
            return exited(code ?? 0, run: run)
        case .noEntry:
            let refusal = ModuleRefusal.noEntryPoint(name: run.job.entry, exportedFunctions: [])
            return .moduleRefused(reason: refusal.reason)
        case .failed(let error, let trap):
            defer {
                if let error { wasmtime_error_delete(error) }
                if let trap { wasm_trap_delete(trap) }
            }
            if let stop = run.stop { return outcome(of: stop, run: run) }
            var code: UInt8 = 0
            if let trap, wasmtime_trap_code(trap, &code) {
                return outcome(ofTrap: code, place: place(of: trap), run: run)
            }
            if run.isExceptionPending {
                if run.memory.wasRefused { return .limitExceeded(.memory) }
                return .trapped(kind: .other, message: "an exception that nothing catches" + place(error, trap))
            }
            let message = message(error: error, trap: trap)
            if run.memory.wasRefused { return .limitExceeded(.memory) }
            if message.contains("table minimum size") { return .limitExceeded(.table) }
            return .nodeFailed(reason: "the engine could not run the module: \(message)")
        }
    }

    private static func exited(_ code: Int32, run: JobRun) -> ExecutionOutcome {
        code != 0 && run.memory.wasRefused ? .limitExceeded(.memory) : .exited(code: code)
    }

    static func outcome(of stop: HostStop, run: JobRun) -> ExecutionOutcome {
        switch stop {
        case .fuel: .limitExceeded(.fuel)
        case .memory: .limitExceeded(.memory)
        case .output: .limitExceeded(.output)
        case .wallClock: .limitExceeded(.wallClock)
        case .cancelled: .cancelled
        case .idle: .limitExceeded(.idle)
        case .exited(let code): exited(code, run: run)
        case .brokenContract(let message): .trapped(kind: .hostCall, message: message)
        case .fetchFailed(let reason): .fetchFailed(reason: reason)
        case .nodeFailed(let reason): .nodeFailed(reason: reason)
        case .filesRefused(let reason): .filesRefused(reason: reason)
        }
    }

    private static func outcome(ofTrap code: UInt8, place: String, run: JobRun) -> ExecutionOutcome {
        switch code {
        case 0: return .limitExceeded(.stack)
        case 11: return .limitExceeded(.fuel)
        default: break
        }
        if run.memory.wasRefused { return .limitExceeded(.memory) }
        let (kind, text): (TrapKind, String) =
            switch code {
            case 1: (.memoryOutOfBounds, "out of bounds memory access")
            case 2: (.other, "unaligned atomic access")
            case 3: (.tableOutOfBounds, "out of bounds table access")
            case 4: (.badIndirectCall, "indirect call to null")
            case 5: (.badIndirectCall, "indirect call of another signature")
            case 6: (.arithmetic, "integer overflow")
            case 7: (.arithmetic, "integer division by zero")
            case 8: (.arithmetic, "invalid conversion to integer")
            case 9: (.unreachable, "unreachable executed")
            case 12: (.other, "waiting on memory that no other thread shares")
            case 13: (.other, "call of a null reference")
            default: (.other, "trap \(code)")
            }
        return .trapped(kind: kind, message: text + place)
    }

    /// Where the trap happened: index and, if the module has one, name of the innermost function. It is part of the
    /// receipt, so it depends only on the module.
    private static func place(of trap: OpaquePointer) -> String { place(nil, trap) }

    private static func place(_ error: OpaquePointer?, _ trap: OpaquePointer?) -> String {
        var frames = wasm_frame_vec_t()
        if let trap {
            wasm_trap_trace(trap, &frames)
        } else if let error {
            wasmtime_error_wasm_trace(error, &frames)
        }
        defer { wasm_frame_vec_delete(&frames) }
        guard frames.size > 0, let frame = frames.data[0] else { return "" }
        var text = " in function \(wasm_frame_func_index(frame))"
        if let name = wasmtime_frame_func_name(frame)?.pointee, name.size > 0 {
            let bytes = UnsafeBufferPointer(start: name.data, count: name.size)
            text += " (\(EngineError.printable(bytes, charactersMax: 80)))"
        }
        return text
    }

    private static func message(error: OpaquePointer?, trap: OpaquePointer?) -> String {
        var bytes = wasm_byte_vec_t()
        if let error {
            wasmtime_error_message(error, &bytes)
        } else if let trap {
            wasm_trap_message(trap, &bytes)
        }
        defer { wasm_byte_vec_delete(&bytes) }
        return EngineError.printable(UnsafeBufferPointer(start: bytes.data, count: bytes.size))
    }
}
