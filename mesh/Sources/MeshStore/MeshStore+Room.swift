import Foundation
import GRDB
package import Multiformats
import Synchronization

/// Whether the store has room for new work.
package enum StoreStanding: Hashable, Sendable {
    /// It has.
    case open
    /// Its blocks exceed the high-water mark, and none can be evicted: it still writes what is under way, but new work
    /// must not begin.
    case full(bytes: Int, highWaterBytes: Int)
    /// The database exceeds its own high-water mark: the same.
    case databaseFull(bytes: Int, highWaterBytes: Int)
    /// The disk has less than the reserve for what is under way, or nothing, and commits that somebody relies on wait
    /// for room: the same.
    case diskFull(freeBytes: Int, reserveBytes: Int)
    /// Another program has locked the database; waiting commits are written when it releases the lock.
    case locked
}

/// Something that others may look for in the DHT.
package struct StoredRoot: Hashable, Sendable {
    /// Its position in the order of arrival.
    package var sequence: Int64
    /// What.
    package var cid: CID

    /// A root at a place.
    package init(sequence: Int64, cid: CID) {
        self.sequence = sequence
        self.cid = cid
    }
}

extension MeshStore {
    /// The store's current standing; does not ask the disk.
    package var standing: StoreStanding {
        let room = counting.room.withLock { $0 }
        if room.isLocked { return .locked }
        if room.isStuck || room.look.isShort(limits) {
            return .diskFull(freeBytes: room.look.freeBytes, reserveBytes: limits.diskReserveBytes)
        }
        if room.isFull { return .full(bytes: counters.blockBytes, highWaterBytes: limits.highWaterBytes) }
        guard let mark = limits.databaseHighWaterBytes, room.look.databaseBytes > mark else { return .open }
        return .databaseFull(bytes: room.look.databaseBytes, highWaterBytes: mark)
    }

    /// Asks the file system what is free, for `standing`; it does not wait for a transaction.
    package func lookAtDisk() {
        let freeBytes = disk.freeBytes
        counting.room.withLock { $0.look.freeBytes = freeBytes }
    }

    /// The free bytes of the database's file system, as last seen; nil if unknown.
    package var diskFreeBytes: Int? {
        let freeBytes = counting.room.withLock { $0.look.freeBytes }
        return freeBytes == .max ? nil : freeBytes
    }

    /// Whether current writes wait for another program, or for room on the disk.
    package var isStuck: Bool { counting.room.withLock { $0.isLocked || $0.isStuck } }

    /// The bytes of the database on the disk, including its log.
    package var databaseBytes: Int {
        [path, path + "-wal"].reduce(0) { sum, file in
            var facts = stat()
            return stat(file, &facts) == 0 ? sum + Int(facts.st_size) : sum
        }
    }

    /// Sets the listener that receives the CIDs of stored blocks, after the transaction, on the writing thread, which
    /// it must not hold up. A new listener replaces the old one.
    package func onBlocksAdded(_ listener: @escaping @Sendable ([CID]) -> Void) {
        counting.added.withLock { $0 = StoreCounting.AddedListener(tell: listener) }
    }

    /// Evicts all cached blocks that no open job needs, and old settled evidence until the blocks are below the
    /// high-water mark; returns what it removed.
    package func collectGarbage() async throws(MeshStoreError) -> (blocks: Int, bytes: Int) {
        var sum = (blocks: 0, bytes: 0)
        while true {
            let tally = RemovalTally()
            try await commit([.makeRoom(cachedTo: 0, evidenceTo: limits.lowWaterBytes, tally)])
            guard tally.blocks > 0 else { return sum }
            sum = (sum.blocks + tally.blocks, sum.bytes + tally.bytes)
        }
    }

    /// Forgets a file, a block, or the evidence and outputs of a job; returns what it removed, if anything.
    package func remove(_ cid: CID) async throws(MeshStoreError) -> (blocks: Int, bytes: Int) {
        let tally = RemovalTally()
        try await commit([.remove(cid, tally)])
        return (tally.blocks, tally.bytes)
    }

    /// Whether a CID is the root of a file that a user added.
    package func isFile(_ root: CID) async throws(MeshStoreError) -> Bool {
        try await read { db in
            try Bool.fetchOne(
                db.cachedStatement(sql: "SELECT file FROM roots WHERE cid = ?"), arguments: [Data(root.bytes)]) ?? false
        }
    }

    /// One page of what others may look for in the DHT, the newest first: files that users added, or outputs and
    /// receipts of jobs. An empty page is the end.
    package func roots(
        files: Bool, after: Int64 = 0, before: Int64 = .max, limit: Int
    ) async throws(MeshStoreError) -> [StoredRoot] {
        let rowsMax = min(limit, limits.rowsPerPageMax)
        return try await read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT seq, cid FROM roots WHERE seq > ? AND seq < ? AND file = ?
                        AND EXISTS (SELECT 1 FROM blocks WHERE blocks.cid = roots.cid)
                    ORDER BY seq DESC LIMIT ?
                    """, arguments: [after, before, files, rowsMax]
            ).map { row in
                let stored = StoredRow(row)
                return StoredRoot(sequence: Int64(try stored.integer("seq")), cid: try stored.cid("cid"))
            }
        }
    }
}
