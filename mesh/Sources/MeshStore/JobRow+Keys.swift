import GRDB

extension JobRow {
    /// The originated jobs whose keys begin with a text, the oldest first, at most `limit`.
    package static func all(
        withKeysFrom prefix: String, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [JobRow] {
        guard !prefix.isEmpty else { return [] }
        // No text that begins with the prefix is behind it and the last letter of all.
        let end = prefix + "\u{10FFFF}"
        let rowsMax = min(max(0, limit), store.limits.rowsPerPageMax)
        let found = try await store.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    \(StoredRow.jobs) WHERE idempotency_key >= ? AND idempotency_key < ? AND idempotency_key <> ''
                    AND role = 'originator' ORDER BY submitted_at, job_id LIMIT ?
                    """, arguments: [prefix, end, rowsMax]
            ).map { try StoredRow($0).jobRow() }
        }
        return found.map { store.jobs.newer($0.jobID, $0.role) ?? $0 }
    }
}
