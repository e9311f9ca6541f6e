import Foundation
import GRDB
package import Multiformats
import Synchronization

/// The readable journal of one side of a job.
package struct ReadableJournal: Hashable, Sendable {
    /// The undamaged entries, in the order of writing.
    package var entries: [JournalEntry] = []
    /// The positions of damaged rows.
    package var damaged: [Int64] = []
}

extension MeshStore {
    /// The journal of a job without its damaged rows, which are counted; with a role, only that side's.
    package func readableJournal(of jobID: CID, role: StoreRole? = nil) async throws(MeshStoreError) -> ReadableJournal
    {
        let journal = try await read { db in
            var journal = ReadableJournal()
            for row in try Self.journalRows(of: jobID, role: role, db) {
                do {
                    journal.entries.append(try StoredRow(row).journalEntry())
                } catch {
                    journal.damaged.append(row["seq"] as? Int64 ?? 0)
                }
            }
            return journal
        }
        counting.counters.withLock { $0.corruptRecords += journal.damaged.count }
        return journal
    }

    private static func journalRows(of jobID: CID, role: StoreRole?, _ db: Database) throws -> [Row] {
        try Row.fetchAll(
            db, sql: "SELECT * FROM journal WHERE seq IN (\(JournalIndex.positions)) ORDER BY seq",
            arguments: ["job": Data(jobID.bytes), "role": role?.rawValue])
    }

    /// Rows of a table without digests: an unreadable one is left out and counted, so that it does not affect others.
    func readable<Value: Sendable>(
        _ rows: @escaping @Sendable (Database) throws -> [Row],
        _ value: @escaping @Sendable (StoredRow) throws -> Value
    ) async throws(MeshStoreError) -> [Value] {
        let (values, damagedCount) = try await read { db in
            let rows = try rows(db)
            let values = rows.compactMap { row in try? value(StoredRow(row)) }
            return (values, rows.count - values.count)
        }
        counting.counters.withLock { $0.corruptRecords += damagedCount }
        return values
    }

    /// The journal of a job in the order it was written; with a role, only that side's.
    package func journal(of jobID: CID, role: StoreRole? = nil) async throws(MeshStoreError) -> [JournalEntry] {
        try await read { db in
            try Self.journalRows(of: jobID, role: role, db).map { try StoredRow($0).journalEntry() }
        }
    }

