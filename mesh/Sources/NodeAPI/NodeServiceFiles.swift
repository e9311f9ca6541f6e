/// A file that a node keeps.
public struct AddedFile: Hashable, Sendable, Codable {
    /// Its CID.
    public var cid: String
    /// Its size in bytes.
    public var size: Int

    public init(cid: String, size: Int) {
        self.cid = cid
        self.size = size
    }
}

/// What a node's store removed.
public struct RemovedBlocks: Hashable, Sendable, Codable {
    /// Blocks.
    public var blocks: Int
    /// Their bytes.
    public var bytes: Int

    /// What went.
    public init(blocks: Int, bytes: Int) {
        self.blocks = blocks
        self.bytes = bytes
    }
}
