import Foundation
import GRDB
package import Multiformats

extension MeshStore {
    /// The block of a CID, verified against it; nil if missing; throws `blockCorrupt` if damaged.
    package func block(_ cid: CID) async throws(MeshStoreError) -> [UInt8]? {
        uses.wasRead(cid)
        let packs = packs
        let look = try await read { db in try BlockLook(at: cid, in: packs, db) }
        guard case .damaged = look else { return look.bytes }
        return try await read { db in try BlockLook.again(at: cid, in: packs, db) }
    }

    /// Like `block`, for a dedicated thread that may block; never call it from async code.
    package func blockBlocking(_ cid: CID) throws(MeshStoreError) -> [UInt8]? {
        uses.wasRead(cid)
        let look = try readBlocking { db in try BlockLook(at: cid, in: packs, db) }
        guard case .damaged = look else { return look.bytes }
        return try readBlocking { db in try BlockLook.again(at: cid, in: packs, db) }
    }

    /// Whether a block is here; it may be damaged.
    package func hasBlock(_ cid: CID) async throws(MeshStoreError) -> Bool {
        try await blockSize(cid) != nil
    }

    /// The size of a block in bytes; nil if missing.
    package func blockSize(_ cid: CID) async throws(MeshStoreError) -> Int? {
        try await read { db in
            let statement = try db.cachedStatement(sql: "SELECT size FROM blocks WHERE cid = ?")
            return try Int.fetchOne(statement, arguments: [Data(cid.bytes)])
        }
    }
}
