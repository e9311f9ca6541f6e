import Foundation
import GRDB
package import Multiformats

/// The result of a work that may serve again, as a row.
package struct WorkRow: Hashable, Sendable {
    /// What names the work.
    package var key: CID
    /// The job that did it.
    package var jobID: CID
    /// The job's receipt.
    package var receiptCID: CID
    /// Whether this node checked the result, or ran the job itself.
    package var isChecked: Bool
    /// When it was made, or served last, in milliseconds since the Unix epoch: its blocks are kept from then on like
    /// those of a job that ended then.
    package var usedAt: UInt64

    package init(key: CID, jobID: CID, receiptCID: CID, isChecked: Bool, usedAt: UInt64) {
        self.key = key
        self.jobID = jobID
        self.receiptCID = receiptCID
        self.isChecked = isChecked
        self.usedAt = usedAt
    }

    /// Version 14 added it. Who reads a row holds the receipt against the work, so rows need no digest.
    static let table = """
        CREATE TABLE IF NOT EXISTS works(
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            key BLOB NOT NULL UNIQUE,
            job_id BLOB NOT NULL,
            receipt BLOB NOT NULL,
            is_checked INTEGER NOT NULL,
            used_at INTEGER NOT NULL);
        CREATE INDEX IF NOT EXISTS works_of ON works(job_id);
        """

    /// Puts the row last, in place of an earlier one of the work, and lets those go that are beyond the bound.
    func put(_ db: Database, _ limits: StoreLimits) throws {
        try db.cachedStatement(
            sql: "REPLACE INTO works(key, job_id, receipt, is_checked, used_at) VALUES (?, ?, ?, ?, ?)"
        ).execute(arguments: [
            Data(key.bytes), Data(jobID.bytes), Data(receiptCID.bytes), isChecked, Int64(clamping: usedAt),
        ])
        try db.cachedStatement(sql: "DELETE FROM works WHERE seq <= ?")
            .execute(arguments: [db.lastInsertedRowID - Int64(limits.worksMax)])
    }

    /// The result of a work; nil if none is known.
    package static func row(_ key: CID, in store: MeshStore) async throws(MeshStoreError) -> WorkRow? {
        try await store.read { db in
            try Row.fetchOne(
                db.cachedStatement(sql: "SELECT * FROM works WHERE key = ?"), arguments: [Data(key.bytes)]
            ).map { row in
                let row = StoredRow(row)
                return WorkRow(
                    key: key, jobID: try row.cid("job_id"), receiptCID: try row.cid("receipt"),
                    isChecked: try row.flag("is_checked"), usedAt: try row.unsigned("used_at"))
            }
        }
    }
}
