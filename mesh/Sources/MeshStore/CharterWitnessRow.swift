import Foundation
import GRDB
package import Multiformats

/// An object that this node was given as a witness of an issuer's charter, as a row.
package struct WitnessedObjectRow: Hashable, Sendable {
    /// The DID of the issuer.
    package var issuer: String
    /// The CID of the object's block.
    package var object: CID
    /// When it came, in milliseconds since the Unix epoch; no two of an issuer have one date.
    package var lodgedAt: UInt64
    /// The hold that it is about, by the CID of its order's body.
    package var hold: CID
    /// The DID of who signed it.
    package var signer: String
    /// The bytes of the block.
    package var size: UInt64

    package init(issuer: String, object: CID, lodgedAt: UInt64, hold: CID, signer: String, size: UInt64) {
        (self.issuer, self.object, self.lodgedAt, self.hold) = (issuer, object, lodgedAt, hold)
        (self.signer, self.size) = (signer, size)
    }

    fileprivate init(_ row: StoredRow) throws {
        self.init(
            issuer: try row.text("issuer"), object: try row.cid("object"), lodgedAt: try row.unsigned("lodged_at"),
            hold: try row.cid("hold"), signer: try row.text("signer"), size: try row.unsigned("size"))
    }

    /// Version 22 added them. The bytes come last, as a column behind them is slow to read.
    static let tables = """
        CREATE TABLE IF NOT EXISTS witnessed_objects(
            id INTEGER PRIMARY KEY, issuer TEXT NOT NULL, lodged_at INTEGER NOT NULL, object BLOB NOT NULL,
            hold BLOB NOT NULL, signer TEXT NOT NULL, size INTEGER NOT NULL, statement BLOB NOT NULL,
            bytes BLOB NOT NULL, UNIQUE(issuer, lodged_at), UNIQUE(issuer, object));
        CREATE TABLE IF NOT EXISTS witnessed_issuers(
            issuer TEXT PRIMARY KEY, until INTEGER NOT NULL, passed INTEGER NOT NULL, since INTEGER NOT NULL)
            WITHOUT ROWID;
        """

    private static let columns = "issuer, lodged_at, object, hold, signer, size"

    /// All that was given for an issuer, the earliest first.
    package static func all(of issuer: String, in store: MeshStore) async throws(MeshStoreError) -> [Self] {
        // BOUNDED: by `CharterWitnessDesk.Limits.objectsPerIssuerMax`.
        try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT \(columns) FROM witnessed_objects WHERE issuer = ? ORDER BY lodged_at",
                arguments: [issuer])
        } _: { row in
            try Self(row)
        }
    }

    /// Those that came in a time, the earliest first.
    package static func all(
        of issuer: String, from: UInt64, until: UInt64, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [Self] {
        try await store.readable { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT \(columns) FROM witnessed_objects WHERE issuer = ? AND lodged_at BETWEEN ? AND ?
                    ORDER BY lodged_at LIMIT ?
                    """, arguments: [issuer, Int64(clamping: from), Int64(clamping: until), limit])
        } _: { row in
            try Self(row)
        }
    }

    /// The statement about an object, and its block; nil where there is none.
    package static func content(
        of object: CID, for issuer: String, in store: MeshStore
    ) async throws(MeshStoreError) -> (statement: [UInt8], bytes: [UInt8])? {
        try await store.read { db in
            try Row.fetchOne(
                db, sql: "SELECT statement, bytes FROM witnessed_objects WHERE issuer = ? AND object = ?",
                arguments: [issuer, Data(object.bytes)]
            ).map { row in
                let row = StoredRow(row)
                return (try row.bytes("statement"), try row.bytes("bytes"))
            }
        }
    }
}

/// What this node said as a witness of an issuer's charter, as a row.
package struct WitnessedIssuerRow: Hashable, Sendable {
    /// The DID of the issuer.
    package var issuer: String
    /// Until when it gave a report, in milliseconds since the Unix epoch: it dates nothing before.
    package var until: UInt64
    /// Until when the issuer has caught up, as the latest date says from which it asked for a report.
    package var passed: UInt64
    /// Since when this node knows all that it was given.
    package var since: UInt64

    package init(issuer: String, until: UInt64 = 0, passed: UInt64 = 0, since: UInt64 = 0) {
        (self.issuer, self.until, self.passed, self.since) = (issuer, until, passed, since)
    }

    /// What it said about an issuer; nil where it said nothing.
    package static func of(_ issuer: String, in store: MeshStore) async throws(MeshStoreError) -> Self? {
        try await store.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM witnessed_issuers WHERE issuer = ?", arguments: [issuer]).map {
                let row = StoredRow($0)
                return Self(
                    issuer: try row.text("issuer"), until: try row.unsigned("until"),
                    passed: try row.unsigned("passed"), since: try row.unsigned("since"))
            }
        }
    }
}

/// A change of what a witness of charters keeps.
package enum CharterWitnessWrite: Sendable {
    /// An object that it was given, with its statement.
    case lodged(WitnessedObjectRow, statement: [UInt8], bytes: [UInt8])
    /// What it said about an issuer; no date goes back.
    case said(WitnessedIssuerRow)
    /// Forgets what came before a date, since which alone it knows all from then on.
    case forgotten(issuer: String, before: UInt64)

    /// The bytes that go to the disk.
    var byteCount: Int {
        switch self {
        case .lodged(_, let statement, let bytes): statement.count + bytes.count + 1_024
        case .said, .forgotten: 512
        }
    }

    func put(_ db: Database) throws {
        switch self {
        case .lodged(let row, let statement, let bytes):
            try db.cachedStatement(
                sql: """
                    INSERT INTO witnessed_objects(issuer, lodged_at, object, hold, signer, size, statement, bytes)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(
                arguments: [
                    row.issuer, Int64(clamping: row.lodgedAt), Data(row.object.bytes), Data(row.hold.bytes),
                    row.signer, Int64(clamping: row.size), Data(statement), Data(bytes),
                ])
        case .said(let row): try Self.say(row, db)
        case .forgotten(let issuer, let date):
            try Self.say(WitnessedIssuerRow(issuer: issuer, since: date), db)
            try db.cachedStatement(sql: "DELETE FROM witnessed_objects WHERE issuer = ? AND lodged_at < ?")
                .execute(arguments: [issuer, Int64(clamping: date)])
        }
    }

    private static func say(_ row: WitnessedIssuerRow, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO witnessed_issuers(issuer, until, passed, since) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT(issuer) DO UPDATE SET
                    until = max(until, ?2), passed = max(passed, ?3), since = max(since, ?4)
                """
        ).execute(
            arguments: [
                row.issuer, Int64(clamping: row.until), Int64(clamping: row.passed), Int64(clamping: row.since),
            ])
    }
}
