import Foundation
import GRDB
import Multiformats

/// A row as SQLite returned it, read with every type checked: a damaged database must not trap.
struct StoredRow {
    private let row: Row

    init(_ row: Row) {
        self.row = row
    }

    func bytes(_ column: String) throws -> [UInt8] { [UInt8](try row.decode(Data.self, forColumn: column)) }

    func bytesIfPresent(_ column: String) throws -> [UInt8]? {
        try row.decode(Data?.self, forColumn: column).map { [UInt8]($0) }
    }

    func text(_ column: String) throws -> String { try row.decode(String.self, forColumn: column) }

    func integer(_ column: String) throws -> Int { try row.decode(Int.self, forColumn: column) }

    func flag(_ column: String) throws -> Bool { try integer(column) != 0 }

    func unsigned(_ column: String) throws -> UInt64 {
        UInt64(clamping: try row.decode(Int64.self, forColumn: column))
    }

    func unsignedIfPresent(_ column: String) throws -> UInt64? {
        try row.decode(Int64?.self, forColumn: column).map { UInt64(clamping: $0) }
    }

    func cid(_ column: String) throws -> CID { try CID(bytes: bytes(column)) }

    /// The row of `journal` with its digest checked.
    func journalEntry() throws -> JournalEntry {
        let sequence = Int64(try integer("seq"))
        let damaged = MeshStoreError.recordCorrupt(table: "journal", row: sequence)
        guard let jobID = try? cid("job_id"), let role = StoreRole(rawValue: try text("role")) else { throw damaged }
        let entry = JournalEntry(
            jobID: jobID, role: role, kind: try text("kind"), at: try unsigned("at"), reason: try text("reason"),
            bytes: try bytes("bytes"), sequence: sequence)
        guard try bytes("digest") == [UInt8](RowDigest.of(entry)) else { throw damaged }
        return entry
    }

    /// The row of `ledger` with its digest checked.
    func ledgerRow() throws -> LedgerRow {
        let sequence = Int64(try integer("seq"))
        let damaged = MeshStoreError.recordCorrupt(table: "ledger", row: sequence)
        let jobBytes = try bytes("job_id")
        let jobID = jobBytes.isEmpty ? nil : try? CID(bytes: jobBytes)
        guard jobBytes.isEmpty || jobID != nil else { throw damaged }
        let booked = LedgerRow(
            debit: try text("debit"), credit: try text("credit"), amount: try unsigned("amount"), jobID: jobID,
            kind: try text("kind"), reference: try text("reference"), at: try unsigned("at"), sequence: sequence)
        guard try bytes("digest") == [UInt8](RowDigest.of(booked)) else { throw damaged }
        return booked
    }

    /// The row of `balances` with its digest checked.
    func balanceRow() throws -> BalanceRow {
        let balance = BalanceRow(
            account: try text("account"), amount: try row.decode(Int64.self, forColumn: "amount"))
        guard try bytes("digest") == [UInt8](RowDigest.of(balance)) else {
            throw MeshStoreError.recordCorrupt(table: "balances", row: 0)
        }
        return balance
    }

    /// Asks for the columns of `jobRow`, in its order: to look for a column by its name takes longer than to read it.
    static let jobs = """
        SELECT job_id, role, status, terminal, submitted_at, updated_at, counterparty, label, reason, price, \
        fuel, receipt_cid, idempotency_key, unsettled, standard, outcome, outcome_detail, winner_price, payment, \
        unit FROM jobs
        """

    /// The row of `jobs`, asked for by `jobs`.
    func jobRow() throws -> JobRow {
        func text(_ index: Int) throws -> String { try row.decode(String.self, atIndex: index) }
        func flag(_ index: Int) throws -> Bool { try row.decode(Int.self, atIndex: index) != 0 }
        func unsigned(_ index: Int) throws -> UInt64 { UInt64(clamping: try row.decode(Int64.self, atIndex: index)) }
        func unsignedIfPresent(_ index: Int) throws -> UInt64? {
            try row.decode(Int64?.self, atIndex: index).map { UInt64(clamping: $0) }
        }
        guard let role = StoreRole(rawValue: try text(1)) else {
            throw MeshStoreError.recordCorrupt(table: "jobs", row: 0)
        }
        return JobRow(
            jobID: try CID(bytes: [UInt8](try row.decode(Data.self, atIndex: 0))), role: role, status: try text(2),
            isTerminal: try flag(3), submittedAt: try unsigned(4), updatedAt: try unsigned(5),
            counterparty: try text(6), label: try text(7), reason: try text(8), price: try unsignedIfPresent(9),
            fuel: try unsignedIfPresent(10),
            // An unreadable value names no receipt; the journal has it.
            receiptCID: try row.decode(Data?.self, atIndex: 11).flatMap { try? CID(bytes: [UInt8]($0)) },
            idempotencyKey: try text(12), isUnsettled: try flag(13), standard: try text(14), outcome: try text(15),
            outcomeDetail: try text(16), winnerPrice: try unsignedIfPresent(17), payment: try text(18),
            unit: try text(19))
    }

    /// The row of `receipts`.
    func receiptRow() throws -> ReceiptRow {
        ReceiptRow(
            cid: try cid("cid"), jobID: try cid("job_id"), executorDID: try text("executor_did"),
            status: try text("status"), at: try unsigned("at"),
            isVerified: try row.decode(Bool?.self, forColumn: "verified"),
            isChecked: try row.decode(Bool.self, forColumn: "checked"))
    }

    /// Asks for the columns of `receiptRow`.
    static let receipts =
        "SELECT receipts.*, EXISTS(SELECT 1 FROM checked_receipts c WHERE c.cid = receipts.cid) AS checked "
        + "FROM receipts"

    /// The row of `proofs`.
    func proofRow() throws -> ProofRow {
        ProofRow(
            cid: try cid("cid"), receipt: try cid("receipt"), jobID: try cid("job_id"),
            executorDID: try text("executor_did"), at: try unsigned("at"))
    }

    /// The row of `peers`, without unreadable addresses.
    func peerRow() throws -> PeerRow {
        let addresses = try text("addresses").split(separator: "\n").compactMap { try? Multiaddr(parsing: String($0)) }
        return PeerRow(
            peerID: try PeerID(bytes: bytes("peer_id")), addresses: addresses, lastSeen: try unsigned("last_seen"),
            misbehaviourCount: try integer("misbehaviours"), note: try text("note"))
    }
}
