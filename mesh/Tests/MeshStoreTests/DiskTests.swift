import Foundation
import GRDB
import Multiformats
import P2PTesting
import Synchronization
import Testing

@testable import MeshStore

/// A disk that others fill up, and a store that is past its bounds on it.
@Suite struct DiskTests {
    /// What is free, as a test says.
    final class TestDisk: Sendable {
        private let bytes: Mutex<Int>

        init(_ bytes: Int) { self.bytes = Mutex(bytes) }

        var freeBytes: Int {
            get { bytes.withLock { $0 } }
            set { bytes.withLock { $0 = newValue } }
        }
    }

    private let folder: StoreFolder
    private let clock = TestClock()
    private let disk = TestDisk(10_000_000)
    private var limits = StoreLimits()

    init() throws {
        folder = try StoreFolder()
        limits.diskReserveBytes = 1_000_000
        limits.keptFileBytes = 100_000
        limits.roomRetryMilliseconds = 1
        limits.fullPauseMilliseconds = 2
    }

    private func open() throws -> MeshStore {
        try MeshStore(
            path: folder.path, owner: StoreFolder.owner, limits: limits, clock: { [clock] in clock.time },
            freeBytes: { [disk] _ in disk.freeBytes })
    }

    private var keptFileBytes: Int? {
        try? FileManager.default.attributesOfItem(atPath: folder.path + ".reserve")[.size] as? Int
    }

    private func large(_ number: Int) -> JournalEntry {
        var large = entry(number)
        large.bytes = [UInt8](repeating: UInt8(number), count: 20_000)
        return large
    }

    /// Lets the database have no page more than it has, or as many as it likes.
    private func setFull(_ isFull: Bool, _ store: MeshStore) async throws {
        try await store.pool.writeWithoutTransaction { db in
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            try db.execute(sql: "PRAGMA max_page_count = \(isFull ? pages : 1_000_000)")
        }
    }

    @Test(
        "With less than the reserve the store stands as short of disk, writes what it owes, and is open again with it")
    func reserve() async throws {
        let store = try open()
        #expect(store.standing == .open)
        disk.freeBytes = 800_000
        store.lookAtDisk()
        #expect(store.standing == .diskFull(freeBytes: 800_000, reserveBytes: 1_000_000))
        let (proof, bytes) = block(1)
        try await store.commit([.journal(entry(1)), .evidence(cid: proof, bytes: bytes, jobID: jobID(1))])
        #expect(store.standing == .diskFull(freeBytes: 800_000, reserveBytes: 1_000_000))
        #expect(store.diskFreeBytes == 800_000)
        disk.freeBytes = 1_000_000
        try await store.persisted()
        #expect(store.standing == .open)
    }

    @Test("What is missing for the reserve is made of cached blocks, whose pages count as free; files stay")
    func eviction() async throws {
        let store = try open()
        let (file, bytes) = block(100, size: 8_000)
        try await store.commit([.block(cid: file, bytes: bytes), .file(root: file)])
        for number in 1...40 {
            let (cid, bytes) = block(number, size: 8_000)
            try await store.commit([.block(cid: cid, bytes: bytes)])
        }
        disk.freeBytes = 900_000
        store.lookAtDisk()
        #expect(store.standing == .diskFull(freeBytes: 900_000, reserveBytes: 1_000_000))
        for _ in 0..<40 where store.standing != .open { try await store.persisted() }
        #expect(store.standing == .open)
        #expect(store.counters.evictedBytes >= 100_000)
        #expect(store.counters.blocks < 41)
        #expect(try await store.hasBlock(file))
        // Free pages are no room where SQLite's own log could not grow.
        disk.freeBytes = 249_999
        store.lookAtDisk()
        #expect(store.standing == .diskFull(freeBytes: 249_999, reserveBytes: 1_000_000))
    }

