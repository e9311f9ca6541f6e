import Foundation
import GRDB

/// What an account received minus what it gave, over all movements ever booked.
///
/// The movement's transaction writes it, so it is never behind, and a start need not add up the movements. An account
/// at zero has no row: the hold of a settled job leaves nothing behind.
package struct BalanceRow: Hashable, Sendable {
    /// The account.
    package var account: String
    /// Its balance, in the smallest unit; negative if it gave more than it received.
    package var amount: Int64

    package init(account: String, amount: Int64) {
        self.account = account
        self.amount = amount
    }

    /// Changes the balance of an account.
    static func add(_ change: Int64, to account: String, _ db: Database) throws {
        guard change != 0 else { return }
        let statement = try db.cachedStatement(sql: "SELECT * FROM balances WHERE account = ?")
        let before = try Row.fetchOne(statement, arguments: [account]).map { try StoredRow($0).balanceRow().amount }
        try BalanceRow(account: account, amount: sum(before ?? 0, change)).write(db)
    }

    /// Replaces all balances by the sums of all movements, after checking each.
    static func addUp(_ db: Database) throws {
        var balances: [String: Int64] = [:]
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM ledger ORDER BY seq")
        while let row = try rows.next() {
            for (account, change) in try changes(of: StoredRow(row).ledgerRow()) {
                let balance = try sum(balances[account] ?? 0, change)
                balances[account] = balance == 0 ? nil : balance
            }
        }
        try db.execute(sql: "DELETE FROM balances")
        for (account, amount) in balances { try BalanceRow(account: account, amount: amount).write(db) }
    }

    /// What a movement changes, by account.
    static func changes(of movement: LedgerRow) throws -> [(account: String, change: Int64)] {
        guard let amount = Int64(exactly: movement.amount) else { throw MeshStoreError.numberTooLarge(movement.amount) }
        return [(movement.debit, -amount), (movement.credit, amount)]
    }

    /// A sum of amounts that must not overflow.
    static func sum(_ balance: Int64, _ change: Int64) throws -> Int64 {
        let (sum, overflow) = balance.addingReportingOverflow(change)
        if overflow { throw MeshStoreError.numberTooLarge(change.magnitude) }
        return sum
    }

    private func write(_ db: Database) throws {
        guard amount != 0 else {
            return try db.cachedStatement(sql: "DELETE FROM balances WHERE account = ?").execute(arguments: [account])
        }
        try db.cachedStatement(
            sql: """
                INSERT INTO balances(account, amount, digest) VALUES (?, ?, ?)
                ON CONFLICT(account) DO UPDATE SET amount = excluded.amount, digest = excluded.digest
                """
        ).execute(arguments: [account, amount, RowDigest.of(self)])
    }
}
