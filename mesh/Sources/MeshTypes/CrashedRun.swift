/// Why a run failed whose process was lost, or told what no run can: the words of its receipt, by which its executor
/// and its originator know it (PROTOCOL.md, "Outcomes").
package enum CrashedRun {
    private static let crashed = "the engine crashed: "

    /// The reason of a run that was lost in this way, which is a sentence without a full stop.
    package static func reason(_ how: String) -> String { crashed + how }

    /// In which way the run of an outcome was lost; `nil` for every other outcome.
    package static func way(_ outcome: ExecutionOutcome) -> String? {
        guard case .nodeFailed(let reason) = outcome, reason.hasPrefix(crashed) else { return nil }
        return String(reason.dropFirst(crashed.count))
    }
}
