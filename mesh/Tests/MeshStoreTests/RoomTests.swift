import Foundation
import GRDB
import IPLD
import Multiformats
import Synchronization
import Testing

@testable import MeshStore

/// What a store that fills up lets go, in which order, and what it never does.
@Suite struct RoomTests: FillingStore {
    let folder: StoreFolder
    let clock = TestClock()
    var limits = StoreLimits.tight

    init() throws { folder = try StoreFolder() }

    private func has(_ numbers: [Int], _ store: MeshStore) async throws -> [Int] {
        var found: [Int] = []
        for number in numbers where try await store.hasBlock(block(number).cid) { found.append(number) }
        return found
    }

    private func cached(_ number: Int) -> StoreWrite { .block(cid: block(number).cid, bytes: block(number).bytes) }

    @Test("Past the high-water mark the cached blocks go that were used longest ago, and files and evidence stay")
    func leastRecentlyUsed() async throws {
        let store = try open()
        try await store.commit([cached(100), .file(root: block(100).cid), job(1), evidence(101, of: 1)])
        for number in 1...14 { try await store.commit([cached(number)]) }
        #expect(store.counters.blockBytes == limits.highWaterBytes)
        clock.advance(milliseconds: limits.useMilliseconds)
        _ = try await store.block(block(1).cid)
        try await store.commit([cached(15)])
        // Down to the low-water mark of 1,500 bytes: the second and the third go, since the first was just read.
        #expect(try await has(Array(1...15), store) == [1] + Array(4...15))
        #expect(try await has([100, 101], store) == [100, 101])
        #expect(store.counters.evictedBlocks == 2)
        #expect(store.counters.evictedBytes == 200)
        #expect(store.standing == .open)
    }

