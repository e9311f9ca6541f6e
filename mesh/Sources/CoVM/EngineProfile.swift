import CWasmtime
import Crypto

/// The deterministic profile: the settings under which a module gives the same result and the same fuel everywhere.
///
/// Fuel decides when a guest stops, and a guest yields by fuel. The first release used epochs; they are off, because
/// their checks slow loops that write to memory, after a yield by up to a third. NaNs are canonical, and the
/// instructions of relaxed SIMD have the one result that the specification calls deterministic. Shared memory is off,
/// because threads are not deterministic; atomic instructions on memory of one's own are. `gc_support` gives exceptions
/// their heap, which counts as memory of the run (`GuestMemory`); the types of WebAssembly GC stay off. So do the other
/// features of `ModuleFeature` that are off: they have little use here, and the engine's advisories were in them.
enum EngineProfile {
    private typealias Switch = (name: String, value: Bool, set: @convention(c) (OpaquePointer?, Bool) -> Void)

    /// What a result or its fuel may depend on.
    private static let switches: [Switch] = [
        ("consume_fuel", true, wasmtime_config_consume_fuel_set),
        ("epoch_interruption", false, wasmtime_config_epoch_interruption_set),
        ("cranelift_nan_canonicalization", true, wasmtime_config_cranelift_nan_canonicalization_set),
        ("signals_based_traps", true, wasmtime_config_signals_based_traps_set),
        ("wasm_bulk_memory", true, wasmtime_config_wasm_bulk_memory_set),
        ("wasm_multi_value", true, wasmtime_config_wasm_multi_value_set),
        ("wasm_reference_types", true, wasmtime_config_wasm_reference_types_set),
        ("wasm_simd", true, wasmtime_config_wasm_simd_set),
        ("wasm_tail_call", true, wasmtime_config_wasm_tail_call_set),
        ("wasm_relaxed_simd", true, wasmtime_config_wasm_relaxed_simd_set),
        ("wasm_relaxed_simd_deterministic", true, wasmtime_config_wasm_relaxed_simd_deterministic_set),
        ("wasm_threads", true, wasmtime_config_wasm_threads_set),
        ("shared_memory", false, wasmtime_config_shared_memory_set),
        ("wasm_memory64", false, wasmtime_config_wasm_memory64_set),
        ("wasm_multi_memory", true, wasmtime_config_wasm_multi_memory_set),
        ("wasm_gc", false, wasmtime_config_wasm_gc_set),
        ("gc_support", true, wasmtime_config_gc_support_set),
        ("wasm_function_references", true, wasmtime_config_wasm_function_references_set),
        ("wasm_exceptions", true, wasmtime_config_wasm_exceptions_set),
        ("wasm_custom_page_sizes", false, wasmtime_config_wasm_custom_page_sizes_set),
        ("wasm_stack_switching", false, wasmtime_config_wasm_stack_switching_set),
        ("wasm_wide_arithmetic", false, wasmtime_config_wasm_wide_arithmetic_set),
        ("wasm_compact_imports", false, wasmtime_config_wasm_compact_imports_set),
        ("wasm_component_model", false, wasmtime_config_wasm_component_model_set),
    ]

    /// What changes only how long compiling and running take.
    private static let indifferent: [Switch] = [
        ("parallel_compilation", true, wasmtime_config_parallel_compilation_set),
        ("cranelift_debug_verifier", false, wasmtime_config_cranelift_debug_verifier_set),
        ("debug_info", false, wasmtime_config_debug_info_set),
        ("native_unwind_info", false, wasmtime_config_native_unwind_info_set),
        ("memory_may_move", false, wasmtime_config_memory_may_move_set),
        ("memory_init_cow", false, wasmtime_config_memory_init_cow_set),
    ]

    // Cranelift, never the baseline compiler, whose fuel and code differ.
    private static let strategy: UInt8 = 1
    private static let optimizationLevel: UInt8 = 1
    private static let memoryReservation: UInt64 = 4 << 30
    private static let memoryGuard: UInt64 = 32 << 20

