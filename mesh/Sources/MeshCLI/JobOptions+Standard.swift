import NodeAPI

/// What the limits of a job are where none are given, in words for the help.
extension JobOptions {
    private static let usual = JobSubmission.Limits.standard

    static var usualFuel: String { usual.maxFuel.map(Readable.count) ?? "" }
    static var usualMemory: String { usual.maxMemoryBytes.map(Readable.bytes) ?? "" }
    static var usualOutput: String { usual.maxOutputBytes.map(Readable.bytes) ?? "" }
    static var usualTime: String {
        usual.timeoutSeconds.map {
            Readable.duration(milliseconds: $0.multipliedReportingOverflow(by: 1_000).partialValue)
        }
            ?? ""
    }
}
