import Foundation
import GRDB
import Multiformats
import P2PTesting
import Testing

@testable import MeshStore

/// What the store holds back of jobs, and how it finds their journals.
@Suite struct JobMemoryTests {
    private let folder: StoreFolder

    init() throws {
        folder = try StoreFolder()
    }

    private func row(_ seed: Int, _ status: String, isTerminal: Bool = false, at: UInt64 = 1) -> JobRow {
        JobRow(
            jobID: jobID(seed), role: .originator, status: status, isTerminal: isTerminal, submittedAt: UInt64(seed),
            updatedAt: at, idempotencyKey: "key \(seed)")
    }

    /// The status in the database itself.
    private func written(_ seed: Int, _ store: MeshStore) async throws -> String? {
        try await store.read { db in
            try String.fetchOne(
                db, sql: "SELECT status FROM jobs WHERE job_id = ?", arguments: [Data(jobID(seed).bytes)])
        }
    }

    /// Limits under which nothing held back is due.
    private var patient: StoreLimits {
        var limits = StoreLimits()
        limits.idleMilliseconds = 3_600_000
        return limits
    }

    @Test("Of an open job only the first row is written at once, and reads know the newest")
    func heldBack() async throws {
        let store = try folder.open(limits: patient)
        try await store.commit([.job(row(1, "Announced"))])
        #expect(try await written(1, store) == "Announced")
        try await store.commit([.job(row(1, "BiddingOpen")), .job(row(1, "Assigned"))])
        #expect(try await written(1, store) == "Announced")
        #expect(try await store.job(jobID(1), role: .originator)?.status == "Assigned")
        #expect(try await store.job(jobID(1), role: .executor) == nil)
        #expect(try await store.job(idempotencyKey: "key 1")?.status == "Assigned")
        #expect(try await written(1, store) == "Announced")
        #expect(try await store.jobs()?.rows.map(\.status) == ["Assigned"])
        #expect(try await written(1, store) == "Assigned")
        try await store.commit([.job(row(1, "Running"))])
        #expect(try await store.openJobs(role: .originator).map(\.status) == ["Running"])
        try await store.commit([.job(row(1, "Collecting"))])
        try await store.persisted()
        #expect(try await written(1, store) == "Collecting")
        try await store.commit([.job(row(1, "Settling")), .job(row(1, "Closed", isTerminal: true))])
        #expect(try await written(1, store) == "Closed")
        #expect(try await store.openJobs(role: .originator).isEmpty)
    }

    @Test("A read waits for what it has to find, and takes no transaction where there is nothing")
    func settled() async throws {
        let store = try folder.open(limits: patient)
        try await store.commit([.job(row(1, "Announced"))])
        // The newer row is held back until somebody reads.
        try await store.commit([.job(row(1, "Assigned"))])
        #expect(try await written(1, store) == "Announced")
        try await store.settled()
        #expect(try await written(1, store) == "Assigned")
        for number in 1...20 {
            let urgency = number.isMultiple(of: 2) ? CommitUrgency.idle : .now
            store.enqueue([.job(row(1 + number, "Announced"))], urgency: urgency) { _ in }
            try await store.settled()
            #expect(try await written(1 + number, store) == "Announced")
        }
        // The thread that wrote may be about to find nothing more to do.
        try await eventually {
            let before = store.counters.transactions
            try await store.settled()
            return store.counters.transactions == before
        }
        let before = store.counters.transactions
        for _ in 0..<20 {
            try await store.settled()
            _ = try await store.jobs()
        }
        #expect(store.counters.transactions == before)
        try store.close()
        await #expect(throws: MeshStoreError.self) { try await store.settled() }
    }

    @Test("Whoever keeps what was read sees when something changed, and is not told so where nothing did")
    func changes() async throws {
        let store = try folder.open(limits: patient)
        var last = store.changes
        func isChanged() -> Bool {
            defer { last = store.changes }
            return store.changes != last
        }
        try await store.commit([.job(row(1, "Announced"))])
        #expect(isChanged())
        // The newer row is held back, and counts once it is in the database.
        try await store.commit([.job(row(1, "Assigned"))])
        _ = isChanged()
        #expect(try await store.jobs()?.rows.map(\.status) == ["Assigned"])
        #expect(isChanged())
        try await store.persisted()
        try await store.persisted()
        _ = try await store.jobs()
        _ = try await store.job(jobID(1), role: .originator)
        #expect(!isChanged())
        let block = block(1)
        try await store.commit([.block(cid: block.cid, bytes: block.bytes)])
        #expect(isChanged())
        #expect(try await store.remove(block.cid).blocks == 1)
        #expect(isChanged())
        #expect(try await store.remove(block.cid).blocks == 0)
        #expect(!isChanged())
    }

