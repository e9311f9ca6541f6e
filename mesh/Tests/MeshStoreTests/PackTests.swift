import Determinism
import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// The files that hold the bytes of large blocks.
@Suite struct PackTests {
    private let folder: StoreFolder
    private var limits = StoreLimits()

    init() throws {
        folder = try StoreFolder()
        limits.packedBytesMin = 1_000
    }

    private var packsFolder: String { folder.path + "-blocks" }

    /// The packs that are there, and the bytes that the disk has of each.
    private func packs() throws -> [Int: Int] {
        var found: [Int: Int] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: packsFolder) {
            var facts = stat()
            try #require(stat("\(packsFolder)/\(name)", &facts) == 0)
            found[try #require(Int(name))] = Int(facts.st_blocks) * 512
        }
        return found
    }

    private func end(_ pack: Int, _ at: Int) -> BlockPacks.Place { BlockPacks.Place(pack: pack, at: at) }

    private func number(_ sql: String, _ store: MeshStore) throws -> Int? {
        try store.readBlocking { db in try Int.fetchOne(db, sql: sql) }
    }

    @Test func holdLargeBlocksAndTheDatabaseSmallOnes() async throws {
        let first = try folder.open(limits: limits)
        let (small, large) = (block(1, size: 999), block(2, size: 1_000))
        try await first.commit([.block(cid: small.cid, bytes: small.bytes), .block(cid: large.cid, bytes: large.bytes)])
        #expect(first.packs.end == end(1, 1_000))
        #expect(try number("SELECT sum(length(bytes)) FROM blocks", first) == 999)
        #expect(try await first.block(large.cid) == large.bytes)
        #expect(try first.blockBlocking(small.cid) == small.bytes)
        try first.close()
        let second = try folder.open(limits: limits)
        #expect(try await second.block(large.cid) == large.bytes)
        #expect(try await second.blockSize(large.cid) == 1_000)
        #expect(second.packs.end == end(1, 1_000))
        #expect(second.counters.blockBytes == 1_999)
    }

