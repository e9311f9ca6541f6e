import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI

extension SubmissionDesk {
    /// Sees that everything that a job mounts is here, and is what the job says; gets from the mesh what is not.
    func fetchMounts(of files: JobFiles) async throws(NodeServiceError) {
        for mount in files.mounts {
            guard let cid = mount.cid else { continue }
            // What is kept was complete when it was added.
            if try await !isKept(cid) { try await fetchTree(cid, at: mount.path) }
            try await check(mount, cid)
        }
    }

    private func isKept(_ cid: CID) async throws(NodeServiceError) -> Bool {
        try await stored { () throws(MeshStoreError) in try await parts.store.isFile(cid) }
    }

    private func fetchTree(_ cid: CID, at path: String) async throws(NodeServiceError) {
        do {
            _ = try await parts.fetcher.tree(cid, from: [])
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch FetchError.notAFile(_, let error) {
            throw NodeServiceError(
                .invalidRequest, "\(cid) cannot be mounted at \(path): \(error).",
                hint: "Mount what was added with mesh add, or with ipfs add.")
        } catch {
            throw NodeServiceError(
                .blockNotFound, "Not all of \(cid), which is to be mounted at \(path), is here or found in the mesh.",
                hint: "Add it with mesh add, or give its path.")
        }
    }

    /// Refuses a file where the job says that there is a folder, and the other way round.
    private func check(_ mount: JobFiles.Mount, _ cid: CID) async throws(NodeServiceError) {
        guard cid.codec != .raw else { return }
        let block = try await stored { () throws(MeshStoreError) in try await parts.store.block(cid) }
        guard let block, let node = try? UnixFSBlock(block, of: cid) else {
            throw NodeServiceError(
                .invalidRequest, "\(cid), which is to be mounted at \(mount.path), is no file or folder.",
                hint: "Mount what was added with mesh add, or with ipfs add.")
        }
        switch (node.kind, mount.isFolder) {
        case (.file, false), (.directory, true), (.shard, true): return
        case (.file, true):
            throw NodeServiceError(
                .invalidRequest, "\(cid), which is to be mounted at \(mount.path), is a file and no folder.",
                hint: "Mount it with --file.")
        case (.directory, false), (.shard, false):
            throw NodeServiceError(
                .invalidRequest, "\(cid), which is to be mounted at \(mount.path), is a folder and no file.",
                hint: "Mount it with --dir.")
        case (.symbolicLink, _):
            throw NodeServiceError(
                .invalidRequest, "\(cid), which is to be mounted at \(mount.path), is a symbolic link.",
                hint: "Mount what it leads to.")
        }
    }
}