    @Test("What is held back is written at the end")
    func atTheEnd() async throws {
        let store = try folder.open(limits: patient)
        try await store.commit([.job(row(1, "Announced"))])
        try await store.commit([.job(row(1, "Running")), .job(row(1, "Collecting"))])
        #expect(try await written(1, store) == "Announced")
        try store.close()
        let last = try folder.open()
        #expect(try await written(1, last) == "Collecting")
    }

    @Test("Under steady writing the newest rows go with the first transaction after they are due")
    func whileBusy() async throws {
        let clock = TestClock()
        let store = try folder.open(limits: patient, clock: { clock.time })
        try await store.commit([.job(row(1, "Announced"))])
        try await store.commit([.job(row(1, "Assigned"))])
        clock.advance(milliseconds: UInt64(patient.idleMilliseconds) / 2)
        try await store.commit([.setting(key: "a", value: [])])
        #expect(try await written(1, store) == "Announced")
        clock.advance(milliseconds: UInt64(patient.idleMilliseconds) / 2)
        try await store.commit([.setting(key: "b", value: [])])
        #expect(try await written(1, store) == "Assigned")
    }

    @Test("A transaction that fails leaves no trace, and no newer row of before is lost")
    func failed() async throws {
        let store = try folder.open(limits: patient)
        let movement = LedgerRow(debit: "a", credit: "b", amount: 1, jobID: jobID(1), kind: "hold", at: 1)
        var other = movement
        other.amount = 2
        try await store.commit([.job(row(1, "Announced")), .ledger(movement), .journal(entry(1))])
        try await store.commit([.job(row(1, "BiddingOpen"))])
        await #expect(throws: MeshStoreError.ledgerConflict(jobID: jobID(1), kind: "hold")) {
            try await store.commit([
                .job(row(1, "Assigned")), .job(row(2, "Announced")), .journal(entry(3)), .ledger(other),
            ])
        }
        #expect(try await store.job(jobID(1), role: .originator)?.status == "BiddingOpen")
        #expect(try await store.job(jobID(2), role: .originator) == nil)
        #expect(try await store.balances().map(\.amount) == [-1, 1])
        try await store.commit([.job(row(2, "Announced")), .journal(entry(2)), .journal(entry(1))])
        #expect(try await written(2, store) == "Announced")
        #expect(try await store.journal(of: jobID(1)).map(\.sequence) == [1, 3])
        #expect(try await store.journal(of: jobID(2)).map(\.sequence) == [2])
        #expect(try await store.journal(of: jobID(3)) == [])
    }

    @Test("Rows of more open jobs than are remembered are written at once")
    func bound() async throws {
        var limits = patient
        limits.rememberedJobRowsMax = 1
        let store = try folder.open(limits: limits)
        for seed in 1...2 { try await store.commit([.job(row(seed, "Announced"))]) }
        for seed in 1...2 { try await store.commit([.job(row(seed, "Assigned"))]) }
        #expect(try await written(1, store) == "Announced")
        #expect(try await written(2, store) == "Assigned")
        try await store.commit([.job(row(1, "Closed", isTerminal: true))])
        try await store.commit([.job(row(2, "Running"))])
        try await store.commit([.job(row(2, "Collecting"))])
        #expect(try await written(2, store) == "Running")
        #expect(try await store.job(jobID(2), role: .originator)?.status == "Collecting")
    }

    // MARK: Journals

    @Test("Journals written in turns read apart, with more of them than are remembered, and after a start")
    func journals() async throws {
        var limits = StoreLimits()
        limits.rememberedJournalsMax = 2
        var expected: [Int: [Int64]] = [:]
        var sequence: Int64 = 0
        for _ in 1...2 {
            let store = try folder.open(limits: limits)
            for _ in 1...3 {
                for seed in 1...5 {
                    try await store.commit([.journal(entry(seed))])
                    sequence += 1
                    expected[seed, default: []].append(sequence)
                }
            }
            for seed in 1...5 {
                #expect(try await store.journal(of: jobID(seed), role: .originator).map(\.sequence) == expected[seed])
                #expect(try await store.journal(of: jobID(seed), role: .executor) == [])
            }
            #expect(try await store.journal(after: 0).count == Int(sequence))
            try store.close()
        }
    }

    @Test("Both sides of a job have a journal, and the job has both")
    func bothSides() async throws {
        let store = try folder.open()
        var executed = entry(1)
        executed.role = .executor
        try await store.commit([.journal(entry(1)), .journal(executed), .journal(entry(1)), .journal(executed)])
        #expect(try await store.journal(of: jobID(1), role: .originator).map(\.sequence) == [1, 3])
        #expect(try await store.journal(of: jobID(1), role: .executor).map(\.sequence) == [2, 4])
        #expect(try await store.journal(of: jobID(1)).map(\.sequence) == [1, 2, 3, 4])
    }

    @Test("A pruned journal can begin again")
    func pruned() async throws {
        let store = try folder.open()
        var bid = entry(1)
        bid.role = .executor
        let closed = JobRow(
            jobID: jobID(1), role: .executor, status: "BiddingClosed", isTerminal: true, submittedAt: 1, updatedAt: 1)
        try await store.commit([.journal(bid), .journal(bid), .journal(entry(1)), .job(closed)])
        try await store.commit([.pruneBids(before: 9)])
        #expect(try await store.journal(of: jobID(1)).map(\.sequence) == [3])
        try await store.commit([.journal(bid), .journal(bid)])
        #expect(try await store.journal(of: jobID(1), role: .executor).map(\.sequence) == [4, 5])
    }

    @Test("A journal of version 7 reads as before, is continued, and can be pruned")
    func versionSeven() async throws {
        let first = try folder.open()
        try await first.commit([.journal(entry(1)), .journal(entry(2)), .journal(entry(1))])
        try first.close()
        try folder.change(StoreFolder.withoutHeads + "PRAGMA user_version = 7;")
        let store = try folder.open()
        #expect(try await store.journal(of: jobID(1)).map(\.sequence) == [1, 3])
        try await store.commit([.journal(entry(1)), .journal(entry(2)), .journal(entry(1))])
        #expect(try await store.journal(of: jobID(1), role: .originator).map(\.sequence) == [1, 3, 4, 6])
        #expect(try await store.journal(of: jobID(2)).map(\.sequence) == [2, 5])
        try store.close()
        try folder.change("UPDATE journal SET role = 'executor'")
        try folder.change("UPDATE journal SET digest = x'00' WHERE seq = 6")
        let pruned = try folder.open()
        #expect(try await pruned.readableJournal(of: jobID(1), role: .executor).damaged == [1, 3, 4, 6])
        let closed = JobRow(
            jobID: jobID(1), role: .executor, status: "BiddingClosed", isTerminal: true, submittedAt: 1, updatedAt: 1)
        try await pruned.commit([.job(closed), .pruneBids(before: 9)])
        #expect(try await pruned.readableJournal(of: jobID(1), role: nil).damaged == [])
        #expect(try await pruned.readableJournal(of: jobID(2), role: nil).damaged == [2, 5])
    }

    @Test("A journal is found by its indexes, however many rows others have")
    func indexes() async throws {
        let store = try folder.open()
        let plan = try await store.read { db in
            try Row.fetchAll(
                db,
                sql: "EXPLAIN QUERY PLAN SELECT * FROM journal WHERE seq IN (\(JournalIndex.positions)) ORDER BY seq",
                arguments: ["job": Data(jobID(1).bytes), "role": nil]
            ).map { $0["detail"] as String }
        }
        for index in ["journal_of_job", "journal_beginnings", "journal_of_head"] {
            #expect(plan.contains { $0.contains("SEARCH") && $0.contains(index) }, "\(plan)")
        }
        #expect(!plan.contains { $0.contains("SCAN journal") }, "\(plan)")
    }
}
