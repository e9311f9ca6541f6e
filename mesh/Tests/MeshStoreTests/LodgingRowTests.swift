import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What an arbiter keeps, on the disk.
@Suite struct LodgingRowTests {
    private let folder: StoreFolder
    private let hold = CID.hashing([1], codec: .dagCBOR)

    init() throws { folder = try StoreFolder() }

    private func row(kept: UInt64, receipt: UInt8 = 2) -> LodgingRow {
        var row = LodgingRow(
            hold: hold, executor: "did:key:e", receipt: CID.hashing([receipt], codec: .dagCBOR), count: 2, bytes: 9,
            until: 7, certificate: [3])
        row.kept = kept
        return row
    }

    @Test func partsComeAndBeginAnewAndGo() async throws {
        let store = try folder.open()
        try await store.commit([.lodging(.part(row(kept: 1), number: 0, bytes: [1]))])
        try await store.commit([.lodging(.part(row(kept: 2), number: 1, bytes: [2]))])
        #expect(try await LodgingRow.all(in: store) == [row(kept: 2)])
        #expect(try await LodgingRow.part(1, of: hold, in: store) == [2])
        try await store.commit([.lodging(.part(row(kept: 1, receipt: 5), number: 0, bytes: [4]))])
        #expect(try await LodgingRow.all(in: store) == [row(kept: 1, receipt: 5)])
        #expect(try await LodgingRow.part(0, of: hold, in: store) == [4])
        #expect(try await LodgingRow.part(1, of: hold, in: store) == nil, "it was of the one before")
        var decided = row(kept: 1, receipt: 5)
        (decided.statement, decided.decision) = ([6], [7])
        try await store.commit([.lodging(.row(decided))])
        #expect(try await LodgingRow.all(in: store) == [decided])
        #expect(try await LodgingRow.part(0, of: hold, in: store) == [4])
        try await store.commit([.lodging(.forgotten(hold: hold))])
        #expect(try await LodgingRow.all(in: store).isEmpty)
        #expect(try await LodgingRow.part(0, of: hold, in: store) == nil)
    }

    @Test func aDatabaseOfVersionNineteenGetsTheTables() async throws {
        try folder.open().close()
        try folder.change("DROP TABLE lodgings; DROP TABLE lodged_parts; PRAGMA user_version = 19;")
        let store = try folder.open()
        try await store.commit([.lodging(.part(row(kept: 1), number: 0, bytes: [1]))])
        #expect(try await LodgingRow.all(in: store).count == 1)
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }
}
