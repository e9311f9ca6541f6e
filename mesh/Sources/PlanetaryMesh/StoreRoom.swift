import JobMarket
import Logging
import MeshStore
import NodeAPI
import NodeCore

/// Whether a node's store has room for new work: as the core sees it, as the owner sees it, and repeated checks.
struct StoreRoom: Sendable {
    /// The time between two checks of free disk space, and of whether a full store has room again, in milliseconds.
    static let lookMilliseconds: Int64 = 1_000

    let store: MeshStore
    let logger: Logger

    /// Whether there is room, as the core sees it.
    var state: StorageState {
        switch store.standing {
        case .open: .open
        case .full, .databaseFull: .full
        case .diskFull: .diskFull
        case .locked: .locked
        }
    }

    /// What is stored, for the node's owner.
    var view: NodeStatus.Storage {
        let counters = store.counters
        let state = state
        return NodeStatus.Storage(
            state: state == .diskFull ? "disk_full" : "\(state)",
            blocks: UInt64(clamping: counters.blocks),
            blockBytes: UInt64(clamping: counters.blockBytes),
            blockBytesMax: UInt64(clamping: store.limits.blockBytesTotalMax),
            highWaterBytes: UInt64(clamping: store.limits.highWaterBytes),
            databaseBytes: UInt64(clamping: store.databaseBytes),
            diskFreeBytes: store.diskFreeBytes.map { UInt64(clamping: $0) },
            diskReserveBytes: UInt64(clamping: store.limits.diskReserveBytes))
    }

    /// The sentence about a disk that is full or nearly so.
    private func diskSentence(_ freeBytes: Int, _ reserveBytes: Int) -> String {
        "The disk of \(store.path) has \(freeBytes) bytes left, and below \(reserveBytes), which are for what is under "
            + "way, the node takes no new work."
    }

    /// Refuses new work while there is no room; `what` begins the sentence.
    func require(_ what: String) throws(NodeServiceError) {
        store.lookAtDisk()
        switch store.standing {
        case .open: return
        case .full(let bytes, let highWaterBytes):
            throw NodeServiceError(
                .storageFull,
                "\(what): the node's blocks take \(bytes) bytes, and past \(highWaterBytes) it takes no new work.",
                hint: "See what mesh gc frees, remove files or jobs with mesh rm, or raise limits.block_bytes_max in "
                    + "config.json.")
        case .databaseFull(let bytes, let highWaterBytes):
            throw NodeServiceError(
                .storageFull,
                "\(what): the node's database takes \(bytes) bytes, and past \(highWaterBytes) it takes no new work.",
                hint: "Remove files or jobs with mesh rm, or raise limits.database_bytes_max in config.json.")
        case .diskFull(let freeBytes, let reserveBytes):
            throw NodeServiceError(
                .storageFull, "\(what). \(diskSentence(freeBytes, reserveBytes))",
                hint: "Free some space on that disk, or see what mesh gc and mesh rm free; the reserve is "
                    + "limits.disk_reserve_bytes in config.json.")
        case .locked:
            throw NodeServiceError(
                .overloaded, "\(what): another program has the database \(store.path) locked.",
                hint: "Try again when that program, perhaps a backup, is done.")
        }
    }

    /// Checks free disk space, and makes a full store look for room again: others fill the disk, and stored data grows
    /// old, without any event here.
    func watch() async {
        var isShort = false
        repeat {
            store.lookAtDisk()
            let standing = store.standing
            if case .diskFull(let freeBytes, let reserveBytes) = standing {
                if !isShort { logger.warning("\(diskSentence(freeBytes, reserveBytes))") }
                isShort = true
            } else if isShort, standing == .open {
                logger.notice("The disk has room again: the node takes new work.")
                isShort = false
            }
            guard standing != .open, !store.isStuck else { continue }
            store.enqueue([], urgency: .idle) { _ in }
        } while (try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds))) != nil
    }
}

extension MeshStore {
    /// Whether small blocks of jobs certainly fit, however many come at the same time.
    var hasPlentyOfRoom: Bool {
        standing == .open && counters.blockBytes <= limits.blockBytesTotalMax - (32 << 20)
    }
}

extension MeshStore {
    /// Writes at the place in the order of all writes that this call has for its actor; returns once it is on the disk.
    func commitInOrder(
        _ writes: [StoreWrite], isolation: isolated (any Actor)? = #isolation
    ) async throws(NodeServiceError) {
        let result = await withCheckedContinuation(isolation: isolation) { continuation in
            enqueue(writes, urgency: .now) { continuation.resume(returning: $0) }
        }
        if case .failure(let error) = result { throw NodeServiceError(storage: error) }
    }
}

/// The store's state, in the service's terms.
func stored<Value: Sendable>(
    _ body: @Sendable () async throws(MeshStoreError) -> Value
) async throws(NodeServiceError) -> Value {
    do {
        return try await body()
    } catch {
        throw NodeServiceError(storage: error)
    }
}
