public import Multiformats

/// One linking block of a file: bytes of its own, and the blocks that go on behind them.
public struct UnixFSNode: Hashable, Sendable {
    /// The bytes that stand in the node itself; none in what this project writes.
    public let content: [UInt8]
    /// The blocks below, in order; each is a chunk or a node again.
    public let links: [CID]
    /// What the node says of the file's bytes in it and below it; `nil` when it says nothing.
    public let fileBytes: UInt64?
    /// What it says of the file's bytes below each link; empty when it says nothing.
    let linkedFileBytes: [UInt64]
    /// What it says of all bytes of the blocks below each link.
    let linkedBlockBytes: [UInt64]
    /// Bytes of the block itself.
    let blockBytes: UInt64

    /// Reads the block that `cid` names; throws `UnixFSError.notAFile` when it is no DAG-PB node of a file, and
    /// `falseSizes` when what it says of itself contradicts itself.
    public init(_ block: [UInt8], of cid: CID) throws(UnixFSError) {
        guard cid.codec == .dagPB, let node = try? DAGPBNode(decoding: block),
            let told = Told(node.data ?? []), told.type == UnixFSFile.fileType || told.type == UnixFSFile.rawType
        else { throw .notAFile(cid) }
        content = told.content
        links = node.links.map(\.cid)
        fileBytes = told.fileBytes
        linkedFileBytes = told.blockSizes
        linkedBlockBytes = node.links.map(\.totalBytes)
        blockBytes = UInt64(block.count)
        guard linkedFileBytes.isEmpty || linkedFileBytes.count == links.count else { throw .falseSizes(cid) }
        if let fileBytes, links.isEmpty || !linkedFileBytes.isEmpty {
            guard Self.sum(linkedFileBytes, and: UInt64(content.count)) == fileBytes else { throw .falseSizes(cid) }
        }
    }

    /// All bytes of this block and of those below it, as its links have them; `nil` when nothing has so many.
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

    /// The UnixFS message inside a node.
    private struct Told {
        var type: UInt64?
        var content: [UInt8] = []
        var fileBytes: UInt64?
        var blockSizes: [UInt64] = []

        init?(_ data: [UInt8]) {
            var reader = ProtobufReader(data, maxFields: DAGPBNode.linksMax + 8)
            do {
                while let field = try reader.next() {
                    switch field.number {
                    case 1: type = field.varint
                    case 2: content = field.bytes ?? content
                    case 3: fileBytes = field.varint
                    case 4:
                        guard let size = field.varint else { return nil }
                        blockSizes.append(size)
                    default: break
                    }
                }
            } catch {
                return nil
            }
        }
    }
}

/// The way through the blocks of a file, depth first, that holds every block against what was said of it above: the
/// file's bytes in it and below it, and all bytes of the blocks from it on.
///
/// A size that no node tells is not checked. What is held grows with the width of the tree, at most
/// `UnixFSFile.depthMax` nodes of `DAGPBNode.linksMax` links.
public struct UnixFSWalk: Sendable {
    private struct Wanted {
        let cid: CID
        let depth: Int
        var fileBytes: UInt64?
        var treeBytes: UInt64?
    }

    /// A node whose blocks are not all there yet.
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

    /// Blocks that came.
    public private(set) var blockCount = 0
    /// Bytes of the file that came.
    public private(set) var fileBytes: UInt64 = 0

    /// The way from a root, through at most `blocksMax` blocks.
    public init(root: CID, blocksMax: Int = UnixFSFile.blocksMax) {
        wanted = [Wanted(cid: root, depth: 0)]
        self.blocksMax = blocksMax
    }

    /// The block that is wanted next; `nil` at the end.
    public var next: CID? { wanted.last?.cid }

    /// The block that is wanted next came, and it is a chunk of so many bytes.
    public mutating func received(chunkBytes: UInt64) throws(UnixFSError) {
        guard let chunk = try take() else { return }
        try check(chunk, fileBytes: chunkBytes, treeBytes: chunkBytes)
        try add(chunkBytes, of: chunk.cid)
        try close()
    }

    /// The block that is wanted next came, and it is this node.
    public mutating func received(_ node: UnixFSNode) throws(UnixFSError) {
        guard let place = try take() else { return }
        guard let treeBytes = node.treeBytes else { throw .falseSizes(place.cid) }
        let ownBytes = node.links.isEmpty ? UInt64(node.content.count) : node.fileBytes
        try check(place, fileBytes: ownBytes ?? place.fileBytes, treeBytes: treeBytes)
        let start = fileBytes
        try add(UInt64(node.content.count), of: place.cid)
        if node.links.isEmpty { return try close() }
        if place.depth + 1 > UnixFSFile.depthMax { throw .tooDeep(depthMax: UnixFSFile.depthMax) }
        open.append(
            Open(cid: place.cid, start: start, fileBytes: ownBytes ?? place.fileBytes, left: node.links.count))
        for (index, link) in node.links.enumerated().reversed() {
            wanted.append(
                Wanted(
                    cid: link, depth: place.depth + 1,
                    fileBytes: node.linkedFileBytes.isEmpty ? nil : node.linkedFileBytes[index],
                    treeBytes: node.linkedBlockBytes[index]))
        }
        if wanted.count > 2 * DAGPBNode.linksMax { throw .tooManyBlocks }
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

    /// A block is whole; perhaps that makes those above it whole.
    private mutating func close() throws(UnixFSError) {
        while let last = open.indices.last {
            open[last].left -= 1
            if open[last].left > 0 { return }
            let node = open.removeLast()
            if let told = node.fileBytes, fileBytes - node.start != told { throw .falseSizes(node.cid) }
        }
    }
}
