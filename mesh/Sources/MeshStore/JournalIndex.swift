import Foundation
import GRDB

/// How the rows of one journal are found.
///
/// The first row of a journal is found by job and role; the others name its position in `head`, so that what jobs write
/// at the same time stands together in the index, and touches few pages. In rows of versions before 8 `head` is NULL.
enum JournalIndex {
    /// Version 8: `head` is zero in a first row.
    static let columns = """
        ALTER TABLE journal ADD COLUMN head INTEGER;
        DROP INDEX journal_of_job;
        CREATE INDEX journal_of_job ON journal(job_id, role, seq) WHERE head IS NULL;
        CREATE INDEX journal_beginnings ON journal(job_id, role) WHERE head = 0;
        CREATE INDEX journal_of_head ON journal(head) WHERE head > 0;
        """

    /// The positions of the rows of the journal of `:job` in the role `:role`, or in both roles if that is NULL.
    static let positions = """
        SELECT seq FROM journal WHERE head IS NULL AND job_id = :job AND role = coalesce(:role, role)
        UNION ALL SELECT seq FROM journal WHERE head = 0 AND job_id = :job AND role = coalesce(:role, role)
        UNION ALL SELECT seq FROM journal WHERE head > 0 AND head IN (
            SELECT seq FROM journal WHERE head = 0 AND job_id = :job AND role = coalesce(:role, role))
        """

    /// The position of the first row that version 8 or a later one wrote to a journal; nil if there is none.
    static func beginning(of jobID: Data, _ role: StoreRole, _ db: Database) throws -> Int64? {
        let statement = try db.cachedStatement(
            sql: "SELECT seq FROM journal WHERE head = 0 AND job_id = ? AND role = ?")
        return try Int64.fetchOne(statement, arguments: [jobID, role.rawValue])
    }
}
