import Dispatch
import Foundation
import GRDB
import Multiformats
import Synchronization

/// What a node keeps: blocks, the journal of its jobs, the ledger, receipts, peers and settings, in one SQLite
/// database.
///
/// - A commit is one durable transaction: when `commit` returns, its writes survive `kill -9` and a power cut
///   (write-ahead log, `synchronous = FULL`). Concurrent commits share transactions; see `GroupCommitQueue`.
/// - A block is checked against its CID when it is written and again whenever it is read; journal, ledger and balance
///   rows carry a digest. What does not match is a typed error, never data.
/// - What a start has to read does not grow with the jobs that have ended: balances and totals are kept up to date.
/// - One process at a time: the lock beside the database is given back by the system when the process ends.
/// - The database belongs to one node: it is refused with another node's key, and so is another application's file.
public final class MeshStore: Sendable {
    /// What the store has done since it was opened.
    public struct Counters: Hashable, Sendable {
        /// Commits that were acknowledged.
        public var commits = 0
        /// Transactions that they shared.
        public var transactions = 0
        /// Commits that failed.
        public var failedCommits = 0
        /// Blocks that were found damaged when they were read.
        public var corruptBlocks = 0
        /// Journal, ledger or balance rows that were found damaged when they were read.
        public var corruptRecords = 0
        /// Bytes of all blocks now.
        public var blockBytes = 0
        /// Number of blocks now.
        public var blocks = 0
    }

    /// Where the database is.
    public let path: String
    /// The bounds it was opened with.
    public let limits: StoreLimits

    let pool: DatabasePool
    let counting: Counting
    private let lock: ProcessLock
    private let queue: GroupCommitQueue

