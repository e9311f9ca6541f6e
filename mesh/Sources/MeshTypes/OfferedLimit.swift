/// A limit by which an executor declines jobs, or fails them, under the name that its capability gives it
/// (PROTOCOL.md, "NodeCapability").
///
/// Like resources the set is open: a reader ignores names that it does not know, and a missing one says nothing.
package enum OfferedLimit: String, Hashable, Sendable, Codable, CaseIterable {
    /// Linear memory of a run, in bytes.
    case memoryBytes = "max_memory_bytes"
    /// Fuel of a run.
    case fuel = "max_fuel"
    /// Wall clock of a run, in seconds.
    case timeoutSeconds = "timeout_seconds"
    /// Outputs of a run together, in bytes.
    case outputBytes = "max_output_bytes"
    /// What a run may have written to its files at any time, in bytes.
    case filesBytes = "max_files_bytes"
    /// A module, in bytes.
    case moduleBytes = "module_bytes"
    /// Functions of a module.
    case moduleFunctions = "module_functions"
    /// The longest function of a module, in bytes.
    case functionBytes = "function_bytes"
    /// Processor time for compiling a module, in seconds; nobody knows beforehand what a module needs.
    case compileSeconds = "compile_seconds"
    /// Memory for compiling a module, in bytes; the same.
    case compileMemoryBytes = "compile_memory_bytes"
    /// All inputs of a job together, in bytes.
    case inputBytes = "input_bytes"
    /// Runs side by side; a job asks for one.
    case jobsAtOnce = "jobs_at_once"
    /// Accepted jobs that wait for a place.
    case queuedJobs = "queued_jobs"

    /// What a job asks for; `nil` if nobody can tell beforehand.
    package func asked(by params: MeshJobParams, _ sizes: JobSizes) -> UInt64? {
        switch self {
        case .memoryBytes: params.maxMemoryBytes
        case .fuel: params.maxFuel
        case .timeoutSeconds: params.timeoutSeconds
        case .outputBytes: params.maxOutputBytes
        case .filesBytes: params.files?.maxBytes ?? 0
        case .moduleBytes: sizes.moduleBytes
        case .moduleFunctions: sizes.moduleFunctions
        case .functionBytes: sizes.functionBytes
        case .inputBytes: sizes.inputBytes
        case .compileSeconds, .compileMemoryBytes, .jobsAtOnce, .queuedJobs: nil
        }
    }

    /// The key in the executor's `config.json`.
    package var setting: String {
        switch self {
        case .memoryBytes: "executor.memory_mib"
        case .fuel: "executor.fuel_max"
        case .timeoutSeconds: "executor.run_seconds_max"
        case .outputBytes: "executor.output_bytes_max"
        case .filesBytes: "executor.files_bytes_max"
        case .moduleBytes: "limits.module_bytes_max"
        case .moduleFunctions: "limits.module_functions_max"
        case .functionBytes: "limits.function_bytes_max"
        case .compileSeconds: "limits.compile_seconds_max"
        case .compileMemoryBytes: "limits.compile_memory_bytes_max"
        case .inputBytes: "limits.file_bytes_max"
        case .jobsAtOnce: "executor.jobs_at_once"
        case .queuedJobs: "executor.queued_jobs_max"
        }
    }
}

/// What an executor has too little of for a job's module or inputs.
package struct OfferedShortage: Hashable, Sendable {
    /// The limit.
    package let limit: OfferedLimit
    /// What the job needs.
    package let needed: UInt64
    /// What the executor takes.
    package let offered: UInt64

    /// The first shortage that an offer shows; `nil` if it shows none.
    package init?(of offer: NodeCapability, for sizes: JobSizes) {
        guard let limits = offer.limits else { return nil }
        let measured: [(OfferedLimit, UInt64?)] = [
            (.moduleBytes, sizes.moduleBytes), (.moduleFunctions, sizes.moduleFunctions),
            (.functionBytes, sizes.functionBytes), (.inputBytes, sizes.inputBytes),
        ]
        for (limit, needed) in measured {
            guard let needed, let offered = limits[limit.rawValue], needed > offered else { continue }
            self.limit = limit
            self.needed = needed
            self.offered = offered
            return
        }
        return nil
    }
}

/// What a job's module and inputs measure, as far as its originator knows; no manifest says it.
package struct JobSizes: Hashable, Sendable {
    /// The module, in bytes.
    package var moduleBytes: UInt64?
    /// Its functions.
    package var moduleFunctions: UInt64?
    /// The longest of them, in bytes.
    package var functionBytes: UInt64?
    /// The memory that the module has from its start, in bytes.
    package var memoryBytes: UInt64?
    /// All inputs together, in bytes.
    package var inputBytes: UInt64?

    /// Nothing known.
    package init() {}
}
