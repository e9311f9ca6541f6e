import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// Which receipt follows which.
@Suite struct ReceiptLinkTests {
    private static func receipt(_ seed: Int) -> CID { CID.hashing(Array("receipt \(seed)".utf8), codec: .dagCBOR) }

    private static func link(_ seed: Int, after previous: CID?, by executor: String = "did:key:a") -> StoreWrite {
        .receiptLink(ReceiptLinkRow(executorDID: executor, previous: previous, cid: receipt(seed)))
    }

    @Test func successorsAreThoseOfOneExecutorAndSurviveARestart() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        let before = Self.receipt(0)
        try await first.commit([
            Self.link(0, after: nil), Self.link(1, after: before), Self.link(1, after: before),
            Self.link(2, after: before), Self.link(3, after: before, by: "did:key:b"), Self.link(4, after: nil),
        ])
        try first.close()
        let store = try folder.open()
        #expect(try await store.successors(of: before, executorDID: "did:key:a") == [1, 2].map(Self.receipt))
        #expect(try await store.successors(of: before, executorDID: "did:key:b") == [Self.receipt(3)])
        #expect(try await store.successors(of: nil, executorDID: "did:key:a") == [0, 4].map(Self.receipt))
        #expect(try await store.successors(of: Self.receipt(9), executorDID: "did:key:a").isEmpty)
    }

    @Test func theOldestLinksGoFirst() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.receiptLinksMax = 3
        let store = try folder.open(limits: limits)
        for seed in 1...5 { try await store.commit([Self.link(seed, after: Self.receipt(seed - 1))]) }
        for seed in 1...5 {
            let found = try await store.successors(of: Self.receipt(seed - 1), executorDID: "did:key:a")
            #expect(found == (seed > 2 ? [Self.receipt(seed)] : []), "receipt \(seed)")
        }
    }

    @Test func aDatabaseOfTheReleaseBeforeGetsTheTable() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        let (cid, bytes) = block(1)
        try await first.commit([.block(cid: cid, bytes: bytes)])
        try first.close()
        try folder.change(
            StoreFolder.withoutOutcomes + """
                DROP TABLE receipt_links; DROP TABLE block_uses; DROP TABLE file_blocks;
                DROP TABLE block_holds; DROP TABLE roots; ALTER TABLE jobs DROP COLUMN unsettled;
                PRAGMA user_version = 2;
                """)
        let store = try folder.open()
        try await store.commit([Self.link(1, after: nil)])
        #expect(try await store.successors(of: nil, executorDID: "did:key:a") == [Self.receipt(1)])
        #expect(try await store.block(cid) == bytes)
    }
}