    /// Opens the database of the node `owner` (its DID), or creates it; blocks while it does.
    ///
    /// - Throws: a `MeshStoreError` whose description is one sentence with what to do next.
    public init(path: String, owner: String, limits: StoreLimits = StoreLimits()) throws(MeshStoreError) {
        self.path = path
        self.limits = limits
        lock = try ProcessLock(path: path + ".lock", databasePath: path)
        try DatabaseFile.checkHeader(path: path)
        do {
            let configuration = Self.configuration(limits)
            try DatabaseFile.prepare(path: path, owner: owner, configuration: configuration)
            let pool = try DatabasePool(path: path, configuration: configuration)
            try pool.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA synchronous = FULL")
                try db.execute(sql: "PRAGMA wal_autocheckpoint = \(limits.logPagesMax)")
                try db.execute(sql: "PRAGMA cache_size = \(limits.cachedPagesMax)")
                if let pages = limits.databasePagesMax { try db.execute(sql: "PRAGMA max_page_count = \(pages)") }
            }
            self.pool = pool
            counting = Counting(try Self.checkedCounters(pool, path: path, limits: limits))
        } catch {
            throw MeshStoreError.from(error, path: path)
        }
        let writer = StoreWriter(path: path, limits: limits)
        queue = GroupCommitQueue(limits: limits) { [pool, counting] batch in
            Self.perform(batch, writer: writer, pool: pool, counting: counting)
        }
    }

    /// Writes all of `writes` in one durable transaction, or none of them; returns when they are on the disk.
    public func commit(_ writes: [StoreWrite]) async throws(MeshStoreError) {
        let bytes = try checkedByteCount(writes)
        let result = await withCheckedContinuation { continuation in
            queue.submit(.init(writes: writes, bytes: bytes) { continuation.resume(returning: $0) })
        }
        try result.get()
    }

    /// Returns when everything that was given to the store before is on the disk.
    public func settled() async throws(MeshStoreError) { try await commit([]) }

    /// Like `commit`, without waiting: commits are written in the order of the calls, so a caller whose own order
    /// matters calls this from one place. One that is not urgent may stay off the disk for `lingerMilliseconds`, until
    /// a transaction goes that somebody waits for. `finished` is called exactly once, possibly before this returns.
    public func enqueue(
        _ writes: [StoreWrite], isUrgent: Bool,
        finished: @escaping @Sendable (Result<Void, MeshStoreError>) -> Void
    ) {
        do {
            let bytes = try checkedByteCount(writes)
            queue.submit(.init(writes: writes, bytes: bytes, isUrgent: isUrgent, finished: finished))
        } catch {
            finished(.failure(error))
        }
    }

    /// Like `commit`, for a thread of its own that may block, such as a running job's; never call it from async code.
    public func commitBlocking(_ writes: [StoreWrite]) throws(MeshStoreError) {
        let bytes = try checkedByteCount(writes)
        let arrived = DispatchSemaphore(value: 0)
        let answer = Answer()
        queue.submit(
            .init(writes: writes, bytes: bytes) { result in
                answer.result.withLock { $0 = result }
                arrived.signal()
            })
        arrived.wait()
        try answer.result.withLock { $0 }.get()
    }

    /// What the store has done so far.
    public var counters: Counters { counting.counters.withLock { $0 } }

    /// Writes what was accepted, then closes the database; later calls fail with `closed`.
    public func close() throws(MeshStoreError) {
        queue.close()
        do {
            // Without this the log stays beside the database, as readers close last and may not fold it in.
            try pool.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            try pool.close()
        } catch {
            throw noted(MeshStoreError.from(error, path: path))
        }
        lock.release()
    }

    /// Runs a read on a snapshot of what is committed now.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(MeshStoreError) -> Value {
        let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
            pool.asyncRead { database in
                continuation.resume(returning: Result { try body(try database.get()) })
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw noted(MeshStoreError.from(error, path: path))
        }
    }

    /// Like `read`, on the caller's thread.
    func readBlocking<Value>(_ body: (Database) throws -> Value) throws(MeshStoreError) -> Value {
        do { return try pool.read(body) } catch { throw noted(MeshStoreError.from(error, path: path)) }
    }

    /// The counters, shared with the thread that writes.
    final class Counting: Sendable {
        let counters: Mutex<Counters>

        init(_ counters: Counters) {
            self.counters = Mutex(counters)
        }
    }

    private final class Answer: Sendable {
        let result = Mutex<Result<Void, MeshStoreError>>(.failure(.closed))
    }

    private func noted(_ error: MeshStoreError) -> MeshStoreError {
        switch error {
        case .blockCorrupt: counting.counters.withLock { $0.corruptBlocks += 1 }
        case .recordCorrupt: counting.counters.withLock { $0.corruptRecords += 1 }
        case .database(let code, _) where code == DatabaseError.SQLITE_MISUSE.rawValue: return .closed
        default: break
        }
        return error
    }

    /// Refuses what no transaction should be troubled with, on the caller's thread.
    private func checkedByteCount(_ writes: [StoreWrite]) throws(MeshStoreError) -> Int {
        var total = 0
        for write in writes {
            if case .block(let cid, let bytes, _) = write {
                guard bytes.count <= limits.blockBytesMax else {
                    throw .blockTooLarge(bytes: bytes.count, bytesMax: limits.blockBytesMax)
                }
                guard cid.matches(bytes) else { throw .blockMismatch(cid) }
            }
            total += write.byteCount
        }
        return total
    }

    private static func configuration(_ limits: StoreLimits) -> Configuration {
        var configuration = Configuration()
        configuration.label = "mesh.store"
        configuration.busyMode = .timeout(Double(limits.busyTimeoutMilliseconds) / 1000)
        configuration.maximumReaderCount = 4
        configuration.qos = .userInitiated
        return configuration
    }

    private static func checkedCounters(_ pool: DatabasePool, path: String, limits: StoreLimits) throws -> Counters {
        try pool.read { db in
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            let pageSize = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0
            var sums = "SELECT count, bytes FROM block_totals"
            if pages * pageSize <= limits.checkedAtOpenBytesMax {
                try DatabaseFile.checkPages(db, path: path)
                sums = "SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM blocks"
            }
            var counters = Counters()
            if let row = try Row.fetchOne(db, sql: sums).map(StoredRow.init) {
                counters.blocks = try row.integer("count")
                counters.blockBytes = try row.integer("bytes")
            }
            return counters
        }
    }

    /// Writes a batch in one transaction; when any of it fails, each commit in one of its own, so that one caller's
    /// error stays that caller's.
    private static func perform(
        _ batch: [GroupCommitQueue.Commit], writer: StoreWriter, pool: DatabasePool, counting: Counting
    ) {
        switch transaction(batch, writer: writer, pool: pool, counting: counting) {
        case .success:
            for commit in batch { commit.finished(.success(())) }
        case .failure(let error) where batch.count == 1:
            counting.counters.withLock { $0.failedCommits += 1 }
            batch[0].finished(.failure(error))
        case .failure:
            for commit in batch {
                let result = transaction([commit], writer: writer, pool: pool, counting: counting)
                if case .failure = result { counting.counters.withLock { $0.failedCommits += 1 } }
                commit.finished(result)
            }
        }
    }

    private static func transaction(
        _ batch: [GroupCommitQueue.Commit], writer: StoreWriter, pool: DatabasePool, counting: Counting
    ) -> Result<Void, MeshStoreError> {
        let before = counting.counters.withLock { StoreWriter.BlockTotals(count: $0.blocks, bytes: $0.blockBytes) }
        do {
            let after = try pool.write { db in
                var blocks = before
                for commit in batch {
                    for write in commit.writes { try writer.apply(write, db, &blocks) }
                }
                if blocks != before { try writer.keep(blocks, db) }
                return blocks
            }
            counting.counters.withLock {
                $0.commits += batch.count
                $0.transactions += 1
                $0.blocks = after.count
                $0.blockBytes = after.bytes
            }
            return .success(())
        } catch {
            return .failure(MeshStoreError.from(error, path: writer.path))
        }
    }
}
