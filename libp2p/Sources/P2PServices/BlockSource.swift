public import Multiformats

/// Where blocks to serve come from: the node's store.
public protocol BlockSource: Sendable {
    /// The block of a CID, if it is there; only what hashes to the CID.
    func block(_ cid: CID) async -> [UInt8]?
    /// Whether the block of a CID is there.
    func hasBlock(_ cid: CID) async -> Bool
}
