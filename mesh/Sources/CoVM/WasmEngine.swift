import CWasmtime
import Crypto
import MeshTypes

/// The engine in its deterministic profile, with the linker that holds every host function.
///
/// Threads may share everything here; stores may not be shared, and each run has its own.
final class WasmEngine: Sendable {
    /// The version of wasmtime that scripts/fetch-wasmtime.sh pins by hash; above the floor of the October 2026
    /// advisories (49.0.3). The library itself names only the major number.
    static let pinnedVersion = "50.0.1"

    // SAFETY: wasmtime's engine and linker are documented as thread-safe; the linker is only read after `init`.
    nonisolated(unsafe) private let engine: OpaquePointer
    // SAFETY: as above.
    nonisolated(unsafe) private let linker: OpaquePointer

    let functions: HostFunctionTable
    let description: EngineDescription

    /// Starts the engine for the best of the baselines whose code this processor runs.
    init(
        functions: HostFunctionTable = .standard, baselines: [ProcessorBaseline] = ProcessorBaseline.candidates
    ) throws(CoVMError) {
        let baseline: ProcessorBaseline
        (engine, baseline) = try Self.makeEngine(baselines)
        guard let linker = wasmtime_linker_new(engine) else {
            wasm_engine_delete(engine)
            throw .engineUnavailable(reason: "no linker")
        }
        self.linker = linker
        self.functions = functions
        description = EngineDescription(
            name: "wasmtime", version: Self.pinnedVersion, configurationDigest: EngineProfile.digest,
            instructionSet: baseline.instructionSet, processorBaseline: baseline.name)
        for function in functions.functions {
            try define(function)
        }
        try checkVersion()
    }

    deinit {
        wasmtime_linker_delete(linker)
        wasm_engine_delete(engine)
    }

    /// What compiled code depends on, for the names of its files.
    var codeContext: String {
        [
            description.version, description.configurationDigest, description.instructionSet,
            description.processorBaseline,
        ].compactMap { $0 }.joined(separator: " ")
    }

    private static func makeEngine(
        _ baselines: [ProcessorBaseline]
    ) throws(CoVMError) -> (OpaquePointer, ProcessorBaseline) {
        for baseline in baselines {
            guard let configuration = wasm_config_new() else { throw .engineUnavailable(reason: "no configuration") }
            guard EngineProfile.apply(to: configuration, baseline) else {
                wasm_config_delete(configuration)
                continue
            }
            GuestMemory.install(in: configuration)
            guard let engine = wasm_engine_new_with_config(configuration) else { continue }
            if isUsable(engine) { return (engine, baseline) }
            wasm_engine_delete(engine)
        }
        throw .engineUnavailable(reason: "it compiles no code that this processor runs")
    }

    /// Whether this processor runs what an engine compiles.
    private static func isUsable(_ engine: OpaquePointer) -> Bool {
        var module: OpaquePointer?
        if let error = wasmtime_module_new(engine, emptyModule, emptyModule.count, &module) {
            wasmtime_error_delete(error)
            return false
        }
        wasmtime_module_delete(module)
        return true
    }

    /// Eight bytes of our own.
    private static let emptyModule: [UInt8] = [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00]

    private func define(_ function: HostFunction) throws(CoVMError) {
        let type = FunctionTypeC.make(function.type)
        defer { wasm_functype_delete(type) }
        let environment = Unmanaged.passRetained(function).toOpaque()
        let error = wasmtime_linker_define_func_unchecked(
            linker, function.module, function.module.utf8.count, function.name, function.name.utf8.count, type,
            hostCallback, environment
        ) { pointer in
            if let pointer { Unmanaged<HostFunction>.fromOpaque(pointer).release() }
        }
        if let error { throw .engineUnavailable(reason: EngineError.takeMessage(error)) }
    }

    /// Compiles the empty module and reads the engine's version from the result.
    private func checkVersion() throws(CoVMError) {
        guard case .success(let compiled) = compile(Self.emptyModule),
            let found = CompiledModuleHeader.engineVersion(compiled)
        else { throw .engineVersion(found: "unknown", needed: Self.pinnedVersion) }
        let major = Self.pinnedVersion.prefix { $0 != "." }
        guard found == major || found == Self.pinnedVersion else {
            throw .engineVersion(found: found, needed: Self.pinnedVersion)
        }
    }

    // MARK: Modules

