import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

extension JobFileOptions {
    /// The files of the job, once all that they show is at the node: sends what the node lacks of the user's own files
    /// and folders, and finds what paths behind CIDs lead to.
    func added(
        besides taken: Set<String>, to node: some NodeService, _ line: TransferLine
    ) async throws -> JobSubmission.Files {
        var plan = plan(besides: taken)
        for mount in folders + files {
            let cid =
                FileManager.default.fileExists(atPath: mount.source)
                ? try await Self.send(mount.source, to: node, line) : try await Self.find(mount.source, on: node)
            for index in plan.mounts.indices where plan.mounts[index].path == mount.path {
                plan.mounts[index].cid = cid
            }
        }
        return plan
    }

    private static func send(_ path: String, to node: some NodeService, _ line: TransferLine) async throws -> String {
        defer { line.clear() }
        return try await FolderUpload(to: node, progress: { line.show($0) }).send(path).root.text
    }

    private static func find(_ source: String, on node: some NodeService) async throws -> String {
        let path = try TreePath(source)
        guard !path.names.isEmpty else { return path.root.text }
        return try await TreeReader(path.root, on: node).find(path).text
    }
}
