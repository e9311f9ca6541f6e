import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects

/// Receipts as the API shows them: one that is here is given again while the store has not changed.
///
/// To make one costs two looks into the database and two signatures.
struct ShownReceipts: Sendable {
    /// Receipts at once, and the bytes of them and their manifests together; with more, all are made anew.
    static let limits = StampedMemo<CID, UInt64, ReceiptView>.Limits(countMax: 1_024, weightMax: 4 << 20)

    let views = StampedMemo<CID, UInt64, ReceiptView>(limits)

    /// A receipt, from here or from the mesh.
    func view(of cid: CID, by auditor: ReceiptAuditor) async throws(NodeServiceError) -> ReceiptView {
        let begin = auditor.store.changes
        if let begin, let known = views.value(of: cid, at: begin) { return known }
        let found = try await auditor.find(cid)
        let (manifest, isRead) = await auditor.manifest(of: found.signed.body)
        var view = ReceiptView(found.signed, source: found.source)
        view.files = manifest?.body.params.files.map(JobSubmission.Files.init)
        if let begin, isRead, found.source == ReceiptAuditor.here, auditor.store.changes == begin {
            let bytes = found.signed.bytes.count + (manifest?.bytes.count ?? 0)
            views.keep(view, of: cid, at: begin, weight: bytes)
        }
        return view
    }
}
