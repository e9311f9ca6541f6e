import IPLD
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What came of a workflow, by its originator's word and in links that anybody can follow: to the signed plan, to the
/// receipt of each item's job, and to what came out. Source: PROTOCOL.md, "WorkflowReceipt".
package struct WorkflowReceipt: Hashable, Sendable, SignedBody {
    /// The signed manifest of the workflow.
    package var workflowCID: CID
    /// Whose it is.
    package var originatorDID: DID
    /// How it ended: `succeeded`, `failed` or `cancelled`.
    package var status: WorkflowStatus
    /// Why it failed.
    package var reason: String?
    /// The stages, in the order of the definition.
    package var stages: [StageRecord]
    /// What came out, by name.
    package var outputs: CanonicalMap<CID>
    /// When it ended, by the originator's clock.
    package var endedAt: UnixMilliseconds
    /// The receipt of the end before, from which the workflow was resumed; absent at its first end.
    package var previousReceiptCID: CID?

    /// The type name that is signed.
    package static let typeName = "WorkflowReceipt"
    /// The originator signs.
    package var signerDID: DID { originatorDID }

    enum CodingKeys: String, CodingKey {
        case status, reason, stages, outputs
        case workflowCID = "workflow_cid"
        case originatorDID = "originator_did"
        case endedAt = "ended_at"
        case previousReceiptCID = "previous_receipt_cid"
    }
}

/// What came of a stage.
package struct StageRecord: Hashable, Sendable, Codable {
    /// The name of the stage.
    package var id: String
    /// Where it ended.
    package var status: StageStatus
    /// Why it failed or was left out.
    package var reason: String?
    /// How many items it had.
    package var items: UInt64
    /// The items, in blocks of `WorkflowReceipt.Limits.itemsPerPage` each.
    package var pages: [CID]
    /// The folders that the outputs of a fan-out became, by the name of the output.
    package var folders: CanonicalMap<CID>
}

/// What came of an item of a stage.
package struct ItemRecord: Hashable, Sendable, Codable {
    /// Where an item ended.
    package enum End: String, Hashable, Sendable, Codable, CaseIterable {
        /// Its job ended with an exit code that counts as success.
        case done
        /// It failed.
        case failed
        /// Its job was not run.
        case notRun = "not_run"
    }

    /// Its name among the stage's items.
    package var name: String
    /// Where it ended.
    package var end: End
    /// Why it failed.
    package var reason: String?
    /// The job that it ended with; absent if there was none.
    package var jobCID: CID?
    /// The receipt of that job; absent if it has none.
    package var receiptCID: CID?
    /// Who had run the job, if it is an earlier one whose result served; else absent.
    package var servedBy: DID?

    enum CodingKeys: String, CodingKey {
        case name, end, reason
        case servedBy = "served_by"
        case jobCID = "job_cid"
        case receiptCID = "receipt_cid"
    }
}

/// Items of a stage, as one block.
package struct ItemPage: Hashable, Sendable, Codable {
    /// The items, in order.
    package var items: [ItemRecord]

    init(items: [ItemRecord]) { self.items = items }

    /// Reads a block; `nil` if it does not hash to its CID, or has more items, longer texts or other links than it
    /// may have.
    package init?(_ block: [UInt8], of cid: CID) {
        let limits = WorkflowReceipt.Limits()
        guard cid.matches(block), let page = try? DAGCBORDecoder().decode(ItemPage.self, from: block),
            page.items.count <= limits.itemsPerPage
        else { return nil }
        for item in page.items {
            let links = [item.jobCID, item.receiptCID].compactMap(\.self)
            guard item.name.utf8.count <= limits.itemNameBytesMax,
                item.reason.map({ $0.utf8.count <= limits.reasonBytesMax }) ?? true,
                links.allSatisfy({ $0.namesEvidence && $0.codec == .dagCBOR })
            else { return nil }
        }
        self = page
    }
}

extension WorkflowReceipt {
    /// The bounds of a receipt.
    package struct Limits: Hashable, Sendable {
        /// Items of one block.
        package var itemsPerPage = 1_000
        /// The text of a reason, in bytes.
        package var reasonBytesMax = 256
        /// The name of an item, in bytes: as long as one of a folder's entry.
        package var itemNameBytesMax = 255
        /// Receipts of ends before that a verifier follows one by one.
        package var previousMax = 32
        /// The receipt as a record of the DHT, in bytes; a longer one is found at the originator alone.
        package var recordBytesMax = 64 << 10

        package init() {}
    }

    /// What every key of the DHT starts with under which receipts of workflows are found.
    package static let keyPrefix = "/icn/workflow/"

    /// The DHT key of a receipt.
    package static func key(_ receipt: CID) -> [UInt8] { Array(keyPrefix.utf8) + receipt.bytes }

