import Foundation
import GRDB

/// The newest checkpoint of another's log that this node took as a witness, as a row.
package struct WitnessedRow: Hashable, Sendable {
    /// The name of the log.
    package var origin: [UInt8]
    /// The checkpoint as its log signed it, without the lines of others.
    package var note: [UInt8]
    /// The time that its cosignature says, in seconds since 1970.
    package var seconds: UInt64

    package init(origin: [UInt8], note: [UInt8], seconds: UInt64) {
        self.origin = origin
        self.note = note
        self.seconds = seconds
    }

    /// The version of the tables that has it first.
    static let sinceVersion = 16

    /// Version 16 added it, and the cosignatures of others on this node's heads.
    static let tables = """
        CREATE TABLE IF NOT EXISTS witnessed(
            origin BLOB PRIMARY KEY, note BLOB NOT NULL, seconds INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS cosigned(
            size INTEGER NOT NULL, witness BLOB NOT NULL, seconds INTEGER NOT NULL, bytes BLOB NOT NULL,
            renewed BLOB, PRIMARY KEY(witness, size)) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS cosigned_sizes ON cosigned(size);
        """

    /// Puts the row in place of an earlier one of the log.
    func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO witnessed(origin, note, seconds) VALUES (?, ?, ?)
                ON CONFLICT(origin) DO UPDATE SET note = excluded.note, seconds = excluded.seconds
                """
        ).execute(arguments: [Data(origin), Data(note), Int64(clamping: seconds)])
    }

    /// All logs that this node has cosigned.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [WitnessedRow] {
        // BOUNDED: by the authors that the owner names, and their logs (`WitnessDesk.Limits`).
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM witnessed ORDER BY origin")
        } _: { row in
            WitnessedRow(
                origin: try row.bytes("origin"), note: try row.bytes("note"), seconds: try row.unsigned("seconds"))
        }
    }
}

/// A witness's cosignature on a head of this node's log, as a row.
package struct CosignedRow: Hashable, Sendable {
    /// The size of the head.
    package var size: UInt64
    /// The witness's key, as C2SP writes it (`vkey`).
    package var witness: [UInt8]
    /// When the first one was made, as the witness says, in seconds since 1970.
    package var seconds: UInt64
    /// What stands in its line behind the key's four bytes.
    package var bytes: [UInt8]
    /// The same of the newest one on the same head; nil if there is one alone.
    package var renewed: [UInt8]?

    package init(size: UInt64, witness: [UInt8], seconds: UInt64, bytes: [UInt8], renewed: [UInt8]? = nil) {
        self.size = size
        self.witness = witness
        self.seconds = seconds
        self.bytes = bytes
        self.renewed = renewed
    }

    private init(_ row: StoredRow) throws {
        self.init(
            size: try row.unsigned("size"), witness: try row.bytes("witness"), seconds: try row.unsigned("seconds"),
            bytes: try row.bytes("bytes"), renewed: try row.bytesIfPresent("renewed"))
    }

    /// The newest one on the head.
    package var newest: [UInt8] { renewed ?? bytes }

    /// The most that are kept of a witness; the oldest go first.
    package static let perWitnessMax = 10_000

    /// Adds the row; of one size the first stays, since it dates more, and the last, which readers take for longer.
    func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO cosigned(size, witness, seconds, bytes) VALUES (?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET renewed = excluded.bytes
                """
        ).execute(arguments: [Int64(clamping: size), Data(witness), Int64(clamping: seconds), Data(bytes)])
        try db.cachedStatement(
            sql: """
                DELETE FROM cosigned WHERE witness = ?1 AND size <= (
                    SELECT size FROM cosigned WHERE witness = ?1 ORDER BY size DESC LIMIT 1 OFFSET ?2)
                """
        ).execute(arguments: [Data(witness), Self.perWitnessMax])
    }

    /// The cosignatures on the head of a size.
    package static func all(of size: UInt64, in store: MeshStore) async throws(MeshStoreError) -> [CosignedRow] {
        try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM cosigned WHERE size = ? ORDER BY witness", arguments: [Int64(clamping: size)])
        } _: { row in
            try CosignedRow(row)
        }
    }

    /// Of each witness the first cosignature on a head that has the entry of a number.
    package static func first(after number: UInt64, in store: MeshStore) async throws(MeshStoreError) -> [CosignedRow] {
        try await store.readable { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT *, min(size) FROM cosigned WHERE size > ? GROUP BY witness ORDER BY witness
                    """, arguments: [Int64(clamping: number)])
        } _: { row in
            try CosignedRow(row)
        }
    }

    /// Heads among which that with most cosignatures is looked for: older ones may have those of witnesses that left.
    private static let headsComparedMax = 64

    /// Of the newest heads beyond a size the one that most witnesses have cosigned; nil if none has.
    package static func bestSize(beyond size: UInt64, in store: MeshStore) async throws(MeshStoreError) -> UInt64? {
        try await store.read { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT size FROM (
                        SELECT size, count(*) AS witnesses FROM cosigned WHERE size > ?
                        GROUP BY size ORDER BY size DESC LIMIT ?)
                    ORDER BY witnesses DESC, size DESC LIMIT 1
                    """, arguments: [Int64(clamping: size), headsComparedMax])
        }.map { UInt64(clamping: $0) }
    }

    /// The cosignature of a witness on the largest head; nil before the first.
    package static func latest(
        of witness: [UInt8], in store: MeshStore
    ) async throws(MeshStoreError) -> CosignedRow? {
        try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM cosigned WHERE witness = ? ORDER BY size DESC LIMIT 1",
                arguments: [Data(witness)])
        } _: { row in
            try CosignedRow(row)
        }.first
    }
}
