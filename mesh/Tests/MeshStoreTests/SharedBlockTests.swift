import GRDB
import IPLD
import Multiformats
import Testing

@testable import MeshStore

/// Blocks that several jobs have: two that make the same bytes, or one that makes what another has as its evidence.
@Suite struct SharedBlockTests: FillingStore {
    let folder: StoreFolder
    let clock = TestClock()
    var limits = StoreLimits.tight

    init() throws { folder = try StoreFolder() }

    private func output(_ number: Int, of job: Int) -> StoreWrite {
        .output(cid: block(number).cid, bytes: block(number).bytes, jobID: jobID(job))
    }

    private func has(_ number: Int, _ store: MeshStore) async throws -> Bool {
        try await store.hasBlock(block(number).cid)
    }

    private func holds(_ store: MeshStore) async throws -> Int? {
        try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM block_holds") }
    }

    private func expectNeeded(_ cid: CID, by job: Int, _ store: MeshStore) async {
        await #expect(throws: MeshStoreError.needed(cid, reason: "the job \(jobID(job)) is still open")) {
            _ = try await store.remove(cid)
        }
    }

    @Test("What an open job made stays when other jobs that made the same end, and goes when all are over")
    func outputOfTwoJobs() async throws {
        let store = try open()
        try await store.commit([job(1, isTerminal: false), output(1, of: 1)])
        try await store.commit([job(2, isTerminal: false), output(1, of: 2)])
        try await store.commit([job(3, isTerminal: false), output(1, of: 3)])
        try await store.commit([job(3)])
        try await store.commit([job(2)])
        #expect(try await store.collectGarbage() == (0, 0))
        // Past the high-water mark what nobody needs goes, and this does not.
        for number in 100...130 {
            try await store.commit([.block(cid: block(number).cid, bytes: block(number).bytes)])
        }
        #expect(store.counters.evictedBlocks > 0)
        #expect(try await has(1, store))
        await expectNeeded(block(1).cid, by: 1, store)
        try await store.commit([.removeCached(block(1).cid)])
        #expect(try await store.remove(jobID(3)) == (0, 0))
        #expect(try await store.remove(jobID(2)) == (0, 0))
        #expect(try await has(1, store))
        await expectNeeded(jobID(1), by: 1, store)
        try await store.commit([job(1)])
        #expect(try await holds(store) == 0)
        #expect(try await store.remove(jobID(1)) == (1, 100))
        #expect(try await !has(1, store))
    }

    @Test("It goes by itself, too, once the last of the jobs is over, in whatever order they end", arguments: [1, 2])
    func orderOfEnds(first: Int) async throws {
        let store = try open()
        for number in 1...2 { try await store.commit([job(number, isTerminal: false), output(1, of: number)]) }
        try await store.commit([job(first)])
        #expect(try await store.collectGarbage() == (0, 0))
        try await store.commit([job(3 - first)])
        #expect(try await store.collectGarbage() == (1, 100))
        #expect(try await holds(store) == 0)
    }

    @Test(
        "Evidence stays that another job makes as its output, before or after it, as long as its own job needs it",
        arguments: [false, true], [false, true])
    func evidenceAsOutput(isMadeFirst: Bool, isUnsettled: Bool) async throws {
        let store = try open()
        let first = [job(1, isTerminal: false), evidence(1, of: 1)]
        let second = [job(2, isTerminal: false), output(1, of: 2)]
        for writes in isMadeFirst ? [second, first] : [first, second] { try await store.commit(writes) }
        try await store.commit([job(2)])
        if isUnsettled { try await store.commit([job(1, isUnsettled: true)]) }
        // What came since is in the way.
        clock.advance(milliseconds: limits.evidenceKeptMilliseconds + 1)
        try await store.commit((2...20).map { evidence($0, of: 3) } + [job(3, isTerminal: false)])
        #expect(try await store.collectGarbage() == (0, 0))
        #expect(try await store.remove(jobID(2)) == (0, 0))
        await #expect(throws: MeshStoreError.self) { _ = try await store.remove(block(1).cid) }
        #expect(try await has(1, store))
        try await store.commit([job(1)])
        clock.advance(milliseconds: limits.evidenceKeptMilliseconds + 1)
        #expect(try await store.collectGarbage() == (1, 100))
    }

    @Test("Evidence of an open job stays that a closed job has as evidence, too")
    func evidenceOfTwoJobs() async throws {
        let store = try open()
        for number in 1...2 { try await store.commit([job(number, isTerminal: false), evidence(1, of: number)]) }
        try await store.commit([job(2)])
        clock.advance(milliseconds: limits.evidenceKeptMilliseconds + 1)
        try await store.commit((2...20).map { evidence($0, of: 3) } + [job(3, isTerminal: false)])
        #expect(try await store.collectGarbage() == (0, 0))
        await expectNeeded(block(1).cid, by: 1, store)
        #expect(try await store.remove(jobID(2)) == (0, 0))
        #expect(try await has(1, store))
        await expectNeeded(jobID(1), by: 1, store)
    }

    @Test("A job of the node's own, which it runs itself, needs its blocks until both sides are over")
    func bothSides() async throws {
        let store = try open()
        try await store.commit([
            job(1, role: .originator, isTerminal: false), job(1, isTerminal: false), evidence(1, of: 1),
            output(2, of: 1), evidence(1, of: 1),
        ])
        try await store.commit([job(2, isTerminal: false), output(1, of: 2), output(2, of: 2)])
        try await store.commit([job(2)])
        for (role, isOver) in [(StoreRole.executor, false), (.originator, true)] {
            try await store.commit([job(1, role: role)])
            #expect(try await store.collectGarbage() == (isOver ? 1 : 0, isOver ? 100 : 0))
        }
        #expect(try await has(1, store), "evidence is kept for an hour")
        #expect(try await holds(store) == 0)
    }

    @Test("A file that a job makes again stays with the job, and what a job made and a user put stays as the file")
    func fileOfAJob() async throws {
        let store = try open()
        let cid = block(1).cid
        try await store.commit([.block(cid: cid, bytes: block(1).bytes), .file(root: cid)])
        for number in 1...2 { try await store.commit([job(number, isTerminal: false), output(1, of: number)]) }
        try await store.commit([job(2)])
        #expect(try await store.remove(jobID(2)) == (0, 0))
        #expect(try await store.remove(cid) == (0, 0), "no file any more, but the first job's")
        #expect(try await store.collectGarbage() == (0, 0))
        await expectNeeded(cid, by: 1, store)
        try await store.commit([.file(root: cid)])
        try await store.commit([job(1)])
        #expect(try await store.remove(jobID(1)) == (0, 0))
        #expect(try await store.collectGarbage() == (0, 0))
        #expect(try await store.remove(cid) == (1, 100))
    }

    @Test("What stands for a job beside others goes with the job and with the block, and none stands for jobs over")
    func bounds() async throws {
        let store = try open()
        try await store.commit([job(0, isTerminal: false), output(1, of: 0), output(2, of: 0)])
        for number in 1...50 {
            try await store.commit([job(number, isTerminal: false), output(1, of: number), output(1, of: number)])
            try await store.commit([job(number), output(1, of: number)])
        }
        #expect(try await holds(store) == 1)
        for number in 51...60 { try await store.commit([job(number, isTerminal: false), output(1, of: number)]) }
        #expect(try await holds(store) == 10)
        try await store.commit([.removeBlock(block(1).cid)])
        #expect(try await holds(store) == 0)
    }

    @Test("A database of version 5 opens, keeps whose each block is, and shares from then on")
    func versionFive() async throws {
        let first = try open()
        try await first.commit([job(1, isTerminal: false), output(1, of: 1), evidence(2, of: 1)])
        try first.close()
        try folder.change(
            StoreFolder.withoutOutcomes + """
                DROP TABLE block_holds; PRAGMA user_version = 5;
                CREATE INDEX jobs_bids ON jobs(updated_at)
                    WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingOpen';
                """)
        let store = try open()
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
        await expectNeeded(block(1).cid, by: 1, store)
        await expectNeeded(block(2).cid, by: 1, store)
        try await store.commit([job(2, isTerminal: false), output(1, of: 2), evidence(2, of: 2)])
        try await store.commit([job(2)])
        #expect(try await store.collectGarbage() == (0, 0))
        await expectNeeded(block(1).cid, by: 1, store)
        await expectNeeded(block(2).cid, by: 1, store)
    }
}
