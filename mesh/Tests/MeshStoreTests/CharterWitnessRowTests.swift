import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What a witness of charters keeps, on the disk.
@Suite struct CharterWitnessRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private func row(_ number: UInt8, at date: UInt64, issuer: String = "did:key:i") -> WitnessedObjectRow {
        WitnessedObjectRow(
            issuer: issuer, object: CID.hashing([number], codec: .dagCBOR), lodgedAt: date,
            hold: CID.hashing([9], codec: .dagCBOR), signer: "did:key:s", size: 2)
    }

    private func lodge(_ row: WitnessedObjectRow, _ bytes: UInt8) -> StoreWrite {
        .charterWitness(.lodged(row, statement: [bytes], bytes: [bytes, bytes]))
    }

    @Test func objectsComeInTheirOrderAndGo() async throws {
        let store = try folder.open()
        let rows = [row(1, at: 5), row(2, at: 6), row(3, at: 8)]
        try await store.commit([lodge(rows[1], 2), lodge(rows[0], 1), lodge(rows[2], 3)])
        try await store.commit([lodge(row(1, at: 5, issuer: "did:key:j"), 7)])
        #expect(try await WitnessedObjectRow.all(of: "did:key:i", in: store) == rows)
        let some = try await WitnessedObjectRow.all(of: "did:key:i", from: 6, until: 7, limit: 9, in: store)
        #expect(some == [rows[1]])
        #expect(try await WitnessedObjectRow.all(of: "did:key:i", from: 0, until: 9, limit: 2, in: store).count == 2)
        let content = try await WitnessedObjectRow.content(of: rows[1].object, for: "did:key:i", in: store)
        #expect(content?.statement == [2] && content?.bytes == [2, 2])
        // No two have one date, and none comes twice.
        for wrong in [row(4, at: 8), row(3, at: 9)] {
            await #expect(throws: MeshStoreError.self) { try await store.commit([lodge(wrong, 4)]) }
        }
        try await store.commit([.charterWitness(.forgotten(issuer: "did:key:i", before: 6))])
        #expect(try await WitnessedObjectRow.all(of: "did:key:i", in: store) == Array(rows.dropFirst()))
        #expect(try await WitnessedObjectRow.all(of: "did:key:j", in: store).count == 1)
        #expect(try await WitnessedIssuerRow.of("did:key:i", in: store)?.since == 6)
        #expect(try await WitnessedObjectRow.content(of: rows[0].object, for: "did:key:i", in: store) == nil)
    }

    @Test func whatWasSaidNeverGoesBack() async throws {
        let store = try folder.open()
        #expect(try await WitnessedIssuerRow.of("did:key:i", in: store) == nil)
        for (until, passed) in [(5, 3), (4, 4), (6, 2)] as [(UInt64, UInt64)] {
            let said = WitnessedIssuerRow(issuer: "did:key:i", until: until, passed: passed)
            try await store.commit([.charterWitness(.said(said))])
        }
        let kept = try await WitnessedIssuerRow.of("did:key:i", in: store)
        #expect(kept == WitnessedIssuerRow(issuer: "did:key:i", until: 6, passed: 4))
    }

    @Test func aDatabaseOfVersionTwentyOneGetsTheTables() async throws {
        try folder.open().close()
        try folder.change("DROP TABLE witnessed_objects; DROP TABLE witnessed_issuers; PRAGMA user_version = 21;")
        let store = try folder.open()
        try await store.commit([lodge(row(1, at: 5), 1)])
        #expect(try await WitnessedObjectRow.all(of: "did:key:i", in: store).count == 1)
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }

    @Test func aRestoredWitnessKnowsSinceWhenItKnowsAll() async throws {
        let store = try folder.open()
        try await store.commit([lodge(row(1, at: 5), 1)])
        try store.close()
        try StoreCopy.accept(folder.path, owner: StoreFolder.owner, madeAt: 1_000, at: 7_000)
        let restored = try folder.open()
        #expect(try await restored.setting(StoreCopy.witnessSinceKey) == Array("7001".utf8))
        #expect(try await WitnessedObjectRow.all(of: "did:key:i", in: restored).count == 1)
        try restored.close()
        // A clock that is behind the backup's is wrong.
        try StoreCopy.accept(folder.path, owner: StoreFolder.owner, madeAt: 9_000, at: 7_000)
        #expect(try await folder.open().setting(StoreCopy.witnessSinceKey) == Array("9001".utf8))
    }
}
