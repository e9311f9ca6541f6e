import MeshTypes

/// Numbers in sentences for people; exact, never rounded.
enum ReadableAmount {
    /// A number with commas: 1,234,567.
    static func count(_ number: UInt64) -> String {
        let digits = Array(String(number))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// Bytes in the largest unit that divides them: 3 GiB, 1,500 bytes.
    static func bytes(_ bytes: UInt64) -> String {
        for (unit, shift) in [("GiB", UInt64(30)), ("MiB", 20), ("KiB", 10)]
        where bytes > 0 && bytes & ((1 << shift) - 1) == 0 {
            return "\(count(bytes >> shift)) \(unit)"
        }
        return bytes == 1 ? "1 byte" : "\(count(bytes)) bytes"
    }
}

extension OfferedLimit {
    /// An amount of it, with its unit.
    func text(_ amount: UInt64) -> String {
        switch self {
        case .memoryBytes, .outputBytes, .moduleBytes, .functionBytes, .compileMemoryBytes, .inputBytes:
            ReadableAmount.bytes(amount)
        case .timeoutSeconds, .compileSeconds: "\(ReadableAmount.count(amount)) s"
        case .fuel, .moduleFunctions, .jobsAtOnce, .queuedJobs: ReadableAmount.count(amount)
        }
    }

    /// What it bounds, as the subject of a sentence.
    var noun: String {
        switch self {
        case .memoryBytes: "memory"
        case .fuel: "fuel"
        case .timeoutSeconds: "timeout"
        case .outputBytes: "output"
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
        case .moduleBytes, .moduleFunctions, .functionBytes, .compileSeconds, .compileMemoryBytes: "Shrink the module"
        case .inputBytes: "Give the job less input"
        case .jobsAtOnce, .queuedJobs: "Wait"
        }
    }
}
