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
    let witness: WitnessDesk

    /// Entries below a number, the newest first, at most `limit`.
    func entries(below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView] {
        let rows = try await stored { () throws(MeshStoreError) in
            try await store.persisted()
            return try await AnchoredRow.newest(below: number ?? .max, limit: limit, in: store)
        }
        return rows.compactMap(Self.view)
    }

    /// The first entry that anchors a block; nil if none does. Where the disk takes nothing, nothing waits for it.
    func entry(anchoring cid: CID) async throws(NodeServiceError) -> LogEntryView? {
        let row = try await stored { () throws(MeshStoreError) in
            if !store.isStuck { try await store.persisted() }
            return try await AnchoredRow.anchoring(cid, in: store)
        }
        guard let row, var view = Self.view(row) else { return nil }
        let cosigned = try await stored { () throws(MeshStoreError) in
            try await CosignedRow.first(after: row.number, in: store)
        }
        if cosigned.isEmpty { return view }
        view.cosignatures = cosigned.compactMap { row in
            guard let key = NoteKey(text: String(decoding: row.witness, as: UTF8.self)) else { return nil }
            return CosignatureView(witness: key.name, size: row.size, seconds: row.seconds)
        }
        return view
    }

    /// A report on a receipt, with the entry that anchors it.
    func completed(_ report: ReceiptReport, of cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        var report = report
        report.anchored = try await entry(anchoring: cid)
        return report
    }

    /// A description of a job, with the entry that anchors its receipt, where the log can be read.
    func completed(_ description: JobDescription) async -> JobDescription {
        var description = description
        let receipt = description.receipts.first(where: \.counts).flatMap { try? CID(parsing: $0.receiptCID) }
        if let receipt { description.anchored = (try? await entry(anchoring: receipt)) ?? nil }
        return description
    }

    /// The signed head; behind the proof that it continues the head of a size, if there is one.
    func head(of wanted: UInt64? = nil, since size: UInt64?) async throws(NodeServiceError) -> LogHeadView {
        let checkpoint = try await stored { () throws(MeshStoreError) in
            try await store.persisted()
            return try await self.checkpoint(of: wanted)
        }
        let head = checkpoint.head
        let note = try await cosigned(checkpoint)
        var text = note.bytes
        if let size {
            guard let plan = ProofPlan.consistency(of: size, in: head.size) else {
                throw NodeServiceError(
                    .rangeNotSatisfiable, "The log has \(head.size) entries, so it never had \(size).",
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
            // A head that witnesses have cosigned is worth more than a newer one.
            let checkpoint = try await self.checkpoint(
                of: try await CosignedRow.bestSize(beyond: row.number, in: store))
            guard let plan = ProofPlan.inclusion(of: row.number, in: checkpoint.head.size) else {
                throw MeshStoreError.recordCorrupt(table: "anchor_log", row: Int64(clamping: row.number))
            }
            return (checkpoint, try await record.proof(plan))
        }
        var note = try await cosigned(checkpoint)
        func made(_ note: SignedNote) -> LogProof {
            LogProof(extra: row.bytes, index: row.number, hashes: hashes, note: note)
        }
        // A long entry leaves no room for the cosignatures of many witnesses with long names.
        while note.signatures.count > 1, made(note).bytes.count > LogProof.bytesMax { note.signatures.removeLast() }
        let proof = made(note)
        guard (try? LogEvidence(verifying: proof.bytes)) != nil else {
            throw NodeServiceError(
                storage: .recordCorrupt(table: "anchor_hashes", row: Int64(clamping: 2 * row.number)))
        }
        return LogProofView(cid: cid.text, entry: entry, text: String(decoding: proof.bytes, as: UTF8.self))
    }

    /// The seconds after which a head that did not grow is cosigned again, so that readers who want no cosignature of
    /// more than a day still take it.
    private static let renewalSeconds: UInt64 = 6 * 3_600
    /// The most seconds between the time in a cosignature and this node's clock when it comes.
    static let clockSecondsMax: UInt64 = 300

    /// The key with which this node cosigns as a witness.
    func witnessKey() async throws(NodeServiceError) -> WitnessKeyView {
        try await stored { () throws(MeshStoreError) in try await witness.view() }
    }

    /// The head that a witness cosigned last.
    func headCosigned(
        by witness: String, now: UInt64 = LogDesk.now
    ) async throws(NodeServiceError) -> CosignedHead {
        let row = try await stored { () throws(MeshStoreError) in
            try await CosignedRow.latest(of: Array(witness.utf8), in: store)
        }
        guard let row else { return CosignedHead(size: 0, isFresh: false) }
        let time = Cosignature(row.newest)?.time ?? 0
        return CosignedHead(size: row.size, isFresh: now < time || now - time < Self.renewalSeconds)
    }

    /// Seconds since 1970.
    static var now: UInt64 { NodeClock.wallClock.value / 1_000 }

    /// Keeps the cosignature that is in a witness's answer about a head.
    func keep(
        _ lines: [UInt8], by witness: String, of head: LogHeadView, now: UInt64 = LogDesk.now
    ) async throws(NodeServiceError) {
        let refusal = NodeServiceError(
            .invalidRequest, "The witness's answer has no cosignature by the key \(witness).",
            hint: "Compare the key under log.witnesses with what mesh dag witness prints at the witness.")
        let checkpoint = try await stored { () throws(MeshStoreError) in try await self.checkpoint(of: head.size) }
        guard let key = NoteKey(text: witness), checkpoint.head.root.base64 == head.root,
            let note = SignedNote(bytes: Array((checkpoint.text + "\n").utf8) + lines), note.isSigned(by: key) == true,
            let bytes = note.signatures.first(where: { $0.isOf(key) })?.bytes, let signature = Cosignature(bytes)
        else { throw refusal }
        let (earlier, later) = (min(now, signature.time), max(now, signature.time))
        guard later - earlier <= Self.clockSecondsMax else {
            throw NodeServiceError(
                .invalidRequest,
                "The witness says that it cosigned at \(signature.time), in seconds since 1970, and it is \(now) here.",
                hint: "One of the two clocks is wrong; readers would not take the cosignature.")
        }
        let row = CosignedRow(
            size: head.size, witness: Array(witness.utf8), seconds: signature.time, bytes: signature.bytes)
        try await stored { () throws(MeshStoreError) in try await store.commit([.cosigned(row)]) }
    }

    /// The head of what is on the disk, signed, with the cosignatures that there are of it.
    func signedHead() async throws(NodeServiceError) -> (checkpoint: Checkpoint, note: SignedNote) {
        let checkpoint = try await stored { () throws(MeshStoreError) in try await self.checkpoint() }
        return (checkpoint, try await cosigned(checkpoint))
    }

    /// The head of what is on the disk, or of its beginning.
    private func checkpoint(of size: UInt64? = nil) async throws(MeshStoreError) -> Checkpoint {
        let record = LogRecord(store: store)
        let tree = if let size { try await record.tree(ofFirst: size) } else { try await record.tree() }
        let name = AnchorEntry.logName(
            of: identity.did, scope: AnchorEntry.globalScope, openedAt: try await RestoredChain.openedAt(in: store))
        guard let checkpoint = Checkpoint(origin: name, head: TreeHead(tree)) else {
            preconditionFailure("the name of a log that no note could have")
        }
        return checkpoint
    }

    /// The head, signed, with the cosignatures that there are of it.
    private func cosigned(_ checkpoint: Checkpoint) async throws(NodeServiceError) -> SignedNote {
        let rows = try await stored { () throws(MeshStoreError) in
            try await CosignedRow.all(of: checkpoint.head.size, in: store)
        }
        do {
            var note = try checkpoint.signed(with: identity)
            note.signatures += rows.prefix(WitnessEntry.countMax).compactMap { row in
                guard let key = NoteKey(text: String(decoding: row.witness, as: UTF8.self)),
                    Cosignature(row.newest)?.isValid(of: checkpoint.text, by: key.publicKey) == true
                else { return nil }
                return SignedNote.Signature(by: key, row.newest)
            }
            return note
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
