import Foundation
import GRDB
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import MeshStore

/// What is worked out about the blocks of a database of an older version.
@Suite struct BlockUseTests {
    /// Takes everything away that came after version 2.
    private static let older =
        StoreFolder.withoutOutcomes + """
            DROP TABLE block_uses; DROP TABLE file_blocks; DROP TABLE roots; DROP TABLE block_holds;
            ALTER TABLE jobs DROP COLUMN unsettled; PRAGMA user_version = 2;
            """

    private func pinned(_ bytes: [UInt8]) -> (cid: CID, write: StoreWrite) {
        let cid = CID.hashing(bytes, codec: .dagCBOR)
        return (cid, .block(cid: cid, bytes: bytes, pinned: true))
    }

    private func job(_ id: CID, receipt: CID? = nil) -> StoreWrite {
        .job(
            JobRow(
                jobID: id, role: .executor, status: "ReceiptAnchored", isTerminal: true, submittedAt: 1,
                updatedAt: MeshStore.systemTime(), price: 5, receiptCID: receipt))
    }

    @Test func filesEvidenceAndUnpaidWorkOfAnOlderDatabaseAreKnown() async throws {
        let folder = try StoreFolder()
        let file = try UnixFSFile.blocks(of: [UInt8](repeating: 1, count: UnixFSFile.chunkBytes) + [2])
        let cached = block(1)
        let (paid, unpaid) = (pinned(Array("paid".utf8)), pinned(Array("unpaid".utf8)))
        let (receipt, owed) = (pinned(Array("receipt".utf8)), pinned(Array("owed".utf8)))
        let identity = Identity.generate()
        let anchor = try SignedObject.sign(
            AnchorEntry(
                nodeDID: identity.did, parents: [], payload: [receipt.cid], scope: "global", height: 0,
                recordedAt: UnixMilliseconds(1)), with: identity)
        let first = try folder.open()
        try await first.commit(
            file.blocks.map { .block(cid: $0.cid, bytes: $0.bytes, pinned: true) } + [
                .block(cid: cached.cid, bytes: cached.bytes), paid.write, unpaid.write, receipt.write, owed.write,
                .block(cid: anchor.cid, bytes: anchor.bytes, pinned: true), job(paid.cid, receipt: receipt.cid),
                job(unpaid.cid, receipt: owed.cid),
                .receipt(
                    ReceiptRow(
                        cid: receipt.cid, jobID: paid.cid, executorDID: "did", status: "", at: 1, isVerified: true)),
                .receipt(
                    ReceiptRow(
                        cid: owed.cid, jobID: unpaid.cid, executorDID: "did", status: "", at: 2, isVerified: true)),
                .ledger(
                    LedgerRow(debit: "a", credit: "b", amount: 5, jobID: paid.cid, kind: "income", at: 1)),
            ])
        try first.close()
        try folder.change(Self.older)
        let store = try folder.open()
        #expect(try await store.roots(files: true, limit: 9).map(\.cid) == [file.root])
        #expect(try await store.roots(files: false, limit: 9).map(\.cid) == [owed.cid, receipt.cid])
        #expect(try await store.collectGarbage() == (1, cached.bytes.count))
        let reason =
            "this node's receipt of the job \(unpaid.cid) is not settled, and kept for 30 days after the job's end"
        await #expect(throws: MeshStoreError.needed(unpaid.cid, reason: reason)) {
            _ = try await store.remove(unpaid.cid)
        }
        // The manifest, the receipt, and the anchor that names the receipt.
        #expect(try await store.remove(paid.cid).blocks == 3)
        #expect(try await store.remove(file.root).blocks == 3)
        #expect(store.counters.blocks == 2)
    }
}
