import MeshTypes
import SignedObjects

extension OfferedLimit {
    /// An amount of it, with its unit.
    func text(_ amount: UInt64) -> String {
        switch self {
        case .memoryBytes, .outputBytes, .filesBytes, .moduleBytes, .functionBytes, .compileMemoryBytes, .inputBytes:
            GroupedNumber.bytes(amount)
        case .timeoutSeconds, .compileSeconds: "\(GroupedNumber.of(amount)) s"
        case .fuel, .moduleFunctions, .jobsAtOnce, .queuedJobs: GroupedNumber.of(amount)
        }
    }

    /// What it bounds, as the subject of a sentence.
    var noun: String {
        switch self {
        case .memoryBytes: "memory"
        case .fuel: "fuel"
        case .timeoutSeconds: "timeout"
        case .outputBytes: "output"
        case .filesBytes: "room for files"
        case .moduleBytes: "module length"
        case .moduleFunctions: "number of functions"
        case .functionBytes: "longest function"
        case .compileSeconds: "compile time"
        case .compileMemoryBytes: "compile memory"
        case .inputBytes: "input length"
        case .jobsAtOnce: "jobs at once"
        case .queuedJobs: "waiting jobs"
        }
    }

    /// How the owner of a job asks for less.
    var remedy: String {
        switch self {
        case .memoryBytes: "Ask for less with --max-memory"
        case .fuel: "Ask for less with --max-fuel"
        case .timeoutSeconds: "Ask for less with --timeout"
        case .outputBytes: "Ask for less with --max-output"
        case .filesBytes: "Ask for less with --max-files"
        case .moduleBytes, .moduleFunctions, .functionBytes, .compileSeconds, .compileMemoryBytes: "Shrink the module"
        case .inputBytes: "Give the job less input"
        case .jobsAtOnce, .queuedJobs: "Wait"
        }
    }
}
