import GRDB

/// The tables, and the marks that identify a node's database.
enum StoreSchema {
    /// "MESH" in ASCII, in the header field that SQLite reserves for naming the application.
    static let applicationID = 0x4D45_5348
    /// Raised with every change of the tables.
    static let version = 22
    /// The setting that holds the DID of the node.
    static let ownerKey = "owner"

    /// The tables of version 1.
    private static let first = """
        CREATE TABLE settings(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE blocks(
            id INTEGER PRIMARY KEY,
            cid BLOB NOT NULL UNIQUE,
            size INTEGER NOT NULL,
            pinned INTEGER NOT NULL,
            added_at INTEGER NOT NULL,
            bytes BLOB NOT NULL);
        CREATE TABLE journal(
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id BLOB NOT NULL,
            role TEXT NOT NULL,
            kind TEXT NOT NULL,
            at INTEGER NOT NULL,
            reason TEXT NOT NULL,
            bytes BLOB NOT NULL,
            digest BLOB NOT NULL);
        CREATE INDEX journal_of_job ON journal(job_id, role, seq);
        CREATE TABLE jobs(
            job_id BLOB NOT NULL,
            role TEXT NOT NULL,
            status TEXT NOT NULL,
            terminal INTEGER NOT NULL,
            submitted_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            counterparty TEXT NOT NULL,
            label TEXT NOT NULL,
            reason TEXT NOT NULL,
            price INTEGER,
            fuel INTEGER,
            receipt_cid BLOB,
            idempotency_key TEXT NOT NULL,
            PRIMARY KEY(job_id, role)) WITHOUT ROWID;
        CREATE INDEX jobs_by_submission ON jobs(submitted_at);
        CREATE INDEX jobs_open ON jobs(role) WHERE terminal = 0;
        CREATE INDEX jobs_by_key ON jobs(idempotency_key) WHERE idempotency_key <> '';
        CREATE TABLE ledger(
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            debit TEXT NOT NULL,
            credit TEXT NOT NULL,
            amount INTEGER NOT NULL,
            job_id BLOB NOT NULL,
            kind TEXT NOT NULL,
            reference TEXT NOT NULL,
            at INTEGER NOT NULL,
            digest BLOB NOT NULL,
            UNIQUE(job_id, kind, reference, debit, credit));
        CREATE TABLE receipts(
            cid BLOB PRIMARY KEY,
            job_id BLOB NOT NULL,
            executor_did TEXT NOT NULL,
            status TEXT NOT NULL,
            at INTEGER NOT NULL,
            verified INTEGER) WITHOUT ROWID;
        CREATE INDEX receipts_of_job ON receipts(job_id);
        CREATE TABLE peers(
            peer_id BLOB PRIMARY KEY,
            addresses TEXT NOT NULL,
            last_seen INTEGER NOT NULL,
            misbehaviours INTEGER NOT NULL,
            note TEXT NOT NULL) WITHOUT ROWID;
        CREATE INDEX peers_by_age ON peers(last_seen);
        """

    /// Version 2 added balances and totals that are kept up to date, so that a start need not add up all rows, and the
    /// order in which receipts came.
    private static let kept = """
        CREATE TABLE balances(account TEXT PRIMARY KEY, amount INTEGER NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE block_totals(id INTEGER PRIMARY KEY CHECK(id = 1), count INTEGER NOT NULL, bytes INTEGER NOT NULL);
        INSERT INTO block_totals(id, count, bytes) SELECT 1, count(*), coalesce(sum(size), 0) FROM blocks;
        CREATE INDEX receipts_by_age ON receipts(at DESC, cid);
        """

    /// Version 3 added bids that nobody took, by age, so that pruning need not look at all jobs.
    private static let pruned = """
        CREATE INDEX jobs_bids ON jobs(updated_at)
            WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingOpen';
        """

    /// Version 4 added which receipt follows which, to detect two that follow the same one.
    private static let links = """
        CREATE TABLE IF NOT EXISTS receipt_links(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            executor_did TEXT NOT NULL,
            previous BLOB NOT NULL,
            cid BLOB NOT NULL,
            UNIQUE(executor_did, previous, cid));
        """

    /// Version 5 added why each block is kept and when it was last used, the files that users added and their blocks,
    /// what is announced to the DHT, and executed jobs not yet paid. Apart from `blocks`, since a column after a
    /// block's bytes is slow to read.
    private static let uses = """
        CREATE TABLE block_uses(
            id INTEGER PRIMARY KEY,
            file INTEGER NOT NULL,
            evidence INTEGER NOT NULL,
            used_at INTEGER NOT NULL,
            job_id BLOB);
        CREATE INDEX block_uses_by_age ON block_uses(used_at) WHERE file = 0 AND evidence = 0;
        CREATE TABLE file_blocks(cid BLOB NOT NULL, root BLOB NOT NULL, PRIMARY KEY(cid, root)) WITHOUT ROWID;
        CREATE INDEX file_blocks_of_root ON file_blocks(root);
        CREATE TABLE roots(
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            cid BLOB NOT NULL UNIQUE,
            file INTEGER NOT NULL);
        CREATE INDEX roots_of_files ON roots(seq) WHERE file = 1;
        ALTER TABLE jobs ADD COLUMN unsettled INTEGER NOT NULL DEFAULT 0;
        """

