import MeshTypes
package import Multiformats
package import SignedObjects
package import Workflows

/// The receipt of a workflow, for people and as JSON.
package struct WorkflowReceiptView: Encodable, Sendable {
    /// What it says of a stage.
    package struct Stage: Encodable, Sendable {
        /// The name.
        package let id: String
        /// Where it ended.
        package let status: String
        /// Why it failed or was left out.
        package let reason: String?
        /// Its items; nil where a list of them is missing.
        package let items: [Item]?
        /// The folders that the outputs of a fan-out became.
        package let folders: [NamedCID]
    }

    /// What it says of an item.
    package struct Item: Encodable, Sendable {
        /// The name.
        package let name: String
        /// `done`, `failed` or `not_run`.
        package let end: String
        /// Why it failed.
        package let reason: String?
        /// The job that it ended with.
        package let jobID: String?
        /// That job's receipt.
        package let receiptCID: String?

        private enum CodingKeys: String, CodingKey {
            case name, end, reason
            case jobID = "job_id"
            case receiptCID = "receipt_cid"
        }
    }

    /// The receipt's CID.
    package let receiptCID: String
    /// The CID of the workflow's signed manifest.
    package let workflowID: String
    /// Whose it is.
    package let originatorDID: String
    /// How it ended.
    package let status: String
    /// Why it failed.
    package let reason: String?
    /// When, in milliseconds since the Unix epoch.
    package let endedAt: UInt64
    /// The receipt of the end before, from which it was resumed.
    package let previousReceiptCID: String?
    /// The stages.
    package let stages: [Stage]
    /// What came out.
    package let outputs: [NamedCID]
    /// Where the receipt came from.
    package let source: String

    private enum CodingKeys: String, CodingKey {
        case status, reason, stages, outputs, source
        case receiptCID = "receipt_cid"
        case workflowID = "workflow_id"
        case originatorDID = "originator_did"
        case endedAt = "ended_at"
        case previousReceiptCID = "previous_receipt_cid"
    }

    /// What a verified receipt says, with the blocks of its items as far as they are at hand.
    package init(_ signed: SignedObject<WorkflowReceipt>, source: String, page: (CID) -> [UInt8]?) {
        let receipt = signed.body
        receiptCID = signed.cid.text
        workflowID = receipt.workflowCID.text
        originatorDID = receipt.originatorDID.text
        (status, reason, endedAt) = (receipt.status.rawValue, receipt.reason, receipt.endedAt.value)
        previousReceiptCID = receipt.previousReceiptCID?.text
        outputs = receipt.outputs.map { NamedCID(name: $0.key, cid: $0.value.text) }
        self.source = source
        stages = receipt.stages.map { stage in
            let pages = stage.pages.map { cid in
                page(cid).flatMap { ItemPage($0, of: cid) }
            }
            let items = pages.contains { $0 == nil } ? nil : pages.compactMap(\.self).flatMap(\.items)
            return Stage(
                id: stage.id, status: stage.status.rawValue, reason: stage.reason,
                items: items?.map { item in
                    Item(
                        name: item.name, end: item.end.rawValue, reason: item.reason, jobID: item.jobCID?.text,
                        receiptCID: item.receiptCID?.text)
                }, folders: stage.folders.map { NamedCID(name: $0.key, cid: $0.value.text) })
        }
    }
}
