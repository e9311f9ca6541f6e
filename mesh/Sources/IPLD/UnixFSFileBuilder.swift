import Multiformats

/// Cuts a file into the blocks of a balanced tree as its bytes come, and holds no more than one chunk and, for each
/// level of the tree, the links of one node.
package struct UnixFSFileBuilder: Sendable {
    private let profile: UnixFSProfile
    private let attributes: UnixFSAttributes
    private var chunk: [UInt8] = []
    /// The links that wait for their node: of chunks, of nodes over chunks, and so on.
    private var levels: [[UnixFSBuilt]] = [[]]
    /// The last leaf that was cut, whose block waits: a file of one chunk has its attributes there.
    private var lastLeaf: [UInt8]?
    private var hasLeaves = false

    /// A builder of one file.
    package init(profile: UnixFSProfile, attributes: UnixFSAttributes = .none) {
        self.profile = attributes == .none ? profile : profile.withoutRawLeaves
        self.attributes = attributes
    }

    /// Takes the next bytes of the file; gives the blocks that are complete.
    ///
    /// Whoever gives exactly `UnixFSProfile.chunkBytes` each time saves a copy of them.
    package mutating func append(_ bytes: [UInt8]) -> [UnixFSBuiltBlock] {
        var blocks: [UnixFSBuiltBlock] = []
        if chunk.isEmpty, bytes.count == profile.chunkBytes {
            cut(bytes, &blocks)
            return blocks
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(profile.chunkBytes - chunk.count)
            chunk.append(contentsOf: part)
            rest = rest.dropFirst(part.count)
            if chunk.count == profile.chunkBytes {
                cut(chunk, &blocks)
                chunk = []
            }
        }
        return blocks
    }

    /// Adds a chunk whose raw block was made elsewhere. A file is made of such chunks alone, each but the last of
    /// `UnixFSProfile.chunkBytes`, and has no attributes.
    package mutating func append(leaf: UnixFSBuilt) -> [UnixFSBuiltBlock] {
        precondition(profile.hasRawLeaves && attributes == .none && chunk.isEmpty && lastLeaf == nil, "mixed chunks")
        hasLeaves = true
        var blocks: [UnixFSBuiltBlock] = []
        push(leaf, to: 0, &blocks)
        return blocks
    }

    /// Ends the file; gives what it is, and the blocks that were not given yet, its root last.
    package mutating func finish() -> (file: UnixFSBuilt, blocks: [UnixFSBuiltBlock]) {
        var blocks: [UnixFSBuiltBlock] = []
        if !chunk.isEmpty || !hasLeaves {
            cut(chunk, &blocks)
            chunk = []
        }
        if let leaf = lastLeaf, levels == [[]] {
            let file = build(leaf: leaf, attributes, &blocks)
            return (file, blocks)
        }
        if lastLeaf == nil, levels.count == 1, let leaf = levels[0].first, levels[0].count == 1 {
            return (leaf, blocks)
        }
        flushLeaf(&blocks)
        var level = 0
        while level < levels.count - 1 {
            let node = close(level, .none, &blocks)
            push(node, to: level + 1, &blocks)
            level += 1
        }
        return (close(level, attributes, &blocks), blocks)
    }

    private mutating func cut(_ bytes: [UInt8], _ blocks: inout [UnixFSBuiltBlock]) {
        flushLeaf(&blocks)
        lastLeaf = bytes
        hasLeaves = true
    }

    /// Builds the leaf that waited, since it is not the only one or the last of several.
    private mutating func flushLeaf(_ blocks: inout [UnixFSBuiltBlock]) {
        guard let leaf = lastLeaf else { return }
        lastLeaf = nil
        push(build(leaf: leaf, .none, &blocks), to: 0, &blocks)
    }

    private func build(
        leaf: [UInt8], _ attributes: UnixFSAttributes, _ blocks: inout [UnixFSBuiltBlock]
    ) -> UnixFSBuilt {
        if profile.hasRawLeaves {
            let cid = CID.hashing(leaf, codec: .raw)
            blocks.append(UnixFSBuiltBlock(cid: cid, bytes: leaf))
            return UnixFSBuilt(cid: cid, treeBytes: UInt64(leaf.count), fileBytes: UInt64(leaf.count))
        }
        var data = UnixFSData(type: UnixFSData.fileType)
        data.content = leaf
        data.fileBytes = UInt64(leaf.count)
        attributes.put(into: &data)
        return Self.node(over: [], data, profile, &blocks)
    }

    /// Adds a link to a level; a full one becomes a node first.
    private mutating func push(_ link: UnixFSBuilt, to level: Int, _ blocks: inout [UnixFSBuiltBlock]) {
        if level == levels.count { levels.append([]) }
        if levels[level].count == profile.linksMax {
            let node = close(level, .none, &blocks)
            push(node, to: level + 1, &blocks)
        }
        levels[level].append(link)
    }

    private mutating func close(
        _ level: Int, _ attributes: UnixFSAttributes, _ blocks: inout [UnixFSBuiltBlock]
    ) -> UnixFSBuilt {
        let links = levels[level]
        levels[level] = []
        var data = UnixFSData(type: UnixFSData.fileType)
        data.blockSizes = links.map(\.fileBytes)
        data.fileBytes = data.blockSizes.reduce(0, +)
        attributes.put(into: &data)
        return Self.node(over: links, data, profile, &blocks)
    }

    private static func node(
        over links: [UnixFSBuilt], _ data: UnixFSData, _ profile: UnixFSProfile, _ blocks: inout [UnixFSBuiltBlock]
    ) -> UnixFSBuilt {
        let bytes = DAGPBNode(
            links: links.map { DAGPBNode.Link(cid: profile.form(of: $0.cid), totalBytes: $0.treeBytes) },
            data: data.encoded()
        ).encoded()
        let cid = CID.hashing(bytes, codec: .dagPB)
        blocks.append(UnixFSBuiltBlock(cid: cid, bytes: bytes))
        return UnixFSBuilt(
            cid: cid, treeBytes: links.reduce(UInt64(bytes.count)) { $0 + $1.treeBytes },
            fileBytes: data.fileBytes ?? 0)
    }
}
