package import MeshTypes
import Multiformats

extension JobSubmission {
    /// The files that a job's module sees, and what is kept of them.
    package struct Files: Hashable, Sendable, Codable {
        /// What is mounted.
        package var mounts: [Mount]
        /// Where relative paths begin; nil if they lead nowhere.
        package var workingFolder: String?
        /// Whether there is an empty folder at `/tmp` to write to.
        package var hasTemporaryFolder: Bool
        /// The most that the module may have written at any time, in bytes; nil means the node's default.
        package var maxBytes: UInt64?
        /// The most files, folders and links of its own at any time; nil means the node's default.
        package var maxEntries: UInt64?
        /// What to keep when the run has ended: the names of outputs, each with its pattern.
        package var collect: [NamedText]

        /// Files without mounts.
        package init(mounts: [Mount] = [], workingFolder: String? = nil) {
            self.mounts = mounts
            self.workingFolder = workingFolder
            hasTemporaryFolder = false
            collect = []
        }

        /// Reads files; every part may be missing.
        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            mounts = try container.decodeIfPresent([Mount].self, forKey: .mounts) ?? []
            workingFolder = try container.decodeIfPresent(String.self, forKey: .workingFolder)
            hasTemporaryFolder = try container.decodeIfPresent(Bool.self, forKey: .hasTemporaryFolder) ?? false
            maxBytes = try container.decodeIfPresent(UInt64.self, forKey: .maxBytes)
            maxEntries = try container.decodeIfPresent(UInt64.self, forKey: .maxEntries)
            collect = try container.decodeIfPresent([NamedText].self, forKey: .collect) ?? []
        }

        private enum CodingKeys: String, CodingKey {
            case mounts, collect
            case workingFolder = "working_folder"
            case hasTemporaryFolder = "temporary_folder"
            case maxBytes = "max_bytes"
            case maxEntries = "max_entries"
        }

        /// One mount.
        package struct Mount: Hashable, Sendable, Codable {
            /// Where it is, from the root.
            package var path: String
            /// The CID of a file or folder that was added before; nil for an empty folder to write to.
            package var cid: String?
            /// Whether it is a folder.
            package var isFolder: Bool
            /// Whether the module may change its copy.
            package var isWritable: Bool
            /// The most that may be written here, in bytes; nil for all that the job may.
            package var maxBytes: UInt64?
            /// The most entries that may be made here; nil for all that the job may.
            package var maxEntries: UInt64?

            package init(path: String, cid: String?, isFolder: Bool = true, isWritable: Bool = false) {
                self.path = path
                self.cid = cid
                self.isFolder = isFolder
                self.isWritable = isWritable
            }

            /// Reads a mount: a folder that only can be read, unless it says otherwise.
            package init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                path = try container.decode(String.self, forKey: .path)
                cid = try container.decodeIfPresent(String.self, forKey: .cid)
                isFolder = try container.decodeIfPresent(Bool.self, forKey: .isFolder) ?? true
                isWritable = try container.decodeIfPresent(Bool.self, forKey: .isWritable) ?? (cid == nil)
                maxBytes = try container.decodeIfPresent(UInt64.self, forKey: .maxBytes)
                maxEntries = try container.decodeIfPresent(UInt64.self, forKey: .maxEntries)
            }

            private enum CodingKeys: String, CodingKey {
                case path, cid
                case isFolder = "folder"
                case isWritable = "writable"
                case maxBytes = "max_bytes"
                case maxEntries = "max_entries"
            }
        }
    }
}

extension JobSubmission.Files {
    /// The files of a job, as its owner sees them.
    package init(_ files: JobFiles) {
        self.init(
            mounts: files.mounts.map { mount in
                var shown = Mount(
                    path: mount.path, cid: mount.cid?.text, isFolder: mount.isFolder, isWritable: mount.isWritable)
                (shown.maxBytes, shown.maxEntries) = (mount.maxBytes, mount.maxEntries)
                return shown
            }, workingFolder: files.workingFolder)
        hasTemporaryFolder = files.hasTemporaryFolder
        maxBytes = files.maxBytes
        maxEntries = files.maxEntries
        collect = files.collect.map { NamedText(name: $0.key, text: $0.value) }
    }

    /// The files as a manifest has them, with the defaults where nothing is said.
    package func jobFiles() throws(NodeServiceError) -> JobFiles {
        var files = JobFiles(workingFolder: workingFolder)
        for mount in mounts {
            var made = JobFiles.Mount(emptyFolderAt: mount.path)
            if let text = mount.cid {
                do {
                    made.cid = try CID(parsing: text).version1
                } catch {
                    throw NodeServiceError(
                        .invalidRequest, "What is mounted at \(mount.path) is no CID: \(error).",
                        hint: "A CID looks like bafkrei….")
                }
            }
            (made.isFolder, made.isWritable) = (mount.isFolder, mount.isWritable)
            (made.maxBytes, made.maxEntries) = (mount.maxBytes, mount.maxEntries)
            files.mounts.append(made)
        }
        files.hasTemporaryFolder = hasTemporaryFolder
        files.maxBytes = maxBytes ?? files.maxBytes
        files.maxEntries = maxEntries ?? files.maxEntries
        for entry in collect {
            guard files.collect[entry.name] == nil else {
                throw NodeServiceError(
                    .invalidRequest, "Two outputs are called \(entry.name).", hint: "Give every output its own name.")
            }
            files.collect[entry.name] = entry.text
        }
        return files
    }

    /// What breaks the rules of a job whatever is in the files, so that a client can say it before it sends them; nil
    /// if nothing does. Stands for content that was not added yet: a mount that is not writable and has no CID.
    package func fault() -> NodeServiceError? {
        var likely = self
        for index in mounts.indices
        where mounts[index].cid == nil && !(mounts[index].isFolder && mounts[index].isWritable) {
            likely.mounts[index].cid = CID.hashing([], codec: mounts[index].isFolder ? .dagPB : .raw).text
        }
        do throws(NodeServiceError) {
            var params = MeshJobParams(wasmCID: CID.hashing([], codec: .raw))
            params.files = try likely.jobFiles()
            params.executionPolicy = ExecutionPolicy()
            params.executionPolicy?.require(JobFiles.feature)
            guard let refusal = JobRules().refusal(of: params) else { return nil }
            return NodeServiceError(
                .invalidRequest, "The job was not submitted: \(refusal).", hint: "See mesh run --help.")
        } catch {
            return error
        }
    }
}
