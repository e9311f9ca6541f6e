/// A part of a file that the node reads itself, so that its bytes need not be sent: whoever may open the node's socket
/// is its user, or root, and may read what the node may.
///
/// The numbers of the file's device and its inode say that the path leads both to the same file: a node in a container
/// may find another one there.
package struct FilePart: Hashable, Sendable, Codable {
    /// The most bytes of one part.
    package static let bytesMax = 8 << 20

    /// The absolute path.
    package var path: String
    /// The file's device, as the system numbers it.
    package var device: UInt64
    /// The file's inode.
    package var inode: UInt64
    /// Where the part begins, in bytes.
    package var offset: UInt64
    /// How many chunks it has, unless the file ends before.
    package var chunks: Int
    /// The bytes of each but the file's last.
    package var chunkBytes: Int

    package init(path: String, device: UInt64, inode: UInt64, offset: UInt64 = 0, chunks: Int = 1, chunkBytes: Int) {
        self.path = path
        self.device = device
        self.inode = inode
        self.offset = offset
        self.chunks = chunks
        self.chunkBytes = chunkBytes
    }

    private enum CodingKeys: String, CodingKey {
        case path, device, inode, offset, chunks
        case chunkBytes = "chunk_bytes"
    }
}

/// What a node read of a part: each chunk is a raw block in its store now.
package struct FileLeaves: Hashable, Sendable, Codable {
    /// The CIDs of the chunks as texts, in the order of the file; fewer than were asked for where the file ends.
    package var cids: [String]
    /// Bytes that were read.
    package var bytes: UInt64
    /// Chunks that the node had not.
    package var newBlocks: Int
    /// Their bytes.
    package var newBytes: UInt64

    package init(cids: [String], bytes: UInt64, newBlocks: Int, newBytes: UInt64) {
        self.cids = cids
        self.bytes = bytes
        self.newBlocks = newBlocks
        self.newBytes = newBytes
    }

    private enum CodingKeys: String, CodingKey {
        case cids, bytes
        case newBlocks = "new_blocks"
        case newBytes = "new_bytes"
    }
}
