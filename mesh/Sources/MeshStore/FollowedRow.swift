import Foundation
import GRDB
package import Multiformats

/// What this node keeps of another's log, as a row: how far it is, under which head.
package struct FollowedRow: Hashable, Sendable {
    /// The name of the log.
    package var origin: String
    /// The DID of its author.
    package var author: String
    /// How many entries are kept, from the first on.
    package var size: UInt64
    /// The bytes of those entries.
    package var byteCount: UInt64
    /// The signed head that they stand under, with its cosignatures.
    package var note: [UInt8]
    /// The proof that the last one does, 32 bytes a hash.
    package var lastHashes: [UInt8]

    /// Version 17 added them, the proofs of two histories, and which heads of others this node's own entries named.
    static let tables = """
        CREATE TABLE IF NOT EXISTS followed_logs(
            id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, author TEXT NOT NULL, size INTEGER NOT NULL,
            bytes INTEGER NOT NULL, note BLOB NOT NULL, last BLOB NOT NULL);
        CREATE TABLE IF NOT EXISTS followed_entries(
            log INTEGER NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL, bytes BLOB NOT NULL,
            PRIMARY KEY(log, number)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS followed_hashes(
            log INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
            PRIMARY KEY(log, position)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS log_forks(
            origin TEXT PRIMARY KEY, author TEXT NOT NULL, proof BLOB NOT NULL,
            found_at INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS anchor_named(head BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
        """

    /// Removes all that is kept of a log.
    static func remove(_ origin: String, _ db: Database) throws {
        let log = "(SELECT id FROM followed_logs WHERE origin = ?)"
        for table in ["followed_entries", "followed_hashes"] {
            try db.execute(sql: "DELETE FROM \(table) WHERE log = \(log)", arguments: [origin])
        }
        try db.execute(sql: "DELETE FROM followed_logs WHERE origin = ?", arguments: [origin])
    }

    /// All logs of which something is kept, in the order in which that began.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [FollowedRow] {
        // BOUNDED: by the authors that are followed, and their logs (`LogFollower.Limits`).
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM followed_logs ORDER BY id")
        } _: { row in
            FollowedRow(
                origin: try row.text("origin"), author: try row.text("author"), size: try row.unsigned("size"),
                byteCount: try row.unsigned("bytes"), note: try row.bytes("note"), lastHashes: try row.bytes("last"))
        }
    }

    /// Entries of a log from a number on, in their order, at most `limit`.
    package static func entries(
        of origin: String, from number: UInt64, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [FollowedEntry] {
        try await entries(
            """
            SELECT e.number, e.entry, e.bytes FROM followed_entries e JOIN followed_logs l ON e.log = l.id
            WHERE l.origin = ? AND e.number >= ? ORDER BY e.number LIMIT ?
            """, origin, number, limit, in: store)
    }

    /// Entries of a log below a number, the newest first, at most `limit`.
    package static func newest(
        of origin: String, below number: UInt64, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [FollowedEntry] {
        try await entries(
            """
            SELECT e.number, e.entry, e.bytes FROM followed_entries e JOIN followed_logs l ON e.log = l.id
            WHERE l.origin = ? AND e.number < ? ORDER BY e.number DESC LIMIT ?
            """, origin, number, limit, in: store)
    }

    private static func entries(
        _ sql: String, _ origin: String, _ number: UInt64, _ limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [FollowedEntry] {
        let rowsMax = min(limit, store.limits.rowsPerPageMax)
        return try await store.readable { db in
            try Row.fetchAll(db, sql: sql, arguments: [origin, Int64(clamping: number), rowsMax])
        } _: { row in
            let entry = FollowedEntry(
                number: try row.unsigned("number"), entry: try row.cid("entry"), bytes: try row.bytes("bytes"))
            guard entry.entry.matches(entry.bytes) else {
                throw MeshStoreError.recordCorrupt(table: "followed_entries", row: Int64(clamping: entry.number))
            }
            return entry
        }
    }

    /// The hashes of a log's tree at some positions; those that are not there are left out.
    package static func hashes(
        of origin: String, at positions: [UInt64], in store: MeshStore
    ) async throws(MeshStoreError) -> [UInt64: [UInt8]] {
        try await store.read { db in
            var found: [UInt64: [UInt8]] = [:]
            let statement = try db.cachedStatement(
                sql: """
                    SELECT hash FROM followed_hashes
                    WHERE log = (SELECT id FROM followed_logs WHERE origin = ?) AND position = ?
                    """)
            for position in positions {
                let hash = try Data.fetchOne(statement, arguments: [origin, Int64(clamping: position)])
                if let hash { found[position] = [UInt8](hash) }
            }
            return found
        }
    }

    /// Those of some heads that no entry of this node's own log has named.
    package static func unnamed(_ heads: [CID], in store: MeshStore) async throws(MeshStoreError) -> [CID] {
        try await store.read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM anchor_named WHERE head = ?")
            return try heads.filter { try Int.fetchOne(statement, arguments: [Data($0.bytes)]) == nil }
        }
    }
}

/// An entry of another's log, as a row.
package struct FollowedEntry: Hashable, Sendable {
    /// From 0.
    package var number: UInt64
    /// The CID of the signed entry.
    package var entry: CID
    /// Its block.
    package var bytes: [UInt8]

    package init(number: UInt64, entry: CID, bytes: [UInt8]) {
        self.number = number
        self.entry = entry
        self.bytes = bytes
    }
}

/// Entries of another's log that follow those which are kept, with the hashes that they make: written whole or not at
/// all.
package struct FollowedBatch: Sendable {
    /// The log as it is with them.
    package var log: FollowedRow
    /// The entries, in their order.
    package var entries: [FollowedEntry]
    /// The hashes of the subtrees that they complete, in their order.
    package var hashes: [[UInt8]]

    package init(
        origin: String, author: String, byteCount: UInt64, note: [UInt8], lastHashes: [UInt8],
        entries: [FollowedEntry], hashes: [[UInt8]]
    ) {
        let size = (entries.last?.number).map { $0 + 1 } ?? 0
        log = FollowedRow(
            origin: origin, author: author, size: size, byteCount: byteCount, note: note, lastHashes: lastHashes)
        self.entries = entries
        self.hashes = hashes
    }

    /// The bytes that go to the disk.
    var byteCount: Int { entries.reduce(0) { $0 + $1.bytes.count + 128 } + hashes.count * 48 + log.note.count + 512 }

    /// Appends the entries. Each number is given once, and none is left out.
    func put(_ db: Database) throws {
        guard let first = entries.first?.number, let start = Int64(exactly: first) else { return }
        let found = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT id, size FROM followed_logs WHERE origin = ?"), arguments: [log.origin])
        let size = try found.map { try StoredRow($0).unsigned("size") } ?? 0
        guard size == first else { throw MeshStoreError.logTaken(number: first, size: size) }
        let id: Int64
        if let found {
            id = Int64(try StoredRow(found).integer("id"))
            try db.cachedStatement(sql: "UPDATE followed_logs SET size = ?, bytes = ?, note = ?, last = ? WHERE id = ?")
                .execute(arguments: [
                    Int64(clamping: log.size), Int64(clamping: log.byteCount), Data(log.note), Data(log.lastHashes), id,
                ])
        } else {
            try db.cachedStatement(
                sql: "INSERT INTO followed_logs(origin, author, size, bytes, note, last) VALUES (?, ?, ?, ?, ?, ?)"
            ).execute(arguments: [
                log.origin, log.author, Int64(clamping: log.size), Int64(clamping: log.byteCount), Data(log.note),
                Data(log.lastHashes),
            ])
            id = db.lastInsertedRowID
        }
        let entry = try db.cachedStatement(
            sql: "INSERT INTO followed_entries(log, number, entry, bytes) VALUES (?, ?, ?, ?)")
        for row in entries {
            try entry.execute(
                arguments: [id, Int64(clamping: row.number), Data(row.entry.bytes), Data(row.bytes)])
        }
        // So many hashes all trees before made (`HashPlace.count`).
        let position = 2 * start - Int64(start.nonzeroBitCount)
        let hash = try db.cachedStatement(sql: "INSERT INTO followed_hashes(log, position, hash) VALUES (?, ?, ?)")
        for (index, bytes) in hashes.enumerated() {
            try hash.execute(arguments: [id, position + Int64(index), Data(bytes)])
        }
    }
}

/// The proof that an author told two histories of a log, as a row.
package struct LogForkRow: Hashable, Sendable {
    /// The name of the log.
    package var origin: String
    /// The DID of its author.
    package var author: String
    /// The proof.
    package var proof: [UInt8]
    /// When this node had it, in milliseconds since the Unix epoch.
    package var foundAt: UInt64

    package init(origin: String, author: String, proof: [UInt8], foundAt: UInt64) {
        self.origin = origin
        self.author = author
        self.proof = proof
        self.foundAt = foundAt
    }

    /// The most proofs that are kept; one more is not.
    package static let countMax = 1_024

    /// Keeps the proof, unless there is one of the log, or the table is full.
    func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO log_forks(origin, author, proof, found_at)
                SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM log_forks) < ?5 ON CONFLICT DO NOTHING
                """
        ).execute(arguments: [origin, author, Data(proof), Int64(clamping: foundAt), Self.countMax])
    }

    /// All proofs, the newest first.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [LogForkRow] {
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM log_forks ORDER BY found_at DESC, origin")
        } _: { row in
            LogForkRow(
                origin: try row.text("origin"), author: try row.text("author"), proof: try row.bytes("proof"),
                foundAt: try row.unsigned("found_at"))
        }
    }
}
