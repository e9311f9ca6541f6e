import Foundation
import GRDB
import Multiformats
import Synchronization

/// Why a block is kept.
struct BlockReason: Sendable {
    var isFile = false
    var isEvidence = false
    var jobID: CID?
}

/// What a commit with a removal removed.
package final class RemovalTally: Sendable {
    private let sums = Mutex((blocks: 0, bytes: 0))

    /// Nothing yet.
    package init() {}

    /// Blocks removed.
    package var blocks: Int { sums.withLock { $0.blocks } }
    /// Their bytes.
    package var bytes: Int { sums.withLock { $0.bytes } }

    /// Per attempt: one that was rolled back is followed by another.
    func set(blocks: Int, bytes: Int) {
        sums.withLock { $0 = (blocks, bytes) }
    }
}

/// Stores, evicts and removes blocks.
///
/// The order of eviction: first blocks that nothing needs, least recently used first, but what a job of this node's
/// user made, or what served again of it, not before `resultsKeptMilliseconds` have passed; then the evidence of closed
/// and paid jobs, the oldest first, once `evidenceKeptMilliseconds` have passed. An unpaid job that this node ran
/// counts as paid after `unpaidEvidenceKeptMilliseconds`. The store never evicts files that users added, the evidence
/// of jobs that are open or unpaid for less than that, or the outputs of open jobs.
///
/// Any number of jobs may have the same block: two that make the same bytes, or one that makes what another has as
/// evidence. `block_uses` names one of them; `block_holds` names each other one that is open or unpaid, until it is
/// over; the block stays as long as one of them needs it. So there are at most as many of these rows as shared blocks
/// times open or unpaid jobs.
extension StoreWriter {
    func put(
        _ cid: CID, _ bytes: [UInt8], _ reason: BlockReason, _ db: Database, _ totals: inout BlockTotals
    ) throws {
        let key = Data(cid.bytes)
        let now = Int64(clamping: totals.now)
        let isPinned = reason.isFile || reason.isEvidence
        let jobID = reason.jobID.map { Data($0.bytes) }
        let isPacked = bytes.count >= limits.packedBytesMin
        try run(
            db,
            """
            INSERT INTO blocks(cid, size, pinned, added_at, bytes) VALUES (?, ?, ?, ?, ?) ON CONFLICT(cid) DO NOTHING
            """, [key, bytes.count, isPinned, now, isPacked ? Data() : Data(bytes)])
        guard db.changesCount == 0 else {
            let id = db.lastInsertedRowID
            try run(
                db, "INSERT INTO block_uses(id, file, evidence, used_at, job_id) VALUES (?, ?, ?, ?, ?)",
                [id, reason.isFile, reason.isEvidence, now, jobID])
            if isPacked { try PackedRows.note(try packs.append(bytes), count: bytes.count, ofRow: id, db) }
            totals.count += 1
            totals.bytes += bytes.count
            guard !reason.isEvidence, totals.bytes > limits.blockBytesTotalMax else { return }
            try makeRoom(
                cachedTo: limits.blockBytesTotalMax, evidenceTo: limits.blockBytesTotalMax, db, &totals)
            guard totals.bytes <= limits.blockBytesTotalMax else {
                throw MeshStoreError.blockSpaceUsedUp(bytesMax: limits.blockBytesTotalMax)
            }
            return
        }
        // The block is here already: repair a damaged copy, and keep every reason.
        if let jobID { try share(key, with: jobID, asEvidence: reason.isEvidence, db) }
        if isPinned { try run(db, "UPDATE blocks SET pinned = 1 WHERE cid = ? AND pinned = 0", [key]) }
        if try PackedRows.bytes(of: cid, in: packs, db) != bytes { try repair(cid, bytes, db, &totals) }
        try run(
            db,
            """
            UPDATE block_uses SET file = max(file, ?2), evidence = max(evidence, ?3), used_at = ?4
            WHERE id = (SELECT id FROM blocks WHERE cid = ?1)
            """, [key, reason.isFile, reason.isEvidence, now])
    }

