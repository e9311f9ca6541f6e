import Foundation
import GRDB
import Multiformats

/// The rows that say where in the packs the bytes of large blocks are, and which parts of packs nobody needs any more.
enum PackedRows {
    /// The version that brought these rows.
    static let sinceVersion = 11

    /// Version 11 puts the bytes of large blocks into packs. What is in the database already stays there.
    static let tables = """
        CREATE TABLE IF NOT EXISTS packed(
            id INTEGER PRIMARY KEY,
            pack INTEGER NOT NULL,
            at INTEGER NOT NULL,
            size INTEGER NOT NULL);
        CREATE INDEX IF NOT EXISTS packed_by_place ON packed(pack, at, size);
        CREATE TABLE IF NOT EXISTS pack_holes(
            pack INTEGER NOT NULL,
            at INTEGER NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY(pack, at)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS pack_synced(
            id INTEGER PRIMARY KEY CHECK(id = 1),
            pack INTEGER NOT NULL,
            at INTEGER NOT NULL);
        INSERT INTO pack_synced(id, pack, at) VALUES (1, 1, 0) ON CONFLICT DO NOTHING;
        """

    /// Where a block's bytes are.
    enum Home {
        case database([UInt8])
        case pack(BlockPacks.Extent)
    }

    /// Where the bytes of a block are, as far as the rows know; `nil` if it is not here.
    static func home(of cid: CID, _ db: Database) throws -> Home? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT p.pack, p.at, p.size, CASE WHEN p.id IS NULL THEN b.bytes END AS bytes
                FROM blocks b LEFT JOIN packed p ON p.id = b.id WHERE b.cid = ?
                """)
        guard let row = try Row.fetchOne(statement, arguments: [Data(cid.bytes)]).map(StoredRow.init) else {
            return nil
        }
        if let bytes = try row.bytesIfPresent("bytes") { return .database(bytes) }
        return .pack(try row.extent())
    }

    /// The bytes of a block, unchecked; `nil` if they are not here.
    static func bytes(of cid: CID, in packs: BlockPacks, _ db: Database) throws -> [UInt8]? {
        switch try home(of: cid, db) {
        case .database(let bytes): bytes
        case .pack(let extent): packs.read(extent.count, at: extent.place)
        case nil: nil
        }
    }

    /// Notes where the bytes of the block of a row are.
    static func note(_ place: BlockPacks.Place, count: Int, ofRow id: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "INSERT INTO packed(id, pack, at, size) VALUES (?, ?, ?, ?)")
            .execute(arguments: [id, place.pack, place.at, count])
    }

    /// Makes a hole of what the block of a row has in a pack, if anything; returns whether it has.
    static func free(row id: Int64, _ db: Database) throws -> Bool {
        try db.cachedStatement(
            sql: "INSERT INTO pack_holes(pack, at, size) SELECT pack, at, size FROM packed WHERE id = ?"
        ).execute(arguments: [id])
        guard db.changesCount > 0 else { return false }
        try db.cachedStatement(sql: "DELETE FROM packed WHERE id = ?").execute(arguments: [id])
        return true
    }

    /// Some of the holes whose room is not given back yet.
    static func holes(limit: Int, _ db: Database) throws -> [BlockPacks.Extent] {
        try Row.fetchAll(
            db.cachedStatement(sql: "SELECT pack, at, size FROM pack_holes ORDER BY pack, at LIMIT ?"),
            arguments: [limit]
        ).map { try StoredRow($0).extent() }
    }

    /// Forgets holes whose room is given back.
    static func forget(_ holes: [BlockPacks.Extent], _ db: Database) throws {
        let statement = try db.cachedStatement(sql: "DELETE FROM pack_holes WHERE pack = ? AND at = ?")
        for hole in holes { try statement.execute(arguments: [hole.place.pack, hole.place.at]) }
    }

    /// Whether a row needs anything of a pack.
    static func needs(pack: Int, _ db: Database) throws -> Bool {
        try Bool.fetchOne(
            db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM packed WHERE pack = ?)"), arguments: [pack]) ?? true
    }

    /// Where the last bytes end that any row names.
    static func end(_ db: Database) throws -> BlockPacks.Place {
        var end = BlockPacks.Place(pack: 1, at: 0)
        for table in ["packed", "pack_holes"] {
            let sql = "SELECT pack, at, size FROM \(table) ORDER BY pack DESC, at DESC LIMIT 1"
            guard let last = try Row.fetchOne(db, sql: sql).map({ try StoredRow($0).extent() }) else { continue }
            let (offset, overflow) = last.place.at.addingReportingOverflow(last.count)
            guard last.place.pack > 0, last.count >= 0, !overflow else {
                throw MeshStoreError.recordCorrupt(table: table, row: Int64(last.place.pack))
            }
            end = max(end, BlockPacks.Place(pack: last.place.pack, at: offset))
        }
        return end
    }

    /// How far the packs were on the disk for certain when a row last said so.
    static func synced(_ db: Database) throws -> BlockPacks.Place {
        let row = try Row.fetchOne(db, sql: "SELECT pack, at, 0 AS size FROM pack_synced").map(StoredRow.init)
        return try row?.extent().place ?? BlockPacks.Place(pack: 1, at: 0)
    }

    /// Notes how far the packs are on the disk.
    static func note(synced place: BlockPacks.Place, _ db: Database) throws {
        try db.cachedStatement(sql: "UPDATE pack_synced SET pack = ?, at = ? WHERE pack <> ?1 OR at <> ?2")
            .execute(arguments: [place.pack, place.at])
    }

    /// The blocks whose bytes begin at a place or behind it.
    static func blocks(from place: BlockPacks.Place, _ db: Database) throws -> [(cid: CID, extent: BlockPacks.Extent)] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT b.cid, p.pack, p.at, p.size FROM packed p JOIN blocks b ON b.id = p.id
                WHERE (p.pack, p.at) >= (?, ?) ORDER BY p.pack, p.at
                """, arguments: [place.pack, place.at]
        ).map { row in (try StoredRow(row).cid("cid"), try StoredRow(row).extent()) }
    }

    /// Visits all blocks in packs, in the order of their places.
    static func each(_ db: Database, _ body: (CID, BlockPacks.Extent) throws -> Void) throws {
        let sql = """
            SELECT b.cid, p.pack, p.at, p.size FROM packed p JOIN blocks b ON b.id = p.id ORDER BY p.pack, p.at
            """
        let rows = try Row.fetchCursor(db, sql: sql)
        while let row = try rows.next().map(StoredRow.init) { try body(row.cid("cid"), row.extent()) }
    }

    /// Forgets a block whose bytes are gone, with its share of the totals.
    static func drop(_ cid: CID, _ db: Database) throws {
        let key = Data(cid.bytes)
        let sql = "SELECT id, size FROM blocks WHERE cid = ?"
        guard let row = try Row.fetchOne(db, sql: sql, arguments: [key]).map(StoredRow.init) else { return }
        let id = Int64(try row.integer("id"))
        _ = try free(row: id, db)
        try db.execute(
            sql: "UPDATE block_totals SET count = count - 1, bytes = bytes - ?", arguments: [try row.integer("size")])
        try db.execute(sql: "DELETE FROM roots WHERE cid = ?", arguments: [key])
        for table in ["blocks", "block_uses", "block_holds"] {
            try db.execute(sql: "DELETE FROM \(table) WHERE id = ?", arguments: [id])
        }
    }
}

extension StoredRow {
    /// A part of a pack.
    fileprivate func extent() throws -> BlockPacks.Extent {
        BlockPacks.Extent(
            place: BlockPacks.Place(pack: try integer("pack"), at: try integer("at")), count: try integer("size"))
    }
}
