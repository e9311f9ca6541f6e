import GRDB
import Multiformats
import Synchronization

/// Keeps packs and rows in step, transaction by transaction, on the writing thread.
///
/// A transaction that somebody relies on waits for the disk, with all bytes in packs before it. One of cached blocks
/// alone does not: what it wrote survives the end of the process at once, and a power cut from the next transaction of
/// the other kind on, or after `StoreLimits.unsyncedBytesMax`. The next start checks what may have been lost.
final class PackSteps: Sendable {
    private struct State {
        /// Whether the connection waits for the disk at a commit.
        var isWaiting = true
        /// Holes whose room is given back, and whose rows the next transaction deletes.
        var punched: [BlockPacks.Extent] = []
        /// Whether there may be other holes.
        var hasHoles = true
    }

    let packs: BlockPacks
    private let limits: StoreLimits
    private let state = Mutex(State())

    init(packs: BlockPacks, limits: StoreLimits) {
        self.packs = packs
        self.limits = limits
    }

    /// Prepares the packs of a database that was opened, and drops the cached blocks that a power cut took.
    static func begin(_ packs: BlockPacks, _ pool: DatabasePool) throws {
        let lost = try pool.read { db in
            let synced = try PackedRows.synced(db)
            try packs.begin(at: PackedRows.end(db), synced: synced)
            return try PackedRows.blocks(from: synced, db).filter { cid, extent in
                guard let bytes = packs.read(extent.count, at: extent.place) else { return true }
                return !cid.matches(bytes)
            }.map(\.cid)
        }
        guard !lost.isEmpty else { return }
        try pool.write { db in
            for cid in lost { try PackedRows.drop(cid, db) }
        }
    }

    /// Whether a transaction with these writes has to wait for the disk.
    func mustWait(_ writes: some Sequence<StoreWrite>) -> Bool {
        var isEmpty = true
        for write in writes {
            guard write.isCached else { return true }
            isEmpty = false
        }
        return isEmpty || packs.unsyncedBytes >= limits.unsyncedBytesMax
    }

    /// Carries out one transaction, or undoes all of it.
    func transaction<Value>(
        _ pool: DatabasePool, waits: Bool, _ body: (Database) throws -> Value
    ) throws -> Value {
        let begin = packs.end
        let punched = state.withLock { $0.punched }
        var value: Value?
        do {
            try pool.writeWithoutTransaction { db in
                try setWaiting(waits, db)
                try db.inTransaction(.immediate) {
                    try PackedRows.forget(punched, db)
                    value = try body(db)
                    if waits { try PackedRows.note(synced: try packs.sync(), db) }
                    return .commit
                }
            }
        } catch {
            packs.rewind(to: begin)
            throw error
        }
        state.withLock { $0.punched = [] }
        guard let value else { throw MeshStoreError.closed }
        return value
    }

    /// Notes that bytes in packs are no longer needed.
    func freed() { state.withLock { $0.hasHoles = true } }

    /// Gives the room of holes back, after a transaction that waited for the disk: before, a power cut could bring
    /// their rows again. That transaction has succeeded, whatever becomes of this: what fails here is done after a
    /// later one.
    func giveBack(_ pool: DatabasePool) {
        guard state.withLock({ $0.hasHoles && $0.punched.isEmpty }) else { return }
        let limit = limits.holesPerTransactionMax
        let found = try? pool.writeWithoutTransaction { db in
            let holes = try PackedRows.holes(limit: limit, db)
            let empty = try Set(holes.map(\.place.pack)).filter { try !PackedRows.needs(pack: $0, db) }
            return (holes, empty)
        }
        guard let (holes, empty) = found, !holes.isEmpty else {
            if found != nil { state.withLock { $0.hasHoles = false } }
            return
        }
        let isDone = packs.copying.unlessCopied {
            packs.punch(holes.filter { !empty.contains($0.place.pack) || $0.place.pack == packs.end.pack })
            for pack in empty { packs.remove(pack) }
        }
        // A copy of this home still needs them; a later transaction tries again.
        guard isDone else { return }
        state.withLock {
            $0.punched = holes
            $0.hasHoles = holes.count == limit
        }
    }

    private func setWaiting(_ waits: Bool, _ db: Database) throws {
        guard state.withLock({ $0.isWaiting != waits }) else { return }
        try db.execute(sql: "PRAGMA synchronous = \(waits ? "FULL" : "NORMAL")")
        state.withLock { $0.isWaiting = waits }
    }
}
