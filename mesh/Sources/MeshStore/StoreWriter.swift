import Foundation
import GRDB
import Multiformats

/// Turns one `StoreWrite` into SQL; statements are prepared once per connection.
struct StoreWriter: Sendable {
    /// The totals of blocks within the transaction, and what else it gathers.
    struct BlockTotals: Sendable {
        var count: Int
        var bytes: Int
        /// When the transaction began, in milliseconds since the Unix epoch: what it uses itself is not older.
        var now: UInt64
        /// What is known of jobs, and changes.
        var jobs: JobMemory.Draft
        /// The position of the search for evictable evidence: the number of a row of `blocks`.
        var examined: Int64 = 0
        /// Blocks that were evicted, and their bytes.
        var evictedCount = 0
        var evictedBytes = 0
        /// Whether there are new peers.
        var hasNewPeers = false
        /// Whether bytes in packs are no longer needed.
        var hasHoles = false
        /// What movements changed, by account; written at the end of the transaction.
        var balances: [String: Int64] = [:]
    }

    let path: String
    let limits: StoreLimits
    let packs: BlockPacks

    /// Records the totals of blocks, for the next start.
    func keep(_ totals: BlockTotals, _ db: Database) throws {
        try run(db, "UPDATE block_totals SET count = ?, bytes = ?", [totals.count, totals.bytes])
    }

    /// Carries out one write inside the transaction of `db`.
    func apply(_ write: StoreWrite, _ db: Database, _ totals: inout BlockTotals) throws {
        switch write {
        case .block(let cid, let bytes, let pinned):
            try put(cid, bytes, BlockReason(isFile: pinned), db, &totals)
        case .hashed(let block): try put(block.cid, block.bytes, BlockReason(), db, &totals)
        case .evidence(let cid, let bytes, let jobID):
            try put(cid, bytes, BlockReason(isEvidence: true, jobID: jobID), db, &totals)
        case .output(let cid, let bytes, let jobID): try put(cid, bytes, BlockReason(jobID: jobID), db, &totals)
        case .file(let root): try keepFile(root, db)
        case .publication(let root, let isOpen): try publish(root, isOpen: isOpen, db)
        case .root(let cid):
            try run(db, "INSERT INTO roots(cid, file) VALUES (?, 0) ON CONFLICT DO NOTHING", [Data(cid.bytes)])
        case .removeBlock(let cid): try removeBlock(cid, db, &totals)
        case .removeCached(let cid): try removeCached(cid, db, &totals)
        case .remove(let cid, let tally): try remove(cid, tally, db, &totals)
        case .makeRoom(let cached, let evidence, let tally):
            let before = totals
            try makeRoom(cachedTo: cached, evidenceTo: evidence, db, &totals)
            tally.set(blocks: before.count - totals.count, bytes: before.bytes - totals.bytes)
        case .journal(let entry): try append(entry, db, &totals)
        case .job(let row): if totals.jobs.mustWrite(row, limits) { try put(row, db) }
        case .pruneBids(let date): try pruneBids(before: date, db, &totals)
        case .ledger(let row): try book(row, db, &totals)
        case .receipt(let row): try put(row, db)
        case .proof(let row): try put(row, db)
        case .receiptLink(let row): try put(row, db)
        case .conduct(let row): try row.put(db)
        case .forgetConduct(let side, let subject, let assignment):
            try ConductRow.remove(side, subject, assignment, db)
        case .peer(let row): try put(row, db, &totals)
        case .peerMisbehaved(let peer, let note, let count, let isMet, let at):
            try self.count(count, of: peer, note, isMet: isMet, at, db, &totals)
        case .forgetPeer(let peer): try run(db, "DELETE FROM peers WHERE peer_id = ?", [Data(peer.bytes)])
        case .workflow(let row):
            try WorkflowRows.put(row, db)
            if row.isOver { try WorkflowRows.prune(db, ending: row.id, limits) }
        case .workflowEvent(let id, let bytes): try WorkflowRows.append(bytes, of: id, db)
        case .work(let row): try row.put(db, limits)
        case .anchored(let row): try row.put(db)
        case .witnessed(let row): try row.put(db)
        case .cosigned(let row): try row.put(db)
        case .followed(let batch): try batch.put(db)
        case .forgetFollowed(let origin): try FollowedRow.remove(origin, db)
        case .logFork(let row): try row.put(db)
        case .issuer(let write): try write.put(db)
        case .lodging(let write): try write.put(db)
        case .replica(let write): try write.put(db)
        case .charterWitness(let write): try write.put(db)
        case .anchorOwed(let receipt, let workflow):
            try run(
                db, "INSERT INTO anchor_owed(cid, workflow) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [Data(receipt.bytes), Data(workflow.bytes)])
        case .setting(let key, let value):
            try run(
                db,
                """
                INSERT INTO settings(key, value) VALUES (?, ?)
                ON CONFLICT(key) DO UPDATE SET value = excluded.value
                """, [key, Data(value)])
        }
    }

    func run(_ db: Database, _ sql: String, _ arguments: StatementArguments) throws {
        try db.cachedStatement(sql: sql).execute(arguments: arguments)
    }

    /// Writes what the transaction gathered: balances, and the newest rows of open jobs if they are due or asked for.
    func conclude(_ totals: inout BlockTotals, withRows areRowsAsked: Bool, _ db: Database) throws {
        for (account, change) in totals.balances { try BalanceRow.add(change, to: account, db) }
        totals.balances = [:]
        guard areRowsAsked || totals.jobs.isDue(at: totals.now, limits) else { return }
        for row in totals.jobs.takeNewer() { try put(row, db) }
    }

    private func append(_ entry: JournalEntry, _ db: Database, _ totals: inout BlockTotals) throws {
        let side = JobSide(jobID: entry.jobID, role: entry.role)
        let jobID = Data(entry.jobID.bytes)
        let beginning = try totals.jobs.beginnings[side] ?? JournalIndex.beginning(of: jobID, entry.role, db)
        try run(
            db,
            "INSERT INTO journal(job_id, role, kind, at, reason, bytes, digest, head) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                jobID, entry.role.rawValue, entry.kind, try integer(entry.at), entry.reason, Data(entry.bytes),
                RowDigest.of(entry), beginning ?? 0,
            ])
        if totals.jobs.beginnings.count >= limits.rememberedJournalsMax { totals.jobs.beginnings = [:] }
        totals.jobs.beginnings[side] = beginning ?? db.lastInsertedRowID
    }

