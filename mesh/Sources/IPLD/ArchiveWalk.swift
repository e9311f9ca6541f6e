package import Multiformats

/// A range of a file's bytes as `entity-bytes` writes it: both ends count, and ends before 0 count from the file's end.
///
/// Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/#entity-bytes-request-query-parameter
package struct EntityBytes: Hashable, Sendable {
    /// The first byte; below 0, so many before the end.
    package let first: Int64
    /// The last byte; below 0, so many before the end; nil is the last of the file.
    package let last: Int64?

    /// A range from its ends.
    package init(first: Int64, last: Int64?) {
        self.first = first
        self.last = last
    }

    /// The range that a text names, such as `0:1023`, `-1024:*` or `499:-1000`; nil if it names none, or one that no
    /// file has.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = Self.number(parts[0]) else { return nil }
        if parts[1] == "*" {
            self.init(first: first, last: nil)
        } else {
            guard let last = Self.number(parts[1]) else { return nil }
            // Of ends that count from the same side it is known that nothing is between them.
            guard (first < 0) != (last < 0) || first <= last else { return nil }
            self.init(first: first, last: last)
        }
    }

    /// The text that names it.
    package var text: String { "\(first):\(last.map { "\($0)" } ?? "*")" }

    /// The part of a file of so many bytes; empty if there is none.
    package func range(in size: UInt64) -> Range<UInt64> {
        let start = Self.place(first, in: size) ?? 0
        guard let last else { return start..<max(start, size) }
        guard let end = Self.place(last, in: size), end >= start else { return start..<start }
        return start..<max(start, min(end + 1, size))
    }

    /// Where an end is; nil before the beginning of the file.
    private static func place(_ end: Int64, in size: UInt64) -> UInt64? {
        if end >= 0 { return UInt64(end) }
        return end.magnitude <= size ? size - end.magnitude : nil
    }

    private static func number(_ text: Substring) -> Int64? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int64(text)
    }
}

