import Foundation
import GRDB
import IPLD
package import Multiformats

/// What a store has of a file or folder: all blocks that can be reached from its root, each counted once.
package struct StoredTree: Hashable, Sendable {
    /// Blocks that are here.
    package private(set) var blocks = 0
    /// Their bytes.
    package private(set) var bytes = 0
    /// Blocks that are not, as many as are named at once; there may be more below them.
    package private(set) var missing: [CID] = []

    /// What a store has of the file or folder under a root; `nil` if it has more than `StoreLimits.treeBlocksMax`
    /// blocks.
    package static func under(_ root: CID, in store: MeshStore) async throws(MeshStoreError) -> Self? {
        let limits = store.limits
        return try await store.read { db in try Self(under: root, limits, db) }
    }

    /// Those of the CIDs whose blocks a store does not have; the others count as read, so that they are not evicted
    /// soon.
    package static func missing(of cids: [CID], in store: MeshStore) async throws(MeshStoreError) -> [CID] {
        let missing = try await store.read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM blocks WHERE cid = ?")
            return try cids.filter { try Bool.fetchOne(statement, arguments: [Data($0.bytes)]) != true }
        }
        let absent = Set(missing)
        for cid in cids where !absent.contains(cid) { store.uses.wasRead(cid) }
        return missing
    }

    /// Looks at the blocks of a tree; `nil` if there are too many.
    init?(under root: CID, _ limits: StoreLimits, _ db: Database) throws {
        let statement = try db.cachedStatement(sql: "SELECT size FROM blocks WHERE cid = ?")
        var wanted = [root]
        var seen: Set<CID> = [root]
        while let cid = wanted.popLast() {
            guard let size = try Int.fetchOne(statement, arguments: [Data(cid.bytes)]) else {
                missing.append(cid)
                if missing.count == limits.missingBlocksNamedMax { return }
                continue
            }
            blocks += 1
            bytes += size
            for link in try Self.links(of: cid, db) where seen.insert(link).inserted { wanted.append(link) }
            if seen.count > limits.treeBlocksMax { return nil }
        }
    }

    /// The blocks that a block of a file or folder links to; none of those that are not here, and of other blocks.
    static func links(of cid: CID, _ db: Database) throws -> [CID] {
        guard cid.codec == .dagPB else { return [] }
        let statement = try db.cachedStatement(sql: "SELECT bytes FROM blocks WHERE cid = ?")
        guard let bytes = try Data.fetchOne(statement, arguments: [Data(cid.bytes)]) else { return [] }
        // An old node may keep a file whose root does not say how long it is.
        if let file = try? UnixFSNode([UInt8](bytes), of: cid) { return file.links }
        return (try? UnixFSBlock([UInt8](bytes), of: cid))?.links ?? []
    }
}
