import Foundation
import GRDB
package import Multiformats

/// Something that an issuer has to book about a hold, as a row: one a hold.
package struct HoldBookingRow: Hashable, Sendable {
    /// The CID of the body of the order that it was held by.
    package var hold: CID
    /// The DID of the issuer.
    package var issuer: String
    /// The job that it is for.
    package var jobID: CID
    /// When the issuer is asked, in milliseconds since the Unix epoch; nil once nothing is left to ask.
    package var dueAt: UInt64?
    /// The booking, as DAG-CBOR.
    package var bytes: [UInt8]

    package init(hold: CID, issuer: String, jobID: CID, dueAt: UInt64?, bytes: [UInt8]) {
        (self.hold, self.issuer, self.jobID, self.dueAt, self.bytes) = (hold, issuer, jobID, dueAt, bytes)
    }

    /// Those that are over, that are remembered at most; the oldest go first.
    package static let overMax = 10_000

    /// Version 19 added them.
    static let tables = """
        CREATE TABLE IF NOT EXISTS hold_bookings(
            id INTEGER PRIMARY KEY AUTOINCREMENT, hold BLOB NOT NULL UNIQUE, issuer TEXT NOT NULL,
            job_id BLOB NOT NULL, due_at INTEGER, bytes BLOB NOT NULL);
        CREATE INDEX IF NOT EXISTS hold_bookings_due ON hold_bookings(due_at) WHERE due_at IS NOT NULL;
        CREATE INDEX IF NOT EXISTS hold_bookings_over ON hold_bookings(id) WHERE due_at IS NULL;
        CREATE INDEX IF NOT EXISTS hold_bookings_of_job ON hold_bookings(job_id);
        CREATE TABLE IF NOT EXISTS hold_orders(
            id INTEGER PRIMARY KEY AUTOINCREMENT, job_id BLOB NOT NULL, attempt INTEGER NOT NULL, bytes BLOB NOT NULL,
            UNIQUE(job_id, attempt));
        """

    /// Version 19 added what the prices of a job are counted in, too.
    static func addUnits(_ db: Database) throws {
        if try db.columns(in: "jobs").contains(where: { $0.name == "unit" }) { return }
        try db.execute(sql: "ALTER TABLE jobs ADD COLUMN unit TEXT NOT NULL DEFAULT ''")
    }

    private init(_ row: StoredRow) throws {
        self.init(
            hold: try row.cid("hold"), issuer: try row.text("issuer"), jobID: try row.cid("job_id"),
            dueAt: try row.unsignedIfPresent("due_at"), bytes: try row.bytes("bytes"))
    }

    func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO hold_bookings(hold, issuer, job_id, due_at, bytes) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT(hold) DO UPDATE SET due_at = excluded.due_at, bytes = excluded.bytes
                """
        ).execute(arguments: [Data(hold.bytes), issuer, Data(jobID.bytes), due, Data(bytes)])
        try Self.forget(db)
    }

    func putFirst(_ db: Database) throws {
        try db.cachedStatement(
            sql: "INSERT OR IGNORE INTO hold_bookings(hold, issuer, job_id, due_at, bytes) VALUES (?, ?, ?, ?, ?)"
        ).execute(arguments: [Data(hold.bytes), issuer, Data(jobID.bytes), due, Data(bytes)])
        try Self.forget(db)
    }

    func put(_ db: Database, instead old: [UInt8]) throws {
        try db.cachedStatement(sql: "UPDATE hold_bookings SET due_at = ?, bytes = ? WHERE hold = ? AND bytes = ?")
            .execute(arguments: [due, Data(bytes), Data(hold.bytes), Data(old)])
        try Self.forget(db)
    }

    private var due: Int64? { dueAt.map { Int64(clamping: $0) } }

    private static func forget(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                DELETE FROM hold_bookings WHERE due_at IS NULL AND id <= (
                    SELECT id FROM hold_bookings WHERE due_at IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?)
                """
        ).execute(arguments: [overMax])
    }

    /// Those that are due by a date, the earliest first, but for those of some issuers.
    package static func due(
        by date: UInt64, besides issuers: [String] = [], limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [HoldBookingRow] {
        let others = issuers.map { _ in "?" }.joined(separator: ", ")
        return try await store.readable { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM hold_bookings WHERE due_at <= ? AND issuer NOT IN (\(others))
                    ORDER BY due_at LIMIT ?
                    """,
                arguments: [Int64(clamping: date)] + StatementArguments(issuers) + [limit])
        } _: { row in
            try HoldBookingRow(row)
        }
    }

    /// Those of a job, in the order in which they began.
    package static func of(_ job: CID, in store: MeshStore) async throws(MeshStoreError) -> [HoldBookingRow] {
        // BOUNDED: by the attempts of a job.
        try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM hold_bookings WHERE job_id = ? ORDER BY id", arguments: [Data(job.bytes)])
        } _: { row in
            try HoldBookingRow(row)
        }
    }
}

/// An order of this node to hold the price of an attempt of its job, as a row: each attempt has one.
package struct HoldOrderRow: Hashable, Sendable {
    /// The job.
    package var jobID: CID
    /// Which attempt of it.
    package var attempt: UInt64
    /// The signed order.
    package var bytes: [UInt8]

    package init(jobID: CID, attempt: UInt64, bytes: [UInt8]) {
        (self.jobID, self.attempt, self.bytes) = (jobID, attempt, bytes)
    }

    /// The most that are remembered; the oldest go first, whose bids expired long before.
    package static let countMax = 10_000

    /// Puts the row where there is none: the first order of an attempt stays.
    func put(_ db: Database) throws {
        try db.cachedStatement(sql: "INSERT OR IGNORE INTO hold_orders(job_id, attempt, bytes) VALUES (?, ?, ?)")
            .execute(arguments: [Data(jobID.bytes), Int64(clamping: attempt), Data(bytes)])
        guard db.changesCount > 0 else { return }
        try db.cachedStatement(sql: "DELETE FROM hold_orders WHERE id <= ?").execute(
            arguments: [db.lastInsertedRowID - Int64(Self.countMax)])
    }

    /// The order of an attempt.
    package static func of(
        _ job: CID, attempt: UInt64, in store: MeshStore
    ) async throws(MeshStoreError) -> HoldOrderRow? {
        try await store.read { db in
            try Row.fetchOne(
                db, sql: "SELECT * FROM hold_orders WHERE job_id = ? AND attempt = ?",
                arguments: [Data(job.bytes), Int64(clamping: attempt)]
            ).map { row in
                let row = StoredRow(row)
                return HoldOrderRow(
                    jobID: try row.cid("job_id"), attempt: try row.unsigned("attempt"), bytes: try row.bytes("bytes"))
            }
        }
    }
}
