import GRDB
import Multiformats

/// Carries batches of commits out, on the thread that writes.
struct Transactions: Sendable {
    let writer: StoreWriter
    let pool: DatabasePool
    let counting: MeshStore.Counting
    let uses: BlockUseLog
    /// The time, in milliseconds since the Unix epoch.
    let clock: @Sendable () -> UInt64

    /// Writes a batch in one transaction; when any of it fails, each commit in one of its own, so that one caller's
    /// error stays that caller's.
    ///
    /// A lock of another program is waited for, with everything that comes after it in its place.
    func perform(_ batch: [GroupCommitQueue.Commit]) {
        switch transaction(batch) {
        case .success:
            for commit in batch { commit.finished(.success(())) }
        case .failure(let error) where batch.count == 1 || isOfTheDatabase(error):
            counting.counters.withLock { $0.failedCommits += batch.count }
            for commit in batch { commit.finished(.failure(error)) }
        case .failure:
            for commit in batch {
                let result = transaction([commit])
                if case .failure = result { counting.counters.withLock { $0.failedCommits += 1 } }
                commit.finished(result)
            }
        }
    }

    /// Whether all commits of a batch fail of it, each for as long as the first.
    private func isOfTheDatabase(_ error: MeshStoreError) -> Bool {
        if case .locked = error { true } else { false }
    }

    private func transaction(_ batch: [GroupCommitQueue.Commit]) -> Result<Void, MeshStoreError> {
        do {
            try LockPatience(writer.limits).bear { () throws(MeshStoreError) in
                try attempt(batch)
            } onRetry: {
                counting.counters.withLock { $0.lockRetries += 1 }
                counting.room.withLock { $0.isLocked = true }
            }
            counting.room.withLock { $0.isLocked = false }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func attempt(_ batch: [GroupCommitQueue.Commit]) throws(MeshStoreError) {
        let room = counting.room.withLock { $0 }
        let now = clock()
        var before = counting.counters.withLock {
            StoreWriter.BlockTotals(count: $0.blocks, bytes: $0.blockBytes, now: now)
        }
        before.examined = room.examined
        let used = uses.pending
        let limits = writer.limits
        do {
            let (after, hasMore) = try pool.write { [before] db in
                var blocks = before
                for commit in batch {
                    for write in commit.writes { try writer.apply(write, db, &blocks) }
                }
                try writer.wereUsed(used, at: now, db)
                var hasMore = true
                if blocks.bytes > limits.highWaterBytes, room.lookAt <= now {
                    hasMore = try writer.makeRoom(
                        cachedTo: limits.lowWaterBytes, evidenceTo: limits.lowWaterBytes, db, &blocks)
                }
                if (blocks.count, blocks.bytes) != (before.count, before.bytes) { try writer.keep(blocks, db) }
                return (blocks, hasMore)
            }
            uses.written(used)
            note(batch, after, hasMore: hasMore)
        } catch {
            throw MeshStoreError.from(error, path: writer.path)
        }
        if let added = counting.added.withLock({ $0 }) {
            let cids = batch.flatMap { $0.writes.compactMap(\.keptBlock?.cid) }
            if !cids.isEmpty { added.tell(cids) }
        }
    }

    private func note(_ batch: [GroupCommitQueue.Commit], _ after: StoreWriter.BlockTotals, hasMore: Bool) {
        counting.counters.withLock {
            $0.commits += batch.count
            $0.transactions += 1
            $0.blocks = after.count
            $0.blockBytes = after.bytes
            $0.evictedBlocks += after.evictedCount
            $0.evictedBytes += after.evictedBytes
        }
        counting.room.withLock { room in
            room.examined = after.examined
            if after.bytes <= writer.limits.highWaterBytes {
                room.isFull = false
                room.lookAt = 0
            } else if !hasMore {
                room.isFull = true
                room.lookAt = after.now + writer.limits.roomRetryMilliseconds
            }
        }
    }
}
