/// The checks of a workflow's receipt, in the order of a report.
package enum WorkflowCheckName: String, Hashable, Sendable, CaseIterable {
    /// The block has the CID that was asked for.
    case block = "workflow_block"
    /// The originator signed it, and it is within its bounds.
    case signature = "workflow_signature"
    /// The plan is there, of the same originator, and well formed.
    case plan = "workflow_plan"
    /// Every item that the plan gives rise to has its record, and no other does.
    case items = "workflow_items"
    /// Each job is the originator's, and its manifest is what the plan says for the stage and item.
    case jobs = "workflow_jobs"
    /// The receipt of each job holds.
    case receipts = "workflow_receipts"
    /// Each item ended as the receipt of its job says.
    case ends = "workflow_ends"
    /// No job and no receipt serves two items.
    case once = "workflow_once"
    /// The folders have exactly what the items made.
    case folders = "workflow_folders"
    /// What each stage came to follows from its items.
    case stages = "workflow_stages"
    /// The final outputs follow from the stages.
    case outputs = "workflow_outputs"
    /// The originator signed no other receipt of the same end.
    case onlyOne = "workflow_only_one"
    /// What failed without a receipt that says so.
    case words = "workflow_words"

    /// What is checked, in a few words for people.
    package var title: String {
        switch self {
        case .block: "workflow receipt has its CID"
        case .signature: "workflow receipt signed by its originator"
        case .plan: "plan signed by the originator"
        case .items: "every item of the plan, and no other"
        case .jobs: "jobs are what the plan says"
        case .receipts: "receipts of the jobs hold"
        case .ends: "items ended as the receipts say"
        case .once: "each job counted once"
        case .folders: "folders have what the items made"
        case .stages: "stages follow from their items"
        case .outputs: "final outputs follow from the stages"
        case .onlyOne: "the only receipt of this end"
        case .words: "failures have receipts"
        }
    }
}
