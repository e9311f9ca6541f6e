import CoVM

// The limits of the machine by their keys in `config.json`, so that whoever meets one is told what to change.

extension ModuleRefusal {
    /// The setting of the limit that a module exceeds; `nil` if no setting would help.
    var setting: String? {
        switch self {
        case .tooLarge: "limits.module_bytes_max"
        case .functionTooLarge: "limits.function_bytes_max"
        case .tooMany where isThisNodesLimit: "limits.module_functions_max"
        default: nil
        }
    }

    /// That another function can be called, or in another way; `nil` where the function is not what is refused.
    private var callAdvice: String? {
        switch self {
        case .noEntryPoint, .entryPointType:
            "Name another function with --entry, or call one with numbers: mesh run MODULE --invoke NAME NUMBERS; "
                + "mesh check lists both."
        case .noFunction, .notCallable, .otherNumbers: "mesh check lists the functions that can be called."
        default: nil
        }
    }

    /// What the owner of the job can do.
    var advice: String {
        setting.map { "Shrink the module, or raise \($0) in config.json here and on the executors, and restart them." }
            ?? remedy
            ?? remedyOfImports
            ?? callAdvice
            ?? "A job may import only WASI preview 1 and mesh_host_v1, and starts at _start or --entry."
    }

    private var remedyOfImports: String? {
        switch self {
        case .unknownImports, .importTypes:
            "No option helps: its author has to build it without these imports. A job may import only WASI preview 1 "
                + "and mesh_host_v1 (mesh check MODULE lists what it imports)."
        default: nil
        }
    }
}

extension CompileLimit {
    /// The setting of the limit; `nil` if there is none.
    var setting: String? {
        switch self {
        case .cpu, .wallClock: "limits.compile_seconds_max"
        case .memory: "limits.compile_memory_bytes_max"
        case .size: nil
        }
    }
}

extension ExecutionResult {
    /// The setting of this node's limit that stopped the job; `nil` if none did.
    var setting: String? { compileLimit?.setting ?? formLimit?.setting }
}
