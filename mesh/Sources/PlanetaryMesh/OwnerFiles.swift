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
        let bytesMax = parts.configuration.limits.fileBytesMax
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
            return try await parts.fetcher.file(cid, from: [], bytesMax: parts.configuration.limits.fileBytesMax)
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