    private func put(_ row: JobRow, _ db: Database) throws {
        try run(
            db,
            """
            INSERT INTO jobs(job_id, role, status, terminal, submitted_at, updated_at, counterparty, label, reason,
                price, fuel, receipt_cid, idempotency_key, unsettled, standard, outcome, outcome_detail, winner_price,
                payment, unit)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT(job_id, role) DO UPDATE SET status = excluded.status, terminal = excluded.terminal,
                submitted_at = excluded.submitted_at, updated_at = excluded.updated_at,
                counterparty = excluded.counterparty, label = excluded.label, reason = excluded.reason,
                price = excluded.price, fuel = excluded.fuel, receipt_cid = excluded.receipt_cid,
                idempotency_key = excluded.idempotency_key, unsettled = excluded.unsettled,
                standard = excluded.standard, outcome = excluded.outcome, outcome_detail = excluded.outcome_detail,
                winner_price = excluded.winner_price, payment = excluded.payment, unit = excluded.unit
            """,
            [
                Data(row.jobID.bytes), row.role.rawValue, row.status, row.isTerminal, listed(row.submittedAt),
                listed(row.updatedAt), row.counterparty, row.label, row.reason, row.price.map(listed),
                row.fuel.map(listed), row.receiptCID.map { Data($0.bytes) }, row.idempotencyKey, row.isUnsettled,
                row.standard, row.outcome, row.outcomeDetail, row.winnerPrice.map(listed), row.payment,
                row.unit,
            ])
        if row.isTerminal, !row.isUnsettled { try release(row.jobID, db) }
    }

