import CWasmtime
import GuestFiles

/// Why a host function ends the run instead of returning. It is kept in the run, because the engine hands a host trap
/// back as an error without a code.
enum HostStop: Error, Hashable {
    case fuel
    case memory
    case output
    case wallClock
    case cancelled
    case exited(code: Int32)
    case brokenContract(String)
    case fetchFailed(String)
    case nodeFailed(String)
    case filesRefused(String)
    /// It waited in its session as long as it may.
    case idle
}

extension HostStop: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    var description: String {
        switch self {
        case .fuel: "the fuel is used up"
        case .memory: "the entries of the folders that it has read need more memory than allowed"
        case .output: "the output is longer than allowed"
        case .wallClock: "the time is over"
        case .cancelled: "it was cancelled"
        case .idle: "it has waited for its user as long as it may"
        case .exited(let code): "it ended with exit code \(code)"
        case .brokenContract(let reason), .fetchFailed(let reason), .nodeFailed(let reason),
            .filesRefused(let reason):
            "\(reason)"
        }
    }
}

/// One function of the host that a guest may import.
final class HostFunction: Sendable {
    /// Does the work. Arguments are read from the call; the value is the result, if the function has one.
    typealias Body = @Sendable (HostCall) throws(HostStop) -> Int64

    let module: String
    let name: String
    let type: ModuleInspection.FunctionType
    /// Index into the counters of a run.
    let index: Int
    let body: Body

    init(module: String, name: String, type: ModuleInspection.FunctionType, index: Int, body: @escaping Body) {
        self.module = module
        self.name = name
        self.type = type
        self.index = index
        self.body = body
    }
}

/// All host functions: WASI preview 1 and MeshHostABI version 1, and nothing else.
struct HostFunctionTable: Sendable {
    private(set) var functions: [HostFunction] = []
    private var indices: [String: Int] = [:]

    /// The table of this version of the host.
    static let standard: HostFunctionTable = {
        var table = HostFunctionTable()
        WASIPreview1.define(in: &table)
        MeshHostABI.define(in: &table)
        return table
    }()

    subscript(module: String, name: String) -> HostFunction? {
        indices["\(module).\(name)"].map { functions[$0] }
    }

    /// Adds a function whose type is written as in `"iiI:i"`: parameters, a colon, results; `i` is i32, `I` is i64.
    mutating func define(_ module: String, _ name: String, _ signature: String, _ body: @escaping HostFunction.Body) {
        let halves = signature.split(separator: ":", omittingEmptySubsequences: false)
        precondition(halves.count == 2, "the signature \(signature) of \(name) has no colon")
        let types = halves.map { half in
            half.map { $0 == "i" ? ModuleInspection.ValueType.i32 : ModuleInspection.ValueType.i64 }
        }
        indices["\(module).\(name)"] = functions.count
        functions.append(
            HostFunction(
                module: module, name: name, type: .init(parameters: types[0], results: types[1]),
                index: functions.count, body: body))
    }
}

/// One call of a host function: its arguments, the guest's memory, and the run it belongs to.
///
/// Pointers into the guest's memory are fetched anew by every access, because they die when the memory grows; every
/// access is checked in 64-bit arithmetic, which 32-bit pointers and lengths cannot overflow.
// SAFETY: the engine guarantees the argument array for the time of the callback; guest memory is used through checked
// ranges that are fetched anew for every access.
struct HostCall {
    /// Fuel for every call of the host.
    static let callFuel: UInt64 = 100

    let run: JobRun
    let function: HostFunction
    private let caller: OpaquePointer
    private let context: OpaquePointer
    private let values: UnsafeMutablePointer<wasmtime_val_raw_t>

    init(
        run: JobRun, function: HostFunction, caller: OpaquePointer, context: OpaquePointer,
        values: UnsafeMutablePointer<wasmtime_val_raw_t>
    ) {
        self.run = run
        self.function = function
        self.caller = caller
        self.context = context
        self.values = values
    }

    func signed32(_ index: Int) -> Int32 { values[index].i32 }
    func unsigned32(_ index: Int) -> UInt32 { UInt32(bitPattern: values[index].i32) }
    func unsigned64(_ index: Int) -> UInt64 { UInt64(bitPattern: values[index].i64) }

    // MARK: Fuel

    /// Units of fuel that are left, as the guest sees them.
    var fuelLeft: UInt64 { engineFuelLeft + run.job.fuelBeyondEngine }

    private var engineFuelLeft: UInt64 {
        var left: UInt64 = 0
        discard(wasmtime_context_get_fuel(context, &left))
        return left
    }