/// The blocks of an archive in their order: those on the way of a path, then what its scope takes of what is there.
///
/// The order is depth first by the links as they stand, and each block comes once, named as the first link to it names
/// it (a gateway's `order=dfs; dups=n`). It does no I/O: get the block that `next` names and hand it in. Blocks that
/// their CIDs carry are read and not given. It checks nothing that whoever reads the archive can check, and follows the
/// links of files and folders alone. Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/
package struct ArchiveWalk: Sendable {
    /// What an archive takes of what a path leads to.
    package enum Scope: Hashable, Sendable {
        /// One block.
        case block
        /// A whole file, or all names of a folder; else one block.
        case entity
        /// The blocks that have bytes of a range of a file; of anything else as `entity`.
        case bytes(EntityBytes)
        /// All that is below it, too.
        case all
    }

    /// The bounds of a walk.
    package struct Limits: Hashable, Sendable {
        /// Blocks that it gives, and links that it remembers.
        package var blocksMax = 1 << 20
        /// The bounds of what is read.
        package var unixFS = UnixFSLimits()

        /// The limits of this project.
        package init() {}
    }

    private struct Wanted {
        /// How much of what is below a block is wanted.
        enum Extent {
            /// What the path leads to, whatever it is.
            case end
            case alone
            /// All that it links to, and below.
            case whole
            /// The parts of a large directory, without the entries.
            case shards
            /// Pieces of a file that have bytes of the range, of one that begins at a byte and has so many.
            case part(start: UInt64, bytes: UInt64, depth: Int)
        }

        /// As the link to it writes it.
        let cid: CID
        let extent: Extent
    }

    private let scope: Scope
    private let limits: Limits
    private var path: UnixFSPathReader
    private var wanted: [Wanted] = []
    private var given: Set<CID> = []
    /// Nodes of a file that were given and of which not all pieces were wanted then.
    private var inPart: Set<CID> = []
    private var range: Range<UInt64> = 0..<0

    /// What the path's beginning and each of its names lead to, as far as it was followed.
    package private(set) var roots: [CID]
    /// What the path leads to, as the link to it writes it; nil until it was followed to its end.
    package private(set) var end: CID?
    /// Whether the file at the path's end has bytes, and none of them is in the range that was asked for.
    package private(set) var isOutside = false

    /// A walk from a root along names; throws if there are too many names, or if a root that carries its own block is
    /// none that can be read.
    package init(
        root: CID, names: [[UInt8]] = [], scope: Scope = .all, limits: Limits = Limits()
    ) throws(UnixFSError) {
        self.scope = scope
        self.limits = limits
        roots = [root]
        path = try UnixFSPathReader(root: root, names: names, limits: limits.unixFS)
        try advance()
    }

    /// Names of the path that were found.
    package var namesFound: Int { path.namesFound }
    /// Whether the next name of the path is not there, which ends the walk.
    package var isMissing: Bool { path.isMissing }

    /// The block to hand in next, by its CID of version 1; nil at the end.
    package var next: CID? { path.next ?? wanted.last?.cid.version1 }

    /// Blocks that are handed in next, `next` first, as far as that is known; some of them may not be asked for.
    package func coming(_ count: Int) -> [CID] {
        if let next = path.next { return [next] }
        return wanted.suffix(count).reversed().map(\.cid.version1)
            .filter { $0.ownBlock == nil && !isGiven($0) }
    }

    /// Whether a block and all that is wanted below it was given, or will be.
    private func isGiven(_ cid: CID) -> Bool {
        given.contains(cid.version1) && !inPart.contains(cid.version1)
    }

    /// Takes the block that `next` named, which the caller has held against its CID, and gives it back as it stands in
    /// the archive; nil if it is there already.
    package mutating func received(_ block: [UInt8]) throws(UnixFSError) -> CAR.Block? {
        guard let cid = path.nextAsLinked ?? wanted.last?.cid else { return nil }
        try take(block, of: cid)
        let isNew = given.insert(cid.version1).inserted
        try advance()
        return isNew ? CAR.Block(cid: cid, bytes: block) : nil
    }

    /// Goes on until a block is needed.
    private mutating func advance() throws(UnixFSError) {
        while true {
            if given.count + wanted.count > limits.blocksMax { throw .tooManyBlocks }
            if let found = path.foundAsLinked, end == nil {
                end = found
                wanted = [Wanted(cid: found, extent: .end)]
            }
            guard let cid = path.nextAsLinked ?? wanted.last?.cid else { return }
            if let own = cid.ownBlock {
                try take(own, of: cid)
            } else if path.next == nil, isGiven(cid) {
                wanted.removeLast()
            } else {
                return
            }
        }
    }

    private mutating func take(_ block: [UInt8], of cid: CID) throws(UnixFSError) {
        if path.next == nil { return try enter(wanted.removeLast(), block) }
        let before = path.namesFound
        try path.received(block)
        guard path.namesFound > before, let root = path.nextAsLinked ?? path.foundAsLinked else { return }
        roots.append(root)
    }

    // MARK: Below the path

    private mutating func enter(_ place: Wanted, _ block: [UInt8]) throws(UnixFSError) {
        if block.count > limits.unixFS.blockBytesMax {
            throw .blockTooLarge(place.cid, bytesMax: limits.unixFS.blockBytesMax)
        }
        guard place.cid.codec == .dagPB else { return }
        switch place.extent {
        case .alone: return
        case .end: try enterEnd(place.cid, block)
        case .whole:
            inPart.remove(place.cid.version1)
            want(try links(of: place.cid, block), .whole)
        case .shards: try wantShards(of: place.cid, block)
        case .part(let start, let bytes, let depth):
            inPart.insert(place.cid.version1)
            let node = try UnixFSNode(block, of: place.cid)
            guard node.ownBytes == bytes else { throw .falseSizes(place.cid) }
            try wantPieces(of: node, place.cid, block, start: start, depth: depth)
        }
    }

    private mutating func enterEnd(_ cid: CID, _ block: [UInt8]) throws(UnixFSError) {
        switch scope {
        case .block: return
        case .all: return want(try links(of: cid, block), .whole)
        case .entity, .bytes: break
        }
        if let node = try? UnixFSNode(block, of: cid) {
            // In a file that does not say how large its pieces are nobody could find a place.
            guard case .bytes(let asked) = scope, let size = node.ownBytes, node.tellsPieces else {
                return want(try links(of: cid, block), .whole)
            }
            range = asked.range(in: size)
            isOutside = size > 0 && range.lowerBound >= size
            try wantPieces(of: node, cid, block, start: 0, depth: 0)
        } else if let entity = try? UnixFSBlock(block, of: cid, limits: limits.unixFS), entity.kind == .shard {
            try wantShards(of: cid, block)
        }
    }

    /// Wants the parts below a part of a large directory.
    private mutating func wantShards(of cid: CID, _ block: [UInt8]) throws(UnixFSError) {
        let (node, data) = try UnixFSBlock.parts(of: block, cid, limits: limits.unixFS)
        want(try UnixFSShard(node, data, cid).slots.filter { $0.name == nil }.map(\.cid), .shards)
    }

    /// Wants what a node of a file has of the range, and whole what lies whole within it.
    private mutating func wantPieces(
        of node: UnixFSNode, _ cid: CID, _ block: [UInt8], start: UInt64, depth: Int
    ) throws(UnixFSError) {
        guard !node.links.isEmpty, !range.isEmpty else { return }
        guard node.tellsPieces else { throw .falseSizes(cid) }
        if depth == limits.unixFS.fileDepthMax { throw .tooDeep(depthMax: limits.unixFS.fileDepthMax) }
        var pieces: [Wanted] = []
        // The sums are checked: they are the node's size, which is what the node above says.
        var from = start + UInt64(node.content.count)
        for (link, bytes) in zip(try links(of: cid, block), node.linkedFileBytes) {
            let piece = from..<from + bytes
            from = piece.upperBound
            let shared = piece.clamped(to: range)
            if shared.isEmpty { continue }
            let extent = Wanted.Extent.part(start: piece.lowerBound, bytes: bytes, depth: depth + 1)
            pieces.append(Wanted(cid: link, extent: shared == piece ? .whole : extent))
        }
        push(pieces)
    }

    /// The links of a file or folder, as they are written.
    private func links(of cid: CID, _ block: [UInt8]) throws(UnixFSError) -> [CID] {
        // A file whose node does not say how long it is can be taken whole.
        if (try? UnixFSNode(block, of: cid)) == nil { _ = try UnixFSBlock(block, of: cid, limits: limits.unixFS) }
        guard let node = try? DAGPBNode(decoding: block, linksMax: limits.unixFS.directoryLinksMax) else {
            throw .notUnixFS(cid)
        }
        return node.links.map(\.cid)
    }

    private mutating func want(_ links: [CID], _ extent: Wanted.Extent) {
        push(links.map { Wanted(cid: $0, extent: extent) })
    }

    private mutating func push(_ places: [Wanted]) {
        wanted += places.reversed().filter { !isGiven($0.cid) }
    }
}