    /// The receipt of a record of the DHT; `nil` when the key does not name the value, or that is no valid receipt.
    package static func receipt(key: [UInt8], value: [UInt8]) -> SignedObject<WorkflowReceipt>? {
        guard key.starts(with: keyPrefix.utf8), let cid = try? CID(bytes: Array(key[keyPrefix.utf8.count...])),
            cid.namesEvidence, cid.codec == .dagCBOR, value.count <= Limits().recordBytesMax, cid.matches(value)
        else { return nil }
        return receipt(of: value)
    }

    /// The receipt in a block; `nil` when it is not validly signed, or has more in it than receipts may have.
    package static func receipt(of block: [UInt8]) -> SignedObject<WorkflowReceipt>? {
        guard let signed = try? SignedObject<WorkflowReceipt>(verifying: block), signed.body.formFault() == nil else {
            return nil
        }
        return signed
    }

    /// What of a receipt is out of bounds, as a sentence without a full stop; `nil` if nothing is.
    package func formFault(_ limits: Limits = Limits(), _ bounds: WorkflowLimits = WorkflowLimits()) -> String? {
        let links = [workflowCID] + stages.flatMap(\.pages) + [previousReceiptCID].compactMap(\.self)
        if !links.allSatisfy({ $0.namesEvidence && $0.codec == .dagCBOR }) { return "it links what is no object" }
        let contents = outputs.values + stages.flatMap(\.folders.values)
        if !contents.allSatisfy(\.namesMeshContent) { return "it names outputs that are no files or folders" }
        if !status.isOver { return "it says that the workflow is not over" }
        if stages.count > bounds.stagesMax { return "it has \(stages.count) stages" }
        if outputs.count > bounds.namesMax { return "it has \(outputs.count) outputs" }
        let reasons = [reason].compactMap(\.self) + stages.compactMap(\.reason)
        if reasons.contains(where: { $0.utf8.count > limits.reasonBytesMax }) { return "a reason is too long" }
        let foldersMax = bounds.partsMax * 2 + StageOutput.standard.count
        for stage in stages {
            let perPage = UInt64(limits.itemsPerPage)
            guard stage.items <= UInt64(bounds.itemsMax), stage.status.isSettled, stage.folders.count <= foldersMax,
                UInt64(stage.pages.count) == (stage.items + perPage - 1) / perPage
            else { return "what it says of a stage is out of bounds" }
            // Items of a stage have names of their own, so no two blocks of them are the same.
            if Set(stage.pages).count != stage.pages.count { return "a stage names a block of items twice" }
        }
        return nil
    }

    /// The receipt of a plan that is over, and the blocks with its items.
    ///
    /// - Throws: where a block cannot be written.
    package static func make(
        of plan: WorkflowPlan, workflow: CID, by originator: DID, at date: UnixMilliseconds
    ) throws -> (receipt: WorkflowReceipt, pages: [(cid: CID, bytes: [UInt8])]) {
        let limits = Limits()
        var blocks: [(cid: CID, bytes: [UInt8])] = []
        var stages: [StageRecord] = []
        for stage in plan.stages {
            var record = StageRecord(
                id: stage.definition.id, status: stage.status, reason: stage.reason.map(Self.cut),
                items: UInt64(stage.items.count), pages: [], folders: [:])
            for first in stride(from: 0, to: stage.items.count, by: limits.itemsPerPage) {
                let items = stage.items[first..<min(stage.items.count, first + limits.itemsPerPage)]
                let bytes = try DAGCBOREncoder().encode(ItemPage(items: items.map(ItemRecord.init)))
                let cid = CID.hashing(bytes, codec: .dagCBOR)
                blocks.append((cid, bytes))
                record.pages.append(cid)
            }
            if stage.definition.forEach != nil {
                record.folders = CanonicalMap(stage.outputs.map { ($0.name, $0.cid) })
            }
            stages.append(record)
        }
        let receipt = WorkflowReceipt(
            workflowCID: workflow, originatorDID: originator, status: plan.status, reason: plan.reason.map(cut),
            stages: stages, outputs: plan.outputs, endedAt: date, previousReceiptCID: plan.receiptCID)
        return (receipt, blocks)
    }

    fileprivate static func cut(_ reason: String) -> String {
        PlainText.sanitized(reason, bytesMax: Limits().reasonBytesMax)
    }
}

extension ItemRecord {
    /// What came of an item.
    init(_ item: StagePlan.Item) {
        self.init(name: item.name, end: .notRun, jobCID: nil, receiptCID: nil)
        switch item.phase {
        case .waiting, .running: return
        case .done: end = .done
        case .failed(let reason): (end, self.reason) = (.failed, WorkflowReceipt.cut(reason))
        }
        (jobCID, receiptCID) = (item.jobID, item.receiptCID)
        servedBy = item.servedBy
    }
}
