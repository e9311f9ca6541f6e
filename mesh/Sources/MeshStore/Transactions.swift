import GRDB
import Multiformats
import Synchronization

/// Carries out batches of commits, on the writing thread.
struct Transactions: Sendable {
    let writer: StoreWriter
    let pool: DatabasePool
    let steps: PackSteps
    let counting: StoreCounting
    let uses: BlockUseLog
    let disk: DiskRoom
    let jobs: JobMemory
    /// The time, in milliseconds since the Unix epoch.
    let clock: @Sendable () -> UInt64

    /// Writes a batch in one transaction; if any of it fails, writes each commit in its own, so that one caller's error
    /// affects only that caller.
    ///
    /// It waits for another program's lock and, for commits that somebody relies on, for room on a full disk;
    /// everything after them waits too. An empty batch writes what the store held back.
    ///
    /// Returns whether there is still something held back that has to be written within
    /// `StoreLimits.idleMilliseconds`.
    func perform(_ batch: [GroupCommitQueue.Commit]) -> Bool {
        carryOut(batch)
        // What could not be written now goes with the next transaction.
        return !batch.isEmpty && jobs.hasNewer
    }

    private func carryOut(_ batch: [GroupCommitQueue.Commit]) {
        switch transaction(batch) {
        case .success:
            for commit in batch { commit.finished(.success(())) }
        case .failure(let error) where batch.count == 1 || areAlike(batch, error):
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

    /// Whether the failure hits all commits of a batch, each for as long as the first.
    private func areAlike(_ batch: [GroupCommitQueue.Commit], _ error: MeshStoreError) -> Bool {
        switch error {
        case .locked: true
        case .full: batch.allSatisfy(\.isOwed)
        default: false
        }
    }

    private func transaction(_ batch: [GroupCommitQueue.Commit]) -> Result<Void, MeshStoreError> {
        do {
            // Of several, those that nobody relies on fail, each in its own transaction.
            try LockPatience(writer.limits, bearsFull: !batch.isEmpty && batch.allSatisfy(\.isOwed)).bear {
                () throws(MeshStoreError) in
                try attempt(batch)
            } onRetry: { error in
                retried(error)
            } isOver: {
                counting.room.withLock { $0.isEnding }
            }
            counting.room.withLock {
                $0.isLocked = false
                $0.isStuck = false
            }
            return .success(())
        } catch {
            if case .full = error, batch.contains(where: { $0.writes.contains(where: \.makesRoom) }), disk.release() {
                return transaction(batch)
            }
            return .failure(error)
        }
    }

    private func retried(_ error: MeshStoreError) -> LockPatience.Wait {
        if case .locked = error {
            counting.counters.withLock { $0.lockRetries += 1 }
            counting.room.withLock { $0.isLocked = true }
            return .aWhile
        }
        counting.counters.withLock { $0.fullRetries += 1 }
        if disk.release() { return .notAtAll }
        let freeBytes = disk.freeBytes
        counting.room.withLock {
            $0.isLocked = false
            $0.isStuck = true
            $0.look.freeBytes = freeBytes
        }
        return .aWhile
    }

    private func attempt(_ batch: [GroupCommitQueue.Commit]) throws(MeshStoreError) {
        let room = counting.room.withLock { $0 }
        let now = clock()
        let before = counting.counters.withLock { (count: $0.blocks, bytes: $0.blockBytes) }
        let limits = writer.limits
        let missing = room.look.missingBytes(limits)
        // An empty batch, or an empty commit, asks for all that the store holds back.
        let areRowsAsked = batch.isEmpty || batch.contains { $0.writes.isEmpty }
        // Odd until nobody can see more than was told: a reader sees what is committed before its writer hears of it.
        var isChanged = false
        counting.changes.add(1, ordering: .acquiringAndReleasing)
        defer {
            if isChanged {
                counting.changes.add(1, ordering: .releasing)
            } else {
                counting.changes.subtract(1, ordering: .releasing)
            }
        }
        // When room is short, commits that nobody relies on must not take it.
        let used = room.isStuck || room.look.isShort(limits) ? [] : uses.pending
        do {
            let waits = steps.mustWait(batch.lazy.flatMap(\.writes))
            let (after, hasMore, look, hasChanged) = try steps.transaction(pool, waits: waits) { db in
                let changedBefore = db.totalChangesCount
                var blocks = StoreWriter.BlockTotals(
                    count: before.count, bytes: before.bytes, now: now, jobs: jobs.begin(), examined: room.examined)
                for commit in batch {
                    for write in commit.writes { try writer.apply(write, db, &blocks) }
                }
                try writer.conclude(&blocks, withRows: areRowsAsked, db)
                if blocks.hasNewPeers { try writer.forgetOldPeers(db) }
                try writer.wereUsed(used, at: now, db)
                var hasMore = true
                if blocks.bytes > limits.highWaterBytes || missing > 0, room.lookAt <= now {
                    let mark = blocks.bytes > limits.highWaterBytes ? limits.lowWaterBytes : blocks.bytes
                    let target = min(mark, max(0, blocks.bytes - missing))
                    hasMore = try writer.makeRoom(cachedTo: target, evidenceTo: target, db, &blocks)
                }
                if (blocks.count, blocks.bytes) != (before.count, before.bytes) { try writer.keep(blocks, db) }
                return (blocks, hasMore, try disk.look(db), db.totalChangesCount != changedBefore)
            }
            isChanged = hasChanged
            if after.hasHoles { steps.freed() }
            if waits { steps.giveBack(pool) }
            jobs.keep(after.jobs, at: now)
            uses.written(used)
            note(batch, after, look, hasMore: hasMore)
            if !look.isShort(limits) { disk.keep() }
        } catch {
            throw MeshStoreError.from(error, path: writer.path)
        }
        let cids = batch.flatMap { $0.writes.compactMap(\.keptBlock?.cid) }
        guard !cids.isEmpty else { return }
        counting.wrote(cids)
        counting.added.withLock { $0 }?.tell(cids)
    }

    private func note(
        _ batch: [GroupCommitQueue.Commit], _ after: StoreWriter.BlockTotals, _ look: DiskRoom.Look, hasMore: Bool
    ) {
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
            room.look = look
            let isOver = after.bytes > writer.limits.highWaterBytes
            if !isOver { room.isFull = false }
            if !isOver, look.missingBytes(writer.limits) == 0 {
                room.lookAt = 0
            } else if !hasMore {
                room.isFull = isOver
                room.lookAt = after.now + writer.limits.roomRetryMilliseconds
            }
        }
    }
}
