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
            receiptCID: CID.hashing([number, job, 1], codec: .dagCBOR), strength: job == 0 ? .believed : .confirmed,
            usedAt: 1_000)
    }

    @Test func theLastResultOfAWorkIsKnownAndOnlySoManyAre() async throws {
        var limits = StoreLimits()
        limits.worksMax = 3
        let store = try folder.open(limits: limits)
        try await store.commit((1...3).map { .work(row($0)) })
        try await store.commit([.work(row(1, job: 7))])
        #expect(try await WorkRow.row(row(1).key, in: store) == row(1, job: 7))
        // What is only believed takes the place of nothing that was confirmed.
        try await store.commit([.work(row(1))])
        #expect(try await WorkRow.row(row(1).key, in: store) == row(1, job: 7))
        // That it serves often costs no other its place.
        try await store.commit((1...9).map { _ in .work(row(1, job: 7)) })
        #expect(try await WorkRow.row(row(2).key, in: store) == row(2))
        try await store.commit([.work(row(4))])
        #expect(try await WorkRow.row(row(1).key, in: store) == nil)
        #expect(try await WorkRow.row(row(2).key, in: store) == row(2))
        try store.close()
        #expect(try await WorkRow.row(row(4).key, in: folder.open()) == row(4))
    }

    @Test func aDamagedRowOrOneWithAProofAgainstItIsNone() async throws {
        let first = try folder.open()
        try await first.commit([.work(row(1)), .work(row(2))])
        let proof = Array("proof".utf8)
        let cid = CID.hashing(proof, codec: .dagCBOR)
        try await first.commit([
            .evidence(cid: cid, bytes: proof, jobID: row(2).jobID),
            .proof(
                ProofRow(
                    cid: cid, receipt: row(2).receiptCID, jobID: row(2).jobID, executorDID: "did:key:x", at: 5)),
        ])
        #expect(try await WorkRow.row(row(1).key, in: first) == row(1))
        #expect(try await WorkRow.row(row(2).key, in: first) == nil)
        try first.close()
        try folder.change("UPDATE works SET strength = 2")
        let store = try folder.open()
        #expect(try await WorkRow.row(row(1).key, in: store) == nil)
    }
}
