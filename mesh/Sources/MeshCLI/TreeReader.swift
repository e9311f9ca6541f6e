import IPLD
import Multiformats
import NodeAPI

/// Reads the files and folders under a root from a node, which has their blocks or fetches them.
///
/// It holds the blocks of one window of a file, however large the file is.
struct TreeReader {
    /// The bounds of reading.
    struct Limits {
        /// Bytes of a file that are fetched ahead.
        var windowBytes: UInt64 = 8 << 20
        /// Blocks that a window may have.
        var windowBlocksMax = 65_536
        /// Blocks that are fetched at the same time.
        var fetchesMax = 8
    }

    /// Where the tree begins, of version 1.
    let root: CID
    private let node: any NodeService
    private let limits: Limits
    private let bounds: UnixFSLimits

    /// Reads the tree under `root`, which may be a CID of either version.
    init(_ root: CID, on node: any NodeService, limits: Limits = Limits()) {
        var bounds = UnixFSLimits()
        bounds.rangeBlocksMax = limits.windowBlocksMax
        self.bounds = bounds
        self.root = root.version1
        self.node = node
        self.limits = limits
    }

    /// A block of the tree.
    func block(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        if let own = cid.ownBlock { return own }
        return try await node.block(cid, of: root)
    }

    /// What a CID in the tree names.
    func look(at cid: CID) async throws(NodeServiceError) -> UnixFSBlock {
        let block = try await block(cid)
        return try told { () throws(UnixFSError) in try UnixFSBlock(block, of: cid, limits: bounds) }
    }

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

    /// The entries of a folder, in the order of their names.
    func entries(of folder: CID) async throws(NodeServiceError) -> [UnixFSEntry] {
        var reader = UnixFSDirectoryReader(root: folder, limits: bounds)
        var here: [CID: [UInt8]] = [:]
        while let next = reader.next {
            if here[next] == nil { here = try await blocks(Array(reader.needed.prefix(limits.fetchesMax))) }
            guard let block = here.removeValue(forKey: next) else { continue }
            try told { () throws(UnixFSError) in try reader.received(block) }
        }
        return reader.entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// Gives the bytes of a file in their order, a few MiB at a time.
    func read(
        _ file: CID, bytes size: UInt64, _ take: ([UInt8]) async throws -> Void
    ) async throws {
        var reader = UnixFSRangeReader(root: file, limits: bounds)
        var start: UInt64 = 0
        var here: [CID: [UInt8]] = [:]
        while start < size {
            let window = start..<min(size, start + limits.windowBytes)
            while true {
                let missing = try told { () throws(UnixFSError) in try reader.missing(in: window) { here[$0] } }
                if missing.isEmpty { break }
                let found = try await blocks(Array(missing.prefix(limits.fetchesMax)))
                here.merge(found) { first, _ in first }
            }
            let answer = try told { () throws(UnixFSError) in try reader.read(window) { here[$0] } }
            guard case .here(let bytes) = answer, UInt64(bytes.count) == window.upperBound - start else {
                throw Self.failure(.falseSizes(file))
            }
            try await take(bytes)
            start = window.upperBound
            here = [:]
        }
    }

    /// Blocks, fetched at the same time.
    func blocks(_ cids: [CID]) async throws(NodeServiceError) -> [CID: [UInt8]] {
        let result = await withTaskGroup(of: Answer.self) { group in
            let (node, root) = (node, root)
            for cid in cids { group.addTask { await Self.ask(node, for: cid, of: root) } }
            var found: [CID: [UInt8]] = [:]
            for await answer in group {
                switch answer.block {
                case .success(let block): found[answer.cid] = block
                case .failure(let error): return Result<[CID: [UInt8]], NodeServiceError>.failure(error)
                }
            }
            return .success(found)
        }
        return try result.get()
    }

    /// What the node answers about one block. A structure: an optimised build of Swift 6.3.1 crashes on a tuple here.
    private struct Answer: Sendable {
        let cid: CID
        let block: Result<[UInt8], NodeServiceError>
    }

    private static func ask(_ node: any NodeService, for cid: CID, of root: CID) async -> Answer {
        do throws(NodeServiceError) {
            let block = try await node.block(cid, of: root)
            return Answer(cid: cid, block: .success(block))
        } catch {
            return Answer(cid: cid, block: .failure(error))
        }
    }

    private func told<Value>(_ body: () throws(UnixFSError) -> Value) throws(NodeServiceError) -> Value {
        do throws(UnixFSError) {
            return try body()
        } catch {
            throw Self.failure(error)
        }
    }

    /// A tree that is not what it should be, as the user sees it.
    static func failure(_ error: UnixFSError) -> NodeServiceError {
        switch error {
        case .notADirectory, .notAFile, .notUnixFS:
            NodeServiceError(
                .invalidRequest, "The data cannot be read: \(error).",
                hint: "mesh stat says what a CID is; mesh get --raw gets its block.")
        case .tooManyEntries, .namesTooLong, .tooDeep, .tooManyBlocks, .fileTooLarge, .blockTooLarge:
            NodeServiceError(.tooLarge, "The data cannot be read: \(error).", hint: "Get a part of it by its path.")
        case .falseSizes, .falseShard, .duplicateName, .equalHashes:
            NodeServiceError(
                .blockCorrupt, "The data cannot be read: \(error).",
                hint: "Whoever made it wrote it wrongly; ask for another copy.")
        }
    }
}

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
