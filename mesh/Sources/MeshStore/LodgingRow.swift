import Foundation
import GRDB
package import Multiformats

/// What an executor left with this node, an arbiter, for the originator of a hold, as a row: one a hold.
package struct LodgingRow: Hashable, Sendable {
    /// The CID of the body of the order that it was held by.
    package var hold: CID
    /// Who left it.
    package var executor: String
    /// The receipt that it is of.
    package var receipt: CID
    /// How many parts it has.
    package var count: UInt64
    /// How many of them are here.
    package var kept: UInt64
    /// The most bytes that it takes.
    package var bytes: UInt64
    /// Until when it is kept, in milliseconds since the Unix epoch.
    package var until: UInt64
    /// The signed certificate of the hold.
    package var certificate: [UInt8]
    /// The signed statement that all of it is here; nil until then.
    package var statement: [UInt8]?
    /// The signed decision about the claim to the hold; nil where there is none.
    package var decision: [UInt8]?

    package init(
        hold: CID, executor: String, receipt: CID, count: UInt64, bytes: UInt64, until: UInt64, certificate: [UInt8]
    ) {
        (self.hold, self.executor, self.receipt, self.count) = (hold, executor, receipt, count)
        (self.bytes, self.until, self.certificate, kept) = (bytes, until, certificate, 0)
    }

    /// Version 20 added it.
    static let tables = """
        CREATE TABLE IF NOT EXISTS lodgings(
            hold BLOB PRIMARY KEY, executor TEXT NOT NULL, receipt BLOB NOT NULL, count INTEGER NOT NULL,
            kept INTEGER NOT NULL, bytes INTEGER NOT NULL, until INTEGER NOT NULL, certificate BLOB NOT NULL,
            statement BLOB, decision BLOB) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS lodged_parts(
            id INTEGER PRIMARY KEY, hold BLOB NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
            UNIQUE(hold, number));
        """

    private init(_ row: StoredRow) throws {
        self.init(
            hold: try row.cid("hold"), executor: try row.text("executor"), receipt: try row.cid("receipt"),
            count: try row.unsigned("count"), bytes: try row.unsigned("bytes"), until: try row.unsigned("until"),
            certificate: try row.bytes("certificate"))
        kept = try row.unsigned("kept")
        (statement, decision) = (try row.bytesIfPresent("statement"), try row.bytesIfPresent("decision"))
    }

    fileprivate func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO lodgings(
                    hold, executor, receipt, count, kept, bytes, until, certificate, statement, decision)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(
            arguments: [
                Data(hold.bytes), executor, Data(receipt.bytes), Int64(clamping: count), Int64(clamping: kept),
                Int64(clamping: bytes), Int64(clamping: until), Data(certificate), statement.map { Data($0) },
                decision.map { Data($0) },
            ])
    }

    /// All that is kept.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [LodgingRow] {
        // BOUNDED: by `ArbiterDesk.Limits.countMax`.
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM lodgings ORDER BY hold")
        } _: { row in
            try LodgingRow(row)
        }
    }

    /// A part of what is kept for a hold; nil where there is none.
    package static func part(
        _ number: UInt64, of hold: CID, in store: MeshStore
    ) async throws(MeshStoreError) -> [UInt8]? {
        try await store.read { db in
            try Data.fetchOne(
                db, sql: "SELECT bytes FROM lodged_parts WHERE hold = ? AND number = ?",
                arguments: [Data(hold.bytes), Int64(clamping: number)]
            ).map { [UInt8]($0) }
        }
    }
}

/// A change of what an arbiter keeps.
package enum LodgingWrite: Sendable {
    /// One more part; with the first one, what was there before of the hold is gone.
    case part(LodgingRow, number: UInt64, bytes: [UInt8])
    /// What is known of it now.
    case row(LodgingRow)
    /// It is kept no more.
    case forgotten(hold: CID)

    /// The bytes that go to the disk.
    var byteCount: Int {
        switch self {
        case .part(_, _, let bytes): bytes.count + 4_096
        case .row: 4_096
        case .forgotten: 512
        }
    }

    func put(_ db: Database) throws {
        switch self {
        case .part(let row, let number, let bytes):
            if number == 0 { try Self.dropParts(of: row.hold, db) }
            try row.put(db)
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO lodged_parts(hold, number, bytes) VALUES (?, ?, ?)")
                .execute(arguments: [Data(row.hold.bytes), Int64(clamping: number), Data(bytes)])
        case .row(let row): try row.put(db)
        case .forgotten(let hold):
            try Self.dropParts(of: hold, db)
            try db.cachedStatement(sql: "DELETE FROM lodgings WHERE hold = ?").execute(arguments: [Data(hold.bytes)])
        }
    }

    private static func dropParts(of hold: CID, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM lodged_parts WHERE hold = ?").execute(arguments: [Data(hold.bytes)])
    }
}
