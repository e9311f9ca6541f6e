import Multiformats

/// Writes directories and symbolic links as blocks.
package struct UnixFSDirectoryBuilder: Sendable {
    private let profile: UnixFSProfile
    private let limits: UnixFSLimits
    private var blocks: [UnixFSBuiltBlock] = []

    private init(_ profile: UnixFSProfile, _ limits: UnixFSLimits) {
        self.profile = profile
        self.limits = limits
    }

    /// A directory of these entries, in any order: one block, or shards when the profile says that it is too large.
    ///
    /// Throws if two entries have one name, or there are more entries than are read again.
    package static func directory(
        _ entries: [UnixFSEntry], profile: UnixFSProfile, attributes: UnixFSAttributes = .none,
        limits: UnixFSLimits = UnixFSLimits()
    ) throws(UnixFSError) -> (directory: UnixFSBuilt, blocks: [UnixFSBuiltBlock]) {
        if entries.count > limits.entriesMax { throw .tooManyEntries(entriesMax: limits.entriesMax) }
        if entries.reduce(0, { $0 + $1.name.count }) > limits.namesBytesMax {
            throw .namesTooLong(bytesMax: limits.namesBytesMax)
        }
        let sorted = entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        for (left, right) in zip(sorted, sorted.dropFirst()) where left.name == right.name {
            throw .duplicateName(right.name)
        }
        var data = UnixFSData(type: UnixFSData.directoryType)
        attributes.put(into: &data)
        let message = data.encoded()
        var builder = Self(profile, limits)
        let directory: UnixFSBuilt
        if builder.estimate(sorted, message) > profile.directoryBytesMax {
            let hashed = sorted.map { (hash: UnixFSShard.hash($0.name), entry: $0) }
            directory = try builder.shard(hashed.sorted { $0.hash < $1.hash }[...], depth: 0, attributes)
        } else {
            directory = builder.node(
                sorted.map { (name: $0.name, cid: $0.cid, totalBytes: $0.totalBytes) }, message)
        }
        return (directory, builder.blocks)
    }

    /// A symbolic link to a target.
    package static func symbolicLink(
        to target: [UInt8], attributes: UnixFSAttributes = .none
    ) -> (link: UnixFSBuilt, blocks: [UnixFSBuiltBlock]) {
        var data = UnixFSData(type: UnixFSData.symbolicLinkType)
        data.content = target
        attributes.put(into: &data)
        var builder = Self(.v1in2025, UnixFSLimits())
        return (builder.node([], data.encoded()), builder.blocks)
    }

    private func estimate(_ entries: [UnixFSEntry], _ message: [UInt8]) -> Int {
        switch profile.directorySize {
        case .links:
            return entries.reduce(0) { $0 + $1.name.count + profile.form(of: $1.cid).bytes.count }
        case .block:
            let own = 1 + Self.varintBytes(UInt64(message.count)) + message.count
            return entries.reduce(own) { $0 + linkBytes($1) }
        }
    }

    /// What a link adds to a node.
    private func linkBytes(_ entry: UnixFSEntry) -> Int {
        let cidBytes = profile.form(of: entry.cid).bytes.count
        let link =
            3 + Self.varintBytes(UInt64(cidBytes)) + cidBytes + Self.varintBytes(UInt64(entry.name.count))
            + entry.name.count + Self.varintBytes(entry.totalBytes)
        return 1 + Self.varintBytes(UInt64(link)) + link
    }

    private static func varintBytes(_ value: UInt64) -> Int { max(1, (70 - value.leadingZeroBitCount) / 7) }

    /// A shard of entries whose hashes begin alike, in the order of their hashes.
    private mutating func shard(
        _ entries: ArraySlice<(hash: UInt64, entry: UnixFSEntry)>, depth: Int, _ attributes: UnixFSAttributes
    ) throws(UnixFSError) -> UnixFSBuilt {
        let bits = profile.fanoutBits
        var links: [(name: [UInt8], cid: CID, totalBytes: UInt64)] = []
        var indices: [Int] = []
        var rest = entries
        while let first = rest.first {
            guard let index = UnixFSShard.index(of: first.hash, bits: bits, depth: depth) else { throw .equalHashes }
            let same = rest.prefix { UnixFSShard.index(of: $0.hash, bits: bits, depth: depth) == index }
            rest = rest.dropFirst(same.count)
            let prefix = UnixFSShard.prefix(index, bits: bits)
            indices.append(index)
            if same.count == 1 {
                links.append((prefix + first.entry.name, first.entry.cid, first.entry.totalBytes))
            } else {
                let below = try shard(same, depth: depth + 1, .none)
                links.append((prefix, below.cid, below.treeBytes))
            }
        }
        var data = UnixFSData(type: UnixFSData.shardType)
        data.content = UnixFSShard.bitField(of: indices)
        data.hashFunction = UnixFSShard.murmur3
        data.fanout = 1 << UInt64(bits)
        attributes.put(into: &data)
        return node(links, data.encoded())
    }

    private mutating func node(
        _ links: [(name: [UInt8], cid: CID, totalBytes: UInt64)], _ message: [UInt8]
    ) -> UnixFSBuilt {
        let bytes = DAGPBNode(
            links: links.map {
                DAGPBNode.Link(cid: profile.form(of: $0.cid), name: $0.name, totalBytes: $0.totalBytes)
            }, data: message
        ).encoded()
        let cid = CID.hashing(bytes, codec: .dagPB)
        blocks.append(UnixFSBuiltBlock(cid: cid, bytes: bytes))
        let treeBytes = links.reduce(UInt64(bytes.count)) { sum, link in
            let (total, isOver) = sum.addingReportingOverflow(link.totalBytes)
            return isOver ? .max : total
        }
        return UnixFSBuilt(cid: cid, treeBytes: treeBytes)
    }
}
