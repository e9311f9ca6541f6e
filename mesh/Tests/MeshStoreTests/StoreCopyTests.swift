import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// Copies of a database whose node goes on.
@Suite struct StoreCopyTests {
    private let folder: StoreFolder
    private var limits = StoreLimits()

    init() throws {
        folder = try StoreFolder()
        limits.packedBytesMin = 1_000
    }

    private var place: String { folder.url.appending(path: "copy.sqlite").path }
    private var packsFolder: String { folder.path + "-blocks" }

    private func copy() throws -> StoreCopy { try StoreCopy(of: folder.path, to: place) { _, _ in } }

    /// Makes a copy a home's: its packs come beside it.
    private func settle(_ copy: StoreCopy) throws {
        try FileManager.default.createDirectory(atPath: place + "-blocks", withIntermediateDirectories: true)
        for pack in copy.packs {
            try FileManager.default.copyItem(atPath: pack.path, toPath: "\(place)-blocks/\(pack.number)")
        }
    }

    @Test func hasWhatWasThereAndNothingOfLater() async throws {
        let store = try folder.open(limits: limits)
        let (small, large, later) = (block(1, size: 999), block(2, size: 5_000), block(3, size: 6_000))
        try await store.commit([
            .block(cid: small.cid, bytes: small.bytes), .block(cid: large.cid, bytes: large.bytes, pinned: true),
        ])
        let copy = try copy()
        try await store.commit([.block(cid: later.cid, bytes: later.bytes)])
        #expect(copy.owner == StoreFolder.owner && copy.version == StoreSchema.version && copy.blocks == 2)
        #expect(copy.packs.map(\.bytes) == [5_000])
        #expect(try copy.damagedBlocks { _, _ in } == 0)
        try settle(copy)
        try StoreCopy.accept(place, owner: StoreFolder.owner, madeAt: 42)
        let second = try MeshStore(path: place, owner: StoreFolder.owner, limits: limits)
        #expect(try await second.block(small.cid) == small.bytes)
        #expect(try await second.block(large.cid) == large.bytes)
        #expect(try await second.block(later.cid) == nil)
        #expect(try await second.setting(StoreCopy.restoredKey) == Array("42".utf8))
        #expect(try await store.setting(StoreCopy.restoredKey) == nil)
    }

    @Test func aRestoredWitnessHasNoKeyAndNoCosignaturesOfBefore() async throws {
        let store = try folder.open(limits: limits)
        let head = WitnessedRow(origin: [1], note: [1], seconds: 10)
        // A clock was wrong, and set right before the backup.
        var ahead = WitnessedRow(origin: [2], note: [2], seconds: 99)
        try await store.commit([
            .setting(key: StoreCopy.witnessSeedKey, value: [1]), .setting(key: "other", value: [2]), .witnessed(head),
            .witnessed(ahead),
            .cosigned(CosignedRow(size: 1, witness: [1], seconds: 1, bytes: [1])),
        ])
        try settle(try copy())
        // A backup of an earlier version has the key.
        let queue = try DatabaseQueue(path: place)
        try await queue.write {
            try $0.execute(
                sql: "INSERT INTO settings(key, value) VALUES (?, ?)",
                arguments: [StoreCopy.witnessSeedKey, Data([1])])
        }
        try queue.close()
        try StoreCopy.accept(place, owner: StoreFolder.owner, madeAt: 42_000)
        ahead.seconds = 42
        let restored = try MeshStore(path: place, owner: StoreFolder.owner, limits: limits)
        #expect(try await restored.setting(StoreCopy.witnessSeedKey) == nil)
        #expect(try await restored.setting("other") == [2])
        #expect(try await WitnessedRow.all(in: restored) == [head, ahead])
        #expect(try await CosignedRow.all(of: 1, in: restored).isEmpty)
        #expect(try await store.setting(StoreCopy.witnessSeedKey) == [1])
    }

