import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// Which receipt follows which.
@Suite struct ReceiptLinkTests {
    private static func receipt(_ seed: Int) -> CID { CID.hashing(Array("receipt \(seed)".utf8), codec: .dagCBOR) }

    private static func link(
        _ seed: Int, after previous: CID?, to job: Int = 0, by executor: String = "did:key:a"
    ) -> StoreWrite {
        .receiptLink(
            ReceiptLinkRow(executorDID: executor, previous: previous, assignment: assignment(job), cid: receipt(seed)))
    }

    private static func assignment(_ seed: Int) -> CID {
        CID.hashing(Array("assignment \(seed)".utf8), codec: .dagCBOR)
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

    @Test func answersAreThoseOfOneExecutorAndSurviveARestart() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        try await first.commit([
            Self.link(0, after: nil, to: 1), Self.link(1, after: Self.receipt(0), to: 1),
            Self.link(1, after: Self.receipt(0), to: 1), Self.link(2, after: nil, to: 1, by: "did:key:b"),
            Self.link(3, after: nil, to: 2),
        ])
        try first.close()
        let store = try folder.open()
        #expect(try await store.answers(to: Self.assignment(1), executorDID: "did:key:a") == [0, 1].map(Self.receipt))
        #expect(try await store.answers(to: Self.assignment(1), executorDID: "did:key:b") == [Self.receipt(2)])
        #expect(try await store.answers(to: Self.assignment(2), executorDID: "did:key:a") == [Self.receipt(3)])
        #expect(try await store.answers(to: Self.assignment(3), executorDID: "did:key:a").isEmpty)
    }

    @Test func theOldestLinksGoFirst() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.receiptLinksMax = 3
        let store = try folder.open(limits: limits)
        for seed in 1...5 { try await store.commit([Self.link(seed, after: Self.receipt(seed - 1), to: seed)]) }
        for seed in 1...5 {
            let known = seed > 2 ? [Self.receipt(seed)] : []
            let found = try await store.successors(of: Self.receipt(seed - 1), executorDID: "did:key:a")
            #expect(found == known, "receipt \(seed)")
            let answers = try await store.answers(to: Self.assignment(seed), executorDID: "did:key:a")
            #expect(answers == known, "receipt \(seed)")
        }
    }

    @Test func aDatabaseOfVersionEightGetsTheTableOfAnswers() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        try await first.commit([Self.link(1, after: nil)])
        try first.close()
        try folder.change("DROP TABLE receipt_answers; PRAGMA user_version = 8;")
        let store = try folder.open()
        #expect(try await store.successors(of: nil, executorDID: "did:key:a") == [Self.receipt(1)])
        // A start of the node writes the links of its receipts again, and each still stands once.
        for _ in 1...2 { try await store.commit([Self.link(1, after: nil), Self.link(2, after: nil)]) }
        #expect(try await store.answers(to: Self.assignment(0), executorDID: "did:key:a") == [1, 2].map(Self.receipt))
        #expect(try await store.successors(of: nil, executorDID: "did:key:a") == [1, 2].map(Self.receipt))
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }

    @Test func aDatabaseOfTheReleaseBeforeGetsTheTable() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        let (cid, bytes) = block(1)
        try await first.commit([.block(cid: cid, bytes: bytes)])
        try first.close()
        try folder.change(
            StoreFolder.withoutOutcomes + """
                DROP TABLE receipt_links; DROP TABLE receipt_answers; DROP TABLE block_uses; DROP TABLE file_blocks;
                DROP TABLE block_holds; DROP TABLE roots; ALTER TABLE jobs DROP COLUMN unsettled;
                PRAGMA user_version = 2;
                """)
        let store = try folder.open()
        try await store.commit([Self.link(1, after: nil)])
        #expect(try await store.successors(of: nil, executorDID: "did:key:a") == [Self.receipt(1)])
        #expect(try await store.block(cid) == bytes)
    }
}

extension MeshStore {
    fileprivate func successors(of previous: CID?, executorDID: String) async throws(MeshStoreError) -> [CID] {
        let nowhere = CID.hashing([], codec: .dagCBOR)
        return try await receipts(
            like: ReceiptLinkRow(executorDID: executorDID, previous: previous, assignment: nowhere, cid: nowhere)
        ).successors
    }

    fileprivate func answers(to assignment: CID, executorDID: String) async throws(MeshStoreError) -> [CID] {
        try await receipts(
            like: ReceiptLinkRow(executorDID: executorDID, previous: nil, assignment: assignment, cid: assignment)
        ).answers
    }
}
