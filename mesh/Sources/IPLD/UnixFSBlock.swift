package import Multiformats

/// What a block of UnixFS is, as far as the block alone tells.
package struct UnixFSBlock: Hashable, Sendable {
    /// What there is in UnixFS.
    package enum Kind: Hashable, Sendable {
        /// A file, or a piece of one, of this size.
        case file(bytes: UInt64)
        /// A directory in one block.
        case directory
        /// A directory over many blocks (HAMT), or a part of one.
        case shard
        /// A symbolic link to this target.
        case symbolicLink([UInt8])
    }

    /// What it is.
    package let kind: Kind
    /// The permissions, the lower 12 bits of POSIX's mode; nil if it does not say.
    package let mode: UInt32?
    /// When it changed; nil if it does not say.
    package let modified: UnixFSTime?
    /// The blocks that it links to, in its order, as CIDs of version 1.
    package let links: [CID]
    /// All bytes of this block and, as it says, of those below it.
    package let treeBytes: UInt64

    /// Whether it is a directory of either kind.
    package var isDirectory: Bool { kind == .directory || kind == .shard }

    /// Reads the block that `cid` names; the caller has verified it.
    package init(_ block: [UInt8], of cid: CID, limits: UnixFSLimits = UnixFSLimits()) throws(UnixFSError) {
        if block.count > limits.blockBytesMax { throw .blockTooLarge(cid, bytesMax: limits.blockBytesMax) }
        if cid.codec == .raw {
            kind = .file(bytes: UInt64(block.count))
            (mode, modified, links, treeBytes) = (nil, nil, [], UInt64(block.count))
            return
        }
        let (node, data) = try Self.parts(of: block, cid, limits: limits)
        kind = try Self.kind(of: node, data, block, cid)
        mode = data.mode
        modified = data.modified
        links = node.links.map(\.cid.version1)
        // Of directories nobody checks these sums, in other projects neither.
        treeBytes = node.links.reduce(UInt64(block.count)) { sum, link in
            let (total, isOver) = sum.addingReportingOverflow(link.totalBytes)
            return isOver ? .max : total
        }
    }

    /// The node and the message in it.
    static func parts(
        of block: [UInt8], _ cid: CID, limits: UnixFSLimits
    ) throws(UnixFSError) -> (node: DAGPBNode, data: UnixFSData) {
        if block.count > limits.blockBytesMax { throw .blockTooLarge(cid, bytesMax: limits.blockBytesMax) }
        guard cid.codec == .dagPB,
            let node = try? DAGPBNode(decoding: block, linksMax: limits.directoryLinksMax),
            let data = UnixFSData(decoding: node.data ?? [], fieldsMax: limits.fileLinksMax + 8)
        else { throw .notUnixFS(cid) }
        return (node, data)
    }

    private static func kind(
        of node: DAGPBNode, _ data: UnixFSData, _ block: [UInt8], _ cid: CID
    ) throws(UnixFSError) -> Kind {
        switch data.type {
        case UnixFSData.fileType, UnixFSData.rawType:
            let file = try UnixFSNode(block, of: cid)
            if let fileBytes = file.ownBytes { return .file(bytes: fileBytes) }
            // Nobody could find a place in it.
            throw .falseSizes(cid)
        case UnixFSData.directoryType: return .directory
        case UnixFSData.symbolicLinkType where node.links.isEmpty: return .symbolicLink(data.content)
        case UnixFSData.shardType:
            _ = try UnixFSShard(node, data, cid)
            return .shard
        default: throw .notUnixFS(cid)
        }
    }
}

/// An entry of a directory as its blocks give it.
///
/// The name may be any bytes: empty, with a slash, `..`, the same as another's. Who makes files of it checks it.
package struct UnixFSEntry: Hashable, Sendable {
    /// The name's bytes.
    package let name: [UInt8]
    /// What it names, as a CID of version 1.
    package let cid: CID
    /// Bytes of the linked block and all below it, as the directory says; nothing checks it.
    package let totalBytes: UInt64

    package init(name: [UInt8], cid: CID, totalBytes: UInt64) {
        self.name = name
        self.cid = cid
        self.totalBytes = totalBytes
    }
}

/// An answer from the blocks that are at hand.
package enum UnixFSAnswer<Value> {
    /// All of it.
    case here(Value)
    /// These blocks are missing, and maybe more below them; the first is needed first.
    case missing([CID])
}

extension UnixFSAnswer: Sendable where Value: Sendable {}
extension UnixFSAnswer: Equatable where Value: Equatable {}
