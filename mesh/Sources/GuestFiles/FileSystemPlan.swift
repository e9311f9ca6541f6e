package import Multiformats

/// What a run's file system begins with: everything that decides its answers, besides the calls.
package struct FileSystemPlan: Hashable, Sendable, Codable {
    /// Mounts; a later one may lie inside an earlier one or the other way round.
    package var mounts: [Mount]
    /// The directories that are open from the start, from descriptor 3 on.
    package var preopens: [Preopen]
    /// What the guest reads from descriptor 0.
    package var standardInput: StandardInput
    /// What all writable mounts may hold together.
    package var quota: Quota

    package init(
        mounts: [Mount] = [], preopens: [Preopen] = [], standardInput: StandardInput = .bytes([]),
        quota: Quota = .standard
    ) {
        self.mounts = mounts
        self.preopens = preopens
        self.standardInput = standardInput
        self.quota = quota
    }

    /// One mount.
    package struct Mount: Hashable, Sendable, Codable {
        /// Where it is, from the root: `/` and names.
        package var path: [UInt8]
        /// What it begins with: a folder, a file or nothing.
        package var content: Content
        /// Whether the guest may change it.
        package var isWritable: Bool
        /// What this mount may hold of the quota; all of it where nil.
        package var quota: Quota?

        package init(path: [UInt8], content: Content, isWritable: Bool, quota: Quota? = nil) {
            self.path = path
            self.content = content
            self.isWritable = isWritable
            self.quota = quota
        }

        /// What a mount begins with.
        package enum Content: Hashable, Sendable, Codable {
            /// An empty directory.
            case empty
            /// The file or folder of this CID.
            case tree(CID)
        }
    }

    /// A directory that is open from the start.
    package struct Preopen: Hashable, Sendable, Codable {
        /// What the guest knows it as: wasi-libc looks for the longest that begins a path, and `.` is where it starts.
        package var name: [UInt8]
        /// Where it is, from the root.
        package var path: [UInt8]

        package init(name: [UInt8], path: [UInt8]) {
            self.name = name
            self.path = path
        }
    }

    /// Where standard input comes from.
    package enum StandardInput: Hashable, Sendable, Codable {
        /// These bytes.
        case bytes([UInt8])
        /// The file of this CID.
        case file(CID)
        /// What the user sends while the guest runs, as it is given (`GuestFileSystem.giveInput`).
        case session
    }

    /// How much may be written.
    package struct Quota: Hashable, Sendable, Codable {
        /// Bytes in whole pages of `FileContent.pageBytes`; a symbolic link is a page, too.
        package var bytesMax: UInt64
        /// Names that the guest made and that are there.
        package var entriesMax: Int

        package init(bytesMax: UInt64, entriesMax: Int) {
            self.bytesMax = bytesMax
            self.entriesMax = entriesMax
        }

        /// 1 GiB and 65,536 entries.
        package static let standard = Quota(bytesMax: 1 << 30, entriesMax: 1 << 16)
    }

    /// The mounts' directories under their own names in the order of the paths, the working folder as `.`, and `/dev`
    /// last: what wasi-libc finds paths by.
    ///
    /// It takes `/` and `.` for the same, so a path from the root that is in none of the mounts is looked for in the
    /// working folder.
    package static func standardPreopens(of directories: [[UInt8]], workingFolder: [UInt8]?) -> [Preopen] {
        let named = directories.sorted { $0.lexicographicallyPrecedes($1) }.map { Preopen(name: $0, path: $0) }
        let devices = Array("/dev".utf8)
        return named + (workingFolder.map { [Preopen(name: [UInt8(ascii: ".")], path: $0)] } ?? [])
            + [Preopen(name: devices, path: devices)]
    }
}

/// Why a plan cannot be carried out, whatever its mounts hold.
package enum FileSystemPlanFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// More mounts or preopens than may be.
    case tooMany(max: Int)
    /// The path of a mount or preopen does not begin with `/`, is too long or too deep, or holds an improper name.
    case path([UInt8])
    /// Two mounts at one path, or one at `/dev` or in it.
    case occupied([UInt8])
    /// A mount inside something that is no directory.
    case insideFile([UInt8])
    /// A preopen that is no directory, or not there.
    case preopen([UInt8])
    /// A preopen whose name is empty, too long, or holds a NUL.
    case preopenName([UInt8])
    /// Standard input is to come from something that is no file.
    case standardInput(CID)
    /// Content is needed, or not to be mounted.
    case content(FileStop)

    /// What is wrong, in a sentence.
    package var description: String {
        switch self {
        case .tooMany(let most): "a job can have at most \(most) mounts, and as many open folders"
        case .path(let path): "\(Self.text(path)) is no path from the root, or too long or too deep"
        case .occupied(let path): "something is mounted at \(Self.text(path)) already"
        case .insideFile(let path): "\(Self.text(path)) lies inside a file"
        case .preopen(let path): "\(Self.text(path)) is to be open from the start, and is no folder"
        case .preopenName: "a folder that is open from the start has an empty or overlong name, or a zero byte in it"
        case .standardInput(let cid): "standard input is to come from \(cid), which is no file"
        case .content(let stop): "\(stop)"
        }
    }

    private static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }
}
