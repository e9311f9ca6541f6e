/// What a call looks at on its way, and its price: an upper bound of what the host does for it, the same everywhere.
enum CallWork: Hashable, Sendable {
    /// Names on the way of a path, or directories above a node.
    case steps(Int)
    /// The target of a symbolic link that is followed.
    case link(bytes: Int)
    /// Pages of a file.
    case pages(UInt64)
    /// Entries of a folder, one after the other.
    case entries(Int)
    /// Entries of a folder in which a name comes or goes, so that those behind it move.
    case moved(Int)
    /// Bytes of blocks of mounts that are looked at for a read, and were not for the one before it.
    case blocks(bytes: UInt64)

    var fuel: UInt64 {
        switch self {
        case .steps(let count): UInt64(count) * 8
        case .link(let bytes): UInt64(bytes)
        case .pages(let count): count
        case .entries(let count): UInt64(count) / 8
        case .moved(let count): UInt64(count) / 64
        case .blocks(let bytes): bytes / 32
        }
    }
}
