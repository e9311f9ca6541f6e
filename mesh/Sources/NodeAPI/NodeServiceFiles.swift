/// A file that a node keeps.
package struct AddedFile: Hashable, Sendable, Codable {
    /// Its CID.
    package var cid: String
    /// Its size in bytes.
    package var size: Int

    package init(cid: String, size: Int) {
        self.cid = cid
        self.size = size
    }
}

/// What a node's store removed.
package struct RemovedBlocks: Hashable, Sendable, Codable {
    /// Blocks.
    package var blocks: Int
    /// Their bytes.
    package var bytes: Int

    /// What went.
    package init(blocks: Int, bytes: Int) {
        self.blocks = blocks
        self.bytes = bytes
    }
}