    @Test func haveNothingOfATransactionThatFailed() async throws {
        let store = try folder.open(limits: limits)
        let grant = LedgerRow(debit: "a", credit: "b", amount: 5, jobID: nil, kind: "grant", at: 1)
        try await store.commit([.ledger(grant)])
        var other = grant
        other.amount = 6
        let (lost, kept) = (block(1, size: 5_000), block(2, size: 1_000))
        await #expect(throws: MeshStoreError.ledgerConflict(jobID: nil, kind: "grant")) {
            try await store.commit([.block(cid: lost.cid, bytes: lost.bytes), .ledger(other)])
        }
        #expect(store.packs.end == end(1, 0))
        try await store.commit([.block(cid: kept.cid, bytes: kept.bytes)])
        #expect(store.packs.end == end(1, 1_000))
        #expect(try await store.block(lost.cid) == nil)
        #expect(try await store.block(kept.cid) == kept.bytes)
        try store.close()
        // What nobody named is cut off.
        let again = try folder.open(limits: limits)
        let size = try FileManager.default.attributesOfItem(atPath: packsFolder + "/1")[.size] as? Int
        #expect(size == 1_000)
        #expect(try await again.block(kept.cid) == kept.bytes)
    }

    @Test func giveTheRoomOfDeletedBlocksBack() async throws {
        let store = try folder.open(limits: limits)
        let blocks = (0..<4).map { block($0, size: 256 * 1024) }
        try await store.commit(blocks.map { .block(cid: $0.cid, bytes: $0.bytes) })
        try await store.persisted()
        #expect(try packs() == [1: 1 << 20])
        _ = try await store.remove(blocks[1].cid)
        _ = try await store.remove(blocks[2].cid)
        #expect(try packs() == [1: 512 * 1024])
        // The rows of the holes go with the next transaction.
        #expect(try number("SELECT count(*) FROM pack_holes", store) == 1)
        try await store.persisted()
        #expect(try number("SELECT count(*) FROM pack_holes", store) == 0)
        #expect(try await store.block(blocks[1].cid) == nil)
        #expect(try await store.block(blocks[3].cid) == blocks[3].bytes)
        try await store.commit([.block(cid: blocks[2].cid, bytes: blocks[2].bytes)])
        #expect(try await store.block(blocks[2].cid) == blocks[2].bytes)
        #expect(store.packs.end == end(1, 5 * 256 * 1024))
    }

    @Test func areNoLongerThanTheirBoundAndGoWhenTheyAreEmpty() async throws {
        var limits = limits
        limits.packBytesMax = 10_000
        // Each read of another pack closes one.
        limits.packsOpenMax = 1
        let store = try folder.open(limits: limits)
        let blocks = (0..<6).map { block($0, size: 4_000) }
        for one in blocks { try await store.commit([.block(cid: one.cid, bytes: one.bytes)]) }
        #expect(store.packs.end == end(3, 8_000))
        #expect(try packs().keys.sorted() == [1, 2, 3])
        for one in blocks + blocks.reversed() { #expect(try await store.block(one.cid) == one.bytes) }
        _ = try await store.remove(blocks[2].cid)
        #expect(try packs().keys.sorted() == [1, 2, 3])
        _ = try await store.remove(blocks[3].cid)
        #expect(try packs().keys.sorted() == [1, 3])
        // The last one stays: the next bytes go there.
        _ = try await store.remove(blocks[4].cid)
        _ = try await store.remove(blocks[5].cid)
        #expect(try packs().keys.sorted() == [1, 3])
        try store.close()
        let again = try folder.open(limits: limits)
        #expect(try await again.block(blocks[0].cid) == blocks[0].bytes)
    }

    @Test func holesAreGivenBackSoManyAtATime() async throws {
        var limits = limits
        limits.holesPerTransactionMax = 2
        let store = try folder.open(limits: limits)
        let blocks = (0..<5).map { block($0, size: 64 * 1024) }
        try await store.commit(blocks.map { .block(cid: $0.cid, bytes: $0.bytes) })
        try await store.commit(blocks.map { .removeBlock($0.cid) })
        for left in [5, 3, 1, 0] {
            #expect(try number("SELECT count(*) FROM pack_holes", store) == left)
            try await store.persisted()
        }
        #expect(try packs()[1] == 0)
    }

    /// What is on the disk after a power cut: the database as it is now, and of the packs only what was synced.
    private func copyAfterPowerCut(of store: MeshStore) throws -> StoreFolder {
        let copy = try StoreFolder()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.url.path) {
            try FileManager.default.copyItem(at: folder.url.appending(path: name), to: copy.url.appending(path: name))
        }
        let synced = store.packs.synced
        let pack = copy.path + "-blocks/\(synced.pack)"
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: pack))
        let size = try file.seekToEnd()
        try file.truncate(atOffset: UInt64(synced.at))
        try file.truncate(atOffset: size)
        try file.close()
        return copy
    }

    @Test func cachedBlocksThatAPowerCutTookAreMissingAndTheOthersStay() async throws {
        let store = try folder.open(limits: limits)
        let blocks = (0..<4).map { block($0, size: 4_000) }
        try await store.commit([.output(cid: blocks[0].cid, bytes: blocks[0].bytes, jobID: jobID(1))])
        #expect(store.packs.synced == end(1, 4_000))
        try await store.commit([.block(cid: blocks[1].cid, bytes: blocks[1].bytes)])
        #expect(store.packs.synced == end(1, 4_000))
        // A commit that somebody relies on takes the cached ones before it along.
        try await store.commit([.journal(entry(1))])
        #expect(store.packs.synced == end(1, 8_000))
        try await store.commit([.block(cid: blocks[2].cid, bytes: blocks[2].bytes)])
        try await store.commit([.block(cid: blocks[3].cid, bytes: blocks[3].bytes)])
        let copy = try copyAfterPowerCut(of: store)
        let after = try copy.open(limits: limits)
        #expect(try await after.block(blocks[0].cid) == blocks[0].bytes)
        #expect(try await after.block(blocks[1].cid) == blocks[1].bytes)
        #expect(try await StoredTree.missing(of: blocks.map(\.cid), in: after) == [blocks[2].cid, blocks[3].cid])
        #expect(after.counters.blocks == 2)
        #expect(after.counters.blockBytes == 8_000)
        #expect(after.counters.corruptBlocks == 0)
        try await after.commit([.block(cid: blocks[2].cid, bytes: blocks[2].bytes)])
        #expect(try await after.block(blocks[2].cid) == blocks[2].bytes)
        // Without a cut, nothing is lost.
        try store.close()
        let same = try folder.open(limits: limits)
        #expect(try await StoredTree.missing(of: blocks.map(\.cid), in: same) == [])
    }

    /// After `kill -9` all is here, and the first commit that somebody relies on puts it on the disk.
    @Test func whatAKilledProcessWroteIsPutOnTheDiskByTheNext() async throws {
        let store = try folder.open(limits: limits)
        let blocks = (0..<2).map { block($0, size: 4_000) }
        for one in blocks { try await store.commit([.block(cid: one.cid, bytes: one.bytes)]) }
        let copy = try StoreFolder()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.url.path) {
            try FileManager.default.copyItem(at: folder.url.appending(path: name), to: copy.url.appending(path: name))
        }
        let next = try copy.open(limits: limits)
        #expect(next.packs.synced == end(1, 0))
        #expect(next.packs.unsyncedBytes > 0)
        #expect(try await StoredTree.missing(of: blocks.map(\.cid), in: next) == [])
        try await next.persisted()
        #expect(next.packs.synced == end(1, 8_000))
        #expect(next.packs.unsyncedBytes == 0)
        #expect(try number("SELECT at FROM pack_synced", next) == 8_000)
    }

    @Test func cachedBlocksWaitForTheDiskOnceTheyAreMany() async throws {
        var limits = limits
        limits.unsyncedBytesMax = 10_000
        let store = try folder.open(limits: limits)
        for number in 0..<3 {
            let one = block(number, size: 4_000)
            try await store.commit([.block(cid: one.cid, bytes: one.bytes)])
            #expect(store.packs.synced == end(1, 0))
        }
        let last = block(3, size: 4_000)
        try await store.commit([.block(cid: last.cid, bytes: last.bytes)])
        #expect(store.packs.synced == end(1, 16_000))
        #expect(store.packs.unsyncedBytes == 0)
    }

    @Test func aDamagedBlockIsNeverServedAndIsRepairedByAddingItAgain() async throws {
        let first = try folder.open(limits: limits)
        let one = block(1, size: 4_000)
        try await first.commit([.block(cid: one.cid, bytes: one.bytes, pinned: true)])
        try first.close()
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: packsFolder + "/1"))
        try file.seek(toOffset: 2_000)
        try file.write(contentsOf: Data([255, 254]))
        try file.close()
        let store = try folder.open(limits: limits)
        await #expect(throws: MeshStoreError.blockCorrupt(one.cid)) { _ = try await store.block(one.cid) }
        #expect(throws: MeshStoreError.blockCorrupt(one.cid)) { _ = try store.blockBlocking(one.cid) }
        #expect(store.counters.corruptBlocks == 2)
        // Whoever adds it again is told to send it.
        #expect(try await StoredTree.missing(of: [one.cid], in: store) == [one.cid])
        try await store.commit([.block(cid: one.cid, bytes: one.bytes)])
        #expect(try await StoredTree.missing(of: [one.cid], in: store) == [])
        #expect(try await store.block(one.cid) == one.bytes)
        #expect(store.counters.blocks == 1)
        #expect(store.packs.end == end(1, 8_000))
        // A whole copy stays where it is.
        try await store.commit([.block(cid: one.cid, bytes: one.bytes)])
        #expect(store.packs.end == end(1, 8_000))
    }

    @Test func soManyDamagedBlocksAreRemembered() async throws {
        var limits = limits
        limits.missingBlocksNamedMax = 1
        let first = try folder.open(limits: limits)
        let blocks = (0..<2).map { block($0, size: 4_000) }
        try await first.commit(blocks.map { .block(cid: $0.cid, bytes: $0.bytes, pinned: true) })
        try first.close()
        try FileManager.default.removeItem(atPath: packsFolder)
        let store = try folder.open(limits: limits)
        for one in blocks {
            await #expect(throws: MeshStoreError.blockCorrupt(one.cid)) { _ = try await store.block(one.cid) }
        }
        #expect(store.counters.corruptBlocks == 2)
        #expect(try await StoredTree.missing(of: blocks.map(\.cid), in: store) == [blocks[0].cid])
    }

    @Test func aPackThatIsGoneIsDamageOfItsBlocksAlone() async throws {
        let first = try folder.open(limits: limits)
        let (small, large) = (block(1, size: 10), block(2, size: 4_000))
        try await first.commit(
            [.block(cid: small.cid, bytes: small.bytes, pinned: true), .block(cid: large.cid, bytes: large.bytes)])
        try first.close()
        try FileManager.default.removeItem(atPath: packsFolder)
        let store = try folder.open(limits: limits)
        await #expect(throws: MeshStoreError.blockCorrupt(large.cid)) { _ = try await store.block(large.cid) }
        #expect(try await store.block(small.cid) == small.bytes)
        try await store.commit([.block(cid: large.cid, bytes: large.bytes)])
        #expect(try await store.block(large.cid) == large.bytes)
    }

    @Test func rowsThatNoFileCanHaveAreRefused() throws {
        let first = try folder.open(limits: limits)
        try first.close()
        try folder.change("INSERT INTO packed(id, pack, at, size) VALUES (1, 1, \(Int.max), 5)")
        #expect(throws: MeshStoreError.recordCorrupt(table: "packed", row: 1)) { _ = try folder.open(limits: limits) }
    }

    @Test func blocksOfOlderVersionsStayWhereTheyAre() async throws {
        let old = block(1, size: 4_000)
        var inDatabase = limits
        inDatabase.packedBytesMin = .max
        let first = try folder.open(limits: inDatabase)
        try await first.commit([.block(cid: old.cid, bytes: old.bytes)])
        try first.close()
        try folder.change(
            "DROP TABLE packed; DROP TABLE pack_holes; DROP TABLE pack_synced; PRAGMA user_version = 9")
        let store = try folder.open(limits: limits)
        #expect(try await store.block(old.cid) == old.bytes)
        try await store.commit([.block(cid: old.cid, bytes: old.bytes)])
        #expect(store.packs.end == end(1, 0))
        #expect(try await store.remove(old.cid).bytes == 4_000)
        #expect(try await store.block(old.cid) == nil)
    }

    /// A reader that finds the row of a block before, and its bytes after they were deleted, says that it is missing.
    @Test func deletionsUnderReadersAreNoDamage() async throws {
        let seed: UInt64 = 11
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        var limits = limits
        limits.packBytesMax = 40_000
        let store = try folder.open(limits: limits)
        let blocks = (0..<8).map { block($0, size: 4_096) }
        let steps = (0..<400).map { _ in Int.random(in: 0..<8, using: &generator) }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    var found = 0
                    for step in steps {
                        let bytes = try await store.block(blocks[step].cid)
                        #expect(bytes == nil || bytes == blocks[step].bytes)
                        found += bytes == nil ? 0 : 1
                    }
                    return found
                }
            }
            for step in steps.reversed() {
                let one = blocks[step]
                if try await store.hasBlock(one.cid) {
                    try await store.commit([.removeBlock(one.cid)])
                } else {
                    try await store.commit([.block(cid: one.cid, bytes: one.bytes)])
                }
            }
            for try await found in group { #expect(found > 0) }
        }
        #expect(store.counters.corruptBlocks == 0)
    }
}
