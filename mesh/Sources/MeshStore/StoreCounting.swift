import Multiformats
import Synchronization

/// The store's figures and standing, shared with the writing thread.
final class StoreCounting: Sendable {
    /// The listener for stored blocks; in a structure, since a bare closure in a `Mutex` is wrapped once more at every
    /// access, and each call goes through all wrappers.
    struct AddedListener: Sendable {
        let tell: @Sendable ([CID]) -> Void
    }

    /// Whether there is room for new work, and when to look for some again.
    struct Room: Sendable {
        var isFull = false
        var isLocked = false
        /// Whether a write that somebody relies on waits for room on the disk.
        var isStuck = false
        /// Whether the store is about to close, and no longer waits for a full disk.
        var isEnding = false
        /// The disk, as last seen.
        var look = DiskRoom.Look()
        var lookAt: UInt64 = 0
        /// See `StoreWriter.BlockTotals.examined`.
        var examined: Int64 = 0
    }

    let counters: Mutex<MeshStore.Counters>
    /// Goes up with every transaction that changed a row, before anybody hears of its end.
    let changes = Atomic<UInt64>(0)
    let room: Mutex<Room>
    let added = Mutex<AddedListener?>(nil)
    /// Blocks that were found damaged and not written again since; at most `damagedMax`.
    let damaged = Mutex<Set<CID>>([])

    init(_ counters: MeshStore.Counters, isFull: Bool) {
        self.counters = Mutex(counters)
        room = Mutex(Room(isFull: isFull))
    }

    /// Notes a block that was found damaged: it counts as missing, so that adding it again repairs it.
    func found(damaged cid: CID, damagedMax: Int) {
        counters.withLock { $0.corruptBlocks += 1 }
        damaged.withLock { if $0.count < damagedMax { $0.insert(cid) } }
    }

    /// Notes blocks that were written.
    func wrote(_ cids: [CID]) { damaged.withLock { if !$0.isEmpty { $0.subtract(cids) } } }
}
