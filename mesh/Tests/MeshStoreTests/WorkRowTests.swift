import Multiformats
import Testing

@testable import MeshStore

/// What is kept of results that may serve again.
@Suite struct WorkRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private func row(_ number: UInt8, job: UInt8 = 0) -> WorkRow {
        WorkRow(
            key: CID.hashing([number], codec: .raw), jobID: CID.hashing([number, job], codec: .dagCBOR),
            receiptCID: CID.hashing([number, job, 1], codec: .dagCBOR), isChecked: job == 0, usedAt: 1_000)
    }

    @Test func theLastResultOfAWorkIsKnownAndOnlySoManyAre() async throws {
        var limits = StoreLimits()
        limits.worksMax = 3
        let store = try folder.open(limits: limits)
        try await store.commit((1...3).map { .work(row($0)) })
        try await store.commit([.work(row(1, job: 7))])
        #expect(try await WorkRow.row(row(1).key, in: store) == row(1, job: 7))
        #expect(try await WorkRow.row(row(2).key, in: store) == row(2))
        try await store.commit([.work(row(4))])
        #expect(try await WorkRow.row(row(2).key, in: store) == nil)
        #expect(try await WorkRow.row(row(1).key, in: store) == row(1, job: 7))
        try store.close()
        #expect(try await WorkRow.row(row(4).key, in: folder.open()) == row(4))
    }
}
