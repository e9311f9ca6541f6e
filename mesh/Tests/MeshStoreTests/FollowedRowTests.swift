import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// The logs of others on the disk.
@Suite struct FollowedRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private static func batch(_ origin: String, _ numbers: Range<UInt64>) -> FollowedBatch {
        let entries = numbers.map { number in
            let bytes: [UInt8] = [0xA0, UInt8(truncatingIfNeeded: number)]
            return FollowedEntry(number: number, entry: CID.hashing(bytes, codec: .dagCBOR), bytes: bytes)
        }
        // As many as trees of these sizes make, each told by its place.
        let positions = count(numbers.lowerBound)..<count(numbers.upperBound)
        return FollowedBatch(
            origin: origin, author: "did:\(origin)", byteCount: 2 * numbers.upperBound, note: [1], lastHashes: [2],
            entries: entries, hashes: positions.map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 32) })
    }

    private static func count(_ size: UInt64) -> UInt64 { 2 * size - UInt64(size.nonzeroBitCount) }

    @Test func batchesJoinWithoutAGap() async throws {
        let store = try folder.open()
        try await store.commit([.followed(Self.batch("a", 0..<5)), .followed(Self.batch("b", 0..<1))])
        try await store.commit([.followed(Self.batch("a", 5..<7))])
        for numbers in [0..<1, 6..<8, 8..<9] as [Range<UInt64>] {
            await #expect(throws: MeshStoreError.logTaken(number: numbers.lowerBound, size: 7)) {
                try await store.commit([.followed(Self.batch("a", numbers))])
            }
        }
        let rows = try await FollowedRow.all(in: store)
        #expect(rows.map(\.origin) == ["a", "b"] && rows.map(\.size) == [7, 1] && rows[0].byteCount == 14)
        let all = try await FollowedRow.entries(of: "a", from: 2, limit: 3, in: store)
        #expect(all.map(\.number) == [2, 3, 4])
        let newest = try await FollowedRow.newest(of: "a", below: .max, limit: 2, in: store)
        #expect(newest.map(\.number) == [6, 5])
        let hashes = try await FollowedRow.hashes(of: "a", at: [0, 10, 11], in: store)
        #expect(hashes.mapValues { $0[0] } == [0: 0, 10: 10])
        #expect(try await FollowedRow.entries(of: "c", from: 0, limit: 3, in: store).isEmpty)
    }

    @Test func theFirstProofOfALogStays() async throws {
        let store = try folder.open()
        let first = LogForkRow(origin: "a", author: "did:a", proof: [1], foundAt: 5)
        var second = first
        second.proof = [2]
        try await store.commit([.logFork(first), .logFork(second)])
        #expect(try await LogForkRow.all(in: store) == [first])
        try await store.commit(
            (0..<LogForkRow.countMax + 5).map {
                .logFork(LogForkRow(origin: "log \($0)", author: "did:b", proof: [3], foundAt: 9))
            })
        #expect(try await LogForkRow.all(in: store).count == LogForkRow.countMax)
    }

    @Test func aDatabaseOfVersionSixteenGetsTheTables() async throws {
        try folder.open().close()
        try folder.change(
            """
            DROP TABLE followed_logs; DROP TABLE followed_entries; DROP TABLE followed_hashes; DROP TABLE log_forks;
            DROP TABLE anchor_named; PRAGMA user_version = 16;
            """)
        let store = try folder.open()
        try await store.commit([.followed(Self.batch("a", 0..<2))])
        #expect(try await FollowedRow.all(in: store).map(\.size) == [2])
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }
}
