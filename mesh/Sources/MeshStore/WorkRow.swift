import Foundation
import GRDB
package import Multiformats

/// The result of a work that may serve again, as a row.
package struct WorkRow: Hashable, Sendable {
    /// How well a result is known, the least first.
    package enum Strength: Int, Sendable, Comparable {
        /// Its executor was believed.
        case believed
        /// Enough executors gave the same.
        case agreed
        /// This node ran it again, or ran it itself.
        case confirmed

        package static func < (left: Strength, right: Strength) -> Bool { left.rawValue < right.rawValue }
    }

    /// What names the work.
    package var key: CID
    /// The job that did it.
    package var jobID: CID
    /// The job's receipt.
    package var receiptCID: CID
    /// How well the result is known.
    package var strength: Strength
    /// When it was made, or served last, in milliseconds since the Unix epoch: its blocks are kept from then on like
    /// those of a job that ended then.
    package var usedAt: UInt64

    package init(key: CID, jobID: CID, receiptCID: CID, strength: Strength, usedAt: UInt64) {
        self.key = key
        self.jobID = jobID
        self.receiptCID = receiptCID
        self.strength = strength
        self.usedAt = usedAt
    }

    /// Version 14 added it.
    static let table = """
        CREATE TABLE IF NOT EXISTS works(
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            key BLOB NOT NULL UNIQUE,
            job_id BLOB NOT NULL,
            receipt BLOB NOT NULL,
            strength INTEGER NOT NULL,
            used_at INTEGER NOT NULL,
            digest BLOB NOT NULL);
        CREATE INDEX IF NOT EXISTS works_of ON works(job_id);
        """

    /// Puts the row in place of an earlier one of the work, unless that is better known, and lets those go that are
    /// beyond the bound.
    func put(_ db: Database, _ limits: StoreLimits) throws {
        let values: StatementArguments = [
            Data(key.bytes), Data(jobID.bytes), Data(receiptCID.bytes), strength.rawValue, Int64(clamping: usedAt),
            RowDigest.of(self),
        ]
        try db.cachedStatement(
            sql: """
                UPDATE works SET job_id = ?2, receipt = ?3, strength = ?4, used_at = ?5, digest = ?6
                WHERE key = ?1 AND strength <= ?4
                """
        ).execute(arguments: values)
        // No upsert, which would use up a number each time.
        try db.cachedStatement(
            sql: """
                INSERT INTO works(key, job_id, receipt, strength, used_at, digest) SELECT ?1, ?2, ?3, ?4, ?5, ?6
                WHERE NOT EXISTS (SELECT 1 FROM works WHERE key = ?1)
                """
        ).execute(arguments: values)
        try db.cachedStatement(sql: "DELETE FROM works WHERE seq <= (SELECT max(seq) FROM works) - ?")
            .execute(arguments: [limits.worksMax])
    }

    /// The result of a work; nil if none is known, if the row is damaged, or if this node has a proof against the
    /// receipt.
    package static func row(_ key: CID, in store: MeshStore) async throws(MeshStoreError) -> WorkRow? {
        try await store.read { db in
            try Row.fetchOne(
                db.cachedStatement(
                    sql: """
                        SELECT * FROM works w WHERE w.key = ?
                            AND NOT EXISTS (SELECT 1 FROM proofs p WHERE p.receipt = w.receipt)
                        """), arguments: [Data(key.bytes)]
            ).flatMap { row in
                let row = StoredRow(row)
                guard let strength = Strength(rawValue: try row.integer("strength")) else { return nil }
                let found = WorkRow(
                    key: key, jobID: try row.cid("job_id"), receiptCID: try row.cid("receipt"), strength: strength,
                    usedAt: try row.unsigned("used_at"))
                return try row.bytes("digest") == [UInt8](RowDigest.of(found)) ? found : nil
            }
        }
    }
}
