import IPLD
import Multiformats

/// Blocks at hand, and what is built out of them.
struct BlockTable {
    var blocks: [CID: [UInt8]] = [:]

    func block(_ cid: CID) -> [UInt8]? { blocks[cid] }

    mutating func add(_ built: [UnixFSBuiltBlock]) {
        for block in built { blocks[block.cid] = block.bytes }
    }

    mutating func add(_ bytes: [UInt8], codec: CID.Codec = .dagPB) -> CID {
        let cid = CID.hashing(bytes, codec: codec)
        blocks[cid] = bytes
        return cid
    }

    /// A file, given to its builder in pieces of this size.
    mutating func file(
        _ bytes: [UInt8], _ profile: UnixFSProfile, piece: Int = .max, attributes: UnixFSAttributes = .none
    ) -> UnixFSBuilt {
        var builder = UnixFSFileBuilder(profile: profile, attributes: attributes)
        var rest = bytes[...]
        while !rest.isEmpty {
            add(builder.append(Array(rest.prefix(piece))))
            rest = rest.dropFirst(min(piece, rest.count))
        }
        let (file, blocks) = builder.finish()
        add(blocks)
        return file
    }

    mutating func directory(
        _ entries: [UnixFSEntry], _ profile: UnixFSProfile, attributes: UnixFSAttributes = .none
    ) throws -> UnixFSBuilt {
        let (directory, blocks) = try UnixFSDirectoryBuilder.directory(
            entries, profile: profile, attributes: attributes)
        add(blocks)
        return directory
    }

    /// Entries with these names, all of one small file.
    mutating func entries(_ names: [String], _ profile: UnixFSProfile) -> [UnixFSEntry] {
        let file = file([1, 2, 3], profile)
        return names.map { UnixFSEntry(name: Array($0.utf8), cid: file.cid, totalBytes: file.treeBytes) }
    }

    func whole(_ cid: CID) throws -> [UInt8]? {
        var reader = UnixFSRangeReader(root: cid)
        guard case .here(let bytes) = try reader.read(0..<UInt64.max, from: block) else { return nil }
        return bytes
    }

    func list(_ cid: CID) throws -> [UnixFSEntry]? {
        guard case .here(let entries) = try UnixFSDirectoryReader.entries(of: cid, from: block) else { return nil }
        return entries
    }

    /// What a path names, with the number of blocks that were read.
    func find(_ names: [String], from root: CID) throws -> (found: CID?, blocksRead: Int) {
        var reader = try UnixFSPathReader(root: root, names: names.map { Array($0.utf8) })
        var count = 0
        while let cid = reader.next, let block = block(cid) {
            try reader.received(block)
            count += 1
        }
        return (reader.found, count)
    }
}

extension UnixFSProfile {
    /// Profiles whose trees are deep with few bytes.
    static func tiny(rawLeaves: Bool, version: CID.Version = .v1, fanoutBits: Int = 3) -> Self {
        Self(
            name: "tiny", version: version, hasRawLeaves: rawLeaves, chunkBytes: 4, linksMax: 3,
            directorySize: .block, directoryBytesMax: 512, fanoutBits: fanoutBits)
    }
}
