import Foundation
import GRDB
package import Multiformats
import Synchronization

/// A workflow of this node, as a row.
package struct WorkflowRow: Hashable, Sendable {
    /// The CID of its signed manifest.
    package var id: CID
    /// The key under which it was begun.
    package var key: String
    /// The signed manifest.
    package var manifest: [UInt8]
    /// Where it is, by name.
    package var status: String
    /// Whether it is over.
    package var isOver: Bool
    /// When it was begun, in milliseconds since the Unix epoch.
    package var submittedAt: UInt64

    package init(id: CID, key: String, manifest: [UInt8], status: String, isOver: Bool, submittedAt: UInt64) {
        self.id = id
        self.key = key
        self.manifest = manifest
        self.status = status
        self.isOver = isOver
        self.submittedAt = submittedAt
    }
}

/// The tables of workflows: what was begun, and the journals of their plans.
enum WorkflowRows {
    /// Version 12 added them.
    static let tables = """
        CREATE TABLE IF NOT EXISTS workflows(
            id BLOB PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            manifest BLOB NOT NULL,
            status TEXT NOT NULL,
            is_over INTEGER NOT NULL,
            submitted_at INTEGER NOT NULL,
            digest BLOB NOT NULL);
        CREATE INDEX IF NOT EXISTS workflows_by_age ON workflows(submitted_at);
        CREATE INDEX IF NOT EXISTS workflows_open ON workflows(submitted_at) WHERE is_over = 0;
        CREATE TABLE IF NOT EXISTS workflow_journal(
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id BLOB NOT NULL,
            bytes BLOB NOT NULL,
            digest BLOB NOT NULL);
        CREATE INDEX IF NOT EXISTS workflow_journal_of ON workflow_journal(id, seq);
        """

    static func put(_ row: WorkflowRow, _ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO workflows(id, key, manifest, status, is_over, submitted_at, digest)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT(id) DO UPDATE SET status = excluded.status, is_over = excluded.is_over
                """
        ).execute(arguments: [
            Data(row.id.bytes), row.key, Data(row.manifest), row.status, row.isOver, Int64(clamping: row.submittedAt),
            RowDigest.of(workflow: row.id, row.manifest),
        ])
    }

    static func append(_ bytes: [UInt8], of id: CID, _ db: Database) throws {
        try db.cachedStatement(sql: "INSERT INTO workflow_journal(id, bytes, digest) VALUES (?, ?, ?)")
            .execute(arguments: [Data(id.bytes), Data(bytes), RowDigest.of(workflow: id, bytes)])
    }

    /// Deletes workflows that are over, with their journals: those that ended first beyond one bound, and those whose
    /// last event is beyond another. The last event of a workflow that is over is its end.
    ///
    /// - Parameter ending: the workflow that is just ending, which stays.
    static func prune(_ db: Database, ending: CID, _ limits: StoreLimits) throws {
        let last = try Int64.fetchOne(db, sql: "SELECT max(seq) FROM workflow_journal") ?? 0
        let ids = try Data.fetchAll(
            db,
            sql: """
                WITH ended AS (
                    SELECT w.id, w.submitted_at,
                        coalesce((SELECT max(j.seq) FROM workflow_journal j WHERE j.id = w.id), 0) AS last
                    FROM workflows w WHERE w.is_over = 1 AND w.id != ?3)
                SELECT id FROM (
                    SELECT id FROM ended ORDER BY last DESC, submitted_at DESC, id LIMIT -1 OFFSET ?1)
                UNION
                SELECT id FROM ended WHERE last <= ?2
                """,
            arguments: [
                max(0, limits.endedWorkflowsMax - 1), last - Int64(limits.workflowEventsMax), Data(ending.bytes),
            ])
        for id in ids {
            try db.cachedStatement(sql: "DELETE FROM workflow_journal WHERE id = ?").execute(arguments: [id])
            try db.cachedStatement(sql: "DELETE FROM workflows WHERE id = ?").execute(arguments: [id])
        }
    }

    static func row(_ row: StoredRow) throws -> WorkflowRow {
        let found = WorkflowRow(
            id: try row.cid("id"), key: try row.text("key"), manifest: try row.bytes("manifest"),
            status: try row.text("status"), isOver: try row.flag("is_over"),
            submittedAt: try row.unsigned("submitted_at"))
        guard try row.bytes("digest") == [UInt8](RowDigest.of(workflow: found.id, found.manifest)) else {
            throw MeshStoreError.recordCorrupt(table: "workflows", row: 0)
        }
        return found
    }
}

/// Reads what a store keeps of workflows.
package struct StoredWorkflows: Sendable {
    private let store: MeshStore

    package init(_ store: MeshStore) { self.store = store }

    /// Workflows, the newest first; only open ones, or all that were begun before a date.
    package func newest(
        onlyOpen: Bool, before: UInt64 = .max, limit: Int
    ) async throws(MeshStoreError) -> [WorkflowRow] {
        let most = min(max(0, limit), store.limits.rowsPerPageMax)
        return try await store.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM workflows WHERE submitted_at < ? AND (is_over = 0 OR ?)
                    ORDER BY submitted_at DESC LIMIT ?
                    """, arguments: [Int64(clamping: before), !onlyOpen, most]
            ).map { try WorkflowRows.row(StoredRow($0)) }
        }
    }

    /// A workflow; nil if this node has none of that ID.
    package func row(_ id: CID) async throws(MeshStoreError) -> WorkflowRow? {
        try await store.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM workflows WHERE id = ?", arguments: [Data(id.bytes)])
                .map { try WorkflowRows.row(StoredRow($0)) }
        }
    }

    /// The number of the last event that was written to a journal of a workflow; events are numbered through all
    /// journals, and no number is used again. 0 if there was none.
    package func lastEvent() async throws(MeshStoreError) -> UInt64 {
        try await store.read { db in
            UInt64(
                clamping: try Int64.fetchOne(
                    db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'workflow_journal'") ?? 0)
        }
    }

    /// The number of a workflow's first event; nil if its journal is not kept.
    package func firstEvent(of id: CID) async throws(MeshStoreError) -> UInt64? {
        try await store.read { db in
            try Int64.fetchOne(
                db, sql: "SELECT min(seq) FROM workflow_journal WHERE id = ?", arguments: [Data(id.bytes)]
            ).map { UInt64(clamping: $0) }
        }
    }

    /// The workflow that was begun under a key.
    package func row(key: String) async throws(MeshStoreError) -> WorkflowRow? {
        try await store.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM workflows WHERE key = ?", arguments: [key])
                .map { try WorkflowRows.row(StoredRow($0)) }
        }
    }

    /// The journal of a workflow's plan, in the order in which it was written. It ends before a row that is damaged:
    /// what comes behind is told again.
    package func journal(of id: CID) async throws(MeshStoreError) -> [[UInt8]] {
        let (rows, isWhole) = try await store.read { db in
            var rows: [[UInt8]] = []
            for row in try Row.fetchAll(
                db, sql: "SELECT bytes, digest FROM workflow_journal WHERE id = ? ORDER BY seq",
                arguments: [Data(id.bytes)])
            {
                let bytes = try StoredRow(row).bytes("bytes")
                let digest = [UInt8](RowDigest.of(workflow: id, bytes))
                guard try StoredRow(row).bytes("digest") == digest else { return (rows, false) }
                rows.append(bytes)
            }
            return (rows, true)
        }
        if !isWhole { store.counting.counters.withLock { $0.corruptRecords += 1 } }
        return rows
    }
}
