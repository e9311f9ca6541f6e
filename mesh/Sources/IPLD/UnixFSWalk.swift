package import Multiformats

/// One linking block of a file: its own bytes, and the blocks that follow them.
package struct UnixFSNode: Hashable, Sendable {
    /// The bytes in the node itself; none in what this project writes.
    package let content: [UInt8]
    /// The blocks below, in order; each is a chunk or a node again.
    package let links: [CID]
    /// The node's statement of the file's bytes in and below it; `nil` if none.
    package let fileBytes: UInt64?
    /// Its statement of the file's bytes below each link; empty if none.
    let linkedFileBytes: [UInt64]
    /// Its statement of all bytes of the blocks below each link.
    let linkedBlockBytes: [UInt64]
    /// Bytes of the block itself.
    let blockBytes: UInt64

    /// Reads the block that `cid` names; throws `UnixFSError.notAFile` when it is no DAG-PB node of a file, and
    /// `falseSizes` when what it says of itself contradicts itself.
    package init(_ block: [UInt8], of cid: CID) throws(UnixFSError) {
        guard cid.codec == .dagPB, let node = try? DAGPBNode(decoding: block),
            let told = UnixFSData(decoding: node.data ?? [], fieldsMax: DAGPBNode.linksMax + 8), told.isFile
        else { throw .notAFile(cid) }
        content = told.content
        links = node.links.map(\.cid.version1)
        fileBytes = told.fileBytes
        linkedFileBytes = told.blockSizes
        linkedBlockBytes = node.links.map(\.totalBytes)
        blockBytes = UInt64(block.count)
        guard linkedFileBytes.isEmpty || linkedFileBytes.count == links.count else { throw .falseSizes(cid) }
        if let fileBytes, links.isEmpty || !linkedFileBytes.isEmpty {
            guard Self.sum(linkedFileBytes, and: UInt64(content.count)) == fileBytes else { throw .falseSizes(cid) }
        }
    }

    /// The file's bytes in and below it, as the node or its links say; `nil` if neither does.
    var ownBytes: UInt64? {
        if links.isEmpty { return UInt64(content.count) }
        if let fileBytes { return fileBytes }
        return linkedFileBytes.isEmpty ? nil : Self.sum(linkedFileBytes, and: UInt64(content.count))
    }

    /// Whether it says how many bytes of the file are below each of its links.
    var tellsPieces: Bool { linkedFileBytes.count == links.count }

    /// All bytes of this block and of those below it, by its links; `nil` if impossibly many.
    var treeBytes: UInt64? { Self.sum(linkedBlockBytes, and: blockBytes) }

    private static func sum(_ sizes: [UInt64], and first: UInt64) -> UInt64? {
        var total = first
        for size in sizes {
            let (sum, isOver) = total.addingReportingOverflow(size)
            if isOver { return nil }
            total = sum
        }
        return total
    }
}

/// A depth-first walk through the blocks of a file that checks every block against the statements of the nodes above:
/// the file's bytes in and below it, and all bytes of the blocks from it on.
///
/// It does not check a size that no node states. It holds no more links than it may have blocks.
package struct UnixFSWalk: Sendable {
    private struct Wanted {
        let cid: CID
        let depth: Int
        var fileBytes: UInt64?
        var treeBytes: UInt64?
    }

    /// A node with missing blocks.
    private struct Open {
        let cid: CID
        /// Where in the file it begins.
        let start: UInt64
        let fileBytes: UInt64?
        var left: Int
    }

    private var wanted: [Wanted]
    private var open: [Open] = []
    private let blocksMax: Int
    private let depthMax: Int

    /// Blocks that came.
    package private(set) var blockCount = 0
    /// Bytes of the file that came.
    package private(set) var fileBytes: UInt64 = 0

    /// A walk from a root, through at most `blocksMax` blocks and `depthMax` levels of nodes above the chunks.
    package init(root: CID, blocksMax: Int = UnixFSFile.blocksMax, depthMax: Int = UnixFSFile.depthMax) {
        wanted = [Wanted(cid: root, depth: 0)]
        self.blocksMax = blocksMax
        self.depthMax = depthMax
    }

    /// The next block; `nil` at the end.
    package var next: CID? { wanted.last?.cid }

    /// Takes the next block, a chunk of this many bytes.
    package mutating func received(chunkBytes: UInt64) throws(UnixFSError) {
        guard let chunk = try take() else { return }
        try check(chunk, fileBytes: chunkBytes, treeBytes: chunkBytes)
        try add(chunkBytes, of: chunk.cid)
        try close()
    }

    /// Takes the next block, this node.
    package mutating func received(_ node: UnixFSNode) throws(UnixFSError) {
        guard let place = try take() else { return }
        guard let treeBytes = node.treeBytes else { throw .falseSizes(place.cid) }
        let ownBytes = node.links.isEmpty ? UInt64(node.content.count) : node.fileBytes
        try check(place, fileBytes: ownBytes ?? place.fileBytes, treeBytes: treeBytes)
        let start = fileBytes
        try add(UInt64(node.content.count), of: place.cid)
        if node.links.isEmpty { return try close() }
        if place.depth + 1 > depthMax { throw .tooDeep(depthMax: depthMax) }
        if node.links.count > blocksMax - blockCount - wanted.count { throw .tooManyBlocks }
        open.append(
            Open(cid: place.cid, start: start, fileBytes: ownBytes ?? place.fileBytes, left: node.links.count))
        for (index, link) in node.links.enumerated().reversed() {
            wanted.append(
                Wanted(
                    cid: link, depth: place.depth + 1,
                    fileBytes: node.linkedFileBytes.isEmpty ? nil : node.linkedFileBytes[index],
                    treeBytes: node.linkedBlockBytes[index]))
        }
    }

    private mutating func take() throws(UnixFSError) -> Wanted? {
        guard let place = wanted.popLast() else { return nil }
        blockCount += 1
        if blockCount > blocksMax { throw .tooManyBlocks }
        return place
    }

    private func check(_ place: Wanted, fileBytes: UInt64?, treeBytes: UInt64) throws(UnixFSError) {
        if let told = place.fileBytes, let fileBytes, told != fileBytes { throw .falseSizes(place.cid) }
        if let told = place.treeBytes, told != treeBytes { throw .falseSizes(place.cid) }
    }

    private mutating func add(_ bytes: UInt64, of cid: CID) throws(UnixFSError) {
        let (sum, isOver) = fileBytes.addingReportingOverflow(bytes)
        if isOver { throw .falseSizes(cid) }
        fileBytes = sum
    }

    /// Notes a complete block; that may complete those above it.
    private mutating func close() throws(UnixFSError) {
        while let last = open.indices.last {
            open[last].left -= 1
            if open[last].left > 0 { return }
            let node = open.removeLast()
            if let told = node.fileBytes, fileBytes - node.start != told { throw .falseSizes(node.cid) }
        }
    }
}