    @Test("What is owed waits for room on a full disk in its order, the kept file goes for it, and comes back")
    func waiting() async throws {
        let store = try open()
        #expect(keptFileBytes == 100_000)
        try await store.commit([.journal(entry(0))])
        try await setFull(true, store)
        // What nobody owes is refused at once.
        await #expect(throws: MeshStoreError.full(path: folder.path)) {
            try await store.commit([.block(cid: block(1, size: 50_000).cid, bytes: block(1, size: 50_000).bytes)])
        }
        #expect(store.standing == .open)
        let results = AsyncStream<Result<Void, MeshStoreError>>.makeStream()
        for number in 1...30 {
            store.enqueue([.journal(large(number))], urgency: number % 3 != 0 ? .now : .soon) {
                results.continuation.yield($0)
            }
        }
        try await eventually("an attempt is made again") { store.counters.fullRetries > 1 }
        #expect(store.standing == .diskFull(freeBytes: 9_900_000, reserveBytes: 1_000_000))
        #expect(store.isStuck)
        #expect(keptFileBytes == nil)
        #expect(try await store.journal(after: 0).map(\.jobID) == [jobID(0)])
        disk.freeBytes = 1_000_000
        try await setFull(false, store)
        var count = 0
        for await result in results.stream {
            #expect(throws: Never.self) { try result.get() }
            count += 1
            if count == 30 { break }
        }
        #expect(try await store.journal(after: 0).map(\.jobID) == (0...30).map(jobID))
        #expect(store.standing == .diskFull(freeBytes: 900_000, reserveBytes: 1_000_000), "what is kept comes first")
        #expect(keptFileBytes == nil)
        disk.freeBytes = 1_100_000
        try await store.persisted()
        #expect(keptFileBytes == 100_000)
        #expect(store.standing == .open)
        try store.close()
    }

    @Test("A disk that stays full for longer than fullMillisecondsMax fails what is owed, all of it once")
    mutating func patienceEnds() async throws {
        limits.fullMillisecondsMax = 30
        let store = try open()
        try await store.commit([.journal(entry(0))])
        try await setFull(true, store)
        await withTaskGroup(of: MeshStoreError?.self) { group in
            for number in 1...10 {
                let entry = large(number)
                group.addTask {
                    do throws(MeshStoreError) { try await store.commit([.journal(entry)]) } catch { return error }
                    return nil
                }
            }
            for await error in group { #expect(error == .full(path: folder.path)) }
        }
        #expect(store.counters.fullRetries > 0)
        try await setFull(false, store)
        try await store.commit([.journal(large(11))])
        #expect(store.standing == .open)
        #expect(try await store.journal(after: 0).map(\.jobID) == [jobID(0), jobID(11)])
    }

    @Test("A store that is about to close waits for no disk")
    func ending() async throws {
        let store = try open()
        try await store.commit([.journal(entry(0))])
        try await setFull(true, store)
        let results = AsyncStream<Result<Void, MeshStoreError>>.makeStream()
        store.enqueue([.journal(large(1))], urgency: .now) { results.continuation.yield($0) }
        try await eventually("an attempt is made again") { store.counters.fullRetries > 0 }
        try store.close()
        var first = results.stream.makeAsyncIterator()
        let result = await first.next()
        #expect(throws: MeshStoreError.full(path: folder.path)) { try result?.get() }
    }

    @Test("A store opens on a disk that is full, and knows it")
    func opening() async throws {
        try open().close()
        disk.freeBytes = 0
        let store = try open()
        #expect(store.standing == .diskFull(freeBytes: 0, reserveBytes: 1_000_000))
        try await store.commit([.journal(entry(1))])
        #expect(keptFileBytes == 100_000, "what is kept is not given away before it is needed")
    }

    @Test("A bound for the database counts journals too: past its high-water mark new work is not to begin")
    mutating func databaseBound() async throws {
        limits.databaseBytesMax = 1_000_000
        limits.highWaterPercent = 50
        let store = try open()
        var number = 0
        while store.standing == .open, number < 100 {
            number += 1
            try await store.commit([.journal(large(number))])
        }
        guard case .databaseFull(let bytes, 500_000) = store.standing else {
            Issue.record("\(store.standing) after \(number) entries")
            return
        }
        #expect(bytes > 500_000 && bytes < 530_000)
        for number in 101...120 { try await store.commit([.journal(large(number))]) }
        #expect(try await store.journal(after: 0).count == number + 20)
    }
}
