package import Multiformats

/// Reads a directory block by block, of one block or of many: give it a block, and it names the next.
///
/// It goes depth first, so a shard that stands in two places, as in trees that are small on disk and endless to walk,
/// is found out by the first name in it: a name's hash fits one place only.
package struct UnixFSDirectoryReader: Sendable {
    private struct Wanted {
        let cid: CID
        /// The bits of hashes that lead there, and how many shards they passed.
        let path: UInt64
        let depth: Int
        /// The bits that each shard of the directory takes.
        let bits: Int
    }

    private let limits: UnixFSLimits
    private var wanted: [Wanted]
    private var namesBytes = 0
    private let root: CID

    /// The entries so far, in the order of the blocks; all of them once `next` is `nil`.
    package private(set) var entries: [UnixFSEntry] = []

    /// A reader of the directory that `root` names.
    package init(root: CID, limits: UnixFSLimits = UnixFSLimits()) {
        self.root = root.version1
        self.limits = limits
        wanted = [Wanted(cid: root.version1, path: 0, depth: 0, bits: 0)]
    }

    /// The block to give next; `nil` when the directory is whole.
    package var next: CID? { wanted.last?.cid }

    /// Blocks that are needed for certain, the next one first; there may be more below them.
    package var needed: [CID] { wanted.suffix(limits.missingMax).reversed().map(\.cid) }

    /// Takes the block that `next` named; the caller has verified it against its CID.
    package mutating func received(_ block: [UInt8]) throws(UnixFSError) {
        guard let place = wanted.last else { return }
        let isRoot = place.depth == 0
        if isRoot, place.cid.codec != .dagPB { throw .notADirectory(place.cid) }
        let (node, data) = try UnixFSBlock.parts(of: block, place.cid, limits: limits)
        wanted.removeLast()
        if isRoot, data.type == UnixFSData.directoryType {
            for link in node.links { try add(link.name, link.cid.version1, link.totalBytes) }
            return
        }
        let shard = try UnixFSShard(node, data, place.cid)
        if !isRoot, shard.bits != place.bits || shard.slots.isEmpty { throw .falseShard(place.cid) }
        for slot in shard.slots {
            guard let name = slot.name else { continue }
            let hash = UnixFSShard.hash(name)
            guard UnixFSShard.index(of: hash, bits: shard.bits, depth: place.depth) == slot.index,
                place.depth == 0 || hash >> UInt64(64 - shard.bits * place.depth) == place.path
            else { throw .falseShard(place.cid) }
            try add(name, slot.cid.version1, slot.totalBytes)
        }
        for slot in shard.slots.reversed() where slot.name == nil {
            guard shard.bits * (place.depth + 2) <= 64 else { throw .falseShard(place.cid) }
            wanted.append(
                Wanted(
                    cid: slot.cid.version1, path: place.path << UInt64(shard.bits) | UInt64(slot.index),
                    depth: place.depth + 1, bits: shard.bits))
        }
    }

    private mutating func add(_ name: [UInt8], _ cid: CID, _ totalBytes: UInt64) throws(UnixFSError) {
        if entries.count == limits.entriesMax { throw .tooManyEntries(entriesMax: limits.entriesMax) }
        if name.count > limits.namesBytesMax - namesBytes { throw .namesTooLong(bytesMax: limits.namesBytesMax) }
        namesBytes += name.count
        entries.append(UnixFSEntry(name: name, cid: cid, totalBytes: totalBytes))
    }

    /// The entries of a directory out of blocks at hand, or which of its blocks are missing.
    package static func entries(
        of root: CID, limits: UnixFSLimits = UnixFSLimits(), from blocks: (CID) -> [UInt8]?
    ) throws(UnixFSError) -> UnixFSAnswer<[UnixFSEntry]> {
        var reader = Self(root: root, limits: limits)
        while let cid = reader.next {
            guard let block = cid.ownBlock ?? blocks(cid) else {
                return .missing(reader.needed.filter { $0.ownBlock == nil && blocks($0) == nil })
            }
            try reader.received(block)
        }
        return .here(reader.entries)
    }
}

/// Follows the names of a path from a directory: give it a block, and it names the next.
///
/// In a large directory it reads only the shards on the way. The last name's own block is not read.
package struct UnixFSPathReader: Sendable {
    private let limits: UnixFSLimits
    private let names: [[UInt8]]
    /// As the link to it writes it.
    private var current: CID
    private var hash: UInt64
    private var depth = 0
    private var bits = 0

    /// Names that were found.
    package private(set) var namesFound = 0
    /// Whether a name is not there; it is the one after those that were found.
    package private(set) var isMissing = false

    /// A reader that begins at `root`; throws if there are too many names.
    package init(
        root: CID, names: [[UInt8]], limits: UnixFSLimits = UnixFSLimits()
    ) throws(UnixFSError) {
        if names.count > limits.pathNamesMax { throw .tooDeep(depthMax: limits.pathNamesMax) }
        self.limits = limits
        self.names = names
        current = root
        hash = names.first.map(UnixFSShard.hash) ?? 0
    }

    /// The block to give next; `nil` at the end.
    package var next: CID? { nextAsLinked?.version1 }

    /// What the path names; `nil` until the end, and if there is nothing.
    package var found: CID? { foundAsLinked?.version1 }

    /// What `next` names, in the version in which the link to it is written.
    var nextAsLinked: CID? { isMissing || namesFound == names.count ? nil : current }

    /// What `found` names, in the version in which the link to it is written.
    var foundAsLinked: CID? { namesFound == names.count ? current : nil }

    /// Takes the block that `next` named; the caller has verified it against its CID.
    package mutating func received(_ block: [UInt8]) throws(UnixFSError) {
        guard let cid = next else { return }
        if cid.codec != .dagPB { throw .notADirectory(cid) }
        let (node, data) = try UnixFSBlock.parts(of: block, cid, limits: limits)
        let name = names[namesFound]
        if depth == 0, data.type == UnixFSData.directoryType {
            return enter(node.links.first { $0.name == name }?.cid)
        }
        let shard = try UnixFSShard(node, data, cid)
        if depth > 0, shard.bits != bits || shard.slots.isEmpty { throw .falseShard(cid) }
        guard let index = UnixFSShard.index(of: hash, bits: shard.bits, depth: depth) else { throw .falseShard(cid) }
        guard let slot = shard.slots.first(where: { $0.index == index }) else { return enter(nil) }
        if slot.name == nil {
            (current, bits) = (slot.cid, shard.bits)
            depth += 1
        } else {
            enter(slot.name == name ? slot.cid : nil)
        }
    }

    private mutating func enter(_ cid: CID?) {
        guard let cid else {
            isMissing = true
            return
        }
        current = cid
        namesFound += 1
        depth = 0
        hash = namesFound < names.count ? UnixFSShard.hash(names[namesFound]) : 0
    }
}

extension CID {
    /// The block that the CID itself carries instead of its hash; nil in nearly every CID.
    package var ownBlock: [UInt8]? {
        if isSHA256 { return nil }
        let multihash = multihash
        return multihash.code == Multihash.identityCode ? multihash.digest : nil
    }
}
