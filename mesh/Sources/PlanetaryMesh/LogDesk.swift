import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import Receipts
import SignedObjects

/// Shows the node's log, and signs its heads.
///
/// It signs what the disk has, and nothing else: whatever is on the disk stays the beginning of the log, so no two
/// heads of one size can be signed, wherever the node is killed.
package struct LogDesk: Sendable {
    let identity: Identity
    let store: MeshStore

    /// Entries below a number, the newest first, at most `limit`.
    func entries(below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView] {
        let rows = try await stored { () throws(MeshStoreError) in
            try await store.persisted()
            return try await AnchoredRow.newest(below: number ?? .max, limit: limit, in: store)
        }
        return rows.compactMap(Self.view)
    }

    /// The first entry that anchors a block; nil if none does.
    func entry(anchoring cid: CID) async throws(NodeServiceError) -> LogEntryView? {
        let row = try await stored { () throws(MeshStoreError) in
            try await store.persisted()
            return try await AnchoredRow.anchoring(cid, in: store)
        }
        return row.flatMap(Self.view)
    }

    /// A report on a receipt, with the entry that anchors it.
    func completed(_ report: ReceiptReport, of cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        var report = report
        report.anchored = try await entry(anchoring: cid)
        return report
    }

    /// The signed head; behind the proof that it continues the head of a size, if there is one.
    func head(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView {
        let checkpoint = try await stored { () throws(MeshStoreError) in
            try await store.persisted()
            return try await self.checkpoint()
        }
        let head = checkpoint.head
        let note = try signed(checkpoint)
        var text = note.bytes
        if let size {
            guard let plan = ProofPlan.consistency(of: size, in: head.size) else {
                throw NodeServiceError(
                    .invalidRequest, "The log has \(head.size) entries, so it never had \(size).",
                    hint: "mesh dag heads without --since prints the head that it has.")
            }
            let record = LogRecord(store: store)
            let hashes = try await stored { () throws(MeshStoreError) in try await record.proof(plan) }
            text = LogGrowth(oldSize: size, hashes: hashes, note: note).bytes
        }
        return LogHeadView(
            origin: checkpoint.origin, size: head.size, root: head.root.base64,
            text: String(decoding: text, as: UTF8.self))
    }

    /// The proof that the log has the entry that anchors a block.
    func proof(of cid: CID) async throws(NodeServiceError) -> LogProofView {
        let row = try await stored { () throws(MeshStoreError) in
            try await store.persisted()
            return try await AnchoredRow.anchoring(cid, in: store)
        }
        guard let row, let entry = Self.view(row) else {
            throw NodeServiceError(
                .receiptNotFound, "This node has anchored no \(cid).",
                hint: "mesh dag log lists what it has; both parties of a job anchor its receipt.")
        }
        let record = LogRecord(store: store)
        let (checkpoint, hashes) = try await stored { () throws(MeshStoreError) in
            let checkpoint = try await self.checkpoint()
            guard let plan = ProofPlan.inclusion(of: row.number, in: checkpoint.head.size) else {
                throw MeshStoreError.recordCorrupt(table: "anchor_log", row: Int64(clamping: row.number))
            }
            return (checkpoint, try await record.proof(plan))
        }
        let proof = LogProof(extra: row.bytes, index: row.number, hashes: hashes, note: try signed(checkpoint))
        guard (try? LogEvidence(verifying: proof.bytes)) != nil else {
            throw NodeServiceError(
                storage: .recordCorrupt(table: "anchor_hashes", row: Int64(clamping: 2 * row.number)))
        }
        return LogProofView(cid: cid.text, entry: entry, text: String(decoding: proof.bytes, as: UTF8.self))
    }

    /// The head of what is on the disk.
    private func checkpoint() async throws(MeshStoreError) -> Checkpoint {
        let tree = try await LogRecord(store: store).tree()
        let name = AnchorEntry.logName(
            of: identity.did, scope: AnchorEntry.globalScope, openedAt: try await RestoredChain.openedAt(in: store))
        guard let checkpoint = Checkpoint(origin: name, head: TreeHead(tree)) else {
            preconditionFailure("the name of a log that no note could have")
        }
        return checkpoint
    }

    private func signed(_ checkpoint: Checkpoint) throws(NodeServiceError) -> SignedNote {
        do {
            return try checkpoint.signed(with: identity)
        } catch {
            throw NodeServiceError(.internalError, "The head of the log could not be signed: \(error).")
        }
    }

    private static func view(_ row: AnchoredRow) -> LogEntryView? {
        guard let entry = try? SignedObject<AnchorEntry>(verifiedBefore: row.bytes).body else { return nil }
        return LogEntryView(
            number: row.number, entryCID: row.entry.text, anchors: entry.payload.map(\.text),
            recordedAt: entry.recordedAt.value)
    }
}
