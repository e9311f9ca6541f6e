import GRDB

extension LedgerRow {
    /// The newest movements before a position, newest first; all of them, or those of one kind.
    package static func newest(
        before sequence: Int64 = .max, kind: String? = nil, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [LedgerRow] {
        let rowsMax = min(max(0, limit), store.limits.rowsPerPageMax)
        return try await store.read { db in
            try Row.fetchAll(
                db,
                sql: "SELECT * FROM ledger WHERE seq < ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY seq DESC LIMIT ?3",
                arguments: [sequence, kind, rowsMax]
            ).map { try StoredRow($0).ledgerRow() }
        }
    }
}
