/// A feature of WebAssembly beyond its first version that a module uses, as its own bytes show.
///
/// Those without a ``remedy`` run here. The others are switched off, because their results depend on the machine or
/// because nothing bounds what they cost; docs/modules.md says why for each.
package enum ModuleFeature: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// Memory and table operations that move many bytes at once.
    case bulkMemory = "bulk memory"
    /// `funcref` and `externref` as values, several tables.
    case referenceTypes = "reference types"
    /// 128-bit vectors.
    case simd = "SIMD"
    /// Vector operations whose results the specification leaves open; here each has one.
    case relaxedSIMD = "relaxed SIMD"
    /// Calls that reuse the caller's frame.
    case tailCalls = "tail calls"
    /// More than one linear memory.
    case multipleMemories = "multiple memories"
    /// References to functions of a known type.
    case functionReferences = "typed function references"
    /// Exceptions in their standard encoding, with `try_table`.
    case exceptions = "exception handling"

    /// Atomic instructions, which on memory of one's own do what others do.
    case atomics = "atomic instructions"

    /// Exceptions in the encoding that came before the standard, with `try`, `catch`, `rethrow` and `delegate`.
    case legacyExceptions = "the legacy encoding of exceptions"
    /// A memory that threads share.
    case sharedMemory = "threads (shared memory)"
    /// Memories addressed with 64 bits.
    case memory64 = "a 64-bit memory"
    /// Tables addressed with 64 bits.
    case table64 = "a 64-bit table"
    /// Structures, arrays and other types of WebAssembly GC.
    case garbageCollection = "garbage-collected types"
    /// Memories whose pages are not 64 KiB.
    case customPageSizes = "custom page sizes"
    /// Continuations.
    case stackSwitching = "stack switching"
    /// 128-bit integer arithmetic.
    case wideArithmetic = "wide arithmetic"
    /// Imports grouped by module.
    case compactImports = "compact imports"

    /// The feature as sentences name it.
    package var description: String { rawValue }

    /// What to build the module with instead, as one sentence; `nil` for a feature that is on.
    package var remedy: String? {
        switch self {
        case .bulkMemory, .referenceTypes, .simd, .relaxedSIMD, .tailCalls, .multipleMemories, .functionReferences,
            .exceptions, .atomics:
            nil
        case .legacyExceptions:
            "Convert it with binaryen's wasm-opt --translate-to-exnref --enable-exception-handling "
                + "--enable-reference-types, or build it with -mllvm -wasm-use-legacy-eh=false."
        case .sharedMemory:
            "Build it for one thread: the target wasm32-wasip1 instead of wasm32-wasip1-threads, without -pthread."
        case .memory64, .table64: "Build it for wasm32, for example with --target=wasm32-wasip1."
        case .garbageCollection:
            "Build it with a language that manages its own memory: C, C++, Rust, Swift, Zig, Go, or an interpreter "
                + "such as CPython or QuickJS."
        case .customPageSizes: "Build it without --page-size, so that a page has 64 KiB."
        case .stackSwitching: "Build it without continuations, for example with binaryen's wasm-opt --asyncify."
        case .wideArithmetic: "Build it without -mwide-arithmetic."
        case .compactImports: "Build it without -mcompact-imports."
        }
    }

    /// Whether modules that use it are refused.
    package var isOff: Bool { remedy != nil }
}
