import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// A CID and the names behind it, as `CID/folder/file`; `/ipfs/CID/…` is the same.
struct TreePath: Hashable {
    /// Where it begins, as it was given.
    let root: CID
    /// The names behind it, as bytes.
    let names: [[UInt8]]

    /// A path out of its parts.
    init(root: CID, names: [[UInt8]]) {
        self.root = root
        self.names = names
    }

    /// The path that a text names.
    init(_ text: String) throws(NodeServiceError) {
        var rest = text[...]
        if rest.hasPrefix("/ipfs/") { rest = rest.dropFirst(6) }
        if rest.hasPrefix("ipfs://") { rest = rest.dropFirst(7) }
        let parts = rest.split(separator: "/", omittingEmptySubsequences: true)
        guard let first = parts.first, CID.isText(String(first)) else {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" is no CID.",
                hint: "Look for a slip in it. Give a whole one, or one with a path as CID/folder/file, as mesh add, "
                    + "mesh run and mesh jobs print it; mesh receipt show and mesh outputs also take a part of one, or "
                    + "last.")
        }
        for part in parts.dropFirst() where part == "." || part == ".." {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" has \(part) in it, and the names in such a path are taken as they are.",
                hint: "Write the path without it.")
        }
        root = try JobReference.cid(String(first))
        names = parts.dropFirst().map { Array($0.utf8) }
    }

    /// The path up to so many names, for people.
    func text(upTo count: Int) -> String {
        ([root.text] + names.prefix(count).map { String(decoding: $0, as: UTF8.self) }).joined(separator: "/")
    }
}

extension TreeReader {
    /// What a path of names leads to from the root.
    func find(_ path: TreePath) async throws(NodeServiceError) -> CID {
        let names = path.names
        var reader = try told { () throws(UnixFSError) in
            try UnixFSPathReader(root: root, names: names, limits: bounds)
        }
        while let next = reader.next {
            let block = try await block(next)
            do {
                try reader.received(block)
            } catch .notADirectory where reader.namesFound > 0 || !names.isEmpty {
                throw NodeServiceError(
                    .blockNotFound, "\(path.text(upTo: reader.namesFound)) is not a folder.",
                    hint: "mesh ls \(path.text(upTo: max(0, reader.namesFound - 1))) lists what is there.")
            } catch {
                throw Self.failure(error)
            }
        }
        guard let found = reader.found else {
            let folder = path.text(upTo: reader.namesFound)
            throw NodeServiceError(
                .blockNotFound, "There is no \(path.text(upTo: reader.namesFound + 1)).",
                hint: "mesh ls \(folder) lists what is there.")
        }
        return found
    }
}