    /// Version 6 added the jobs that need a block besides the one in `block_uses`, each until it is over. What an older
    /// version forgot of them cannot be recovered.
    private static let holds = """
        CREATE TABLE block_holds(id INTEGER NOT NULL, job_id BLOB NOT NULL, PRIMARY KEY(id, job_id)) WITHOUT ROWID;
        CREATE INDEX block_holds_of_job ON block_holds(job_id);
        """

    /// Version 9 added which assignment each receipt answers, to detect two that answer the same one.
    private static let answers = """
        CREATE TABLE IF NOT EXISTS receipt_answers(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            executor_did TEXT NOT NULL,
            assignment BLOB NOT NULL,
            cid BLOB NOT NULL,
            UNIQUE(executor_did, assignment, cid));
        """

    /// Version 10 added which kept files and folders strangers may have, and which they may have no more.
    private static let publications = """
        CREATE TABLE IF NOT EXISTS public_roots(cid BLOB PRIMARY KEY, is_open INTEGER NOT NULL) WITHOUT ROWID;
        """

    /// Version 12 added which receipts this node checked by a run of its own, and the proofs of those that lied.
    private static let checks = """
        CREATE TABLE IF NOT EXISTS checked_receipts(cid BLOB PRIMARY KEY) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS proofs(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            cid BLOB NOT NULL UNIQUE,
            receipt BLOB NOT NULL,
            job_id BLOB NOT NULL,
            executor_did TEXT NOT NULL,
            at INTEGER NOT NULL);
        """

    /// Migrates the tables of an older version to this one, and computes the new data.
    static func upgrade(_ db: Database, from found: Int) throws {
        guard found < version else { return }
        if found < 2 {
            try db.execute(sql: kept)
            try BalanceRow.addUp(db)
        }
        if found < 3 { try db.execute(sql: pruned) }
        if found < 4 { try db.execute(sql: links) }
        if found < 5 {
            try db.execute(sql: uses)
            try BlockUses.workOut(db)
        }
        if found < 6 { try db.execute(sql: holds) }
        if found < 7 {
            try db.execute(sql: JobOutcomes.columns)
            try db.execute(sql: JobOutcomes.ofEarlierRows)
        }
        if found < 8 { try db.execute(sql: JournalIndex.columns) }
        if found < 9 { try db.execute(sql: answers) }
        if found < 10 { try db.execute(sql: publications) }
        if found < 11 { try db.execute(sql: PackedRows.tables) }
        if found < 12 { try db.execute(sql: checks) }
        if found < 13 { try db.execute(sql: WorkflowRows.tables) }
        if found < 14 { try db.execute(sql: WorkRow.table) }
        if found < 15 { try db.execute(sql: AnchoredRow.tables) }
        if found < 16 { try db.execute(sql: WitnessedRow.tables) }
        if found < 17 {
            try db.execute(sql: ActivityRows.index)
            try db.execute(sql: FollowedRow.tables)
        }
        if found < 18 { try db.execute(sql: IssuerRow.tables) }
        if found < 19 {
            try db.execute(sql: HoldBookingRow.tables)
            try HoldBookingRow.addUnits(db)
        }
        if found < 20 { try db.execute(sql: LodgingRow.tables) }
        if found < 21 { try db.execute(sql: ConductRow.table) }
        if found < 22 { try db.execute(sql: ReplicaRow.tables) }
        if found < 22 { try db.execute(sql: WitnessedObjectRow.tables) }
        try db.execute(sql: "PRAGMA user_version = \(version)")
    }

    /// Creates all tables in an empty database.
    static func create(_ db: Database) throws {
        try db.execute(sql: first)
        try db.execute(sql: kept)
        try db.execute(sql: pruned)
        try db.execute(sql: links)
        try db.execute(sql: uses)
        try db.execute(sql: holds)
        try db.execute(sql: JobOutcomes.columns)
        try db.execute(sql: JournalIndex.columns)
        try db.execute(sql: answers)
        try db.execute(sql: publications)
        try db.execute(sql: PackedRows.tables)
        try db.execute(sql: checks)
        try db.execute(sql: WorkflowRows.tables)
        try db.execute(sql: WorkRow.table)
        try db.execute(sql: AnchoredRow.tables)
        try db.execute(sql: WitnessedRow.tables)
        try db.execute(sql: ActivityRows.index)
        try db.execute(sql: FollowedRow.tables)
        try db.execute(sql: IssuerRow.tables)
        try db.execute(sql: HoldBookingRow.tables)
        try HoldBookingRow.addUnits(db)
        try db.execute(sql: LodgingRow.tables)
        try db.execute(sql: ConductRow.table)
        try db.execute(sql: ReplicaRow.tables)
        try db.execute(sql: WitnessedObjectRow.tables)
        try db.execute(sql: "PRAGMA application_id = \(applicationID)")
        try db.execute(sql: "PRAGMA user_version = \(version)")
    }
}