    /// Settings for code that a processor of `baseline` runs; `false` if the engine has no such target.
    static func apply(to configuration: OpaquePointer, _ baseline: ProcessorBaseline) -> Bool {
        for item in switches + indifferent {
            item.set(configuration, item.value)
        }
        wasmtime_config_strategy_set(configuration, strategy)
        wasmtime_config_cranelift_opt_level_set(configuration, optimizationLevel)
        wasmtime_config_max_wasm_stack_set(configuration, CoVMConfiguration.wasmStackBytes)
        wasmtime_config_async_stack_size_set(configuration, CoVMConfiguration.guestStackBytes)
        wasmtime_config_memory_reservation_set(configuration, memoryReservation)
        wasmtime_config_memory_guard_size_set(configuration, memoryGuard)
        if let error = wasmtime_config_target_set(configuration, baseline.target) {
            wasmtime_error_delete(error)
            return false
        }
        for flag in baseline.flags { wasmtime_config_cranelift_flag_enable(configuration, flag) }
        return true
    }

    /// The digests of earlier releases: the first one, which had epochs on (their checks change neither results nor
    /// fuel, but take stack), and the one before exceptions and files were on, for modules that it ran.
    static let earlierDigests = [
        "0414bd60051695b5a613555911bba043085c1a729a383d0209fafa8cea06f058",
        "95a5f6bb3d1c5aabec49a12d9ab9effa3d8d8047732c43eab58f7d553ccfc6d6",
    ]

    /// SHA-256 over whatever may change a result or its fuel: every setting by name, the host ABI and the price of a
    /// host call. Not the processor, on which only the use of the stack depends: `EngineDescription` names it apart.
    static let digest: String = {
        var lines = switches.map { "\($0.name)=\($0.value)" }.sorted()
        lines.append("strategy=\(strategy)")
        lines.append("opt_level=\(optimizationLevel)")
        lines.append("max_wasm_stack=\(CoVMConfiguration.wasmStackBytes)")
        lines.append("memory_reservation=\(memoryReservation)")
        lines.append("host_call_fuel=\(HostCall.callFuel)")
        lines.append("preview1_files=2")
        lines.append("store_fuel=\(MeshHostABI.storeFuel)+\(MeshHostABI.storedByteFuel)")
        lines += HostFunctionTable.standard.functions.map { "\($0.module).\($0.name)" }
        let hash = SHA256.hash(data: Array(lines.joined(separator: "\n").utf8))
        return Hexadecimal.text(hash)
    }()
}

/// The processor that code is compiled for: an instruction set and the features beyond it that code may use.
///
/// It is the same for all processors that have these features, whatever else they have, so that all of them run the
/// same code, and a run that uses up its stack ends at the same place on each.
struct ProcessorBaseline: Hashable {
    /// The instruction set, as receipts name it.
    let instructionSet: String
    /// The features, as receipts name them.
    let name: String
    /// The target, as compilers name it.
    let target: String
    /// The features, as the engine's compiler names them.
    let flags: [String]

    /// What this kind of machine may be, the best first.
    static let candidates: [ProcessorBaseline] = {
        #if os(Linux)
            let system = "unknown-linux-gnu"
        #else
            let system = "apple-darwin"
        #endif
        #if arch(x86_64)
            let second = ["sse3", "ssse3", "sse41", "sse42", "popcnt", "cmpxchg16b"].map { "has_\($0)" }
            let third = second + ["avx", "avx2", "fma", "bmi1", "bmi2", "lzcnt"].map { "has_\($0)" }
            return [("x86-64-v3", third), ("x86-64-v2", second), ("x86-64", [])].map { name, flags in
                ProcessorBaseline(
                    instructionSet: "x86_64", name: name, target: "x86_64-\(system)", flags: flags)
            }
        #else
            return [
                ProcessorBaseline(
                    instructionSet: "aarch64", name: "armv8-a", target: "aarch64-\(system)", flags: [])
            ]
        #endif
    }()
}

enum Hexadecimal {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }
}

/// The head of a compiled module, which names the version of the engine that made it.
///
/// The format is ELF, and its first section, right behind the file header, holds a zero byte and then the version as a
/// string with one byte of length.
enum CompiledModuleHeader {
    static func engineVersion(_ compiled: [UInt8]) -> String? {
        let section = 64
        guard compiled.starts(with: [0x7F, 0x45, 0x4C, 0x46]), compiled.count > section + 2, compiled[section] == 0
        else { return nil }
        let count = Int(compiled[section + 1])
        guard count > 0, count <= 32, compiled.count >= section + 2 + count else { return nil }
        let text = compiled[section + 2..<section + 2 + count]
        guard text.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E }) else { return nil }
        return String(decoding: text, as: UTF8.self)
    }
}