    @Test func theKeyOfAWitnessIsNotInTheCopy() async throws {
        let store = try folder.open(limits: limits)
        let seed = (0..<32).map { UInt8($0 + 100) }
        try await store.commit([
            .setting(key: "before", value: [1]), .setting(key: StoreCopy.witnessSeedKey, value: seed),
            .setting(key: "zzz", value: [2]),
        ])
        _ = try copy()
        let bytes = try Data(contentsOf: URL(filePath: place))
        #expect(bytes.range(of: Data("zzz".utf8)) != nil && bytes.range(of: Data(seed)) == nil)
        #expect(try await store.setting(StoreCopy.witnessSeedKey) == seed)
    }

    @Test func keepsWhatIsDeletedMeanwhileAndGivesItBackLater() async throws {
        let store = try folder.open(limits: limits)
        let (gone, other) = (block(1, size: 40_000), block(2, size: 40_000))
        try await store.commit([.block(cid: gone.cid, bytes: gone.bytes, pinned: true)])
        do {
            let copy = try copy()
            try await store.commit([.removeBlock(gone.cid)])
            try await store.commit([.block(cid: other.cid, bytes: other.bytes, pinned: true)])
            try await store.persisted()
            #expect(try await store.block(gone.cid) == nil)
            #expect(try copy.damagedBlocks { _, _ in } == 0)
        }
        #expect(try bytesAtTheBeginning(40_000) == gone.bytes)
        // The copy is gone: the next transactions make up for it.
        try await store.persisted()
        try await store.persisted()
        #expect(try bytesAtTheBeginning(40_000) != gone.bytes)
    }

    private func bytesAtTheBeginning(_ count: Int) throws -> [UInt8] {
        let file = try #require(FileHandle(forReadingAtPath: packsFolder + "/1"))
        return [UInt8](try file.read(upToCount: count) ?? Data())
    }

    @Test func aStartMeanwhileCutsNothingOff() async throws {
        let first = try folder.open(limits: limits)
        let (gone, next) = (block(1, size: 5_000), block(2, size: 5_000))
        try await first.commit([.block(cid: gone.cid, bytes: gone.bytes, pinned: true)])
        let copy = try copy()
        try await first.commit([.removeBlock(gone.cid)])
        try first.close()
        let second = try folder.open(limits: limits)
        #expect(second.packs.end == BlockPacks.Place(pack: 2, at: 0))
        try await second.commit([.block(cid: next.cid, bytes: next.bytes, pinned: true)])
        #expect(try copy.damagedBlocks { _, _ in } == 0)
        #expect(try await second.block(next.cid) == next.bytes)
    }

    @Test func countsWhatIsDamagedAtHome() async throws {
        let store = try folder.open(limits: limits)
        let (bad, good) = (block(1, size: 5_000), block(2, size: 5_000))
        try await store.commit([
            .block(cid: bad.cid, bytes: bad.bytes, pinned: true),
            .block(cid: good.cid, bytes: good.bytes, pinned: true),
        ])
        let file = try #require(FileHandle(forWritingAtPath: packsFolder + "/1"))
        try file.write(contentsOf: Data([0xFF]))
        #expect(try copy().damagedBlocks { _, _ in } == 1)
    }

    @Test func isAcceptedOnlyWithItsPacksForItsNodeAndOfAVersionThatIsKnown() async throws {
        let store = try folder.open(limits: limits)
        let large = block(1, size: 5_000)
        try await store.commit([.block(cid: large.cid, bytes: large.bytes, pinned: true)])
        let copy = try copy()
        #expect(throws: MeshStoreError.recordCorrupt(table: "packed", row: 1)) {
            try StoreCopy.accept(place, owner: StoreFolder.owner, madeAt: 1)
        }
        try settle(copy)
        #expect(throws: MeshStoreError.otherNode(path: place, owner: StoreFolder.owner)) {
            try StoreCopy.accept(place, owner: "did:key:other", madeAt: 1)
        }
        let queue = try DatabaseQueue(path: place)
        try await queue.write { try $0.execute(sql: "PRAGMA user_version = \(StoreSchema.version + 1)") }
        try queue.close()
        let newer = MeshStoreError.newerSchema(
            path: place, found: StoreSchema.version + 1, supported: StoreSchema.version)
        #expect(throws: newer) { try StoreCopy.accept(place, owner: StoreFolder.owner, madeAt: 1) }
    }
}
