import Foundation
import GRDB
package import Multiformats

/// An entry of the node's log, as a row, with the hashes of the tree that it made.
package struct AnchoredRow: Hashable, Sendable {
    /// From 0, in the order of anchoring.
    package var number: UInt64
    /// The CID of the signed entry.
    package var entry: CID
    /// Its block, which has to be had for as long as there is a log.
    package var bytes: [UInt8]
    /// What it anchors.
    package var payload: [CID]
    /// The hashes of the subtrees that it completes, the leaf first; empty in what is read.
    package var hashes: [[UInt8]]
    /// The heads of others that it names; empty in what is read.
    package var heads: [CID]

    package init(
        number: UInt64, entry: CID, bytes: [UInt8], payload: [CID], hashes: [[UInt8]], heads: [CID] = []
    ) {
        self.number = number
        self.entry = entry
        self.bytes = bytes
        self.payload = payload
        self.hashes = hashes
        self.heads = heads
    }

    /// Version 15 added them. Hashes only ever join at the end, so the position of each follows from the tree's size.
    static let tables = """
        CREATE TABLE IF NOT EXISTS anchor_log(
            number INTEGER PRIMARY KEY, entry BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL);
        CREATE TABLE IF NOT EXISTS anchor_hashes(position INTEGER PRIMARY KEY, hash BLOB NOT NULL);
        CREATE TABLE IF NOT EXISTS anchor_payload(
            cid BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY(cid, number)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS anchor_owed(
            cid BLOB PRIMARY KEY, workflow BLOB NOT NULL) WITHOUT ROWID;
        """

    /// Appends the entry. Each number is given once: two entries of one number would be two histories.
    func put(_ db: Database) throws {
        let size =
            try Int64.fetchOne(
                db.cachedStatement(sql: "SELECT coalesce(max(number), -1) + 1 FROM anchor_log")) ?? 0
        guard let number = Int64(exactly: number), number == size else {
            throw MeshStoreError.logTaken(number: number, size: UInt64(clamping: size))
        }
        try db.cachedStatement(sql: "INSERT INTO anchor_log(number, entry, bytes) VALUES (?, ?, ?)")
            .execute(arguments: [number, Data(entry.bytes), Data(bytes)])
        // So many hashes all trees before made (`HashPlace.count`); whatever was lost, none takes another's place.
        let position = 2 * number - Int64(number.nonzeroBitCount)
        for (index, hash) in hashes.enumerated() {
            try db.cachedStatement(sql: "INSERT INTO anchor_hashes(position, hash) VALUES (?, ?)")
                .execute(arguments: [position + Int64(index), Data(hash)])
        }
        for head in heads {
            try db.cachedStatement(sql: "INSERT INTO anchor_named(head, number) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .execute(arguments: [Data(head.bytes), number])
        }
        for cid in payload {
            try db.cachedStatement(
                sql: "INSERT INTO anchor_payload(cid, number) VALUES (?, ?) ON CONFLICT DO NOTHING"
            ).execute(arguments: [Data(cid.bytes), number])
            try db.cachedStatement(sql: "DELETE FROM anchor_owed WHERE cid = ?").execute(arguments: [Data(cid.bytes)])
        }
    }

    /// The receipts of workflows that are to be anchored and are not yet, as `StoreWrite.anchorOwed` left them.
    package static func owed(in store: MeshStore) async throws(MeshStoreError) -> [(receipt: CID, workflow: CID)] {
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM anchor_owed LIMIT ?", arguments: [store.limits.rowsPerPageMax])
        } _: { row in
            (try row.cid("cid"), try row.cid("workflow"))
        }
    }

    /// How many entries the log has.
    package static func count(in store: MeshStore) async throws(MeshStoreError) -> UInt64 {
        try await store.read { db in
            UInt64(clamping: try Int64.fetchOne(db, sql: "SELECT coalesce(max(number), -1) + 1 FROM anchor_log") ?? 0)
        }
    }

    /// The hashes at some positions; those that are not there are left out.
    package static func hashes(
        at positions: [UInt64], in store: MeshStore
    ) async throws(MeshStoreError) -> [UInt64: [UInt8]] {
        try await store.read { db in
            var found: [UInt64: [UInt8]] = [:]
            let statement = try db.cachedStatement(sql: "SELECT hash FROM anchor_hashes WHERE position = ?")
            for position in positions {
                let hash = try Data.fetchOne(statement, arguments: [Int64(clamping: position)])
                if let hash { found[position] = [UInt8](hash) }
            }
            return found
        }
    }

    /// The number of an entry in the log; nil if it is not there.
    package static func number(of entry: CID, in store: MeshStore) async throws(MeshStoreError) -> UInt64? {
        try await store.read { db in
            try Int64.fetchOne(
                db, sql: "SELECT number FROM anchor_log WHERE entry = ?", arguments: [Data(entry.bytes)])
        }.map { UInt64(clamping: $0) }
    }

    /// The first entry that anchors a block; nil if none does.
    package static func anchoring(_ cid: CID, in store: MeshStore) async throws(MeshStoreError) -> AnchoredRow? {
        try await store.readable { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM anchor_log
                    WHERE number = (SELECT min(number) FROM anchor_payload WHERE cid = ?)
                    """, arguments: [Data(cid.bytes)])
        } _: { row in
            try row.anchoredRow()
        }.first
    }

    /// The entries from a number on, in their order, at most `limit`.
    package static func entries(
        from number: UInt64, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [AnchoredRow] {
        let rowsMax = min(limit, store.limits.rowsPerPageMax)
        return try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM anchor_log WHERE number >= ? ORDER BY number LIMIT ?",
                arguments: [Int64(clamping: number), rowsMax])
        } _: { row in
            try row.anchoredRow()
        }
    }

    /// The newest entries below a number, newest first, at most `limit`.
    package static func newest(
        below number: UInt64 = .max, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [AnchoredRow] {
        let rowsMax = min(limit, store.limits.rowsPerPageMax)
        return try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM anchor_log WHERE number < ? ORDER BY number DESC LIMIT ?",
                arguments: [Int64(clamping: number), rowsMax])
        } _: { row in
            try row.anchoredRow()
        }
    }
}

extension StoredRow {
    /// The row of `anchor_log`; its block has to be the one that it names.
    fileprivate func anchoredRow() throws -> AnchoredRow {
        let row = AnchoredRow(
            number: try unsigned("number"), entry: try cid("entry"), bytes: try bytes("bytes"), payload: [],
            hashes: [])
        guard row.entry.matches(row.bytes) else {
            throw MeshStoreError.recordCorrupt(table: "anchor_log", row: Int64(clamping: row.number))
        }
        return row
    }
}
