import Foundation
import GRDB
package import Multiformats

/// For whom a block is in a store.
package struct BlockOwners: Hashable, Sendable {
    /// Whether the owner put it, or something that has it.
    package let isFile: Bool
    /// The jobs that made it or need it.
    package let jobs: Set<CID>

    /// For whom a block is here; `nil` if it is not here. It does not count as used.
    package static func of(_ cid: CID, in store: MeshStore) async throws(MeshStoreError) -> BlockOwners? {
        try await store.read { db in
            let statement = try db.cachedStatement(
                sql: """
                    SELECT u.file, u.job_id FROM blocks b JOIN block_uses u ON u.id = b.id WHERE b.cid = ?1
                    UNION ALL
                    SELECT 0, h.job_id FROM blocks b JOIN block_holds h ON h.id = b.id WHERE b.cid = ?1
                    """)
            let rows = try Row.fetchAll(statement, arguments: [Data(cid.bytes)])
            guard !rows.isEmpty else { return nil }
            let jobs = rows.compactMap { row in (row[1] as Data?).flatMap { try? CID(bytes: [UInt8]($0)) } }
            return BlockOwners(isFile: rows.contains { ($0[0] as Int) != 0 }, jobs: Set(jobs))
        }
    }
}
