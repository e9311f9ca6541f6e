import GRDB

extension ProofRow {
    /// The proofs of fraud that this node made, newest first, at most `limit`.
    package static func all(in store: MeshStore, limit: Int) async throws(MeshStoreError) -> [ProofRow] {
        let rowsMax = min(limit, store.limits.rowsPerPageMax)
        return try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM proofs ORDER BY id DESC LIMIT ?", arguments: [rowsMax])
        } _: { row in
            try row.proofRow()
        }
    }
}
