import Foundation
import GRDB
package import Multiformats

/// What a job showed of somebody, as the market judged it: one row for each side, each of them and each assignment.
package struct ConductRow: Hashable, Sendable {
    /// On which side it is judged, as the market names it.
    package var side: String
    /// Whom it is about.
    package var subject: String
    /// The other side of the job.
    package var payer: String
    /// The assignment.
    package var assignment: CID
    /// The signed object that shows it.
    package var citation: CID
    /// What it shows, as the market names it.
    package var verdict: String
    /// When, by this node's clock, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// What else the market keeps of it; nil for most.
    package var details: [UInt8]?

    /// A row to write.
    package init(
        side: String, subject: String, payer: String, assignment: CID, citation: CID, verdict: String, at: UInt64,
        details: [UInt8]? = nil
    ) {
        (self.side, self.details) = (side, details)
        (self.subject, self.payer, self.assignment) = (subject, payer, assignment)
        (self.citation, self.verdict, self.at) = (citation, verdict, at)
    }

    /// Version 21 added it.
    static let table = """
        CREATE TABLE IF NOT EXISTS conduct(
            id INTEGER PRIMARY KEY AUTOINCREMENT, side TEXT NOT NULL, subject TEXT NOT NULL, assignment BLOB NOT NULL,
            payer TEXT NOT NULL, citation BLOB NOT NULL, verdict TEXT NOT NULL, at INTEGER NOT NULL,
            details BLOB, UNIQUE(side, subject, assignment));
        """

    private init(_ row: StoredRow) throws {
        self.init(
            side: try row.text("side"), subject: try row.text("subject"), payer: try row.text("payer"),
            assignment: try row.cid("assignment"), citation: try row.cid("citation"),
            verdict: try row.text("verdict"), at: try row.unsigned("at"), details: try row.bytesIfPresent("details"))
    }

    func put(_ db: Database) throws {
        // The row gets a new number, behind all others, as whoever was rated last is the last to be forgotten.
        try db.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO conduct(side, subject, assignment, payer, citation, verdict, at, details)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(
            arguments: [
                side, subject, Data(assignment.bytes), payer, Data(citation.bytes), verdict, Int64(clamping: at),
                details.map { Data($0) },
            ])
    }

    static func remove(_ side: String, _ subject: String, _ assignment: CID, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM conduct WHERE side = ? AND subject = ? AND assignment = ?")
            .execute(arguments: [side, subject, Data(assignment.bytes)])
    }

    /// All that is kept, in the order in which it was written.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [ConductRow] {
        // BOUNDED: by `ReputationBook.Limits.receiptsMax`.
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM conduct ORDER BY id")
        } _: { row in
            try ConductRow(row)
        }
    }
}
