-- version 1
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
-- version 2
CREATE TABLE balances(account TEXT PRIMARY KEY, amount INTEGER NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE block_totals(id INTEGER PRIMARY KEY CHECK(id = 1), count INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO block_totals(id, count, bytes) SELECT 1, count(*), coalesce(sum(size), 0) FROM blocks;
CREATE INDEX receipts_by_age ON receipts(at DESC, cid);
-- version 3
CREATE INDEX jobs_bids ON jobs(updated_at)
    WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingOpen';
-- version 4
CREATE TABLE IF NOT EXISTS receipt_links(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    executor_did TEXT NOT NULL,
    previous BLOB NOT NULL,
    cid BLOB NOT NULL,
    UNIQUE(executor_did, previous, cid));
-- version 5
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
-- version 6
CREATE TABLE block_holds(id INTEGER NOT NULL, job_id BLOB NOT NULL, PRIMARY KEY(id, job_id)) WITHOUT ROWID;
CREATE INDEX block_holds_of_job ON block_holds(job_id);
-- version 7
ALTER TABLE jobs ADD COLUMN standard TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN outcome_detail TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN winner_price INTEGER;
ALTER TABLE jobs ADD COLUMN payment TEXT NOT NULL DEFAULT '';
DROP INDEX IF EXISTS jobs_bids;
CREATE INDEX jobs_bids ON jobs(updated_at)
    WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingClosed';
-- version 8
ALTER TABLE journal ADD COLUMN head INTEGER;
DROP INDEX journal_of_job;
CREATE INDEX journal_of_job ON journal(job_id, role, seq) WHERE head IS NULL;
CREATE INDEX journal_beginnings ON journal(job_id, role) WHERE head = 0;
CREATE INDEX journal_of_head ON journal(head) WHERE head > 0;
-- version 9
CREATE TABLE IF NOT EXISTS receipt_answers(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    executor_did TEXT NOT NULL,
    assignment BLOB NOT NULL,
    cid BLOB NOT NULL,
    UNIQUE(executor_did, assignment, cid));
-- version 10
CREATE TABLE IF NOT EXISTS public_roots(cid BLOB PRIMARY KEY, is_open INTEGER NOT NULL) WITHOUT ROWID;
-- version 11
CREATE TABLE IF NOT EXISTS packed(
    id INTEGER PRIMARY KEY,
    pack INTEGER NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS packed_by_place ON packed(pack, at, size);
CREATE TABLE IF NOT EXISTS pack_holes(
    pack INTEGER NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY(pack, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pack_synced(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    pack INTEGER NOT NULL,
    at INTEGER NOT NULL);
INSERT INTO pack_synced(id, pack, at) VALUES (1, 1, 0) ON CONFLICT DO NOTHING;
-- version 12
CREATE TABLE IF NOT EXISTS checked_receipts(cid BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proofs(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cid BLOB NOT NULL UNIQUE,
    receipt BLOB NOT NULL,
    job_id BLOB NOT NULL,
    executor_did TEXT NOT NULL,
    at INTEGER NOT NULL);
-- version 13
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
-- version 14
CREATE TABLE IF NOT EXISTS works(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    job_id BLOB NOT NULL,
    receipt BLOB NOT NULL,
    strength INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    digest BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS works_of ON works(job_id);
-- version 15
CREATE TABLE IF NOT EXISTS anchor_log(
    number INTEGER PRIMARY KEY, entry BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS anchor_hashes(position INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS anchor_payload(
    cid BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY(cid, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS anchor_owed(
    cid BLOB PRIMARY KEY, workflow BLOB NOT NULL) WITHOUT ROWID;
-- version 16
CREATE TABLE IF NOT EXISTS witnessed(
    origin BLOB PRIMARY KEY, note BLOB NOT NULL, seconds INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cosigned(
    size INTEGER NOT NULL, witness BLOB NOT NULL, seconds INTEGER NOT NULL, bytes BLOB NOT NULL,
    renewed BLOB, PRIMARY KEY(witness, size)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cosigned_sizes ON cosigned(size);
-- version 17
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs(updated_at, outcome) WHERE terminal = 1;
CREATE TABLE IF NOT EXISTS followed_logs(
    id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, author TEXT NOT NULL, size INTEGER NOT NULL,
    bytes INTEGER NOT NULL, note BLOB NOT NULL, last BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS followed_entries(
    log INTEGER NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY(log, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS followed_hashes(
    log INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY(log, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_forks(
    origin TEXT PRIMARY KEY, author TEXT NOT NULL, proof BLOB NOT NULL,
    found_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS anchor_named(head BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
-- version 18
CREATE TABLE IF NOT EXISTS issuer(
    id INTEGER PRIMARY KEY CHECK(id = 1), secret BLOB NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
    restored INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS issuer_entries(
    number INTEGER PRIMARY KEY, entry BLOB NOT NULL, commitment BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS issuer_hashes(position INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS issuer_parties(
    did TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY(did, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issuer_orders(cid BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known_issuers(
    issuer TEXT PRIMARY KEY, charter BLOB NOT NULL, note BLOB NOT NULL, lines BLOB NOT NULL,
    told_at INTEGER NOT NULL, fault BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issuer_payments(
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL, entry INTEGER);
-- version 19
CREATE TABLE IF NOT EXISTS hold_bookings(
    id INTEGER PRIMARY KEY AUTOINCREMENT, hold BLOB NOT NULL UNIQUE, issuer TEXT NOT NULL,
    job_id BLOB NOT NULL, due_at INTEGER, bytes BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS hold_bookings_due ON hold_bookings(due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS hold_bookings_over ON hold_bookings(id) WHERE due_at IS NULL;
CREATE INDEX IF NOT EXISTS hold_bookings_of_job ON hold_bookings(job_id);
CREATE TABLE IF NOT EXISTS hold_orders(
    id INTEGER PRIMARY KEY AUTOINCREMENT, job_id BLOB NOT NULL, attempt INTEGER NOT NULL, bytes BLOB NOT NULL,
    UNIQUE(job_id, attempt));
ALTER TABLE jobs ADD COLUMN unit TEXT NOT NULL DEFAULT '';
-- version 20
CREATE TABLE IF NOT EXISTS lodgings(
    hold BLOB PRIMARY KEY, executor TEXT NOT NULL, receipt BLOB NOT NULL, count INTEGER NOT NULL,
    kept INTEGER NOT NULL, bytes INTEGER NOT NULL, until INTEGER NOT NULL, certificate BLOB NOT NULL,
    statement BLOB, decision BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lodged_parts(
    id INTEGER PRIMARY KEY, hold BLOB NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
    UNIQUE(hold, number));
-- version 21
CREATE TABLE IF NOT EXISTS conduct(
    id INTEGER PRIMARY KEY AUTOINCREMENT, side TEXT NOT NULL, subject TEXT NOT NULL, assignment BLOB NOT NULL,
    payer TEXT NOT NULL, citation BLOB NOT NULL, verdict TEXT NOT NULL, at INTEGER NOT NULL,
    details BLOB, UNIQUE(side, subject, assignment));
-- version 22
CREATE TABLE IF NOT EXISTS replicas(
    issuer TEXT PRIMARY KEY, charter BLOB NOT NULL, promised BLOB, size INTEGER NOT NULL, peaks BLOB NOT NULL,
    head BLOB, batch BLOB, bytes INTEGER NOT NULL, restored INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS replica_entries(
    id INTEGER PRIMARY KEY, issuer TEXT NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL,
    UNIQUE(issuer, number));
CREATE TABLE IF NOT EXISTS witnessed_objects(
    id INTEGER PRIMARY KEY, issuer TEXT NOT NULL, lodged_at INTEGER NOT NULL, object BLOB NOT NULL,
    hold BLOB NOT NULL, signer TEXT NOT NULL, size INTEGER NOT NULL, statement BLOB NOT NULL,
    bytes BLOB NOT NULL, UNIQUE(issuer, lodged_at), UNIQUE(issuer, object));
CREATE TABLE IF NOT EXISTS witnessed_issuers(
    issuer TEXT PRIMARY KEY, until INTEGER NOT NULL, passed INTEGER NOT NULL, since INTEGER NOT NULL)
    WITHOUT ROWID;
