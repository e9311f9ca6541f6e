import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What others did, on the disk.
@Suite struct ConductRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private func row(
        _ subject: String, _ number: UInt8, _ verdict: String, side: String = "executor"
    ) -> ConductRow {
        ConductRow(
            side: side, subject: subject, payer: "did:key:p", assignment: CID.hashing([number], codec: .dagCBOR),
            citation: CID.hashing([number, 1], codec: .dagCBOR), verdict: verdict, at: UInt64(number))
    }

    @Test func aRowTakesThePlaceOfTheOneBeforeAndIsTheNewest() async throws {
        var store = try folder.open()
        let (first, second) = (row("did:key:a", 1, "undelivered"), row("did:key:b", 1, "fulfilled"))
        try await store.commit([.conduct(first), .conduct(second)])
        #expect(try await ConductRow.all(in: store) == [first, second])
        try await store.commit([.conduct(row("did:key:a", 1, "fulfilled"))])
        try store.close()
        store = try folder.open()
        #expect(try await ConductRow.all(in: store) == [second, row("did:key:a", 1, "fulfilled")])
        // What else is kept comes back with it.
        var detailed = row("did:key:c", 4, "fulfilled", side: "elsewhere")
        detailed.details = [1, 2, 3]
        try await store.commit([.conduct(detailed)])
        #expect(try await ConductRow.all(in: store).last == detailed)
        try await store.commit([
            .forgetConduct(side: "elsewhere", subject: detailed.subject, assignment: detailed.assignment)
        ])
        // On the other side of a job it is another row.
        let other = row("did:key:a", 1, "unpaid", side: "originator")
        try await store.commit([
            .forgetConduct(side: "executor", subject: second.subject, assignment: second.assignment), .conduct(other),
            .forgetConduct(side: "originator", subject: second.subject, assignment: second.assignment),
        ])
        #expect(try await ConductRow.all(in: store) == [row("did:key:a", 1, "fulfilled"), other])
    }

    @Test func aDatabaseOfVersionTwentyGetsTheTable() async throws {
        try folder.open().close()
        try folder.change("DROP TABLE conduct; PRAGMA user_version = 20;")
        let store = try folder.open()
        try await store.commit([.conduct(row("did:key:a", 1, "invalid"))])
        #expect(try await ConductRow.all(in: store).count == 1)
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }
}
