import Foundation
import GRDB
package import Multiformats

extension ProofRow {
    /// The proofs of fraud that this node made, newest first, at most `limit`; or those against one receipt.
    package static func all(
        in store: MeshStore, against receipt: CID? = nil, limit: Int
    ) async throws(MeshStoreError) -> [ProofRow] {
        let rowsMax = min(limit, store.limits.rowsPerPageMax)
        let bytes = receipt.map { Data($0.bytes) }
        return try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM proofs WHERE ?1 IS NULL OR receipt = ?1 ORDER BY id DESC LIMIT ?2",
                arguments: [bytes, rowsMax])
        } _: { row in
            try row.proofRow()
        }
    }
}
