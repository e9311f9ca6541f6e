package import Multiformats

/// A file as blocks: one raw block when it is small, else a DAG-PB node that links raw chunks in order (UnixFS).
///
/// Source: https://specs.ipfs.tech/unixfs/. The walk of receipts and of `mesh get`: `UnixFSBlock` reads every kind.
package enum UnixFSFile {
    /// Bytes of one chunk; a file of at most this size is a single raw block.
    package static let chunkBytes = 1 << 20
    /// The largest file to write or read: one node of links over chunks.
    package static let fileBytesMax = 1 << 30
    /// The greatest depth of a file's tree when reading.
    package static let depthMax = 4
    /// The most blocks of a file when reading.
    package static let blocksMax = 4096

    /// The blocks of a file.
    package struct Blocks: Hashable, Sendable {
        /// The CID that names the whole file.
        package let root: CID
        /// Every block, chunks first and the root last; equal chunks only once.
        package let blocks: [(cid: CID, bytes: [UInt8])]

        package static func == (left: Blocks, right: Blocks) -> Bool {
            left.root == right.root && left.blocks.map(\.cid) == right.blocks.map(\.cid)
        }

        package func hash(into hasher: inout Hasher) {
            hasher.combine(root)
        }
    }

    /// Cuts a file into blocks; throws `UnixFSError.fileTooLarge` past `fileBytesMax`.
    package static func blocks(of bytes: [UInt8]) throws(UnixFSError) -> Blocks {
        if bytes.count > fileBytesMax { throw .fileTooLarge(bytesMax: fileBytesMax) }
        if bytes.count <= chunkBytes {
            let cid = CID.hashing(bytes, codec: .raw)
            return Blocks(root: cid, blocks: [(cid, bytes)])
        }
        var seen: Set<CID> = []
        var blocks: [(cid: CID, bytes: [UInt8])] = []
        var links: [DAGPBNode.Link] = []
        var sizes: [UInt64] = []
        for start in stride(from: 0, to: bytes.count, by: chunkBytes) {
            let chunk = Array(bytes[start..<min(start + chunkBytes, bytes.count)])
            let cid = CID.hashing(chunk, codec: .raw)
            if seen.insert(cid).inserted { blocks.append((cid, chunk)) }
            links.append(DAGPBNode.Link(cid: cid, totalBytes: UInt64(chunk.count)))
            sizes.append(UInt64(chunk.count))
        }
        var data = ProtobufWriter()
        data.varint(1, UnixFSData.fileType)
        data.varint(3, UInt64(bytes.count))
        for size in sizes { data.varint(4, size) }
        let node = DAGPBNode(links: links, data: data.bytes).encoded()
        let root = CID.hashing(node, codec: .dagPB)
        blocks.append((root, node))
        return Blocks(root: root, blocks: blocks)
    }
}

/// Reads a file block by block: give it a block, and it names the next.
///
/// The reader holds the bytes read so far, never more than `bytesMax`; it refuses a tree deeper than
/// `UnixFSFile.depthMax` or with sizes other than announced.
package struct UnixFSReader: Sendable {
    private var walk: UnixFSWalk
    private let bytesMax: Int

    /// The bytes read so far; the whole file once `next` is `nil`.
    package private(set) var bytes: [UInt8] = []

    /// A reader of the file that `root` names.
    package init(root: CID, bytesMax: Int = UnixFSFile.fileBytesMax) {
        walk = UnixFSWalk(root: root)
        self.bytesMax = bytesMax
    }

    /// The block to fetch next; `nil` when the file is whole.
    package var next: CID? { walk.next }

    /// Takes the block that `next` named; the caller has verified it against its CID.
    package mutating func received(_ block: [UInt8]) throws(UnixFSError) {
        guard let cid = next else { return }
        let content: [UInt8]
        if cid.codec == .raw {
            try walk.received(chunkBytes: UInt64(block.count))
            content = block
        } else {
            let node = try UnixFSNode(block, of: cid)
            try walk.received(node)
            content = node.content
        }
        if content.count > bytesMax - bytes.count { throw .fileTooLarge(bytesMax: bytesMax) }
        bytes.append(contentsOf: content)
    }
}
