public import Multiformats

/// The source of blocks to serve: the node's store.
public protocol BlockSource: Sendable {
    /// The block of a CID, if present; it hashes to the CID.
    func block(_ cid: CID) async -> [UInt8]?
    /// Whether the block of a CID is present.
    func hasBlock(_ cid: CID) async -> Bool
    /// The block of a CID, if present and this peer may have it.
    func block(_ cid: CID, for peer: PeerID) async -> [UInt8]?
    /// Whether the block of a CID is present and this peer may have it.
    func hasBlock(_ cid: CID, for peer: PeerID) async -> Bool
}

extension BlockSource {
    /// Every peer may have every block.
    public func block(_ cid: CID, for peer: PeerID) async -> [UInt8]? { await block(cid) }
    /// Every peer may have every block.
    public func hasBlock(_ cid: CID, for peer: PeerID) async -> Bool { await hasBlock(cid) }
}