    // SAFETY: the bytes are copied before the engine takes them back.
    /// Compiles in this process. Only the compile worker may do this with bytes that are not our own.
    func compile(_ module: [UInt8]) -> Result<[UInt8], EngineError> {
        var compiled: OpaquePointer?
        if let error = wasmtime_module_new(engine, module, module.count, &compiled) {
            return .failure(EngineError(message: EngineError.takeMessage(error)))
        }
        defer { wasmtime_module_delete(compiled) }
        var bytes = wasm_byte_vec_t()
        if let error = wasmtime_module_serialize(compiled, &bytes) {
            return .failure(EngineError(message: EngineError.takeMessage(error)))
        }
        defer { wasm_byte_vec_delete(&bytes) }
        return .success([UInt8](UnsafeBufferPointer(start: bytes.data, count: bytes.size)))
    }

    /// Validates a module, in time linear in its size and without generating code.
    func validate(_ module: [UInt8]) throws(ModuleRefusal) {
        if let error = wasmtime_module_validate(engine, module, module.count) {
            throw ModuleInspection.refusal(of: module, message: EngineError.takeMessage(error))
        }
    }

    // SAFETY: the engine copies the code.
    /// Loads machine code, and trusts it: pass only code that this node compiled and whose keyed hash was just checked.
    func load(trusted compiled: [UInt8]) -> Result<LoadedModule, EngineError> {
        compiled.withUnsafeBytes { load(trusted: $0) }
    }

    // SAFETY: the engine copies the code.
    /// The same, from where it lies.
    func load(trusted compiled: UnsafeRawBufferPointer) -> Result<LoadedModule, EngineError> {
        var module: OpaquePointer?
        let start = compiled.bindMemory(to: UInt8.self).baseAddress
        if let error = wasmtime_module_deserialize(engine, start, compiled.count, &module) {
            return .failure(EngineError(message: EngineError.takeMessage(error)))
        }
        defer { wasmtime_module_delete(module) }
        var instancePre: OpaquePointer?
        if let error = wasmtime_linker_instantiate_pre(linker, module, &instancePre) {
            return .failure(EngineError(message: EngineError.takeMessage(error)))
        }
        guard let instancePre else { return .failure(EngineError(message: "no instance template")) }
        return .success(LoadedModule(instancePre: instancePre, bytes: compiled.count, engine: self))
    }

    // MARK: Runs

    /// A store for one run, with `run` as its data. The caller deletes it.
    func makeStore(for run: Unmanaged<JobRun>) -> OpaquePointer? {
        wasmtime_store_new(engine, run.toOpaque(), nil)
    }
}

/// A module with resolved imports, which any thread can instantiate.
final class LoadedModule: Sendable {
    // SAFETY: an instance template is immutable and documented as thread-safe.
    nonisolated(unsafe) let instancePre: OpaquePointer
    let bytes: Int
    // Keeps the engine alive as long as its modules.
    private let engine: WasmEngine

    init(instancePre: OpaquePointer, bytes: Int, engine: WasmEngine) {
        self.instancePre = instancePre
        self.bytes = bytes
        self.engine = engine
    }

    deinit {
        wasmtime_instance_pre_delete(instancePre)
    }
}

/// An engine error in its own words, on one line.
// SAFETY: messages are copied before the engine takes them back.
struct EngineError: Error, Hashable {
    var message: String

    /// The message of an error, which is deleted.
    static func takeMessage(_ error: OpaquePointer) -> String {
        var bytes = wasm_byte_vec_t()
        wasmtime_error_message(error, &bytes)
        defer { wasm_byte_vec_delete(&bytes) }
        wasmtime_error_delete(error)
        return printable(UnsafeBufferPointer(start: bytes.data, count: bytes.size))
    }

    /// Text that is safe to log, print and put into a receipt: one bounded line without control characters.
    static func printable(_ bytes: some Collection<UInt8>, charactersMax: Int = 300) -> String {
        let text = String(decoding: bytes.prefix(4 * charactersMax), as: UTF8.self)
        let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : String($0) }
        return String(scalars.joined().prefix(charactersMax))
            .split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    }
}

extension EngineError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    var description: String { message }
}

/// Function types in the engine's own form.
enum FunctionTypeC {
    static func make(_ type: ModuleInspection.FunctionType) -> OpaquePointer? {
        var parameters = list(type.parameters)
        var results = list(type.results)
        return wasm_functype_new(&parameters, &results)
    }

    private static func list(_ types: [ModuleInspection.ValueType]) -> wasm_valtype_vec_t {
        var vector = wasm_valtype_vec_t()
        let items = types.map { wasm_valtype_new(UInt8($0 == .i32 ? CW_I32 : CW_I64)) }
        wasm_valtype_vec_new(&vector, items.count, items)
        return vector
    }
}