    /// Takes fuel before the work it pays for; ends the run if there is too little.
    func charge(_ amount: UInt64) throws(HostStop) {
        let left = engineFuelLeft
        guard left >= amount else {
            discard(wasmtime_context_set_fuel(context, 0))
            throw .fuel
        }
        discard(wasmtime_context_set_fuel(context, left - amount))
    }

    // Fuel calls fail only when metering is off, which the engine's configuration rules out.
    private func discard(_ error: OpaquePointer?) {
        if let error { wasmtime_error_delete(error) }
    }

    // MARK: Memory

    private func memory() -> UnsafeMutableRawBufferPointer {
        if run.guestMemory == nil {
            var item = wasmtime_extern_t()
            let name = StaticString("memory")
            let found = name.withUTF8Buffer { bytes in
                wasmtime_caller_export_get(
                    caller, UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self), bytes.count, &item
                )
            }
            guard found else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
            defer { wasmtime_extern_delete(&item) }
            guard item.kind == UInt8(CW_EXTERN_MEMORY) else {
                return UnsafeMutableRawBufferPointer(start: nil, count: 0)
            }
            run.guestMemory = item.of.memory
        }
        guard var memory = run.guestMemory else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        let count = wasmtime_memory_data_size(context, &memory)
        return UnsafeMutableRawBufferPointer(start: wasmtime_memory_data(context, &memory), count: count)
    }

    /// Gives `body` the guest's bytes in a range; `nil` if the range is outside its memory. The pointer must not leave
    /// the body, and the body must not call into the guest.
    func withGuestBytes<Result>(
        _ pointer: UInt32, _ count: UInt32, _ body: (UnsafeMutableRawBufferPointer) -> Result
    ) -> Result? {
        let memory = memory()
        let start = Int(pointer)
        let end = start + Int(count)
        guard end <= memory.count else { return nil }
        return body(UnsafeMutableRawBufferPointer(rebasing: memory[start..<end]))
    }

    /// A copy of the guest's bytes in a range.
    func bytes(_ pointer: UInt32, _ count: UInt32) -> [UInt8]? {
        withGuestBytes(pointer, count) { [UInt8]($0) }
    }

    /// Whether a range is inside the guest's memory.
    func holds(_ pointer: UInt32, count: UInt32) -> Bool { Int(pointer) + Int(count) <= memory().count }

    /// Copies bytes into the guest's memory; `false` if they do not fit.
    func write(_ bytes: some Collection<UInt8>, to pointer: UInt32) -> Bool {
        guard let count = UInt32(exactly: bytes.count) else { return false }
        return withGuestBytes(pointer, count) { $0.copyBytes(from: bytes) } != nil
    }

    /// Writes a little-endian integer.
    func write<Integer: FixedWidthInteger>(_ value: Integer, to pointer: UInt32) -> Bool {
        withGuestBytes(pointer, UInt32(MemoryLayout<Integer>.size)) {
            $0.storeBytes(of: value.littleEndian, as: Integer.self)
        } != nil
    }
}

extension HostCall: GuestBytes {
    func bytes(at pointer: UInt32, count: UInt32) -> [UInt8]? { bytes(pointer, count) }
    func write(_ bytes: [UInt8], at pointer: UInt32) -> Bool { write(bytes, to: pointer) }
}

/// The callback that the engine calls for every host function.
///
/// It must neither unwind nor let a Swift error through: it keeps a stop in the run, and returns a trap.
let hostCallback: wasmtime_func_unchecked_callback_t = { environment, caller, values, _ in
    guard let environment, let caller, let values, let context = wasmtime_caller_context(caller),
        let data = wasmtime_context_get_data(context)
    else {
        return wasmtime_trap_new("host call without a run", 23)
    }
    let function = Unmanaged<HostFunction>.fromOpaque(environment).takeUnretainedValue()
    let run = Unmanaged<JobRun>.fromOpaque(data).takeUnretainedValue()
    let call = HostCall(run: run, function: function, caller: caller, context: context, values: values)
    do throws(HostStop) {
        run.hostCalls[function.index] += 1
        if let reason = run.reasonToStop { throw reason }
        try call.charge(HostCall.callFuel)
        let result = try function.body(call)
        if let type = function.type.results.first {
            if type == .i32 {
                values[0].i32 = Int32(truncatingIfNeeded: result)
            } else {
                values[0].i64 = result
            }
        }
        return nil
    } catch {
        run.stop = error
        return wasmtime_trap_new("stopped by the host", 19)
    }
}
