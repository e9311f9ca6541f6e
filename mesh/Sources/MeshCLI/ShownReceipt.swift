import Multiformats
import NodeAPI
import Receipts
import SignedObjects
import Workflows

/// What `mesh receipt show` shows: the receipt of a job, or of a workflow.
enum ShownReceipt: Encodable {
    /// Of a job.
    case job(ReceiptView)
    /// Of a workflow.
    case workflow(WorkflowReceiptView)

    func encode(to encoder: any Encoder) throws {
        switch self {
        case .job(let view): try view.encode(to: encoder)
        case .workflow(let view): try view.encode(to: encoder)
        }
    }

    func text(width: Int?) -> String {
        switch self {
        case .job(let view): Receipt.text(view, width: width)
        case .workflow(let view): view.text(width: width)
        }
    }

    /// What a named receipt says, from its file or from a node.
    static func of(_ receipt: NamedReceipt, _ node: some NodeService) async throws(NodeServiceError) -> ShownReceipt {
        guard case .filed(let cid, let archive, let file) = receipt else { return try await asked(receipt.cid, node) }
        if let signed = archive.receipt(cid) { return .job(ReceiptView(signed, source: file)) }
        guard let block = archive.block(cid), cid.matches(block), let signed = WorkflowReceipt.receipt(of: block) else {
            throw NodeServiceError(
                .receiptInvalid, "\(cid) in \(file) is no validly signed receipt.",
                hint: "Make the file again with mesh receipt export.")
        }
        return .workflow(WorkflowReceiptView(signed, source: file) { archive.block($0) })
    }

    private static func asked(_ cid: CID, _ node: some NodeService) async throws(NodeServiceError) -> ShownReceipt {
        let block = try await node.block(cid)
        guard let signed = WorkflowReceipt.receipt(of: block) else { return .job(try await node.receipt(cid)) }
        var pages: [CID: [UInt8]] = [:]
        for page in signed.body.stages.flatMap(\.pages) { pages[page] = try await node.block(page) }
        return .workflow(WorkflowReceiptView(signed, source: "the node") { pages[$0] })
    }
}

extension WorkflowReceiptView {
    /// The facts, and a table of items.
    func text(width: Int?) -> String {
        var facts = [
            ("receipt", receiptCID), ("workflow", workflowID), ("originator", originatorDID), ("status", status),
        ]
        if let reason { facts.append(("reason", reason)) }
        facts += outputs.map { ("output \($0.name)", $0.cid) }
        facts.append(("ended", Readable.date(endedAt)))
        if let previousReceiptCID { facts.append(("previous", previousReceiptCID)) }
        facts.append(("had from", source))
        var table = Table([("STAGE", .left), ("ITEM", .left), ("END", .left), ("RECEIPT", .left)])
        for stage in stages {
            guard let items = stage.items, !items.isEmpty else {
                table.add([stage.id, "", stage.status, stage.items == nil ? "the list of items is missing" : ""])
                continue
            }
            for item in items {
                table.add([stage.id, item.name, item.end, item.receiptCID ?? item.reason ?? ""])
            }
        }
        return Table.facts(facts, columns: width ?? .max) + "\n" + table.text
    }
}
