package import Multiformats

/// Reads ranges of one file out of blocks at hand.
///
/// It keeps the nodes on the way and the last chunk, so that a reader who goes on where it stopped costs one look at
/// each block. Every block must be as large as the nodes above it say; a file whose nodes do not say how many bytes lie
/// below each link is refused, since nobody could find a place in it.
package struct UnixFSRangeReader: Sendable {
    private enum Piece {
        case node(UnixFSNode)
        case chunk([UInt8])
    }

    private struct Place {
        let cid: CID
        let start: UInt64
        let depth: Int
        /// What the node above says of it.
        let told: (fileBytes: UInt64, treeBytes: UInt64)?
    }

    private static let nodesKeptMax = 8

    private let root: CID
    private let limits: UnixFSLimits
    private var nodes: [(cid: CID, node: UnixFSNode)] = []
    private var chunk: (cid: CID, bytes: [UInt8])?

    /// A reader of the file that `root` names.
    package init(root: CID, limits: UnixFSLimits = UnixFSLimits()) {
        self.root = root.version1
        self.limits = limits
    }

    /// The bytes of a range, as far as the file goes, or which blocks of it are missing.
    ///
    /// - Parameter blocks: a block by its CID of version 1, verified; `nil` if it is not here.
    package mutating func read(
        _ range: Range<UInt64>, from blocks: (CID) -> [UInt8]?
    ) throws(UnixFSError) -> UnixFSAnswer<[UInt8]> {
        var bytes: [UInt8] = []
        let missing = try visit(range, from: blocks) { bytes.append(contentsOf: $0) }
        return missing.isEmpty ? .here(bytes) : .missing(missing)
    }

    /// Blocks of a range that are missing, as far as the nodes that are here tell; none if all are here.
    package mutating func missing(
        in range: Range<UInt64>, from blocks: (CID) -> [UInt8]?
    ) throws(UnixFSError) -> [CID] {
        try visit(range, from: blocks) { _ in }
    }

    /// Gives the content of a range piece by piece until a block is missing; then only looks for more that are.
    private mutating func visit(
        _ range: Range<UInt64>, from blocks: (CID) -> [UInt8]?, _ take: (ArraySlice<UInt8>) -> Void
    ) throws(UnixFSError) -> [CID] {
        var places = [Place(cid: root, start: 0, depth: 0, told: nil)]
        var missing: [CID] = []
        var left = limits.rangeBlocksMax
        while let place = places.popLast() {
            if left == 0 { throw .tooManyBlocks }
            left -= 1
            guard let piece = try piece(place.cid, from: blocks) else {
                if !missing.contains(place.cid) { missing.append(place.cid) }
                if missing.count == limits.missingMax { return missing }
                continue
            }
            switch piece {
            case .chunk(let bytes):
                try check(place, fileBytes: UInt64(bytes.count), treeBytes: UInt64(bytes.count))
                if missing.isEmpty { give(bytes, at: place.start, range, take) }
            case .node(let node):
                try check(place, fileBytes: node.ownBytes, treeBytes: node.treeBytes)
                if missing.isEmpty { give(node.content, at: place.start, range, take) }
                places += try below(node, place, range).reversed()
            }
        }
        return missing
    }

    /// The blocks on the way to a byte, from the root to the one that holds it, with their bytes: they follow from the
    /// file alone. Names a node that is missing; a chunk need not be here, unless it is the whole file.
    package mutating func way(
        to offset: UInt64, from blocks: (CID) -> [UInt8]?
    ) throws(UnixFSError) -> UnixFSAnswer<[(cid: CID, bytes: UInt64)]> {
        var way: [(cid: CID, bytes: UInt64)] = []
        var next: Place? = Place(cid: root, start: 0, depth: 0, told: nil)
        while let place = next {
            next = nil
            if place.cid.codec == .raw, let told = place.told {
                way.append((place.cid, told.treeBytes))
                break
            }
            switch try piece(place.cid, from: blocks) {
            case .chunk(let bytes)?: way.append((place.cid, UInt64(bytes.count)))
            case .node(let node)?:
                way.append((place.cid, node.blockBytes))
                next = try below(node, place, offset..<offset + 1).first
            case nil: return .missing([place.cid])
            }
        }
        return .here(way)
    }

    private func check(_ place: Place, fileBytes: UInt64?, treeBytes: UInt64?) throws(UnixFSError) {
        guard let fileBytes, let treeBytes else { throw .falseSizes(place.cid) }
        guard let told = place.told else { return }
        if told.fileBytes != fileBytes || told.treeBytes != treeBytes { throw .falseSizes(place.cid) }
    }

    private func give(
        _ bytes: [UInt8], at start: UInt64, _ range: Range<UInt64>, _ take: (ArraySlice<UInt8>) -> Void
    ) {
        let (end, isOver) = start.addingReportingOverflow(UInt64(bytes.count))
        let own = start..<(isOver ? .max : end)
        let wanted = own.clamped(to: range)
        if wanted.isEmpty { return }
        take(bytes[Int(wanted.lowerBound - start)..<Int(wanted.upperBound - start)])
    }

    /// The blocks below a node that have bytes of the range.
    private func below(
        _ node: UnixFSNode, _ place: Place, _ range: Range<UInt64>
    ) throws(UnixFSError) -> [Place] {
        if node.links.isEmpty { return [] }
        guard node.linkedFileBytes.count == node.links.count else { throw .falseSizes(place.cid) }
        if place.depth == limits.fileDepthMax { throw .tooDeep(depthMax: limits.fileDepthMax) }
        var places: [Place] = []
        // The sums are checked: they are the node's size, and the sizes of those above it.
        var start = place.start + UInt64(node.content.count)
        for (index, cid) in node.links.enumerated() {
            let end = start + node.linkedFileBytes[index]
            if start >= range.upperBound { break }
            if start < end, end > range.lowerBound {
                places.append(
                    Place(
                        cid: cid.version1, start: start, depth: place.depth + 1,
                        told: (node.linkedFileBytes[index], node.linkedBlockBytes[index])))
            }
            start = end
        }
        return places
    }

    private mutating func piece(_ cid: CID, from blocks: (CID) -> [UInt8]?) throws(UnixFSError) -> Piece? {
        if let chunk, chunk.cid == cid { return .chunk(chunk.bytes) }
        if let index = nodes.firstIndex(where: { $0.cid == cid }) {
            let kept = nodes.remove(at: index)
            nodes.append(kept)
            return .node(kept.node)
        }
        guard let block = cid.ownBlock ?? blocks(cid) else { return nil }
        if block.count > limits.blockBytesMax { throw .blockTooLarge(cid, bytesMax: limits.blockBytesMax) }
        if cid.codec == .raw {
            chunk = (cid, block)
            return .chunk(block)
        }
        let node = try UnixFSNode(block, of: cid)
        if nodes.count == Self.nodesKeptMax { nodes.removeFirst() }
        nodes.append((cid, node))
        return .node(node)
    }
}
