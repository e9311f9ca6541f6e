import Foundation
import GRDB
import Multiformats

extension MeshStore {
    /// The block under a CID, checked against it; nil when it is not here, `blockCorrupt` when it is damaged.
    public func block(_ cid: CID) async throws(MeshStoreError) -> [UInt8]? {
        try await read { db in try Self.checkedBlock(cid, db) }
    }

    /// Like `block`, for a thread of its own that may block; never call it from async code.
    public func blockBlocking(_ cid: CID) throws(MeshStoreError) -> [UInt8]? {
        try readBlocking { db in try Self.checkedBlock(cid, db) }
    }

    /// Whether a block is here; says nothing of whether it is intact.
    public func hasBlock(_ cid: CID) async throws(MeshStoreError) -> Bool {
        try await blockSize(cid) != nil
    }

    /// The size of a block in bytes; nil when it is not here.
    public func blockSize(_ cid: CID) async throws(MeshStoreError) -> Int? {
        try await read { db in
            let statement = try db.cachedStatement(sql: "SELECT size FROM blocks WHERE cid = ?")
            return try Int.fetchOne(statement, arguments: [Data(cid.bytes)])
        }
    }

    /// The CIDs of blocks that are not pinned, oldest first, until their sizes reach `bytes`: what to remove to make
    /// room.
    public func unpinnedBlocks(bytes: Int) async throws(MeshStoreError) -> [CID] {
        let rowsMax = limits.rowsPerPageMax
        return try await read { db in
            let rows = try Row.fetchCursor(
                db, sql: "SELECT cid, size FROM blocks WHERE pinned = 0 ORDER BY id LIMIT ?", arguments: [rowsMax])
            var found: [CID] = []
            var sum = 0
            while sum < bytes, let row = try rows.next().map(StoredRow.init) {
                found.append(try row.cid("cid"))
                sum += try row.integer("size")
            }
            return found
        }
    }

    private static func checkedBlock(_ cid: CID, _ db: Database) throws -> [UInt8]? {
        let statement = try db.cachedStatement(sql: "SELECT bytes FROM blocks WHERE cid = ?")
        guard let data = try Data.fetchOne(statement, arguments: [Data(cid.bytes)]) else { return nil }
        let bytes = [UInt8](data)
        guard cid.matches(bytes) else { throw MeshStoreError.blockCorrupt(cid) }
        return bytes
    }
}
