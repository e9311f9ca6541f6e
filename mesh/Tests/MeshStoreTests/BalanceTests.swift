import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What is kept so that a start need not read everything: balances, and what the blocks come to.
@Suite struct BalanceTests {
    private func movement(_ debit: String, _ credit: String, _ amount: UInt64, job: Int?, kind: String) -> LedgerRow {
        LedgerRow(debit: debit, credit: credit, amount: amount, jobID: job.map(jobID), kind: kind, at: 1)
    }

    private func sums(_ store: MeshStore) async throws -> [BalanceRow] {
        var sums: [String: Int64] = [:]
        for row in try await store.ledger() {
            sums[row.debit, default: 0] -= Int64(row.amount)
            sums[row.credit, default: 0] += Int64(row.amount)
        }
        return sums.filter { $0.value != 0 }.sorted { $0.key < $1.key }.map { BalanceRow(account: $0, amount: $1) }
    }

    /// Books a grant and some jobs, the last of which is not settled.
    private func book(jobs: Int, _ store: MeshStore) async throws {
        try await store.commit([.ledger(movement("issuance", "wallet", 1000, job: nil, kind: "grant"))])
        for number in 1...jobs {
            let isLast = number == jobs
            var row = JobRow(
                jobID: jobID(number), role: .originator, status: "Assigned", isTerminal: false, submittedAt: 1,
                updatedAt: 1)
            try await store.commit([
                .job(row), .ledger(movement("wallet", "escrow/\(number)", 9, job: number, kind: "hold")),
            ])
            row.isTerminal = true
            if isLast { continue }
            try await store.commit([
                .ledger(movement("escrow/\(number)", "paid/\(number % 2)", 5, job: number, kind: "settle")),
                .ledger(movement("escrow/\(number)", "wallet", 4, job: number, kind: "refund")), .job(row),
            ])
        }
    }

    @Test func balancesAreTheSumsOfAllMovementsAlsoAfterReopening() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        try await book(jobs: 7, first)
        let before = try await first.balances()
        #expect(
            before == [
                BalanceRow(account: "escrow/7", amount: 9), BalanceRow(account: "issuance", amount: -1000),
                BalanceRow(account: "paid/0", amount: 15), BalanceRow(account: "paid/1", amount: 15),
                BalanceRow(account: "wallet", amount: 961),
            ])
        #expect(try await sums(first) == before)
        try first.close()
        let store = try folder.open()
        #expect(try await store.balances() == before)
        #expect(try await store.balances(after: "issuance", limit: 1) == [before[2]])
        #expect(try await store.balances(after: "wallet") == [])
    }

    @Test func onlyMovementsOfOpenJobsAndOfNoneAreReadAtStart() async throws {
        let store = try StoreFolder().openKept()
        try await book(jobs: 7, store.value)
        #expect(try await store.value.openLedger().map(\.kind) == ["grant", "hold"])
        #expect(try await store.value.openLedger().last?.jobID == jobID(7))
        let newest = try await LedgerRow.newest(limit: 3, in: store.value)
        #expect(newest.map(\.kind) == ["hold", "refund", "settle"])
        #expect(try await LedgerRow.newest(limit: -1, in: store.value).isEmpty)
    }

    @Test func aListingHasAtMostAPage() async throws {
        var limits = StoreLimits()
        limits.rowsPerPageMax = 2
        let store = try StoreFolder().openKept(limits: limits)
        try await book(jobs: 4, store.value)
        #expect(try await store.value.balances().map(\.account) == ["escrow/4", "issuance"])
        #expect(try await store.value.balances(after: "issuance").map(\.account) == ["paid/0", "paid/1"])
        #expect(try await store.value.ledger().map(\.sequence) == [1, 2])
        #expect(try await LedgerRow.newest(limit: 100, in: store.value).count == 2)
        #expect(try await store.value.jobs()?.rows.count == 2)
    }

    @Test func aMovementBookedTwiceOrRefusedMovesNoBalance() async throws {
        let store = try StoreFolder().openKept()
        let hold = movement("wallet", "escrow/1", 9, job: 1, kind: "hold")
        try await store.value.commit([.ledger(hold), .ledger(hold)])
        try await store.value.commit([.ledger(hold)])
        let before = try await store.value.balances()
        #expect(before.map(\.amount) == [9, -9])
        let changed = movement("wallet", "escrow/1", 8, job: 1, kind: "hold")
        await #expect(throws: MeshStoreError.ledgerConflict(jobID: jobID(1), kind: "hold")) {
            try await store.value.commit([.ledger(movement("a", "b", 1, job: 2, kind: "hold")), .ledger(changed)])
        }
        let largest = movement("wallet", "escrow/1", UInt64(Int64.max), job: 3, kind: "hold")
        await #expect(throws: MeshStoreError.numberTooLarge(UInt64(Int64.max))) {
            try await store.value.commit([.ledger(largest)])
        }
        #expect(try await store.value.balances() == before)
        #expect(try await store.value.ledger().count == 1)
    }

    @Test func aDamagedBalanceIsNeverServed() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        try await book(jobs: 2, first)
        try first.close()
        try folder.change("UPDATE balances SET amount = amount + 1 WHERE account = 'wallet'")
        let store = try folder.open()
        let damaged = MeshStoreError.recordCorrupt(table: "balances", row: 0)
        await #expect(throws: damaged) { _ = try await store.balances() }
        await #expect(throws: damaged) {
            try await store.commit([.ledger(movement("wallet", "escrow/3", 9, job: 3, kind: "hold"))])
        }
    }

    @Test func aDatabaseOfTheVersionBeforeIsAddedUpOnce() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        try await book(jobs: 7, first)
        let (cid, bytes) = block(1)
        try await first.commit([.block(cid: cid, bytes: bytes)])
        let before = try await first.balances()
        try first.close()
        let older =
            StoreFolder.withoutOutcomes + """
                DROP TABLE balances; DROP TABLE block_totals; DROP INDEX receipts_by_age;
                DROP TABLE block_uses; DROP TABLE file_blocks; DROP TABLE roots; DROP TABLE block_holds;
                ALTER TABLE jobs DROP COLUMN unsettled;
                PRAGMA user_version = 1;
                """
        try folder.change(older)
        var limits = StoreLimits()
        limits.checkedAtOpenBytesMax = 0
        for _ in 1...2 {
            let store = try folder.open(limits: limits)
            #expect(try await store.balances() == before)
            #expect(store.counters.blocks == 1)
            try store.close()
        }
        try folder.change("UPDATE ledger SET amount = 10 WHERE seq = 2; " + older)
        #expect(throws: MeshStoreError.recordCorrupt(table: "ledger", row: 2)) { _ = try folder.open() }
    }

    @Test func whatTheBlocksComeToIsKnownWithoutCountingThem() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.checkedAtOpenBytesMax = 0
        let first = try folder.open(limits: limits)
        let blocks = (1...5).map { block($0, size: 100 + $0) }
        for (cid, bytes) in blocks { try await first.commit([.block(cid: cid, bytes: bytes)]) }
        try await first.commit([.removeBlock(blocks[0].cid)])
        let before = (first.counters.blocks, first.counters.blockBytes)
        #expect(before == (4, 102 + 103 + 104 + 105))
        try first.close()
        let store = try folder.open(limits: limits)
        #expect((store.counters.blocks, store.counters.blockBytes) == before)
    }
}