    @Test("Then the evidence of settled jobs goes, the oldest first, once it is old; of open and unpaid jobs never")
    func settledEvidence() async throws {
        let store = try open()
        try await store.commit([job(1, isTerminal: false), evidence(1, of: 1)])
        try await store.commit([job(2, isUnsettled: true), evidence(2, of: 2)])
        for number in 3...16 { try await store.commit([job(number), evidence(number, of: number)]) }
        #expect(store.standing == .open)
        try await store.commit([job(17), evidence(17, of: 17)])
        // All of it is too young, so nothing goes: the store is full, and takes evidence all the same.
        #expect(store.standing == .full(bytes: 1_700, highWaterBytes: 1_600))
        try await store.commit((18...40).flatMap { [job($0), evidence($0, of: $0)] })
        #expect(store.counters.blockBytes == 4_000)
        await #expect(throws: MeshStoreError.blockSpaceUsedUp(bytesMax: limits.blockBytesTotalMax)) {
            try await store.commit([cached(200)])
        }
        clock.advance(milliseconds: limits.evidenceKeptMilliseconds + 1)
        try await store.commit([job(41), evidence(41, of: 41)])
        #expect(store.standing == .open)
        #expect(try await has(Array(1...41), store) == [1, 2] + Array(29...41))
        try await store.commit([cached(200)])
    }

    @Test("A store that is past all its bounds opens, and lets go what it can")
    mutating func fullStoreOpens() async throws {
        let first = try open()
        try await first.commit((1...20).map { cached($0) } + [job(1, isTerminal: false)])
        try await first.commit((101...120).map { evidence($0, of: 1) })
        try first.close()
        limits.blockBytesTotalMax = 800
        let store = try open()
        try await store.persisted()
        #expect(try await has(Array(1...20), store).isEmpty)
        #expect(try await has(Array(101...120), store) == Array(101...120))
        #expect(store.standing == .full(bytes: 2_000, highWaterBytes: 400))
        // The job ends, and its evidence grows old.
        try await store.commit([job(1)])
        clock.advance(milliseconds: limits.evidenceKeptMilliseconds + 1)
        _ = try await store.collectGarbage()
        #expect(store.standing == .open)
        #expect(store.counters.blockBytes == 300)
    }

    @Test("What a job that is open has made stays, and goes when the job has ended")
    func outputs() async throws {
        let store = try open()
        try await store.commit([job(1, isTerminal: false)])
        for number in 1...20 {
            let (cid, bytes) = block(number)
            try await store.commit([.output(cid: cid, bytes: bytes, jobID: jobID(1))])
        }
        #expect(store.counters.blocks == 20)
        #expect(try await store.collectGarbage() == (0, 0))
        try await store.commit([job(1)])
        #expect(store.counters.blockBytes == 1_500)
        #expect(try await store.collectGarbage() == (15, 1_500))
    }

    @Test("What a job of this node's user made stays for a while after its end, and what others' jobs made does not")
    mutating func results() async throws {
        limits.resultsKeptMilliseconds = 3_600_000
        let store = try open()
        for (number, role) in [(1, StoreRole.originator), (2, .executor)] {
            let (cid, bytes) = block(number)
            try await store.commit([.output(cid: cid, bytes: bytes, jobID: jobID(number)), job(number, role: role)])
        }
        clock.advance(milliseconds: 3_599_000)
        _ = try await store.collectGarbage()
        let kept = try await has([1, 2], store)
        #expect(kept == [1])
        clock.advance(milliseconds: 1_001)
        _ = try await store.collectGarbage()
        #expect(try await has([1, 2], store) == [])
    }

    @Test("What served again stays as if its job had ended then")
    mutating func served() async throws {
        limits.resultsKeptMilliseconds = 3_600_000
        let store = try open()
        let (cid, bytes) = block(1)
        try await store.commit([.output(cid: cid, bytes: bytes, jobID: jobID(1)), job(1, role: .originator)])
        clock.advance(milliseconds: 3_000_000)
        let served = WorkRow(
            key: CID.hashing([1], codec: .raw), jobID: jobID(1), receiptCID: jobID(9), strength: .confirmed,
            usedAt: clock.time)
        try await store.commit([.work(served)])
        clock.advance(milliseconds: 3_599_000)
        _ = try await store.collectGarbage()
        #expect(try await has([1], store) == [1])
        clock.advance(milliseconds: 1_001)
        _ = try await store.collectGarbage()
        #expect(try await has([1], store) == [])
    }

    @Test("One transaction evicts a bounded number of blocks and looks at a bounded number, and the next ones go on")
    mutating func bounds() async throws {
        limits.evictedPerTransactionMax = 2
        limits.examinedPerTransactionMax = 3
        limits.blockBytesTotalMax = 100_000
        let store = try open()
        try await store.commit([job(1, isTerminal: false)] + (1...10).map { evidence($0, of: 1) })
        try await store.commit([job(2)] + (11...20).map { evidence($0, of: 2) })
        try await store.commit((21...26).map { cached($0) })
        clock.advance(milliseconds: limits.evidenceKeptMilliseconds + 1)
        try store.close()
        limits.blockBytesTotalMax = 2_000
        let again = try open()
        try await again.persisted()
        let transactions = again.counters.transactions
        #expect(again.counters.evictedBlocks <= 2 * transactions)
        #expect(again.counters.evictedBlocks > 0)
        for _ in 0..<20 { try await again.persisted() }
        #expect(try await has(Array(1...26), again) == Array(1...10))
        #expect(again.standing == .open)
    }

    @Test("A file goes with the blocks that no other file has; a part of a file, and what is needed, does not")
    func removal() async throws {
        let store = try folder.open(clock: { [clock] in clock.time })
        let chunks = (0..<3).map { [UInt8](repeating: UInt8($0), count: UnixFSFile.chunkBytes) }
        let first = try UnixFSFile.blocks(of: chunks[0] + chunks[1])
        let second = try UnixFSFile.blocks(of: chunks[1] + chunks[2])
        for file in [first, second] {
            try await store.commit(file.blocks.map { .block(cid: $0.cid, bytes: $0.bytes) } + [.file(root: file.root)])
        }
        #expect(try await store.roots(files: true, limit: 9).map(\.cid) == [second.root, first.root])
        let part = first.blocks[1].cid
        await #expect(throws: MeshStoreError.needed(part, reason: "it is a part of a file; remove that one")) {
            _ = try await store.remove(part)
        }
        #expect(try await store.collectGarbage() == (0, 0))
        let gone = try await store.remove(first.root)
        #expect(gone.blocks == 2)
        #expect(try await store.hasBlock(part))
        #expect(try await store.roots(files: true, limit: 9).map(\.cid) == [second.root])
        #expect(try await store.remove(second.root).blocks == 3)
        #expect(store.counters.blocks == 0)
        #expect(try await store.remove(second.root) == (0, 0))
    }

    @Test("The evidence of a job goes when it has ended and is paid, and not before")
    func jobRemoval() async throws {
        let store = try folder.open(clock: { [clock] in clock.time })
        let output = block(3)
        try await store.commit([
            job(1, isTerminal: false), evidence(1, of: 1), evidence(2, of: 1), cached(9), .root(block(1).cid),
            .output(cid: output.cid, bytes: output.bytes, jobID: jobID(1)),
        ])
        let open = "the job \(jobID(1)) is still open"
        for cid in [jobID(1), block(1).cid, output.cid] {
            await #expect(throws: MeshStoreError.needed(cid, reason: open)) { _ = try await store.remove(cid) }
        }
        try await store.commit([job(1, isUnsettled: true)])
        let unpaid =
            "this node's receipt of the job \(jobID(1)) is not settled, and kept for 30 days after the job's end"
        await #expect(throws: MeshStoreError.needed(jobID(1), reason: unpaid)) { _ = try await store.remove(jobID(1)) }
        #expect(try await store.roots(files: false, limit: 9).map(\.cid) == [block(1).cid])
        try await store.commit([job(1)])
        #expect(try await store.remove(jobID(1)) == (3, 300))
        #expect(try await has([1, 2, 3, 9], store) == [9])
        #expect(try await store.roots(files: false, limit: 9).isEmpty)
        #expect(try await store.remove(block(9).cid) == (1, 100))
    }

    @Test("The evidence of work that nobody pays counts as settled after 30 days, and no earlier")
    func unpaidEvidence() async throws {
        let store = try open()
        try await store.commit((1...20).flatMap { [job($0, isUnsettled: true), evidence($0, of: $0)] })
        #expect(store.standing == .full(bytes: 2_000, highWaterBytes: 1_600))
        clock.advance(milliseconds: limits.unpaidEvidenceKeptMilliseconds - 60_000)
        #expect(try await store.collectGarbage() == (0, 0))
        await #expect(throws: MeshStoreError.self) { _ = try await store.remove(jobID(20)) }
        clock.advance(milliseconds: 60_000)
        #expect(try await store.remove(jobID(20)) == (1, 100))
        _ = try await store.collectGarbage()
        #expect(store.standing == .open)
        #expect(try await has(Array(1...20), store) == Array(5...19), "the oldest went")
    }

    @Test("Blocks that were stored are told once they are durable, and those of a refused commit are not")
    func added() async throws {
        let store = try open()
        let told = Mutex<[CID]>([])
        store.onBlocksAdded { cids in told.withLock { $0 += cids } }
        try await store.commit([cached(1), evidence(2, of: 1)])
        let (large, bytes) = block(3, size: 4_000)
        await #expect(throws: MeshStoreError.self) { try await store.commit([.block(cid: large, bytes: bytes)]) }
        #expect(told.withLock { $0 } == [block(1).cid, block(2).cid])
    }
}
