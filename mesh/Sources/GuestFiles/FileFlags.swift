/// What a node is, as WASI numbers it (`filetype`).
package enum WASIFileType: UInt8, Hashable, Sendable {
    /// A standard stream: neither a terminal nor a file, whatever it is at the host.
    case unknown = 0
    /// `/dev/null`, `/dev/zero`, `/dev/random` and `/dev/urandom`.
    case characterDevice = 2
    /// A directory.
    case directory = 3
    /// A file.
    case regularFile = 4
    /// A symbolic link.
    case symbolicLink = 7
}

/// How `path_open` opens (`oflags`).
package struct OpenFlags: OptionSet, Hashable, Sendable {
    /// The bits as the guest gives them.
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Create the file if it is not there.
    package static let create = OpenFlags(rawValue: 1 << 0)
    /// Fail if it is no directory.
    package static let directory = OpenFlags(rawValue: 1 << 1)
    /// Fail if it is there.
    package static let exclusive = OpenFlags(rawValue: 1 << 2)
    /// Make the file empty.
    package static let truncate = OpenFlags(rawValue: 1 << 3)
    /// All that there are.
    static let all: OpenFlags = [.create, .directory, .exclusive, .truncate]
}

/// How a descriptor works (`fdflags`). Nothing ever waits or lies in a cache, so all but `append` mean nothing.
package struct DescriptorFlags: OptionSet, Hashable, Sendable {
    /// The bits as the guest gives them.
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Every write goes to the end.
    package static let append = DescriptorFlags(rawValue: 1 << 0)
    /// Writes are durable.
    package static let dataSync = DescriptorFlags(rawValue: 1 << 1)
    /// Never wait.
    package static let nonBlocking = DescriptorFlags(rawValue: 1 << 2)
    /// Reads are as durable as writes.
    package static let readSync = DescriptorFlags(rawValue: 1 << 3)
    /// Writes and times are durable.
    package static let sync = DescriptorFlags(rawValue: 1 << 4)
    /// What `fd_fdstat_set_flags` can change.
    static let changeable: DescriptorFlags = [.append, .nonBlocking]
    /// All that there are.
    static let all: DescriptorFlags = [.append, .dataSync, .nonBlocking, .readSync, .sync]
}

/// Which times to set, and to what (`fstflags`).
package struct TimeFlags: OptionSet, Hashable, Sendable {
    /// The bits as the guest gives them.
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The time of access, as given.
    package static let accessed = TimeFlags(rawValue: 1 << 0)
    /// The time of access, to now.
    package static let accessedNow = TimeFlags(rawValue: 1 << 1)
    /// The time of modification, as given.
    package static let modified = TimeFlags(rawValue: 1 << 2)
    /// The time of modification, to now.
    package static let modifiedNow = TimeFlags(rawValue: 1 << 3)

    /// Whether they name known times, each at most once.
    var areValid: Bool {
        rawValue < 1 << 4 && !isSuperset(of: [.accessed, .accessedNow]) && !isSuperset(of: [.modified, .modifiedNow])
    }
}

/// From where `fd_seek` counts (`whence`).
package enum Whence: UInt8, Hashable, Sendable {
    /// From the start.
    case start = 0
    /// From the position.
    case current = 1
    /// From the end.
    case end = 2
}

/// What a node tells of itself (`filestat`).
package struct FileStatus: Hashable, Sendable {
    /// Which mount it is in: 1 is the root, `/dev` and all between mounts.
    package var device: UInt64
    /// Its number, by order of creation; never given twice.
    package var inode: UInt64
    /// What it is.
    package var type: WASIFileType
    /// How many names it has. A directory always has one: 1 is what file systems that do not count tell.
    package var links: UInt64
    /// Bytes of a file, or of a symbolic link's target; 0 for all else.
    package var bytes: UInt64
    /// Times in nanoseconds since 1970. Reading does not change the time of access.
    package var times: NodeTimes
}

/// The times of a node, in nanoseconds since 1970.
package struct NodeTimes: Hashable, Sendable {
    /// When it was accessed, as far as the guest said so.
    package var accessed: UInt64
    /// When its content changed.
    package var modified: UInt64
    /// When anything of it changed.
    package var changed: UInt64

    package init(all time: UInt64) {
        accessed = time
        modified = time
        changed = time
    }
}
