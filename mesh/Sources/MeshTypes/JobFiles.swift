package import Multiformats

/// The files that a job's module sees, and what is collected of them (PROTOCOL.md, "Files of a job").
package struct JobFiles: Hashable, Sendable, Codable {
    /// What an executor that gives jobs files has among its features; a job with files requires it.
    package static let feature = "files-v1"
    /// Where the temporary folder is.
    package static let temporaryFolderPath = "/tmp"

    /// What is mounted where; a path may lie inside another one.
    package var mounts: [Mount]
    /// Where relative paths begin; absent if they lead nowhere.
    package var workingFolder: String?
    /// Whether there is an empty folder at `/tmp` to write to.
    package var hasTemporaryFolder: Bool
    /// What the module may have written at any time, in bytes of whole pages.
    package var maxBytes: UInt64
    /// How many files, folders and links of its own it may have at any time.
    package var maxEntries: UInt64
    /// What to keep of the files when the run has ended: a pattern (`FileSelection`) by the name of the output.
    package var collect: CanonicalMap<String>

    /// Files with the standard quota and nothing mounted.
    package init(mounts: [Mount] = [], workingFolder: String? = nil) {
        self.mounts = mounts
        self.workingFolder = workingFolder
        hasTemporaryFolder = false
        maxBytes = 256 << 20
        maxEntries = 1 << 16
        collect = [:]
    }

    /// One mount.
    package struct Mount: Hashable, Sendable, Codable {
        /// Where it is, from the root.
        package var path: String
        /// The file or folder; absent for an empty folder to write to.
        package var cid: CID?
        /// Whether it is a folder.
        package var isFolder: Bool
        /// Whether the module may change it: its own copy, never what the CID names.
        package var isWritable: Bool
        /// What may be written here, of `JobFiles.maxBytes`; absent for all of it.
        package var maxBytes: UInt64?
        /// The entries that may be made here, of `JobFiles.maxEntries`; absent for all of them.
        package var maxEntries: UInt64?

        /// Content at a path.
        package init(path: String, cid: CID, isFolder: Bool, isWritable: Bool = false) {
            self.path = path
            self.cid = cid
            self.isFolder = isFolder
            self.isWritable = isWritable
        }

        /// An empty folder to write to.
        package init(emptyFolderAt path: String) {
            self.path = path
            isFolder = true
            isWritable = true
        }

        enum CodingKeys: String, CodingKey {
            case path
            case cid
            case isFolder = "folder"
            case isWritable = "writable"
            case maxBytes = "max_bytes"
            case maxEntries = "max_entries"
        }
    }

    /// What the mounts name, each once, in the order of the mounts.
    package var contentRoots: [CID] {
        var seen: Set<CID> = []
        return mounts.compactMap(\.cid).filter { seen.insert($0).inserted }
    }

    enum CodingKeys: String, CodingKey {
        case mounts
        case workingFolder = "working_folder"
        case hasTemporaryFolder = "temporary_folder"
        case maxBytes = "max_bytes"
        case maxEntries = "max_entries"
        case collect
    }
}

extension ExecutionPolicy {
    /// Whether executors are asked for a feature.
    package func requires(_ feature: String) -> Bool {
        (requiredFeatures ?? []).contains { $0.isSameBytes(as: feature) }
    }

    /// Asks executors for a feature, if it is not asked for already.
    package mutating func require(_ feature: String) {
        guard !requires(feature) else { return }
        requiredFeatures = (requiredFeatures ?? []) + [feature]
    }
}
