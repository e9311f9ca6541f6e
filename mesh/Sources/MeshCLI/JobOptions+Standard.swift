import NodeAPI
import SignedObjects

/// What the limits of a job are where none are given, in words for the help.
extension JobOptions {
    private static let usual = JobSubmission.Limits.standard

    static var usualFuel: String { usual.maxFuel.map(GroupedNumber.of) ?? "" }
    static var usualMemory: String { usual.maxMemoryBytes.map(GroupedNumber.bytes) ?? "" }
    static var usualOutput: String { usual.maxOutputBytes.map(GroupedNumber.bytes) ?? "" }
    static var usualTime: String { usual.timeoutSeconds.map { "\(GroupedNumber.of($0)) s" } ?? "" }
}
