import Foundation
import GRDB

/// What this node keeps of the book of an issuer whose charter names it as a witness, as a row.
package struct ReplicaRow: Hashable, Sendable {
    /// Whose book it is.
    package var issuer: String
    /// The signed charter.
    package var charter: [UInt8]
    /// The latest term that it promised, as DAG-CBOR; nil before the first.
    package var promised: [UInt8]?
    /// How many entries have a head.
    package var size: UInt64
    /// The roots of the complete subtrees that they fall into, the largest first, 32 bytes each.
    package var peaks: [UInt8]
    /// The signed head; nil while there is none.
    package var head: [UInt8]?
    /// What it was given behind that, as DAG-CBOR; nil where that is nothing.
    package var batch: [UInt8]?
    /// The bytes of all entries that have a head.
    package var bytes: UInt64
    /// Whether the home was restored from a backup, so that a promise may be forgotten.
    package var isRestored: Bool

    package init(
        issuer: String, charter: [UInt8], promised: [UInt8]?, size: UInt64, peaks: [UInt8], head: [UInt8]?,
        batch: [UInt8]?, bytes: UInt64, isRestored: Bool
    ) {
        (self.issuer, self.charter, self.promised, self.size) = (issuer, charter, promised, size)
        (self.peaks, self.head, self.batch, self.bytes) = (peaks, head, batch, bytes)
        self.isRestored = isRestored
    }

    /// The version of the tables that has it first.
    static let sinceVersion = 22

    /// Version 22 added it.
    static let tables = """
        CREATE TABLE IF NOT EXISTS replicas(
            issuer TEXT PRIMARY KEY, charter BLOB NOT NULL, promised BLOB, size INTEGER NOT NULL, peaks BLOB NOT NULL,
            head BLOB, batch BLOB, bytes INTEGER NOT NULL, restored INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS replica_entries(
            id INTEGER PRIMARY KEY, issuer TEXT NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL,
            UNIQUE(issuer, number));
        """

    private init(_ row: StoredRow) throws {
        self.init(
            issuer: try row.text("issuer"), charter: try row.bytes("charter"),
            promised: try row.bytesIfPresent("promised"), size: try row.unsigned("size"),
            peaks: try row.bytes("peaks"), head: try row.bytesIfPresent("head"),
            batch: try row.bytesIfPresent("batch"), bytes: try row.unsigned("bytes"),
            isRestored: try row.flag("restored"))
    }

    /// All that are kept.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [ReplicaRow] {
        // BOUNDED: by `ReplicaDesk.Limits.issuersMax`.
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM replicas ORDER BY issuer")
        } _: { row in
            try ReplicaRow(row)
        }
    }

    /// Entries that have a head, from a number on, as DAG-CBOR: at most `limit`, and no more bytes than `bytesMax`, but
    /// one at least.
    package static func entries(
        of issuer: String, from number: UInt64, limit: Int, bytesMax: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [[UInt8]] {
        try await store.read { db in
            let cursor = try Row.fetchCursor(
                db,
                sql: "SELECT * FROM replica_entries WHERE issuer = ? AND number >= ? ORDER BY number LIMIT ?",
                arguments: [issuer, Int64(clamping: number), limit])
            var (entries, bytes) = ([[UInt8]](), 0)
            while let found = try cursor.next() {
                let row = StoredRow(found)
                guard try row.unsigned("number") == number + UInt64(entries.count) else {
                    throw MeshStoreError.recordCorrupt(table: "replica_entries", row: Int64(clamping: number))
                }
                let entry = try row.bytes("entry")
                bytes += entry.count
                guard entries.isEmpty || bytes <= bytesMax else { break }
                entries.append(entry)
            }
            return entries
        }
    }
}

/// A change of what a witness keeps of books.
package enum ReplicaWrite: Sendable {
    /// What is known of a book now, and entries that have a head now, from a number on.
    case kept(ReplicaRow, from: UInt64, entries: [[UInt8]])

    /// The bytes that go to the disk.
    var byteCount: Int {
        switch self {
        case .kept(let row, _, let entries):
            row.charter.count + (row.batch?.count ?? 0) + 4_096 + entries.reduce(0) { $0 + $1.count + 256 }
        }
    }

    func put(_ db: Database) throws {
        switch self {
        case .kept(let row, let start, let entries):
            for (index, entry) in entries.enumerated() {
                try db.cachedStatement(sql: "INSERT INTO replica_entries(issuer, number, entry) VALUES (?, ?, ?)")
                    .execute(arguments: [row.issuer, Int64(clamping: start) + Int64(index), Data(entry)])
            }
            // Each write fails alone: one behind entries that are not here would say that they are.
            let last = try Int64.fetchOne(
                db.cachedStatement(sql: "SELECT max(number) FROM replica_entries WHERE issuer = ?"),
                arguments: [row.issuer])
            let size = UInt64((last ?? -1) + 1)
            guard size == row.size else { throw MeshStoreError.logTaken(number: row.size, size: size) }
            try db.cachedStatement(
                sql: """
                    INSERT OR REPLACE INTO replicas(
                        issuer, charter, promised, size, peaks, head, batch, bytes, restored)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(
                arguments: [
                    row.issuer, Data(row.charter), row.promised.map { Data($0) }, Int64(clamping: row.size),
                    Data(row.peaks), row.head.map { Data($0) }, row.batch.map { Data($0) }, Int64(clamping: row.bytes),
                    row.isRestored,
                ])
        }
    }
}