    /// One page of the whole journal after a position; an empty page is the end.
    package func journal(after sequence: Int64, limit: Int = .max) async throws(MeshStoreError) -> [JournalEntry] {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", arguments: [sequence, rowsMax]
            ).map { try StoredRow($0).journalEntry() }
        }
    }

    /// Open jobs, oldest first: what a restart has to resume.
    package func openJobs(role: StoreRole) async throws(MeshStoreError) -> [JobRow] {
        try await writeNewerRows()
        return try await readable { db in
            try Row.fetchAll(
                db, sql: "\(StoredRow.jobs) WHERE terminal = 0 AND role = ? ORDER BY submitted_at, job_id",
                arguments: [role.rawValue])
        } _: { row in
            try row.jobRow()
        }
    }

    /// The summary of a job on one side; nil if this node had no part in it.
    package func job(_ jobID: CID, role: StoreRole) async throws(MeshStoreError) -> JobRow? {
        if let newer = jobs.newer(jobID, role) { return newer }
        return try await read { db in
            try Row.fetchOne(
                db, sql: "\(StoredRow.jobs) WHERE job_id = ? AND role = ?",
                arguments: [Data(jobID.bytes), role.rawValue]
            ).map { try StoredRow($0).jobRow() }
        }
    }

    /// A page of summaries, newest first; nil if the job that it is to come after is not known.
    ///
    /// It looks at no more than `StoreLimits.listedJobsExaminedMax` rows: a page in which few of them match is short,
    /// and says where the next one begins.
    package func jobs(
        _ filter: JobFilter = JobFilter(), after: CID? = nil, limit: Int = .max
    ) async throws(MeshStoreError) -> JobRowPage? {
        try await writeNewerRows()
        let rowsMax = min(max(0, limit), limits.rowsPerPageMax)
        let examinedMax = limits.listedJobsExaminedMax
        let found = try await read { db in try JobListing(db, filter, after, examinedMax)?.page(rowsMax) }
        guard let (page, damagedCount) = found else { return nil }
        counting.counters.withLock { $0.corruptRecords += damagedCount }
        return page
    }

    /// The job that was submitted here under an idempotency key.
    package func job(idempotencyKey: String) async throws(MeshStoreError) -> JobRow? {
        guard !idempotencyKey.isEmpty else { return nil }
        let found = try await read { db in
            try Row.fetchOne(
                db,
                sql: """
                    \(StoredRow.jobs) WHERE idempotency_key = ? AND idempotency_key <> '' AND role = 'originator'
                    ORDER BY submitted_at LIMIT 1
                    """, arguments: [idempotencyKey]
            ).map { try StoredRow($0).jobRow() }
        }
        return found.map { jobs.newer($0.jobID, $0.role) ?? $0 }
    }

    /// Writes the newest rows of open jobs before a listing reads them; but it does not wait for a lock or for room,
    /// which may take long: then the listing shows what is there.
    private func writeNewerRows() async throws(MeshStoreError) { if jobs.hasNewer, !isStuck { try await persisted() } }

    /// One page of movements after a position, in the order they were booked; an empty page is the end.
    package func ledger(after sequence: Int64 = 0, limit: Int = .max) async throws(MeshStoreError) -> [LedgerRow] {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", arguments: [sequence, rowsMax]
            ).map { try StoredRow($0).ledgerRow() }
        }
    }

    /// The movements that a restart needs one by one, in the order of booking: those of open jobs, and those of no job.
    package func openLedger() async throws(MeshStoreError) -> [LedgerRow] {
        try await read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM ledger WHERE job_id IN (
                        SELECT x'' UNION
                        SELECT job_id FROM jobs WHERE terminal = 0 AND role IN ('originator', 'executor'))
                    ORDER BY +seq
                    """
            ).map { try StoredRow($0).ledgerRow() }
        }
    }

    /// One page of balances, by the name of the account, after an account; an empty page is the end.
    package func balances(
        after account: String = "", limit: Int = .max
    ) async throws(MeshStoreError) -> [BalanceRow] {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM balances WHERE account > ? ORDER BY account LIMIT ?",
                arguments: [account, rowsMax]
            ).map { try StoredRow($0).balanceRow() }
        }
    }

    /// The movements of one job, in the order they were booked.
    package func ledger(of jobID: CID) async throws(MeshStoreError) -> [LedgerRow] {
        try await read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM ledger WHERE job_id = ? ORDER BY seq", arguments: [Data(jobID.bytes)]
            ).map { try StoredRow($0).ledgerRow() }
        }
    }

    /// What is known about a receipt; nil if it is not here.
    package func receipt(_ cid: CID) async throws(MeshStoreError) -> ReceiptRow? {
        try await read { db in
            try Row.fetchOne(db, sql: "\(StoredRow.receipts) WHERE cid = ?", arguments: [Data(cid.bytes)])
                .map { try StoredRow($0).receiptRow() }
        }
    }

    /// The receipts of a job, in the order they arrived.
    package func receipts(of jobID: CID) async throws(MeshStoreError) -> [ReceiptRow] {
        try await read { db in
            try Row.fetchAll(
                db, sql: "\(StoredRow.receipts) WHERE job_id = ? ORDER BY at, cid", arguments: [Data(jobID.bytes)]
            ).map { try StoredRow($0).receiptRow() }
        }
    }

    /// All receipts, newest first, at most `limit`.
    package func receipts(limit: Int = .max) async throws(MeshStoreError) -> [ReceiptRow] {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await readable { db in
            try Row.fetchAll(db, sql: "\(StoredRow.receipts) ORDER BY at DESC, cid LIMIT ?", arguments: [rowsMax])
        } _: { row in
            try row.receiptRow()
        }
    }

    /// The newest receipts of this node's jobs that are not their results: late ones, ones whose outputs never came,
    /// and ones of open jobs.
    package func receiptsThatDoNotCount(limit: Int = .max) async throws(MeshStoreError) -> Set<CID> {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await read { db in
            let cids = try Data.fetchAll(
                db,
                sql: """
                    SELECT receipts.cid FROM receipts JOIN jobs ON jobs.job_id = receipts.job_id
                    WHERE jobs.role = 'originator' AND jobs.receipt_cid IS NOT receipts.cid
                    ORDER BY receipts.at DESC, receipts.cid LIMIT ?
                    """, arguments: [rowsMax])
            return Set(cids.compactMap { try? CID(bytes: [UInt8]($0)) })
        }
    }

    /// Receipts of jobs that this node gave out and that are open, or ended with this outcome.
    package func receipts(
        ofJobsOpenOr outcome: String, limit: Int = .max
    ) async throws(MeshStoreError) -> Set<CID> {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await read { db in
            let cids = try Data.fetchAll(
                db,
                sql: """
                    SELECT receipts.cid FROM receipts JOIN jobs ON jobs.job_id = receipts.job_id
                    WHERE jobs.role = 'originator' AND (jobs.terminal = 0 OR jobs.outcome = ?)
                    ORDER BY receipts.at DESC, receipts.cid LIMIT ?
                    """, arguments: [outcome, rowsMax])
            return Set(cids.compactMap { try? CID(bytes: [UInt8]($0)) })
        }
    }

    /// Receipts of an executor that follow what one follows, and that answer what it answers, at most three of each.
    package func receipts(
        like link: ReceiptLinkRow
    ) async throws(MeshStoreError) -> (successors: [CID], answers: [CID]) {
        @Sendable func find(_ db: Database, _ place: String, _ cid: CID?) throws -> [CID] {
            let sql = "SELECT cid FROM \(place) = ? AND executor_did = ? ORDER BY id LIMIT 3"
            return try Row.fetchAll(db, sql: sql, arguments: [Data(cid?.bytes ?? []), link.executorDID])
                .map { try StoredRow($0).cid("cid") }
        }
        return try await read { db in
            (
                try find(db, "receipt_links WHERE previous", link.previous),
                try find(db, "receipt_answers WHERE assignment", link.assignment)
            )
        }
    }

    /// Remembered peers: those with addresses first, each group by when last seen, the latest first.
    package func peers(limit: Int = .max) async throws(MeshStoreError) -> [PeerRow] {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await readable { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM peers ORDER BY addresses = '', last_seen DESC, peer_id LIMIT ?",
                arguments: [rowsMax])
        } _: { row in
            try row.peerRow()
        }
    }

    /// A setting of the node; nil if never set.
    package func setting(_ key: String) async throws(MeshStoreError) -> [UInt8]? {
        try await read { db in
            try Data.fetchOne(db, sql: "SELECT value FROM settings WHERE key = ?", arguments: [key]).map { [UInt8]($0) }
        }
    }
}
