import NodeAPI
import Workflows

/// What checking the results of a workflow may cost, said before it is begun.
enum WorkflowChecks {
    /// A line for each way in which jobs are checked, with the stages whose jobs these are.
    ///
    /// - Parameter usual: the node's default; nil where no node was asked, and stages that name no check say nothing.
    static func lines(for definition: WorkflowDefinition, usual: String?) -> [String] {
        let mark = "check    "
        var lines: [(stages: [String], cost: String)] = []
        for stage in definition.stages {
            guard let check = definition.verification(of: stage) ?? usual, JobSubmission.mayReplay(check) else {
                continue
            }
            let limits = JobSubmission.Limits(
                timeoutSeconds: stage.limits.timeoutSeconds, maxFuel: stage.limits.maxFuel,
                maxMemoryBytes: stage.limits.maxMemoryBytes, maxOutputBytes: stage.limits.maxOutputBytes)
            let cost = String(Run.checkingCost(check, limits, budget: stage.jobBudget).dropFirst(mark.count))
            if let index = lines.firstIndex(where: { $0.cost == cost }) {
                lines[index].stages.append(stage.id)
            } else {
                lines.append(([stage.id], cost))
            }
        }
        return lines.map { "\(mark)each job of \($0.stages.joined(separator: ", ")): \($0.cost)" }
    }

    /// The same by what the node does where nothing is said, on lines that stay.
    static func tell(
        _ definition: WorkflowDefinition, on node: some NodeService, quiet: Bool, _ console: Console
    ) async {
        if quiet { return }
        let usual = try? await node.limits().verification
        let line = LiveLine(console: console, quiet: false)
        for text in lines(for: definition, usual: usual) { line.keep(text) }
    }
}
