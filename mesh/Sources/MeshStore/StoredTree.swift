import Foundation
import GRDB
import IPLD
package import Multiformats
import Synchronization

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
        let (limits, packs) = (store.limits, store.packs)
        return try await store.read { db in try Self(under: root, limits, packs, db) }
    }

    /// Those of the CIDs whose blocks a store does not have, or found damaged; the others count as read, so that they
    /// are not evicted soon.
    package static func missing(of cids: [CID], in store: MeshStore) async throws(MeshStoreError) -> [CID] {
        let damaged = store.counting.damaged.withLock { $0 }
        let missing = try await store.read { db in
            let statement = try db.cachedStatement(sql: "SELECT 1 FROM blocks WHERE cid = ?")
            return try cids.filter {
                try damaged.contains($0) || Bool.fetchOne(statement, arguments: [Data($0.bytes)]) != true
            }
        }
        let absent = Set(missing)
        for cid in cids where !absent.contains(cid) { store.uses.wasRead(cid) }
        return missing
    }

    /// Looks at the blocks of a tree; `nil` if there are too many.
    init?(under root: CID, _ limits: StoreLimits, _ packs: BlockPacks, _ db: Database) throws {
        var wanted = [root]
        var seen: Set<CID> = [root]
        guard try goOn(&wanted, &seen, limits, packs, db) else { return nil }
    }

    /// Nothing looked at yet.
    fileprivate init() {}

    /// Looks at what is wanted; `false` if there are too many. What was missing before is wanted, too.
    fileprivate mutating func goOn(
        _ wanted: inout [CID], _ seen: inout Set<CID>, _ limits: StoreLimits, _ packs: BlockPacks, _ db: Database
    ) throws -> Bool {
        let statement = try db.cachedStatement(sql: "SELECT size FROM blocks WHERE cid = ?")
        wanted += missing.reversed()
        missing = []
        while let cid = wanted.popLast() {
            guard let size = try Int.fetchOne(statement, arguments: [Data(cid.bytes)]) else {
                missing.append(cid)
                if missing.count == limits.missingBlocksNamedMax { return true }
                continue
            }
            blocks += 1
            bytes += size
            for link in try Self.links(of: cid, in: packs, db) where seen.insert(link).inserted { wanted.append(link) }
            if seen.count > limits.treeBlocksMax { return false }
        }
        return true
    }

    /// The blocks that a block of a file or folder links to; none of those that are not here, and of other blocks.
    static func links(of cid: CID, in packs: BlockPacks, _ db: Database) throws -> [CID] {
        guard cid.codec == .dagPB, let bytes = try PackedRows.bytes(of: cid, in: packs, db) else { return [] }
        // An old node may keep a file whose root does not say how long it is.
        if let file = try? UnixFSNode(bytes, of: cid) { return file.links }
        return (try? UnixFSBlock(bytes, of: cid))?.links ?? []
    }
}

/// A walk through a tree whose blocks come: it goes on where it was, so it looks at no block twice, but for those
/// that were missing.
package final class TreeWalk: Sendable {
    private struct State {
        var tree = StoredTree()
        var wanted: [CID]
        var seen: Set<CID>
    }

    private let state: Mutex<State>

    /// A walk from a root on.
    package init(under root: CID) { state = Mutex(State(wanted: [root], seen: [root])) }

    /// Looks at what has come; `nil` if the tree has more than `StoreLimits.treeBlocksMax` blocks. Blocks that it saw
    /// before may be gone since.
    package func goOn(in store: MeshStore) async throws(MeshStoreError) -> StoredTree? {
        let (limits, packs) = (store.limits, store.packs)
        return try await store.read { [self] db in
            try state.withLock { state in
                try state.tree.goOn(&state.wanted, &state.seen, limits, packs, db) ? state.tree : nil
            }
        }
    }
}
