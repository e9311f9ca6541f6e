import Foundation
import GRDB
package import Multiformats
import Synchronization

/// A node's data: blocks, the journal of its jobs, the ledger, receipts, peers and settings, in one SQLite database;
/// the bytes of large blocks are in files beside it (`BlockPacks`).
///
/// - A commit is one durable transaction: when `commit` returns, its writes survive `kill -9` and a power cut
///   (write-ahead log, `synchronous = FULL`). Concurrent commits share transactions; see `GroupCommitQueue`. Cached
///   blocks, which may be evicted at any time, survive a power cut only from the next commit of something else on.
/// - The store checks a block against its CID when writing it and whenever reading it; journal, ledger and balance rows
///   carry a digest. A mismatch is a typed error, never data.
/// - A start does not have to read more as jobs end: balances and totals are kept up to date.
/// - One process at a time: the system releases the lock beside the database when the process ends.
/// - The database belongs to one node: the store refuses it with another node's key, and refuses another application's
///   file.
package final class MeshStore: Sendable {
    /// What the store has done since it was opened.
    package struct Counters: Hashable, Sendable {
        /// Commits that were acknowledged.
        package var commits = 0
        /// Transactions they shared.
        package var transactions = 0
        /// Commits that failed.
        package var failedCommits = 0
        /// Blocks found damaged on reading.
        package var corruptBlocks = 0
        /// Journal, ledger or balance rows found damaged on reading.
        package var corruptRecords = 0
        /// Bytes of all blocks now.
        package var blockBytes = 0
        /// Number of blocks now.
        package var blocks = 0
        /// Blocks that were evicted.
        package var evictedBlocks = 0
        /// Bytes of the blocks that were evicted.
        package var evictedBytes = 0
        /// Attempts that found the database locked by another program, and were repeated.
        package var lockRetries = 0
        /// Attempts that found the disk full, and were repeated.
        package var fullRetries = 0
    }

    /// Where the database is.
    package let path: String
    /// The bounds it was opened with.
    package let limits: StoreLimits

    let pool: DatabasePool
    let counting: StoreCounting
    let uses: BlockUseLog
    let disk: DiskRoom
    let packs: BlockPacks
    let jobs = JobMemory()
    private let steps: PackSteps
    private let lock: ProcessLock
    private let queue: GroupCommitQueue

    /// Opens or creates the database of the node `owner` (its DID); blocks meanwhile.
    ///
    /// - Throws: a `MeshStoreError` whose description is one sentence with what to do next.
    ///
    /// `clock` returns the time in milliseconds since the Unix epoch, `freeBytes` what is free at a folder.
    package init(
        path: String, owner: String, limits: StoreLimits = StoreLimits(),
        clock: @escaping @Sendable () -> UInt64 = MeshStore.systemTime,
        freeBytes: @escaping @Sendable (String) -> Int? = MeshStore.systemFreeBytes
    ) throws(MeshStoreError) {
        self.path = path
        self.limits = limits
        disk = DiskRoom(databasePath: path, limits: limits, freeBytes: freeBytes)
        lock = try ProcessLock(path: path + ".lock", databasePath: path)
        try DatabaseFile.checkHeader(path: path)
        packs = BlockPacks(databasePath: path, limits: limits)
        (pool, counting) = try LockPatience(limits).bear { [disk, packs] () throws(MeshStoreError) in
            do throws(MeshStoreError) {
                return try Self.opened(path: path, owner: owner, packs, limits: limits)
            } catch {
                // Opening itself takes a little space.
                guard case .full = error, disk.release() else { throw error }
                return try Self.opened(path: path, owner: owner, packs, limits: limits)
            }
        } onRetry: { _ in
            .aWhile
        }
        disk.keep()
        uses = BlockUseLog(limits: limits, clock: clock)
        let writer = StoreWriter(path: path, limits: limits, packs: packs)
        steps = PackSteps(packs: packs, limits: limits)
        queue = GroupCommitQueue(limits: limits) { [pool, steps, counting, uses, disk, jobs] batch in
            Transactions(
                writer: writer, pool: pool, steps: steps, counting: counting, uses: uses, disk: disk, jobs: jobs,
                clock: clock
            ).perform(batch)
        }
        lookAtDisk()
        if counters.blockBytes > limits.highWaterBytes || standing != .open { enqueue([], urgency: .now) { _ in } }
    }

    /// The system's time, in milliseconds since the Unix epoch.
    package static let systemTime: @Sendable () -> UInt64 = { UInt64(max(0, Date().timeIntervalSince1970 * 1000)) }

    /// Free bytes for this user at a folder, according to the system.
    package static let systemFreeBytes = DiskRoom.system

    private static func opened(
        path: String, owner: String, _ packs: BlockPacks, limits: StoreLimits
    ) throws(MeshStoreError) -> (DatabasePool, StoreCounting) {
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
            try PackSteps.begin(packs, pool)
            let counters = try checkedCounters(pool, path: path, limits: limits)
            return (pool, StoreCounting(counters, isFull: counters.blockBytes > limits.highWaterBytes))
        } catch {
            throw MeshStoreError.from(error, path: path)
        }
    }

    /// Writes all of `writes` in one durable transaction, or none; returns when they are on the disk.
    package func commit(_ writes: [StoreWrite]) async throws(MeshStoreError) {
        let bytes = try checkedByteCount(writes)
        let result = await withCheckedContinuation { continuation in
            queue.submit(.init(writes: writes, bytes: bytes) { continuation.resume(returning: $0) })
        }
        try result.get()
    }

    /// Returns when everything handed to the store before is on the disk, the newest rows of open jobs too.
    package func persisted() async throws(MeshStoreError) { try await commit([]) }

    /// Returns when a read finds everything handed to the store before; takes no transaction where nothing waits.
    package func settled() async throws(MeshStoreError) { if !queue.isIdle || jobs.hasNewer { try await persisted() } }

    /// Like `commit`, without waiting: commits are written in the order of the calls, so a caller whose order matters
    /// calls this from one place. One that is not urgent may stay off the disk for a while, until an urgent
    /// transaction. Calls `finished` exactly once, possibly before this returns.
    package func enqueue(
        _ writes: [StoreWrite], urgency: CommitUrgency,
        finished: @escaping @Sendable (Result<Void, MeshStoreError>) -> Void
    ) {
        do {
            let bytes = try checkedByteCount(writes)
            queue.submit(.init(writes: writes, bytes: bytes, urgency: urgency, finished: finished))
        } catch {
            finished(.failure(error))
        }
    }

    /// What the store has done so far.
    package var counters: Counters { counting.counters.withLock { $0 } }

    /// Goes up with every transaction that changed something: between two equal readings of it, whatever was read of
    /// rows and blocks is what a later reading finds, but for what waits to be written. Nil while one is under way.
    package var changes: UInt64? {
        let changes = counting.changes.load(ordering: .acquiring)
        return changes.isMultiple(of: 2) ? changes : nil
    }

    /// Stops waiting for a full disk: from now on a commit that finds no room fails.
    package func waitNoLonger() { counting.room.withLock { $0.isEnding = true } }

    /// Writes what it accepted, then closes the database; later calls fail with `closed`.
    package func close() throws(MeshStoreError) {
        waitNoLonger()
        queue.close()
        do {
            // The next start need not look for what a power cut took; on a full disk it does.
            _ = try? steps.transaction(pool, waits: true) { _ in }
            // Without this the log would stay beside the database, as readers close last and may not fold it in.
            try pool.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            try pool.close()
        } catch {
            throw noted(MeshStoreError.from(error, path: path))
        }
        lock.release()
    }

    // MARK: Blocks

    /// The block of a CID, verified against it; nil if missing; throws `blockCorrupt` if damaged.
    package func block(_ cid: CID) async throws(MeshStoreError) -> [UInt8]? {
        uses.wasRead(cid)
        let packs = packs
        let look = try await read { db in try BlockLook(at: cid, in: packs, db) }
        guard case .damaged = look else { return look.bytes }
        return try await read { db in try BlockLook.again(at: cid, in: packs, db) }
    }

    /// Like `block`, for a dedicated thread that may block; never call it from async code.
    package func blockBlocking(_ cid: CID) throws(MeshStoreError) -> [UInt8]? {
        uses.wasRead(cid)
        let look = try readBlocking { db in try BlockLook(at: cid, in: packs, db) }
        guard case .damaged = look else { return look.bytes }
        return try readBlocking { db in try BlockLook.again(at: cid, in: packs, db) }
    }

    /// Whether a block is here; it may be damaged.
    package func hasBlock(_ cid: CID) async throws(MeshStoreError) -> Bool {
        try await blockSize(cid) != nil
    }

    /// The size of a block in bytes; nil if missing.
    package func blockSize(_ cid: CID) async throws(MeshStoreError) -> Int? {
        try await read { db in
            let statement = try db.cachedStatement(sql: "SELECT size FROM blocks WHERE cid = ?")
            return try Int.fetchOne(statement, arguments: [Data(cid.bytes)])
        }
    }

    // MARK: Reading

    /// Runs a read on a snapshot of what is committed now.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(MeshStoreError) -> Value {
        let patience = LockPatience(limits)
        while true {
            let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
                pool.asyncRead { database in
                    continuation.resume(returning: Result { try body(try database.get()) })
                }
            }
            switch result {
            case .success(let value): return value
            case .failure(let error):
                let known = MeshStoreError.from(error, path: path)
                guard patience.bears(known), (try? await Task.sleep(for: patience.pause)) != nil else {
                    throw noted(known)
                }
                counting.counters.withLock { $0.lockRetries += 1 }
            }
        }
    }

    /// Like `read`, on the caller's thread.
    func readBlocking<Value>(_ body: (Database) throws -> Value) throws(MeshStoreError) -> Value {
        do {
            return try LockPatience(limits).bear { () throws(MeshStoreError) in
                do { return try pool.read(body) } catch { throw MeshStoreError.from(error, path: path) }
            } onRetry: { _ in
                counting.counters.withLock { $0.lockRetries += 1 }
                return .aWhile
            }
        } catch {
            throw noted(error)
        }
    }

    private func noted(_ error: MeshStoreError) -> MeshStoreError {
        switch error {
        case .blockCorrupt(let cid): counting.found(damaged: cid, damagedMax: limits.missingBlocksNamedMax)
        case .recordCorrupt: counting.counters.withLock { $0.corruptRecords += 1 }
        case .database(let code, _) where code == DatabaseError.SQLITE_MISUSE.rawValue: return .closed
        default: break
        }
        return error
    }

    /// Refuses, on the caller's thread, what no transaction should have to deal with.
    private func checkedByteCount(_ writes: [StoreWrite]) throws(MeshStoreError) -> Int {
        var total = 0
        for write in writes {
            if let (cid, bytes) = write.keptBlock {
                guard bytes.count <= limits.blockBytesMax else {
                    throw .blockTooLarge(bytes: bytes.count, bytesMax: limits.blockBytesMax)
                }
                if case .hashed = write {} else if !cid.matches(bytes) { throw .blockMismatch(cid) }
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
}
