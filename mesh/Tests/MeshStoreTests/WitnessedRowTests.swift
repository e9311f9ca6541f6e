import Testing

@testable import MeshStore

/// What a witness saw, and what witnesses said, on the disk.
@Suite struct WitnessedRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    @Test func theNewestCheckpointOfALogIsKept() async throws {
        let store = try folder.open()
        try await store.commit([
            .witnessed(WitnessedRow(origin: [1], note: [1], seconds: 10)),
            .witnessed(WitnessedRow(origin: [2], note: [2], seconds: 20)),
        ])
        try await store.commit([.witnessed(WitnessedRow(origin: [1], note: [3], seconds: 30))])
        let rows = try await WitnessedRow.all(in: store)
        #expect(rows.map(\.note) == [[3], [2]] && rows.map(\.seconds) == [30, 20])
    }

    @Test func cosignaturesAreFoundByTheHeadsThatTheyCover() async throws {
        let store = try folder.open()
        func row(_ size: UInt64, _ witness: UInt8) -> CosignedRow {
            CosignedRow(size: size, witness: [witness], seconds: 100 + size, bytes: [UInt8(size), witness])
        }
        try await store.commit([(2, 1), (5, 1), (9, 1), (3, 2), (5, 2)].map { .cosigned(row($0.0, $0.1)) })
        // A later one of the same head dates less, and is newer.
        try await store.commit([.cosigned(CosignedRow(size: 5, witness: [1], seconds: 999, bytes: [0]))])
        let renewed = CosignedRow(size: 5, witness: [1], seconds: 105, bytes: [5, 1], renewed: [0])
        #expect(renewed.newest == [0] && row(5, 1).newest == [5, 1])
        #expect(try await CosignedRow.all(of: 5, in: store) == [renewed, row(5, 2)])
        #expect(try await CosignedRow.first(after: 2, in: store) == [renewed, row(3, 2)])
        #expect(try await CosignedRow.first(after: 5, in: store) == [row(9, 1)])
        #expect(try await CosignedRow.bestSize(beyond: 0, in: store) == 5)
        #expect(try await CosignedRow.bestSize(beyond: 5, in: store) == 9)
        #expect(try await CosignedRow.bestSize(beyond: 9, in: store) == nil)
        #expect(try await CosignedRow.latest(of: [2], in: store)?.size == 5)
        #expect(try await CosignedRow.latest(of: [3], in: store) == nil)
    }

    @Test func soManyCosignaturesOfAWitnessAreKept() async throws {
        let store = try folder.open()
        let most = UInt64(CosignedRow.perWitnessMax)
        for start in stride(from: UInt64(0), through: most, by: 1_000) {
            let sizes = start..<min(start + 1_000, most + 2)
            try await store.commit(
                sizes.map { .cosigned(CosignedRow(size: $0, witness: [1], seconds: $0, bytes: [])) })
        }
        #expect(try await CosignedRow.all(of: 1, in: store).isEmpty)
        #expect(try await CosignedRow.first(after: 0, in: store).map(\.size) == [2])
        #expect(try await CosignedRow.latest(of: [1], in: store)?.size == most + 1)
    }

    @Test func cosignaturesOfWitnessesThatLeftDoNotCountForEver() async throws {
        let store = try folder.open()
        func row(_ size: UInt64, _ witness: UInt8) -> StoreWrite {
            .cosigned(CosignedRow(size: size, witness: [witness], seconds: size, bytes: []))
        }
        try await store.commit([row(1, 1), row(1, 2)])
        try await store.commit((2...64).map { row($0, 1) })
        #expect(try await CosignedRow.bestSize(beyond: 0, in: store) == 1)
        try await store.commit([row(65, 1)])
        #expect(try await CosignedRow.bestSize(beyond: 0, in: store) == 65)
    }
}
