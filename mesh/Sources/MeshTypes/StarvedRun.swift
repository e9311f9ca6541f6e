/// Why a run that ran out of time is its executor's failure: the words of its receipt, by which an originator knows it.
package enum StarvedRun {
    /// The executor's machine, or its process, stood still.
    package static let stoodStill = "the executor stood still during the run"

    private static let had = "the run had the processor for "

    /// The run had the processor for less of its time than it needs to be judged.
    package static func processor(milliseconds: UInt64, of passed: UInt64) -> String {
        "\(had)\(milliseconds) of \(passed) ms only"
    }

    /// Whether an executor failed for such a reason.
    package static func isReason(_ outcome: ExecutionOutcome) -> Bool {
        guard case .nodeFailed(let reason) = outcome else { return false }
        return reason == stoodStill || reason.hasPrefix(had)
    }
}
