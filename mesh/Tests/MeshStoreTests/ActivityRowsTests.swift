import Multiformats
import Testing

@testable import MeshStore

/// What ended and what was booked, counted in parts of a time.
@Suite struct ActivityRowsTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private func ended(
        _ seed: Int, at: UInt64, _ outcome: String, _ role: StoreRole = .originator, key: String = ""
    ) -> StoreWrite {
        .job(
            JobRow(
                jobID: jobID(seed), role: role, status: "Completed", isTerminal: true, submittedAt: 1, updatedAt: at,
                idempotencyKey: key, standard: "", outcome: outcome, payment: ""))
    }

    private func booked(_ seed: Int, at: UInt64, _ kind: String, _ credit: String, _ amount: UInt64) -> StoreWrite {
        .ledger(LedgerRow(debit: "x", credit: credit, amount: amount, jobID: jobID(seed), kind: kind, at: at))
    }

    private func counted(
        in store: MeshStore, limits: ActivityRows.Limits = .init()
    ) async throws(MeshStoreError) -> ActivityRows {
        var filter = JobFilter()
        filter.withoutKeysFrom = "replica:"
        return try await ActivityRows(
            from: 1_000, step: 100, parts: 3, of: filter, without: ["lost"], in: store, limits: limits)
    }

    @Test func eachPartHasWhatEndedInIt() async throws {
        let store = try folder.open()
        try await store.commit([
            ended(1, at: 999, "succeeded"), ended(2, at: 1_000, "succeeded"), ended(3, at: 1_099, "trapped"),
            ended(4, at: 1_100, "succeeded", .executor), ended(5, at: 1_299, "cancelled"),
            ended(6, at: 1_300, "succeeded"),
            // A lost bid is no job, a replica is part of one, and both sides of one job are one.
            ended(7, at: 1_200, "lost", .executor), ended(8, at: 1_200, "succeeded", key: "replica:1"),
            ended(9, at: 1_200, "succeeded"), ended(9, at: 1_201, "succeeded", .executor),
            booked(1, at: 999, "income", "wallet", 1), booked(2, at: 1_000, "income", "wallet", 2),
            booked(3, at: 1_150, "settle", "paid/did:key:a", 4), booked(3, at: 1_151, "settle", "paid/did:key:b", 8),
            booked(3, at: 1_152, "hold", "escrow/x", 16), booked(4, at: 1_299, "income", "wallet", 32),
            booked(5, at: 1_300, "income", "wallet", 64),
        ])
        let rows = try await counted(in: store)
        #expect(rows.isWhole)
        #expect(rows.parts.map(\.succeeded) == [1, 1, 1] && rows.parts.map(\.endedOtherwise) == [1, 0, 1])
        #expect(rows.parts.map(\.earned) == [2, 0, 32] && rows.parts.map(\.paid) == [0, 12, 0])
    }

    @Test func onlyTheNewestOfVeryMuchIsCountedAndThatIsSaid() async throws {
        let store = try folder.open()
        for seed in 0..<6 {
            try await store.commit([
                ended(seed, at: 1_000 + 50 * UInt64(seed), "succeeded"),
                booked(seed, at: 1_000 + 50 * UInt64(seed), "income", "wallet", 1),
            ])
        }
        var limits = ActivityRows.Limits()
        limits.rowsMax = 3
        let cut = try await counted(in: store, limits: limits)
        #expect(!cut.isWhole)
        #expect(cut.parts.map(\.succeeded) == [0, 1, 2] && cut.parts.map(\.earned) == [0, 1, 2])
        limits.rowsMax = 7
        let whole = try await counted(in: store, limits: limits)
        #expect(whole.isWhole && whole.parts.map(\.succeeded) == [2, 2, 2] && whole.parts.map(\.earned) == [2, 2, 2])
    }

    @Test func aHomeOfBeforeGetsTheIndex() async throws {
        try await folder.open().commit([ended(1, at: 1_000, "succeeded")])
        try folder.change("DROP INDEX jobs_ended; PRAGMA user_version = 16;")
        let store = try folder.open()
        #expect(try await counted(in: store).parts.map(\.succeeded) == [1, 0, 0])
    }

    @Test func movementsGoOnBehindANumberAndAreOfOneKind() async throws {
        let store = try folder.open()
        for number in 1...7 {
            try await store.commit([
                booked(number, at: 1, number.isMultiple(of: 2) ? "hold" : "income", "wallet", UInt64(number))
            ])
        }
        let first = try await LedgerRow.newest(limit: 3, in: store)
        #expect(first.map(\.amount) == [7, 6, 5])
        let last = try #require(first.last?.sequence)
        #expect(try await LedgerRow.newest(before: last, limit: 9, in: store).map(\.amount) == [4, 3, 2, 1])
        #expect(try await LedgerRow.newest(before: last, kind: "hold", limit: 9, in: store).map(\.amount) == [4, 2])
        #expect(try await LedgerRow.newest(before: 1, limit: 9, in: store).isEmpty)
    }

    @Test func jobsAreFoundByTheBeginningOfTheirKeys() async throws {
        let store = try folder.open()
        try await store.commit([
            ended(1, at: 1, "succeeded", key: "r:a:1"), ended(2, at: 1, "succeeded", key: "r:a:2"),
            ended(3, at: 1, "succeeded", key: "r:ab:1"), ended(4, at: 1, "succeeded", key: "r:b:1"),
            ended(5, at: 1, "succeeded"),
        ])
        let found = try await JobRow.all(withKeysFrom: "r:a:", limit: 9, in: store)
        #expect(Set(found.map(\.jobID)) == [jobID(1), jobID(2)])
        #expect(try await JobRow.all(withKeysFrom: "r:", limit: 3, in: store).count == 3)
        #expect(try await JobRow.all(withKeysFrom: "", limit: 9, in: store).isEmpty)
    }
}
