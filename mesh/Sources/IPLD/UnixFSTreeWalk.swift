package import Multiformats

/// The blocks of a file or folder with all that is below it, each once, whatever order they come in.
///
/// It does no I/O: get what `next` names and hand it in. Bounds hold the cost of hostile trees. What the nodes of a
/// file say of the file's bytes below them is checked; what directories say of sizes, nobody checks.
package struct UnixFSTreeWalk: Sendable {
    /// The bounds of a tree.
    package struct Limits: Hashable, Sendable {
        /// Blocks; in a folder of small files there is about one for each.
        package var blocksMax = 65_536
        /// Bytes of all blocks together.
        package var bytesMax = UInt64(Int64.max)

        package init() {}

        /// The bounds in blocks and bytes.
        package init(blocksMax: Int, bytesMax: UInt64) {
            self.blocksMax = blocksMax
            self.bytesMax = bytesMax
        }
    }

    /// The bounds in use.
    package let limits: Limits
    private var wanted: [CID]
    private var seen: Set<CID>
    private var asked: Set<CID> = []
    /// Bytes of the files and pieces of files that came, and what nodes above said of those that did not.
    private var fileBytes: [CID: UInt64] = [:]
    private var toldBytes: [CID: UInt64] = [:]
    /// Folders and links that came.
    private var others: Set<CID> = []
    /// Blocks that came.
    package private(set) var blockCount = 0
    /// Their bytes.
    package private(set) var bytes: UInt64 = 0

    /// A walk from a root.
    package init(root: CID, limits: Limits = Limits()) {
        self.limits = limits
        wanted = [root]
        seen = [root]
    }

    /// Whether all blocks came.
    package var isComplete: Bool { wanted.isEmpty && asked.isEmpty }

    /// A block to get, in the order in which a reader meets them; nil if none is known besides those that were named
    /// before.
    package mutating func next() -> CID? {
        guard let cid = wanted.popLast() else { return nil }
        asked.insert(cid)
        return cid
    }

    /// Whether a block has others below it, so that its bytes are needed; of another its size is enough.
    package static func needsBytes(_ cid: CID) -> Bool { cid.codec != .raw }

    /// Takes a block that was named; its bytes have been checked against its CID.
    package mutating func received(_ block: [UInt8], of cid: CID) throws(UnixFSError) {
        guard Self.needsBytes(cid) else { return try receivedLeaf(bytes: block.count, of: cid) }
        guard try take(cid, bytes: block.count) else { return }
        let node = try UnixFSBlock(block, of: cid)
        for link in node.links where !link.namesFileContent { throw .notUnixFS(link) }
        if case .file(let bytes) = node.kind {
            try note(cid, fileBytes: bytes)
            let file = try UnixFSNode(block, of: cid)
            for (link, told) in zip(node.links, file.linkedFileBytes) { try tell(link, fileBytes: told) }
        } else {
            // A folder is no piece of a file.
            if toldBytes[cid] != nil { throw .falseSizes(cid) }
            others.insert(cid)
        }
        for link in node.links.reversed() where seen.insert(link).inserted { wanted.append(link) }
        if seen.count > limits.blocksMax { throw .tooManyBlocks }
    }

    /// Takes a block without others below it, of this size.
    package mutating func receivedLeaf(bytes: Int, of cid: CID) throws(UnixFSError) {
        guard try take(cid, bytes: bytes) else { return }
        try note(cid, fileBytes: UInt64(bytes))
    }

    private mutating func note(_ cid: CID, fileBytes bytes: UInt64) throws(UnixFSError) {
        fileBytes[cid] = bytes
        if let told = toldBytes.removeValue(forKey: cid), told != bytes { throw .falseSizes(cid) }
    }

    private mutating func tell(_ cid: CID, fileBytes told: UInt64) throws(UnixFSError) {
        if let bytes = fileBytes[cid] {
            if bytes != told { throw .falseSizes(cid) }
        } else if others.contains(cid) {
            // It came, and is no file.
            throw .falseSizes(cid)
        } else if let other = toldBytes.updateValue(told, forKey: cid), other != told {
            throw .falseSizes(cid)
        }
    }

    private mutating func take(_ cid: CID, bytes count: Int) throws(UnixFSError) -> Bool {
        guard asked.remove(cid) != nil else { return false }
        blockCount += 1
        bytes += UInt64(count)
        if bytes > limits.bytesMax { throw .fileTooLarge(bytesMax: Int(clamping: limits.bytesMax)) }
        return true
    }
}

extension CID {
    /// Whether it can name a block of a file or folder: of version 1 with SHA-256, `raw` or `dag-pb`.
    package var namesFileContent: Bool { namesMeshContent && codec != .dagCBOR }
}
