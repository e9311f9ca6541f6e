import LibP2P
import Multiformats
import P2PServices

/// The blocks that this peer serves, in memory.
actor BlockShelf: BlockSource {
    private var blocks: [CID: [UInt8]] = [:]

    /// Keeps a block under its raw CID.
    func add(_ bytes: [UInt8]) -> CID {
        let cid = CID.hashing(bytes, codec: .raw)
        blocks[cid] = bytes
        return cid
    }

    func block(_ cid: CID) async -> [UInt8]? { blocks[cid] }

    func hasBlock(_ cid: CID) async -> Bool { blocks[cid] != nil }
}
