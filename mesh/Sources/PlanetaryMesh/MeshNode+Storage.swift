import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore

extension MeshNode {
    /// Whether there is room for new work, as the market is told of it.
    var storageState: StorageState {
        switch store.standing {
        case .open: .open
        case .full, .databaseFull: .full
        case .diskFull: .diskFull
        case .locked: .locked
        }
    }

    /// What the node keeps, for its owner.
    var storage: NodeStatus.Storage {
        let counters = store.counters
        return NodeStatus.Storage(
            state: storageState == .diskFull ? "disk_full" : "\(storageState)",
            blocks: UInt64(clamping: counters.blocks),
            blockBytes: UInt64(clamping: counters.blockBytes),
            blockBytesMax: UInt64(clamping: store.limits.blockBytesTotalMax),
            highWaterBytes: UInt64(clamping: store.limits.highWaterBytes),
            databaseBytes: UInt64(clamping: store.databaseBytes),
            diskFreeBytes: store.diskFreeBytes.map { UInt64(clamping: $0) },
            diskReserveBytes: UInt64(clamping: store.limits.diskReserveBytes))
    }

    /// What is said of a disk that is full or nearly so.
    static func diskSentence(_ path: String, _ freeBytes: Int, _ reserveBytes: Int) -> String {
        "The disk of \(path) has \(freeBytes) bytes left, and below \(reserveBytes), which are for what is under way, "
            + "the node takes no new work."
    }

    /// Refuses new work while there is no room for it; `what` is the beginning of the sentence.
    func requireRoom(_ what: String) throws(NodeServiceError) {
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
                .storageFull, "\(what). \(Self.diskSentence(store.path, freeBytes, reserveBytes))",
                hint: "Free some space on that disk, or see what mesh gc and mesh rm free; the reserve is "
                    + "limits.disk_reserve_bytes in config.json.")
        case .locked:
            throw NodeServiceError(
                .overloaded, "\(what): another program has the database \(store.path) locked.",
                hint: "Try again when that program, perhaps a backup, is done.")
        }
    }

    public func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks {
        let gone = try await stored { try await self.store.collectGarbage() }
        return RemovedBlocks(blocks: gone.blocks, bytes: gone.bytes)
    }

    public func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks {
        if let job = core.market.openJob(that: cid) {
            throw NodeServiceError(
                .conflict, "\(cid) is not removed: the open job \(job) needs it.",
                hint: "Wait for the job's end, or cancel it with mesh cancel.")
        }
        let gone = try await stored { try await self.store.remove(cid) }
        guard gone.blocks > 0 else {
            throw NodeServiceError(
                .blockNotFound, "Nothing is kept of \(cid).", hint: "See mesh jobs for the jobs of this node.")
        }
        return RemovedBlocks(blocks: gone.blocks, bytes: gone.bytes)
    }
}

extension MeshStore {
    /// Whether small blocks of jobs fit for certain, however many come at the same time.
    var hasPlentyOfRoom: Bool {
        standing == .open && counters.blockBytes <= limits.blockBytesTotalMax - (32 << 20)
    }
}

extension JobMarket {
    /// The open job of this node's own that names a file as its module or input.
    fileprivate func openJob(that needs: CID) -> JobID? {
        originatedJobs.first { job in
            let params = job.manifest.params
            return !job.isClosed && (params.wasmCID == needs || params.inputCIDs.contains { $0.value == needs })
        }?.id
    }
}
