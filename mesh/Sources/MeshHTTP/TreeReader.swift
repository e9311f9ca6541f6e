package import IPLD
package import Multiformats
package import NodeAPI

/// Reads the files and folders under a root from a node, which has their blocks or fetches them.
///
/// It holds the blocks of one window of a file, however large the file is.
package struct TreeReader: Sendable {
    /// The bounds of reading.
    package struct Limits: Hashable, Sendable {
        /// Bytes of a file that are fetched ahead.
        package var windowBytes: UInt64 = 8 << 20
        /// Blocks that a window may have.
        package var windowBlocksMax = 65_536
        /// Bytes of blocks that a window may take beyond the bytes of the file in it: nodes above the leaves, the
        /// leaves at its ends, padding.
        package var windowExcessBytes: UInt64 = 8 << 20
        /// Blocks that are fetched at the same time.
        package var fetchesMax = 8

        /// The defaults.
        package init() {}
    }

    /// Where the tree begins, of version 1.
    package let root: CID
    private let node: any NodeService
    fileprivate let limits: Limits
    /// The bounds of what is read of each block.
    package let bounds: UnixFSLimits

    /// Reads the tree under `root`, which may be a CID of either version.
    package init(_ root: CID, on node: any NodeService, limits: Limits = Limits()) {
        var bounds = UnixFSLimits()
        bounds.rangeBlocksMax = limits.windowBlocksMax
        self.bounds = bounds
        self.root = root.version1
        self.node = node
        self.limits = limits
    }

    /// A block of the tree.
    package func block(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        if let own = cid.ownBlock { return own }
        return try await node.block(cid, of: root)
    }

    /// What a CID in the tree names.
    package func look(at cid: CID) async throws(NodeServiceError) -> UnixFSBlock {
        let block = try await block(cid)
        return try told { () throws(UnixFSError) in try UnixFSBlock(block, of: cid, limits: bounds) }
    }

    /// The entries of a folder, in the order of their names.
    package func entries(of folder: CID) async throws(NodeServiceError) -> [UnixFSEntry] {
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
    package func read(
        _ file: CID, bytes size: UInt64, _ take: ([UInt8]) async throws -> Void
    ) async throws {
        var windows = FileWindows(of: file, 0..<size, in: self)
        while let bytes = try await windows.next() { try await take(bytes) }
    }

    /// Blocks, fetched at the same time.
    package func blocks(_ cids: [CID]) async throws(NodeServiceError) -> [CID: [UInt8]] {
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

    /// What reading gives, its failures as the user sees them.
    package func told<Value>(_ body: () throws(UnixFSError) -> Value) throws(NodeServiceError) -> Value {
        do throws(UnixFSError) {
            return try body()
        } catch {
            throw Self.failure(error)
        }
    }

    /// A tree that is not what it should be, as the user sees it.
    package static func failure(_ error: UnixFSError) -> NodeServiceError {
        switch error {
        case .notADirectory, .notAFile, .notUnixFS:
            NodeServiceError(
                .invalidRequest, "The data cannot be read: \(error).",
                hint: "mesh get --raw gets its block; of a receipt, mesh receipt show prints what it says.")
        case .tooManyEntries, .namesTooLong, .tooDeep, .tooManyBlocks, .fileTooLarge, .blockTooLarge:
            NodeServiceError(.tooLarge, "The data cannot be read: \(error).", hint: "Get a part of it by its path.")
        case .falseSizes, .falseShard, .duplicateName, .equalHashes:
            NodeServiceError(
                .blockCorrupt, "The data cannot be read: \(error).",
                hint: "Whoever made it wrote it wrongly; ask for another copy.")
        }
    }
}

/// The bytes of a range of a file, a window at a time: it holds the blocks of one, however large the file is.
package struct FileWindows: Sendable {
    private let file: CID
    private let tree: TreeReader
    private var reader: UnixFSRangeReader
    private var rest: Range<UInt64>

    /// The windows of a range of `file`, which has to have all of it.
    package init(of file: CID, _ range: Range<UInt64>, in tree: TreeReader) {
        self.file = file
        self.tree = tree
        reader = UnixFSRangeReader(root: file, limits: tree.bounds)
        rest = range
    }

    /// The bytes of the next window; nil at the end.
    package mutating func next() async throws(NodeServiceError) -> [UInt8]? {
        if rest.isEmpty { return nil }
        let tree = tree
        let window = rest.lowerBound..<rest.lowerBound + min(tree.limits.windowBytes, rest.upperBound - rest.lowerBound)
        var here = try await blocks(of: window)
        while true {
            let answer = try tree.told { () throws(UnixFSError) in try reader.read(window) { here[$0] } }
            switch answer {
            case .here(let bytes):
                guard UInt64(bytes.count) == window.upperBound - window.lowerBound else {
                    throw TreeReader.failure(.falseSizes(file))
                }
                rest = window.upperBound..<rest.upperBound
                return bytes
            case .missing(let missing):
                // The reader had the block in which the window before ended, and kept a later one instead.
                here.merge(try await tree.blocks(Array(missing.prefix(tree.limits.fetchesMax)))) { first, _ in first }
            }
        }
    }

    private mutating func blocks(of window: Range<UInt64>) async throws(NodeServiceError) -> [CID: [UInt8]] {
        let tree = tree
        var here: [CID: [UInt8]] = [:]
        var bytesLeft = window.upperBound - window.lowerBound + tree.limits.windowExcessBytes
        while true {
            let missing = try tree.told { () throws(UnixFSError) in try reader.missing(in: window) { here[$0] } }
            if missing.isEmpty { return here }
            // All of them before the next look, which is at the whole window.
            for start in stride(from: 0, to: missing.count, by: tree.limits.fetchesMax) {
                for (cid, block) in try await tree.blocks(Array(missing[start...].prefix(tree.limits.fetchesMax))) {
                    let bytes = UInt64(block.count)
                    guard bytes <= bytesLeft else { throw Self.tooMuch(of: file) }
                    bytesLeft -= bytes
                    here[cid] = block
                }
            }
        }
    }

    private static func tooMuch(of file: CID) -> NodeServiceError {
        NodeServiceError(
            .tooLarge, "The file \(file) cannot be read in parts: its blocks are far larger than what is in them.",
            hint: "mesh get --raw gets single blocks; ask for another copy.")
    }
}
