import IPLD
import Multiformats

/// A file that a run left: one raw block, or chunks below DAG-PB nodes (PROTOCOL.md, "Encodings").
enum OutputFile {
    /// What the blocks of a file say.
    enum Finding: Hashable {
        /// Every block is there and hashes to its CID; bytes of the file, and its blocks.
        case whole(bytes: UInt64, blocks: Int)
        /// A block is not what its CID or its place says.
        case wrong(String)
        /// A block could not be had.
        case missing(String)
    }

    /// Follows a file from its root, at most `blocksMax` blocks.
    static func examine(_ root: CID, blocksMax: Int, _ evidence: (CID) -> BlockEvidence) -> Finding {
        var waiting = [(cid: root, depth: 0)]
        var total: UInt64 = 0
        var blocks = 0
        while let (cid, depth) = waiting.popLast() {
            blocks += 1
            if blocks > blocksMax { return .wrong("the outputs have too many blocks") }
            switch evidence(cid) {
            case .bytes(let bytes):
                guard cid.matches(bytes) else { return .wrong("the block does not hash to \(cid)") }
                guard cid.codec == .dagPB else {
                    total += UInt64(bytes.count)
                    continue
                }
                guard let node = try? UnixFSNode(bytes, of: cid), node.links.allSatisfy(\.namesMeshContent) else {
                    return .wrong("\(cid) is no node of a file")
                }
                guard depth < UnixFSFile.depthMax else { return .wrong("\(root) is a file of too many levels") }
                total += UInt64(node.content.count)
                for link in node.links.reversed() { waiting.append((link, depth + 1)) }
            case .checked(let byteCount):
                total += UInt64(clamping: byteCount)
            case .missing(let reason):
                return .missing("the block \(cid) is missing: \(reason)")
            }
        }
        return .whole(bytes: total, blocks: blocks)
    }
}
