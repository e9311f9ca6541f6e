import Foundation
import GRDB
package import Multiformats

/// What strangers may have of a block.
///
/// A block is public if it is the root of a kept file or folder that is, or below one: there is a row for each block of
/// each (`file_blocks`), so the question costs a look at those that have the block, and nothing for a block that none
/// has.
package enum PublicBlock: Hashable, Sendable {
    /// It is a part of what the owner made public; its bytes, held against its CID.
    case here([UInt8])
    /// It was a part of that, and the owner took it back.
    case takenBack
    /// Nothing: strangers do not learn whether it is here.
    case none

    /// A block of a store as far as strangers may have it; throws `blockCorrupt` if it is damaged. It does not count as
    /// used.
    package static func of(_ cid: CID, in store: MeshStore) async throws(MeshStoreError) -> PublicBlock {
        let packs = store.packs
        let look = try await store.read { db in
            try isPublic(cid, isOpen: true, db) ? try BlockLook(at: cid, in: packs, db) : nil
        }
        switch look {
        case .intact(let bytes): return .here(bytes)
        case .missing: return .none
        case .damaged:
            return try await store.read { db in try BlockLook.again(at: cid, in: packs, db) }.map(PublicBlock.here)
                ?? .none
        case nil: return try await store.read { db in try isPublic(cid, isOpen: false, db) } ? .takenBack : .none
        }
    }

    /// Those of a store's roots that are public.
    package static func roots(among roots: [CID], in store: MeshStore) async throws(MeshStoreError) -> Set<CID> {
        try await store.read { db in
            let statement = try db.cachedStatement(sql: "SELECT is_open FROM public_roots WHERE cid = ?")
            return try Set(roots.filter { try Bool.fetchOne(statement, arguments: [Data($0.bytes)]) == true })
        }
    }

    /// How many roots of a store are public.
    package static func rootCount(in store: MeshStore) async throws(MeshStoreError) -> Int {
        try await store.read { db in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM public_roots WHERE is_open = 1") ?? 0
        }
    }

    /// Whether a block is a part of something that is public, or was.
    private static func isPublic(_ cid: CID, isOpen: Bool, _ db: Database) throws -> Bool {
        let statement = try db.cachedStatement(
            sql: """
                SELECT EXISTS (SELECT 1 FROM public_roots WHERE cid = ?1 AND is_open = ?2)
                    OR EXISTS (
                        SELECT 1 FROM file_blocks f CROSS JOIN public_roots p ON p.cid = f.root
                        WHERE f.cid = ?1 AND p.is_open = ?2)
                """)
        return try Bool.fetchOne(statement, arguments: [Data(cid.bytes), isOpen]) ?? false
    }
}
