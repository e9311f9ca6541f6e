import IPLD
import Multiformats

/// A file or folder that a run left (PROTOCOL.md, "Encodings" and "Files of a job").
enum OutputFile {
    /// What the blocks of an output say.
    enum Finding: Hashable {
        /// Every block is there and hashes to its CID; with the bytes of the files and the blocks.
        case whole(bytes: UInt64, blocks: Int)
        /// A block contradicts its CID or its place.
        case wrong(String)
        /// A block is missing.
        case missing(String)
        /// The output was left out on purpose.
        case leftOut
    }

    /// More blocks than all outputs of a receipt may have.
    static let tooManyBlocks = Finding.wrong("the outputs have too many blocks")

    /// Follows an output from its root, at most `blocksMax` blocks.
    static func examine(_ root: CID, blocksMax: Int, _ evidence: (CID) -> BlockEvidence) -> Finding {
        guard case .bytes(let block) = evidence(root), let node = try? UnixFSBlock(block, of: root) else {
            return examineFile(root, blocksMax: blocksMax, evidence)
        }
        if case .file = node.kind { return examineFile(root, blocksMax: blocksMax, evidence) }
        return examineTree(root, blocksMax: blocksMax, evidence)
    }

    /// Follows a folder or link: every file in it is examined once, however many names it has.
    private static func examineTree(_ root: CID, blocksMax: Int, _ evidence: (CID) -> BlockEvidence) -> Finding {
        var pending = [root]
        var seen: Set<CID> = [root]
        var bytes: UInt64 = 0
        var blocks = 0
        while let cid = pending.popLast() {
            if case .bytes(let block) = evidence(cid), let node = try? UnixFSBlock(block, of: cid), !node.isFile {
                guard cid.matches(block) else { return .wrong("the block does not hash to \(cid)") }
                blocks += 1
                for link in node.links where seen.insert(link).inserted { pending.append(link) }
                if seen.count > blocksMax { return tooManyBlocks }
                continue
            }
            guard cid.namesFileContent else { return .wrong("\(cid) is no file, folder or link of an output") }
            switch examineFile(cid, blocksMax: blocksMax - blocks, evidence) {
            case .whole(let fileBytes, let fileBlocks):
                bytes = bytes.addingReportingOverflow(fileBytes).overflow ? .max : bytes + fileBytes
                blocks += fileBlocks
            case let other: return other
            }
        }
        return .whole(bytes: bytes, blocks: blocks)
    }

    private static func examineFile(_ root: CID, blocksMax: Int, _ evidence: (CID) -> BlockEvidence) -> Finding {
        var walk = UnixFSWalk(root: root, blocksMax: blocksMax, depthMax: UnixFSLimits().fileDepthMax)
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
            return tooManyBlocks
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

extension UnixFSBlock {
    fileprivate var isFile: Bool {
        if case .file = kind { true } else { false }
    }
}
