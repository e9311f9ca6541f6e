import Foundation
import GRDB
import IPLD
import MeshTypes
import Multiformats
import SignedObjects

/// Determines why a database of an older version keeps its blocks.
///
/// Pinned blocks of such versions are evidence if they are DAG-CBOR, else files. A signed object names its job, or a
/// receipt that belongs to one; what names none is kept for ever, as before.
enum BlockUses {
    /// Fills `block_uses`, `file_blocks` and `roots`, and marks the jobs that are not paid.
    static func workOut(_ db: Database) throws {
        try db.execute(
            sql: """
                INSERT INTO block_uses(id, file, evidence, used_at, job_id)
                    SELECT id, pinned AND substr(cid, 1, 2) <> x'0171', pinned AND substr(cid, 1, 2) = x'0171',
                        added_at,
                        coalesce(
                            (SELECT job_id FROM receipts WHERE receipts.cid = blocks.cid),
                            (SELECT job_id FROM jobs WHERE jobs.job_id = blocks.cid LIMIT 1))
                    FROM blocks;
                UPDATE jobs SET unsettled = 1 WHERE role = 'executor' AND receipt_cid IS NOT NULL AND price > 0
                    AND NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.job_id = jobs.job_id AND kind = 'income');
                INSERT INTO roots(cid, file) SELECT cid, 0 FROM receipts ORDER BY at;
                """)
        try workOutFiles(db)
        try workOutJobs(db)
    }

    private static func workOutFiles(_ db: Database) throws {
        let nodes = try Row.fetchCursor(
            db, sql: "SELECT cid, bytes FROM blocks WHERE pinned = 1 AND substr(cid, 1, 2) = x'0170'")
        var linked: [(root: CID, cid: CID)] = []
        while let row = try nodes.next().map(StoredRow.init) {
            guard let root = try? row.cid("cid"), let node = try? UnixFSNode(row.bytes("bytes"), of: root) else {
                continue
            }
            linked += node.links.map { (root, $0) }
        }
        for (root, cid) in linked {
            try db.cachedStatement(sql: "INSERT INTO file_blocks(cid, root) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .execute(arguments: [Data(cid.bytes), Data(root.bytes)])
        }
        try db.execute(
            sql: """
                INSERT INTO roots(cid, file) SELECT cid, 1 FROM blocks
                WHERE pinned = 1 AND substr(cid, 1, 2) <> x'0171' AND cid NOT IN (SELECT cid FROM file_blocks)
                ORDER BY id
                """)
    }

    private static func workOutJobs(_ db: Database) throws {
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT b.id, b.bytes FROM block_uses u JOIN blocks b ON b.id = u.id
                WHERE u.evidence = 1 AND u.job_id IS NULL
                """)
        var found: [(id: Int, job: Data)] = []
        while let row = try rows.next().map(StoredRow.init) {
            guard let job = try job(of: row.bytes("bytes"), db) else { continue }
            found.append((try row.integer("id"), job))
        }
        for (id, job) in found {
            try db.cachedStatement(sql: "UPDATE block_uses SET job_id = ? WHERE id = ?").execute(arguments: [job, id])
        }
    }

    private static func job(of block: [UInt8], _ db: Database) throws -> Data? {
        if let bid = try? SignedObject<Bid>(verifiedBefore: block) { return Data(bid.body.jobID.cid.bytes) }
        if let assignment = try? SignedObject<Assignment>(verifiedBefore: block) {
            return Data(assignment.body.jobID.cid.bytes)
        }
        var receipt: CID?
        if let settlement = try? SignedObject<Settlement>(verifiedBefore: block) {
            receipt = settlement.body.receiptCID
        } else if let anchor = try? SignedObject<AnchorEntry>(verifiedBefore: block) {
            receipt = anchor.body.payload.first
        }
        guard let receipt else { return nil }
        return try Data.fetchOne(db, sql: "SELECT job_id FROM receipts WHERE cid = ?", arguments: [Data(receipt.bytes)])
    }
}
