/// Why a ``CoVM`` could not be set up. Each case is one sentence for the operator.
package enum CoVMError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The engine is not the version that this code was written for.
    case engineVersion(found: String, needed: String)
    /// The engine could not be created.
    case engineUnavailable(reason: String)
    /// The directory for compiled modules cannot be used.
    case cacheUnusable(path: String, reason: String)
    /// No program was found that compiles modules.
    case compileWorkerMissing(path: String)

    /// The error in one sentence, with what to do next where that is known.
    package var description: String {
        switch self {
        case .engineVersion(let found, let needed):
            "the wasmtime library is version \(found) but \(needed) is needed: run scripts/fetch-wasmtime.sh"
        case .engineUnavailable(let reason):
            "the WebAssembly engine could not be started: \(reason)"
        case .cacheUnusable(let path, let reason):
            "the directory for compiled modules \(path) cannot be used: \(reason)"
        case .compileWorkerMissing(let path):
            "no program to compile modules was found at \(path): build the product mesh"
        }
    }
}