    /// Writes the bytes of a block whose copy is damaged.
    private func repair(_ cid: CID, _ bytes: [UInt8], _ db: Database, _ totals: inout BlockTotals) throws {
        guard let row = try used(cid, db) else { return }
        let id = Int64(try row.integer("id"))
        if try PackedRows.free(row: id, db) { totals.hasHoles = true }
        let isPacked = bytes.count >= limits.packedBytesMin
        try run(
            db, "UPDATE blocks SET bytes = ?, size = ? WHERE id = ?",
            [isPacked ? Data() : Data(bytes), bytes.count, id])
        if isPacked { try PackedRows.note(try packs.append(bytes), count: bytes.count, ofRow: id, db) }
    }

    /// Adds a job to those that have an existing block.
    ///
    /// `block_uses` names the newest, but evidence stays with its job.
    private func share(_ cid: Data, with jobID: Data, asEvidence: Bool, _ db: Database) throws {
        let found = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT id, evidence, job_id FROM block_uses WHERE id = (SELECT id FROM blocks WHERE cid = ?)
                    """), arguments: [cid])
        guard let row = found.map(StoredRow.init) else { return }
        let former = try row.bytesIfPresent("job_id").map { Data($0) }
        guard former != jobID else { return }
        let id = try row.integer("id")
        let isFirst = try asEvidence || !row.flag("evidence")
        if let other = isFirst ? former : jobID {
            try run(
                db,
                """
                INSERT INTO block_holds(id, job_id) SELECT ?1, ?2
                    WHERE EXISTS (SELECT 1 FROM jobs WHERE job_id = ?2 AND (terminal = 0 OR unsettled = 1))
                    ON CONFLICT DO NOTHING
                """, [id, other])
        }
        if isFirst { try run(db, "UPDATE block_uses SET job_id = ? WHERE id = ?", [jobID, id]) }
    }

    /// Releases the blocks that a job shares with others, if it is over on each of this node's sides.
    func release(_ jobID: CID, _ db: Database) throws {
        try run(
            db,
            """
            DELETE FROM block_holds WHERE job_id = ?1
                AND NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = ?1 AND (terminal = 0 OR unsettled = 1))
            """, [Data(jobID.bytes)])
    }

    /// Notes that blocks were read.
    func wereUsed(_ cids: [CID], at now: UInt64, _ db: Database) throws {
        for cid in cids {
            try run(
                db, "UPDATE block_uses SET used_at = max(used_at, ?) WHERE id = (SELECT id FROM blocks WHERE cid = ?)",
                [Int64(clamping: now), Data(cid.bytes)])
        }
    }

    /// Keeps the file or folder under a root: none of its blocks is evicted, and the root is announced.
    func keepFile(_ root: CID, _ db: Database) throws {
        try run(
            db, "INSERT INTO roots(cid, file) VALUES (?, 1) ON CONFLICT(cid) DO UPDATE SET file = 1",
            [Data(root.bytes)])
        var wanted = [root]
        var seen: Set<CID> = [root]
        while let cid = wanted.popLast() {
            let key = Data(cid.bytes)
            try run(db, "UPDATE blocks SET pinned = 1 WHERE cid = ? AND pinned = 0", [key])
            try run(
                db, "UPDATE block_uses SET file = 1 WHERE id = (SELECT id FROM blocks WHERE cid = ?) AND file = 0",
                [key])
            if cid != root {
                try run(
                    db, "INSERT INTO file_blocks(cid, root) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    [key, Data(root.bytes)])
            }
            for link in try StoredTree.links(of: cid, in: packs, db) where seen.count <= limits.treeBlocksMax {
                if seen.insert(link).inserted { wanted.append(link) }
            }
        }
    }

    /// Lets strangers have a kept file or folder, or no more.
    func publish(_ root: CID, isOpen: Bool, _ db: Database) throws {
        let key = Data(root.bytes)
        guard try Bool.fetchOne(db, sql: "SELECT file FROM roots WHERE cid = ?", arguments: [key]) == true else {
            throw MeshStoreError.notKept(root)
        }
        if isOpen {
            try run(
                db, "INSERT INTO public_roots(cid, is_open) VALUES (?, 1) ON CONFLICT(cid) DO UPDATE SET is_open = 1",
                [key])
        } else {
            try run(db, "UPDATE public_roots SET is_open = 0 WHERE cid = ?", [key])
        }
    }

    // MARK: Eviction

    /// Evicts until all blocks together have at most this many bytes, or as much as one transaction may; returns
    /// whether more may be evictable.
    @discardableResult
    func makeRoom(
        cachedTo cached: Int, evidenceTo evidence: Int, _ db: Database, _ totals: inout BlockTotals
    ) throws -> Bool {
        var left = limits.evictedPerTransactionMax
        if totals.bytes > cached {
            // Never removes what came with this very transaction.
            let rows = try Row.fetchAll(
                db.cachedStatement(
                    sql: """
                        SELECT b.id, b.cid, b.size FROM block_uses u JOIN blocks b ON b.id = u.id
                        WHERE u.file = 0 AND u.evidence = 0 AND u.used_at < ?1
                            AND NOT EXISTS (
                                SELECT 1 FROM jobs j WHERE j.job_id = u.job_id
                                    AND (j.terminal = 0 OR (j.role = 'originator' AND j.updated_at >= ?2)))
                            AND NOT EXISTS (SELECT 1 FROM works w WHERE w.job_id = u.job_id AND w.used_at >= ?2)
                            AND NOT EXISTS (
                                SELECT 1 FROM block_holds h CROSS JOIN jobs j ON j.job_id = h.job_id
                                WHERE h.id = u.id AND j.terminal = 0)
                        ORDER BY u.used_at LIMIT ?3
                        """), arguments: [Int64(clamping: totals.now), resultsSince(totals), left])
            for row in rows where totals.bytes > cached {
                try evict(StoredRow(row), db, &totals)
                left -= 1
            }
        }
        guard left > 0 else { return true }
        guard totals.bytes > evidence else { return false }
        let end = try Int64.fetchOne(db, sql: "SELECT max(id) FROM block_uses") ?? 0
        let start = totals.examined < end ? totals.examined : 0
        let until = start + Int64(limits.examinedPerTransactionMax)
        let before = Int64(clamping: totals.now - min(totals.now, limits.evidenceKeptMilliseconds))
        let rows = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT b.id, b.cid, b.size FROM block_uses u JOIN blocks b ON b.id = u.id
                    WHERE u.id > ?1 AND u.id <= ?2 AND u.evidence = 1 AND u.file = 0 AND u.job_id IS NOT NULL
                        AND u.used_at < ?3 AND NOT EXISTS (
                            SELECT 1 FROM jobs j WHERE j.job_id = u.job_id AND (j.terminal = 0
                                OR j.updated_at >= ?3 OR (j.unsettled = 1 AND j.updated_at >= ?4)))
                        AND NOT EXISTS (
                            SELECT 1 FROM block_holds h CROSS JOIN jobs j ON j.job_id = h.job_id
                            WHERE h.id = u.id AND (j.terminal = 0 OR (j.unsettled = 1 AND j.updated_at >= ?4)))
                        AND NOT EXISTS (SELECT 1 FROM works w WHERE w.job_id = u.job_id AND w.used_at >= ?3)
                    ORDER BY u.id LIMIT ?5
                    """), arguments: [start, until, before, unpaidBefore(totals), left])
        totals.examined = until
        for row in rows where totals.bytes > evidence {
            try evict(StoredRow(row), db, &totals)
            // The rest of this window is examined again.
            totals.examined = Int64(try StoredRow(row).integer("id"))
            left -= 1
        }
        return totals.bytes > evidence && (totals.examined < end || left == 0)
    }

    /// Since when a job of this node's user has to have ended for its results to stay.
    private func resultsSince(_ totals: BlockTotals) -> Int64 {
        guard limits.resultsKeptMilliseconds > 0 else { return .max }
        return Int64(clamping: totals.now - min(totals.now, limits.resultsKeptMilliseconds))
    }

    /// When an unpaid job counts as paid.
    private func unpaidBefore(_ totals: BlockTotals) -> Int64 {
        Int64(clamping: totals.now - min(totals.now, limits.unpaidEvidenceKeptMilliseconds))
    }

    private func evict(_ row: StoredRow, _ db: Database, _ totals: inout BlockTotals) throws {
        try delete(row, db, &totals)
        totals.evictedCount += 1
        totals.evictedBytes += try row.integer("size")
    }

    private func delete(_ row: StoredRow, _ db: Database, _ totals: inout BlockTotals) throws {
        let id = try row.integer("id")
        let key = Data(try row.bytes("cid"))
        try run(db, "DELETE FROM roots WHERE cid = ?", [key])
        try run(db, "DELETE FROM public_roots WHERE cid = ?", [key])
        if try PackedRows.free(row: Int64(id), db) { totals.hasHoles = true }
        try run(db, "DELETE FROM blocks WHERE id = ?", [id])
        try run(db, "DELETE FROM block_uses WHERE id = ?", [id])
        try run(db, "DELETE FROM block_holds WHERE id = ?", [id])
        totals.count -= 1
        totals.bytes -= try row.integer("size")
    }

    // MARK: Removal

    private func used(_ cid: CID, _ db: Database) throws -> StoredRow? {
        try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT b.id, b.cid, b.size, u.file, u.evidence, u.job_id
                    FROM blocks b JOIN block_uses u ON u.id = b.id WHERE b.cid = ?
                    """), arguments: [Data(cid.bytes)]
        ).map(StoredRow.init)
    }

    func removeBlock(_ cid: CID, _ db: Database, _ totals: inout BlockTotals) throws {
        if let row = try used(cid, db) { try delete(row, db, &totals) }
    }

    func removeCached(_ cid: CID, _ db: Database, _ totals: inout BlockTotals) throws {
        guard let row = try used(cid, db), try !row.flag("file"), try !row.flag("evidence") else { return }
        guard try row.bytesIfPresent("job_id") == nil else { return }
        try delete(row, db, &totals)
    }

    /// Removes what a user names: the evidence and outputs of a job, a file, or a single block.
    func remove(_ cid: CID, _ tally: RemovalTally, _ db: Database, _ totals: inout BlockTotals) throws {
        let before = totals
        defer { tally.set(blocks: before.count - totals.count, bytes: before.bytes - totals.bytes) }
        let key = Data(cid.bytes)
        if try Bool.fetchOne(db, sql: "SELECT 1 FROM jobs WHERE job_id = ?", arguments: [key]) == true {
            return try removeJob(cid, db, &totals)
        }
        if try Bool.fetchOne(db, sql: "SELECT file FROM roots WHERE cid = ?", arguments: [key]) == true {
            return try removeFile(cid, db, &totals)
        }
        guard let row = try used(cid, db) else { return }
        if try row.flag("file") { throw MeshStoreError.needed(cid, reason: "it is a part of a file; remove that one") }
        if let reason = try whyNeeded(row, db, totals) { throw MeshStoreError.needed(cid, reason: reason) }
        if try row.flag("evidence"), try row.bytesIfPresent("job_id") == nil {
            throw MeshStoreError.needed(cid, reason: "it is evidence of a job")
        }
        try delete(row, db, &totals)
    }

    /// Why the evidence of a job has to stay; nil if it need not.
    private func needs(_ jobID: Data, _ db: Database, _ totals: BlockTotals) throws -> String? {
        let name = (try? CID(bytes: [UInt8](jobID)).text) ?? "unknown"
        if try Bool.fetchOne(
            db, sql: "SELECT 1 FROM jobs WHERE job_id = ? AND terminal = 0", arguments: [jobID]) == true
        {
            return "the job \(name) is still open"
        }
        if try Bool.fetchOne(
            db, sql: "SELECT 1 FROM jobs WHERE job_id = ? AND unsettled = 1 AND updated_at >= ?",
            arguments: [jobID, unpaidBefore(totals)]) == true
        {
            let days = limits.unpaidEvidenceKeptMilliseconds / 86_400_000
            return
                "this node's receipt of the job \(name) is not settled, and kept for \(days) days after the job's end"
        }
        return nil
    }

    /// Why a block has to stay for one of its jobs; nil if it need not.
    private func whyNeeded(_ row: StoredRow, _ db: Database, _ totals: BlockTotals) throws -> String? {
        if let job = try row.bytesIfPresent("job_id"), let reason = try needs(Data(job), db, totals) { return reason }
        return try otherHolder(of: row.integer("id"), db, totals).flatMap { try needs($0, db, totals) }
    }

    /// Another job that needs a block, if there is one.
    private func otherHolder(of id: Int, _ db: Database, _ totals: BlockTotals) throws -> Data? {
        try Data.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT h.job_id FROM block_holds h CROSS JOIN jobs j ON j.job_id = h.job_id
                    WHERE h.id = ? AND (j.terminal = 0 OR (j.unsettled = 1 AND j.updated_at >= ?)) LIMIT 1
                    """), arguments: [id, unpaidBefore(totals)])
    }

    /// Removes what a job has, except what another job still needs, which becomes the other's.
    private func removeJob(_ jobID: CID, _ db: Database, _ totals: inout BlockTotals) throws {
        let key = Data(jobID.bytes)
        if let reason = try needs(key, db, totals) { throw MeshStoreError.needed(jobID, reason: reason) }
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT b.id, b.cid, b.size FROM block_uses u JOIN blocks b ON b.id = u.id
                WHERE u.job_id = ? AND u.file = 0
                """, arguments: [key])
        try run(db, "DELETE FROM block_holds WHERE job_id = ?", [key])
        for row in rows.map(StoredRow.init) {
            let id = try row.integer("id")
            if let other = try otherHolder(of: id, db, totals) {
                try run(db, "UPDATE block_uses SET job_id = ? WHERE id = ?", [other, id])
                try run(db, "DELETE FROM block_holds WHERE id = ? AND job_id = ?", [id, other])
            } else {
                try delete(row, db, &totals)
            }
        }
    }

    /// Removes a file with the blocks that no other file has and no job needs.
    private func removeFile(_ root: CID, _ db: Database, _ totals: inout BlockTotals) throws {
        let key = Data(root.bytes)
        var blocks = try Data.fetchAll(db, sql: "SELECT cid FROM file_blocks WHERE root = ?", arguments: [key])
        blocks.append(key)
        try run(db, "DELETE FROM file_blocks WHERE root = ?", [key])
        try run(db, "DELETE FROM roots WHERE cid = ?", [key])
        try run(db, "DELETE FROM public_roots WHERE cid = ?", [key])
        for cid in blocks {
            let isShared = try Bool.fetchOne(
                db,
                sql: """
                    SELECT EXISTS (SELECT 1 FROM file_blocks WHERE cid = ?1)
                        OR EXISTS (SELECT 1 FROM roots WHERE cid = ?1 AND file = 1)
                    """, arguments: [cid])
            guard isShared != true, let row = try used(try CID(bytes: [UInt8](cid)), db) else { continue }
            if try row.flag("evidence") || whyNeeded(row, db, totals) != nil {
                let id = try row.integer("id")
                try run(db, "UPDATE block_uses SET file = 0 WHERE id = ?", [id])
                try run(db, "UPDATE blocks SET pinned = ? WHERE id = ?", [try row.flag("evidence"), id])
            } else {
                try delete(row, db, &totals)
            }
        }
    }
}
