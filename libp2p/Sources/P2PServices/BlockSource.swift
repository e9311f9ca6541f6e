public import Multiformats

/// The source of blocks to serve: the node's store.
public protocol BlockSource: Sendable {
    /// The block of a CID, if present; it hashes to the CID.
    func block(_ cid: CID) async -> [UInt8]?
    /// Whether the block of a CID is present.
    func hasBlock(_ cid: CID) async -> Bool
}
