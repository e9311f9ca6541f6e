package import Multiformats

/// How files and directories are cut into blocks, so that others who do the same get the same CIDs.
///
/// Source: https://specs.ipfs.tech/ipips/ipip-0499/
package struct UnixFSProfile: Hashable, Sendable {
    /// How the size of a directory is estimated before it is cut into shards.
    package enum DirectorySize: Hashable, Sendable {
        /// The bytes of the block that it would be.
        case block
        /// The bytes of all names and CIDs.
        case links
    }

    /// The name in IPIP-499.
    package let name: String
    /// The version of the CIDs.
    package let version: CID.Version
    /// Whether the chunks of a file are blocks as they are, and no nodes.
    package var hasRawLeaves: Bool
    /// Bytes of a file in one block.
    package let chunkBytes: Int
    /// The most links of a file's node.
    package let linksMax: Int
    /// What of a directory is measured.
    package let directorySize: DirectorySize
    /// The largest directory in one block; a larger one becomes shards.
    package let directoryBytesMax: Int
    /// The fan-out of shards, as a power of two.
    package let fanoutBits: Int

    /// A profile of one's own.
    package init(
        name: String, version: CID.Version, hasRawLeaves: Bool, chunkBytes: Int, linksMax: Int,
        directorySize: DirectorySize, directoryBytesMax: Int, fanoutBits: Int
    ) {
        precondition(chunkBytes > 0 && linksMax > 1 && UnixFSShard.fanoutBits.contains(fanoutBits))
        self.name = name
        self.version = version
        self.hasRawLeaves = hasRawLeaves
        self.chunkBytes = chunkBytes
        self.linksMax = linksMax
        self.directorySize = directorySize
        self.directoryBytesMax = directoryBytesMax
        self.fanoutBits = fanoutBits
    }

    /// CIDs of version 1, raw chunks of 1 MiB, 1,024 links: what this project writes unless it is told otherwise.
    package static let v1in2025 = Self(
        name: "unixfs-v1-2025", version: .v1, hasRawLeaves: true, chunkBytes: 1 << 20, linksMax: 1024,
        directorySize: .block, directoryBytesMax: 256 << 10, fanoutBits: 8)
    /// CIDs of version 0 and chunks of 256 KiB in nodes, 174 links: what kubo writes by default.
    package static let v0in2015 = Self(
        name: "unixfs-v0-2015", version: .v0, hasRawLeaves: false, chunkBytes: 256 << 10, linksMax: 174,
        directorySize: .links, directoryBytesMax: 256 << 10, fanoutBits: 8)
    /// The profiles that can be named.
    package static let all = [v1in2025, v0in2015]

    /// The profile of that name; nil if there is none.
    package static func named(_ name: String) -> Self? { all.first { $0.name == name } }

    /// The same with chunks as nodes.
    ///
    /// Modes and times have their place in nodes only, so kubo too puts raw chunks aside where these are kept.
    package var withoutRawLeaves: Self {
        var profile = self
        profile.hasRawLeaves = false
        return profile
    }

    /// The CID in the form that the profile writes.
    package func form(of cid: CID) -> CID {
        guard version == .v0, cid.version == .v1, cid.codec == .dagPB, cid.isSHA256 else { return cid }
        // The bytes are those of a SHA-256 multihash, which is a CID of version 0.
        return (try? CID(bytes: cid.multihash.bytes)) ?? cid
    }
}

/// A block that was built.
package struct UnixFSBuiltBlock: Hashable, Sendable {
    /// Its CID, of version 1.
    package let cid: CID
    /// The bytes.
    package let bytes: [UInt8]

    package init(cid: CID, bytes: [UInt8]) {
        self.cid = cid
        self.bytes = bytes
    }
}

/// What was built: what a directory says of it.
package struct UnixFSBuilt: Hashable, Sendable {
    /// The CID, of version 1; `UnixFSProfile.form` gives the one to show.
    package let cid: CID
    /// Bytes of its blocks, equal ones as often as they occur.
    package let treeBytes: UInt64
    /// Bytes of the file; 0 for what is none.
    package let fileBytes: UInt64

    package init(cid: CID, treeBytes: UInt64, fileBytes: UInt64 = 0) {
        self.cid = cid
        self.treeBytes = treeBytes
        self.fileBytes = fileBytes
    }
}

/// What is kept of a file or directory beside its content.
package struct UnixFSAttributes: Hashable, Sendable {
    /// The permissions, the lower 12 bits of POSIX's mode; nil and 0 are not written.
    package var mode: UInt32?
    /// When it changed.
    package var modified: UnixFSTime?

    package init(mode: UInt32? = nil, modified: UnixFSTime? = nil) {
        self.mode = mode
        self.modified = modified
    }

    /// Nothing.
    package static let none = Self()

    func put(into data: inout UnixFSData) {
        data.mode = mode.flatMap { $0 & 0xFFF == 0 ? nil : $0 & 0xFFF }
        data.modified = modified
    }
}
