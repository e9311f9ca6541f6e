package import Multiformats

/// Where the content of mounts comes from: a store of blocks that the caller has at hand.
///
/// It answers from what is here and never waits. The same question always has the same answer, except that what was
/// not here may be here later.
package protocol MountSource: Sendable {
    /// What a CID names.
    func node(_ cid: CID) -> SourceAnswer<MountedNode>
    /// The entries of a folder, in any order.
    func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]>
    /// Exactly these bytes of a file; the range lies within the size that `node` told.
    func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]>
    /// The blocks that have to be looked at for a byte of a file that is here, with their bytes: the same wherever the
    /// file is the same. They are what a read costs besides its own bytes.
    func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]>
    /// A block as it is, for what is collected of a mount.
    func block(_ cid: CID) -> SourceAnswer<[UInt8]>
    /// This range of a file is read elsewhere, out of blocks that were given: what follows may be fetched ahead.
    func reads(_ cid: CID, _ range: Range<UInt64>)
}

extension MountSource {
    // For files that lie in one piece.
    package func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]> { .here([]) }

    // For those that fetch nothing ahead.
    package func reads(_ cid: CID, _ range: Range<UInt64>) {}
}

/// A block of a file.
package struct MountedPiece: Hashable, Sendable {
    /// Its name.
    package let cid: CID
    /// Its bytes.
    package let bytes: UInt64

    package init(cid: CID, bytes: UInt64) {
        self.cid = cid
        self.bytes = bytes
    }
}

/// An answer of a source.
package enum SourceAnswer<Value: Sendable>: Sendable {
    /// All of it.
    case here(Value)
    /// A block is missing.
    case notHere
    /// The blocks are here, and are not what was asked for.
    case broken
}

/// What a CID in a mount names.
package struct MountedNode: Hashable, Sendable, Codable {
    /// A file, folder or symbolic link.
    package enum Kind: Hashable, Sendable, Codable {
        /// A file of this size.
        case file(bytes: UInt64)
        /// A folder.
        case directory
        /// A symbolic link to this target.
        case symbolicLink([UInt8])
    }

    /// What it is.
    package var kind: Kind
    /// The time of UnixFS in nanoseconds since 1970; 0 where there is none.
    package var modifiedNanoseconds: UInt64

    package init(kind: Kind, modifiedNanoseconds: UInt64 = 0) {
        self.kind = kind
        self.modifiedNanoseconds = modifiedNanoseconds
    }
}

/// An entry of a folder as its blocks give it: the name is not checked yet.
package struct MountedEntry: Hashable, Sendable, Codable {
    /// The name's bytes.
    package var name: [UInt8]
    /// What it names.
    package var cid: CID

    package init(name: [UInt8], cid: CID) {
        self.name = name
        self.cid = cid
    }
}

/// What a call sees of the world: the virtual time, and the content that is here.
package struct GuestWorld: Sendable {
    /// The guest's calendar, in nanoseconds since 1970: what is written now has this time.
    package var nowNanoseconds: UInt64
    /// The content of mounts.
    package var source: any MountSource
    /// Bytes that the entries of listed folders may need, all together; see `GuestFileSystem.heldBytes`.
    package var heldBytesMax: UInt64

    package init(nowNanoseconds: UInt64, source: any MountSource, heldBytesMax: UInt64 = .max) {
        self.nowNanoseconds = nowNanoseconds
        self.source = source
        self.heldBytesMax = heldBytesMax
    }
}
