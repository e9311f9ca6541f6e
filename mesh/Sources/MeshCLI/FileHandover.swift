import IPLD
import Multiformats
import NodeAPI

/// Has a node on this machine read a large file itself, part by part and some at the same time: the bytes go over no
/// socket and are hashed once.
struct FileHandover {
    let node: any NodeService
    /// Parts that the node reads at the same time.
    let partsMax: Int

    private struct Read: Sendable {
        let number: Int
        let leaves: FileLeaves
    }

    /// Reads a whole file, and gives what was read in the order of the file; `false`, and nothing given, if the node
    /// cannot read it.
    func read(_ start: FilePart, _ each: (FileLeaves) async throws -> Void) async throws -> Bool {
        guard let first = try await tried(start) else { return false }
        try await each(first)
        if Self.isLast(first, of: start) { return true }
        try await withThrowingTaskGroup(of: Read.self) { group in
            var (asked, taken) = (1, 1)
            var early: [Int: FileLeaves] = [:]
            while true {
                while asked < taken + partsMax {
                    ask(asked, of: start, &group)
                    asked += 1
                }
                guard let read = try await group.next() else { return }
                early[read.number] = read.leaves
                while let leaves = early.removeValue(forKey: taken) {
                    try await each(leaves)
                    taken += 1
                    if Self.isLast(leaves, of: start) { return group.cancelAll() }
                }
            }
        }
        return true
    }

    /// The first part; nil if the node cannot read it.
    private func tried(_ part: FilePart) async throws(NodeServiceError) -> FileLeaves? {
        do throws(NodeServiceError) {
            return try await node.put(part)
        } catch {
            guard error.code == .permissionDenied || error.code == .noSuchRoute else { throw error }
            return nil
        }
    }

    private func ask(_ number: Int, of start: FilePart, _ group: inout ThrowingTaskGroup<Read, any Error>) {
        var part = start
        part.offset += UInt64(number) * UInt64(start.chunks * start.chunkBytes)
        let (node, asked) = (node, part)
        group.addTask { Read(number: number, leaves: try await node.put(asked)) }
    }

    private static func isLast(_ leaves: FileLeaves, of part: FilePart) -> Bool {
        leaves.bytes < UInt64(part.chunks * part.chunkBytes)
    }
}

extension FileLeaves {
    /// The chunks as links of a file; refuses an answer that does not add up.
    func links(chunkBytes: Int) throws(NodeServiceError) -> [UnixFSBuilt] {
        guard bytes <= UInt64(FilePart.bytesMax), cids.count == (Int(bytes) + chunkBytes - 1) / chunkBytes
        else { throw Self.unreadable }
        var links: [UnixFSBuilt] = []
        for (index, text) in cids.enumerated() {
            guard let cid = try? CID(parsing: text), cid.codec == .raw else { throw Self.unreadable }
            let size = min(UInt64(chunkBytes), bytes - UInt64(index * chunkBytes))
            links.append(UnixFSBuilt(cid: cid, treeBytes: size, fileBytes: size))
        }
        return links
    }

    private static var unreadable: NodeServiceError {
        NodeServiceError(.protocolMismatch, "The node's answer about a file cannot be read.")
    }
}
