import Multiformats
import SignedObjects
package import Workflows

/// A workflow that its owner wants begun.
package struct WorkflowSubmission: Hashable, Sendable, Codable {
    /// The plan; all its content is at the node, by its CIDs.
    package var definition: WorkflowDefinition
    /// The same key begins one workflow.
    package var key: String

    package init(definition: WorkflowDefinition, key: String) {
        self.definition = definition
        self.key = key
    }
}

/// A workflow, as its owner sees it.
package struct WorkflowView: Hashable, Sendable, Codable {
    /// The CID of its signed manifest.
    package var workflowID: String
    /// What it is called.
    package var name: String
    /// True if it is of the form that `mesh map` gives a workflow, whose every item was asked for; else absent.
    package var isMap: Bool?
    /// Where it is.
    package var status: WorkflowStatus
    /// Whether it is over.
    package var isOver: Bool
    /// Why it failed.
    package var reason: String?
    /// When it was begun, in milliseconds since the Unix epoch.
    package var submittedAt: UInt64
    /// Grows with everything that happens to it.
    package var version: UInt64
    /// The most that it may cost, in the smallest unit.
    package var budget: UInt64?
    /// What was paid.
    package var paid: UInt64
    /// What is held for jobs that have not ended.
    package var held: UInt64
    /// What is left of the budget.
    package var left: UInt64?
    /// The stages.
    package var stages: [WorkflowStageView]
    /// What came out.
    package var outputs: [NamedCID]
    /// The receipt of its end; nil before.
    package var receiptCID: String?

    /// - Parameter isOver: whether nothing happens to it any more, its receipt included.
    package init(
        _ plan: WorkflowPlan, workflowID: String, submittedAt: UInt64, version: UInt64, isOver: Bool,
        outputs: [NamedCID]
    ) {
        self.workflowID = workflowID
        self.submittedAt = submittedAt
        self.version = version
        self.outputs = outputs
        name = plan.definition.name
        isMap = plan.definition.isMap ? true : nil
        (status, reason) = (plan.status, plan.reason)
        self.isOver = isOver
        receiptCID = isOver && plan.isClosed ? plan.receiptCID?.text : nil
        (budget, paid, held, left) = (plan.definition.budget, plan.paid, plan.held, plan.left)
        stages = plan.stages.map(WorkflowStageView.init)
    }

    private enum CodingKeys: String, CodingKey {
        case name, status, reason, version, budget, paid, held, left, stages, outputs
        case workflowID = "workflow_id"
        case isMap = "map"
        case isOver = "over"
        case submittedAt = "submitted_at"
        case receiptCID = "receipt_cid"
    }
}

/// A workflow in a listing.
package struct WorkflowListing: Hashable, Sendable, Codable {
    /// The CID of its signed manifest.
    package var workflowID: String
    /// What it is called.
    package var name: String
    /// Where it is.
    package var status: WorkflowStatus
    /// Whether nothing happens to it any more.
    package var isOver: Bool
    /// When it was begun, in milliseconds since the Unix epoch.
    package var submittedAt: UInt64

    package init(workflowID: String, name: String, status: WorkflowStatus, isOver: Bool, submittedAt: UInt64) {
        self.workflowID = workflowID
        self.name = name
        self.status = status
        self.isOver = isOver
        self.submittedAt = submittedAt
    }

    private enum CodingKeys: String, CodingKey {
        case name, status
        case workflowID = "workflow_id"
        case isOver = "over"
        case submittedAt = "submitted_at"
    }
}

/// A stage of a workflow, as its owner sees it.
package struct WorkflowStageView: Hashable, Sendable, Codable {
    /// The name.
    package var id: String
    /// Where it is.
    package var status: StageStatus
    /// Why it failed or was skipped.
    package var reason: String?
    /// Items that are known.
    package var items: Int
    /// Items whose jobs run.
    package var running: Int
    /// Items that are done.
    package var done: Int
    /// Items that failed.
    package var failed: Int
    /// Items for which the result of an earlier job served; absent if there are none.
    package var served: Int?
    /// What was paid, in the smallest unit.
    package var paid: UInt64
    /// What is held, in the smallest unit.
    package var held: UInt64

    package init(_ stage: StagePlan) {
        (id, status, reason) = (stage.definition.id, stage.status, stage.reason)
        (items, running, done, failed) = (stage.items.count, stage.running, stage.done, stage.failed)
        served = stage.served > 0 ? stage.served : nil
        (paid, held) = (stage.paid, stage.held)
    }
}

/// An item of a stage, as its owner sees it.
package struct WorkflowItemView: Hashable, Sendable, Codable {
    /// The stage.
    package var stage: String
    /// The entry of the folder, the text or the number; empty in a stage that runs once.
    package var item: String
    /// `waiting`, `running`, `done` or `failed`.
    package var phase: String
    /// Why it failed.
    package var reason: String?
    /// The module's exit code.
    package var exitCode: Int64?
    /// Its last job.
    package var jobID: String?
    /// Its receipt.
    package var receiptCID: String?
    /// Who had run the job, if it is an earlier one whose result served; else absent.
    package var servedBy: String?
    /// Its outputs.
    package var outputs: [NamedCID]
    /// Its number within the stage, from 0; nil from an older node.
    package var number: Int?

    package init(stage: String, number: Int, _ item: StagePlan.Item) {
        self.stage = stage
        self.number = number
        self.item = item.text
        switch item.phase {
        case .waiting: phase = "waiting"
        case .running: phase = "running"
        case .done: phase = "done"
        case .failed(let reason): (phase, self.reason) = ("failed", reason)
        }
        exitCode = item.exitCode
        jobID = item.jobID?.text
        receiptCID = item.receiptCID?.text
        servedBy = item.servedBy?.text
        outputs = item.outputs.map { NamedCID(name: $0.name, cid: $0.cid.text) }
    }

    /// Where it is in the list of all items; nil from an older node.
    package var place: WorkflowItemQuery.Place? { number.map { .init(stage: stage, number: $0) } }

    private enum CodingKeys: String, CodingKey {
        case stage, item, phase, reason, outputs, number
        case servedBy = "served_by"
        case exitCode = "exit_code"
        case jobID = "job_id"
        case receiptCID = "receipt_cid"
    }
}

/// What the owner wants of a workflow.
package enum WorkflowOrder: String, Hashable, Sendable, Codable, CaseIterable {
    /// End it; every job that runs is cancelled.
    case cancel
    /// Run again what failed, and what was not run.
    case resume
}
