/// Why a module was refused before it ran. A receipt, or the submitter, gets the description as the reason.
package enum ModuleRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// The bytes do not start as a WebAssembly module does.
    case notAModule
    /// The bytes are a component, which this engine does not run.
    case component
    /// The module ends in the middle of something.
    case truncated(offset: Int)
    /// The module breaks the binary format.
    case malformed(offset: Int, what: String)
    /// The module is larger than allowed.
    case tooLarge(bytes: Int, limit: Int)
    /// The module has more of something than allowed.
    case tooMany(what: String, count: Int, limit: Int)
    /// One function is larger than allowed.
    case functionTooLarge(index: Int, bytes: Int, limit: Int)
    /// The module needs a feature that is switched off.
    case unsupported(feature: ModuleFeature)
    /// The module imports something that no host function provides; the names are `module.name`.
    case unknownImports(names: [String], more: Int)
    /// The module imports host functions with another type than theirs.
    case importTypes(names: [String])
    /// The module does not export the entry function.
    case noEntryPoint(name: String, exportedFunctions: [String])
    /// The entry point has parameters, or results other than one `i32`.
    case entryPointType(name: String)
    /// The module does not export the function that is to be called with numbers; the signatures of those it has.
    case noFunction(name: String, callable: [String])
    /// The function takes or returns what is no number.
    case notCallable(signature: String, reason: String)
    /// The function takes other numbers than it is given; their types.
    case otherNumbers(signature: String, given: [String])
    /// An argument or variable holds a NUL, or all of them are too long.
    case arguments(reason: String)
    /// The engine's validation refused the module.
    case invalid(message: String)

    /// Whether a node's owner may set the limit that the module exceeds: another node may take the module.
    package var isThisNodesLimit: Bool {
        switch self {
        case .tooLarge, .functionTooLarge: true
        case .tooMany(let what, _, _): what == Self.functions
        default: false
        }
    }

    /// What to build instead, as one sentence, where the module needs what does not run here.
    package var remedy: String? {
        switch self {
        case .component:
            "Build a core module for WASI preview 1: for example with the target wasm32-wasip1 instead of "
                + "wasm32-wasip2, or without wasm-tools component new."
        case .unsupported(let feature): feature.remedy
        default: nil
        }
    }

    /// The reason with what to build instead, for a receipt: whoever reads it gets no hint.
    package var reason: String {
        guard let remedy else { return description }
        return "\(description); " + remedy.prefix(1).lowercased() + remedy.dropFirst().dropLast()
    }

    /// What modules have too many of when they pass ``ModuleLimits/functionsMax``.
    static let functions = "functions"

    /// Signatures that are named where one is not there.
    static let signaturesNamedMax = 16

    /// The first of some signatures, and how many more there are.
    package static func list(_ signatures: [String]) -> String {
        let more = signatures.count - signaturesNamedMax
        return signatures.prefix(signaturesNamedMax).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    }

    /// The reason in one sentence without a full stop.
    package var description: String {
        switch self {
        case .notAModule: "not a WebAssembly module: it does not start with \\0asm and version 1"
        case .component: "a WebAssembly component (WASI preview 2), but only core modules (WASI preview 1) are run"
        case .truncated(let offset): "the module is truncated at byte \(offset)"
        case .malformed(let offset, let what): "the module is malformed at byte \(offset): \(what)"
        case .tooLarge(let bytes, let limit): "the module has \(bytes) bytes but at most \(limit) are allowed"
        case .tooMany(let what, let count, let limit):
            "the module has \(count) \(what) but at most \(limit) are allowed"
        case .functionTooLarge(let index, let bytes, let limit):
            "function \(index) of the module has \(bytes) bytes but at most \(limit) are allowed"
        case .unsupported(let feature): "the module needs \(feature), which is switched off"
        case .unknownImports(let names, let more):
            "the module imports what no host function provides: " + names.joined(separator: ", ")
                + (more > 0 ? " and \(more) more" : "")
        case .importTypes(let names):
            "the module imports host functions with the wrong type: " + names.joined(separator: ", ")
        case .noEntryPoint(let name, let exported):
            "the module exports no function \(name)"
                + (exported.isEmpty
                    ? "; it exports no function at all" : "; it exports " + exported.joined(separator: ", "))
        case .entryPointType(let name):
            "the entry point \(name) must have no parameters and return nothing or one i32"
        case .noFunction(let name, let callable):
            "the module exports no function \(name)"
                + (callable.isEmpty
                    ? ", and none that can be called with numbers" : "; it exports \(Self.list(callable))")
        case .notCallable(let signature, let reason): "\(signature) cannot be called: \(reason)"
        case .otherNumbers(let signature, let given):
            "\(signature) is called with other numbers: (\(given.joined(separator: ", ")))"
        case .arguments(let reason): reason
        case .invalid(let message): "the module is not valid: \(message)"
        }
    }
}

/// A node's limits on one compilation. Exceeding one is the node's doing, not the module's: another node may allow
/// more.
package enum CompileLimit: String, Hashable, Sendable {
    /// `CompileLimits.cpuSeconds`.
    case cpu
    /// `CompileLimits.memoryBytes`.
    case memory
    /// `CompileLimits.wallMilliseconds`.
    case wallClock = "wall clock"
    /// `CoVMConfiguration.Limits.compiledModuleBytesMax`.
    case size

    /// The reason in one sentence without a full stop.
    var reason: String { "compiling the module was stopped at this node's \(rawValue) limit" }
}