    /// The partial index `jobs_bids` holds exactly these rows; this repeats its condition word for word.
    private func pruneBids(before date: UInt64, _ db: Database, _ totals: inout BlockTotals) throws {
        let jobs = try Data.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT job_id FROM jobs
                    WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingClosed' AND updated_at < ?
                    ORDER BY updated_at LIMIT ?
                    """), arguments: [try integer(date), limits.prunedBidsMax])
        if !jobs.isEmpty { totals.jobs.beginnings = [:] }
        for job in jobs {
            try run(
                db, "DELETE FROM journal WHERE seq IN (\(JournalIndex.positions))",
                ["job": job, "role": StoreRole.executor.rawValue])
            try run(db, "DELETE FROM jobs WHERE job_id = ? AND role = 'executor'", [job])
        }
    }

    private func book(_ row: LedgerRow, _ db: Database, _ totals: inout BlockTotals) throws {
        let jobID = Data(row.jobID?.bytes ?? [])
        let amount = try integer(row.amount)
        try run(
            db,
            """
            INSERT INTO ledger(debit, credit, amount, job_id, kind, reference, at, digest)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """,
            [
                row.debit, row.credit, amount, jobID, row.kind, row.reference, try integer(row.at), RowDigest.of(row),
            ])
        guard db.changesCount == 0 else {
            for (account, change) in try BalanceRow.changes(of: row) {
                totals.balances[account] = try BalanceRow.sum(totals.balances[account] ?? 0, change)
            }
            return
        }
        let booked = try Int64.fetchOne(
            db,
            sql: """
                SELECT amount FROM ledger
                WHERE job_id = ? AND kind = ? AND reference = ? AND debit = ? AND credit = ?
                """, arguments: [jobID, row.kind, row.reference, row.debit, row.credit])
        guard booked == amount else { throw MeshStoreError.ledgerConflict(jobID: row.jobID, kind: row.kind) }
    }

    private func put(_ row: ReceiptRow, _ db: Database) throws {
        try run(
            db,
            """
            INSERT INTO receipts(cid, job_id, executor_did, status, at, verified) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT(cid) DO UPDATE SET job_id = excluded.job_id, executor_did = excluded.executor_did,
                status = excluded.status, at = excluded.at, verified = coalesce(excluded.verified, verified)
            """,
            [
                Data(row.cid.bytes), Data(row.jobID.bytes), row.executorDID, row.status, try integer(row.at),
                row.isVerified,
            ])
        guard row.isChecked else { return }
        try run(db, "INSERT INTO checked_receipts(cid) VALUES (?) ON CONFLICT DO NOTHING", [Data(row.cid.bytes)])
    }

    private func put(_ row: ProofRow, _ db: Database) throws {
        try run(
            db,
            """
            INSERT INTO proofs(cid, receipt, job_id, executor_did, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """,
            [
                Data(row.cid.bytes), Data(row.receipt.bytes), Data(row.jobID.bytes), row.executorDID,
                try integer(row.at),
            ])
    }

    private func put(_ row: ReceiptLinkRow, _ db: Database) throws {
        try run(
            db, "INSERT INTO receipt_links(executor_did, previous, cid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [row.executorDID, Data(row.previous?.bytes ?? []), Data(row.cid.bytes)])
        if db.changesCount > 0 {
            let last = db.lastInsertedRowID - Int64(limits.receiptLinksMax)
            try run(db, "DELETE FROM receipt_links WHERE id <= ?", [last])
        }
        try run(
            db, "INSERT INTO receipt_answers(executor_did, assignment, cid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [row.executorDID, Data(row.assignment.bytes), Data(row.cid.bytes)])
        if db.changesCount > 0 {
            let last = db.lastInsertedRowID - Int64(limits.receiptLinksMax)
            try run(db, "DELETE FROM receipt_answers WHERE id <= ?", [last])
        }
    }

    private func put(_ row: PeerRow, _ db: Database, _ totals: inout BlockTotals) throws {
        let id = Data(row.peerID.bytes)
        let addresses = row.addresses.suffix(limits.addressesPerPeerMax).map(\.text).joined(separator: "\n")
        let lastSeen = try integer(row.lastSeen)
        try run(
            db,
            """
            UPDATE peers SET addresses = ?, last_seen = max(last_seen, ?) WHERE peer_id = ? AND addresses <> ''
            """, [addresses, lastSeen, id])
        if db.changesCount > 0 { return }
        try run(
            db,
            """
            INSERT INTO peers(peer_id, addresses, last_seen, misbehaviours, note) VALUES (?, ?, ?, 0, '')
            ON CONFLICT(peer_id) DO UPDATE SET addresses = excluded.addresses,
                last_seen = max(last_seen, excluded.last_seen)
            """, [id, addresses, lastSeen])
        totals.hasNewPeers = true
    }

    /// Counts faults. Keys cost nothing, so a peer never met, without a row, gets none.
    private func count(
        _ faults: Int, of peer: PeerID, _ note: String, isMet: Bool, _ at: UInt64, _ db: Database,
        _ totals: inout BlockTotals
    ) throws {
        let id = Data(peer.bytes)
        let seen = isMet ? try integer(at) : 0
        try run(
            db,
            """
            UPDATE peers SET misbehaviours = misbehaviours + ?, note = ?, last_seen = max(last_seen, ?)
            WHERE peer_id = ?
            """, [faults, note, seen, id])
        guard isMet, db.changesCount == 0 else { return }
        try run(
            db, "INSERT INTO peers(peer_id, addresses, last_seen, misbehaviours, note) VALUES (?, '', ?, ?, ?)",
            [id, seen, faults, note])
        totals.hasNewPeers = true
    }

    /// Forgets peers beyond the bounds; those that can be dialed and those that cannot each have their own, so that the
    /// latter displace nobody. It looks at all of them, so it runs once per transaction.
    func forgetOldPeers(_ db: Database) throws {
        for (kind, peersMax) in [("<>", limits.peersMax), ("=", limits.peersWithoutAddressesMax)] {
            try run(
                db,
                """
                DELETE FROM peers WHERE peer_id IN (
                    SELECT peer_id FROM peers WHERE addresses \(kind) ''
                    ORDER BY last_seen DESC, peer_id LIMIT -1 OFFSET ?)
                """, [peersMax])
        }
    }

    /// A number of a listing; the journal has the exact one, so one that does not fit is not an error.
    private func listed(_ number: UInt64) -> Int64 { Int64(clamping: number) }

    private func integer(_ number: UInt64) throws -> Int64 {
        guard let value = Int64(exactly: number) else { throw MeshStoreError.numberTooLarge(number) }
        return value
    }
}
