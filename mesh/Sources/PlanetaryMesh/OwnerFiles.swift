import CoVM
import IPLD
import LibP2P
import MeshStore
import Multiformats
import NodeAPI
import NodeSetup

/// The files of a node's owner: adds, returns and removes them.
struct OwnerFiles: Sendable {
    let parts: NodeParts
    let room: StoreRoom
    let announcer: RootAnnouncer

    /// Stores a file and offers it to the mesh.
    func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile {
        let bytesMax = parts.configuration.limits.addedBytesMax
        guard bytes.count <= bytesMax else {
            throw NodeServiceError(
                .tooLarge, "The file has \(bytes.count) bytes; this node takes \(bytesMax).",
                hint: "Cut it up, or raise limits.file_bytes_max in config.json and restart the node.")
        }
        let file: UnixFSFile.Blocks
        do {
            file = try UnixFSFile.blocks(of: bytes)
        } catch {
            throw NodeServiceError(.tooLarge, "The file cannot be kept: \(error).")
        }
        try room.require("The file was not kept")
        try await stored { () throws(MeshStoreError) in
            try await parts.store.commit(
                file.blocks.map { .block(cid: $0.cid, bytes: $0.bytes) } + [.file(root: file.root)])
        }
        announcer.added(file.root)
        return AddedFile(cid: file.root.text, size: bytes.count)
    }

    /// A file by its CID, from this node or from the mesh.
    func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        do {
            return try await parts.fetcher.file(cid, from: [], bytesMax: parts.configuration.limits.addedBytesMax)
        } catch FetchError.notAFile(_, .fileTooLarge(let bytesMax)) {
            throw NodeServiceError(
                .tooLarge, "The file is larger than \(bytesMax) bytes.",
                hint: "Raise limits.file_bytes_max in config.json and restart the node.")
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .blockNotFound, "The file cannot be had: \(error).",
                hint: "Check the CID, and that this node is connected (mesh peers).")
        }
    }

    /// Makes a module ready for jobs, from this node or from the mesh.
    func warm(_ cid: CID) async throws(NodeServiceError) -> WarmModule {
        let limits = parts.configuration.limits
        let clock = ContinuousClock()
        let began = clock.now
        let module: [UInt8]
        do {
            module = try await parts.fetcher.file(cid, from: [], bytesMax: limits.moduleBytesMax)
        } catch FetchError.notAFile(_, .fileTooLarge(let bytesMax)) {
            throw NodeServiceError(
                .moduleRefused, "The module is larger than \(bytesMax) bytes.",
                hint: "Raise limits.module_bytes_max in config.json and restart the node.")
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .blockNotFound, "The module cannot be had: \(error).",
                hint: "Give its path, or check that this node is connected (mesh peers).")
        }
        let cancellation = ExecutionCancellation()
        let result = await withTaskCancellationHandler {
            await parts.machine.prepare(module, named: cid.version1, cancellation: cancellation)
        } onCancel: {
            cancellation.cancel()
        }
        let elapsed = (clock.now - began).components
        let milliseconds = UInt64(clamping: elapsed.seconds * 1_000 + elapsed.attoseconds / 1_000_000_000_000_000)
        switch result {
        case .success(let prepared):
            return WarmModule(
                cid: cid.text, size: module.count, functions: prepared.functionCount,
                features: ModuleInspection.featuresUsed(by: module).map(\.rawValue),
                source: prepared.source.rawValue, milliseconds: milliseconds)
        case .failure(let unprepared):
            throw NodeServiceError(
                .moduleRefused, "The module is not ready: \(unprepared).",
                hint: unprepared.result.setting.map { "Raise \($0) in config.json and restart the node." }
                    ?? "docs/modules.md says which modules run.")
        }
    }

    /// Evicts what no open job and no user needs.
    func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks {
        let gone = try await stored { () throws(MeshStoreError) in try await parts.store.collectGarbage() }
        return RemovedBlocks(blocks: gone.blocks, bytes: gone.bytes)
    }

    /// Forgets a file, a block, or the evidence and outputs of a job.
    func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks {
        let gone = try await stored { () throws(MeshStoreError) in try await parts.store.remove(cid) }
        guard gone.blocks > 0 else {
            throw NodeServiceError(
                .blockNotFound, "Nothing is kept of \(cid).", hint: "See mesh jobs for the jobs of this node.")
        }
        return RemovedBlocks(blocks: gone.blocks, bytes: gone.bytes)
    }
}
