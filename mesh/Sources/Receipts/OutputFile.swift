import IPLD
import Multiformats

/// A file that a run left: one raw block, or chunks below DAG-PB nodes (PROTOCOL.md, "Encodings").
enum OutputFile {
    /// What the blocks of a file say.
    enum Finding: Hashable {
        /// Every block is there and hashes to its CID; with the bytes and blocks of the file.
        case whole(bytes: UInt64, blocks: Int)
        /// A block contradicts its CID or its place.
        case wrong(String)
        /// A block is missing.
        case missing(String)
        /// The file was left out on purpose.
        case leftOut
    }

    /// Follows a file from its root, at most `blocksMax` blocks.
    static func examine(_ root: CID, blocksMax: Int, _ evidence: (CID) -> BlockEvidence) -> Finding {
        var walk = UnixFSWalk(root: root, blocksMax: blocksMax)
        do {
            while let cid = walk.next {
                switch evidence(cid) {
                case .bytes(let bytes):
                    guard cid.matches(bytes) else { return .wrong("the block does not hash to \(cid)") }
                    guard cid.codec == .dagPB else {
                        try walk.received(chunkBytes: UInt64(bytes.count))
                        continue
                    }
                    let node = try UnixFSNode(bytes, of: cid)
                    guard node.links.allSatisfy(\.namesMeshContent) else { throw UnixFSError.notAFile(cid) }
                    try walk.received(node)
                case .checked(let byteCount):
                    try walk.received(chunkBytes: UInt64(clamping: byteCount))
                case .leftOut:
                    return .leftOut
                case .missing(let reason):
                    return .missing("the block \(cid) is missing: \(reason)")
                }
            }
        } catch UnixFSError.tooManyBlocks {
            return .wrong("the outputs have too many blocks")
        } catch UnixFSError.tooDeep {
            return .wrong("\(root) is a file of too many levels")
        } catch UnixFSError.falseSizes(let cid) {
            return .wrong("what is said of the size of \(cid) is not so")
        } catch {
            return .wrong("\(walk.next ?? root) is no node of a file")
        }
        return .whole(bytes: walk.fileBytes, blocks: walk.blockCount)
    }
}
