package import GuestFiles
package import Multiformats

extension JobFiles {
    /// The file system that a run of the job begins with.
    ///
    /// Open from the start are the folders that are mounted, each under its path, the folders of mounted files that lie
    /// in none of them, and the working folder as `.`.
    package func plan(standardInput: CID?) -> FileSystemPlan {
        var all = mounts.map { mount in
            FileSystemPlan.Mount(
                path: Array(mount.path.utf8), content: mount.cid.map { .tree($0) } ?? .empty,
                isWritable: mount.isWritable, quota: quota(of: mount))
        }
        if hasTemporaryFolder {
            all.append(
                FileSystemPlan.Mount(path: Array(Self.temporaryFolderPath.utf8), content: .empty, isWritable: true))
        }
        return FileSystemPlan(
            mounts: all,
            preopens: FileSystemPlan.standardPreopens(
                of: openFolders.map { Array($0.utf8) }, workingFolder: workingFolder.map { Array($0.utf8) }),
            standardInput: standardInput.map { .file($0) } ?? .bytes([]),
            quota: FileSystemPlan.Quota(bytesMax: maxBytes, entriesMax: Int(clamping: maxEntries)))
    }

    private func quota(of mount: Mount) -> FileSystemPlan.Quota? {
        guard mount.maxBytes != nil || mount.maxEntries != nil else { return nil }
        return FileSystemPlan.Quota(
            bytesMax: min(mount.maxBytes ?? maxBytes, maxBytes),
            entriesMax: Int(clamping: min(mount.maxEntries ?? maxEntries, maxEntries)))
    }

    /// The folders that are open from the start under their own names.
    private var openFolders: [String] {
        var folders = mounts.filter(\.isFolder).map(\.path)
        if hasTemporaryFolder { folders.append(Self.temporaryFolderPath) }
        let lone = mounts.filter { mount in
            !mount.isFolder && !folders.contains { mount.path.isPath(inside: $0) }
        }
        let parents = Set(lone.map(\.path.parentPath))
        folders += parents.filter { parent in !parents.contains { parent.isPath(inside: $0) } }
        return folders
    }

    /// What to collect, by the names of the outputs.
    package func selections() throws(FileSelection.Fault) -> [String: FileSelection] {
        var selections: [String: FileSelection] = [:]
        for entry in collect { selections[entry.key] = try selection(of: entry.value) }
        return selections
    }

    func selection(of pattern: String) throws(FileSelection.Fault) -> FileSelection {
        try FileSelection(Array(pattern.utf8), workingFolder: workingFolder.map { Array($0.utf8) })
    }
}

extension String {
    /// Whether a path from the root lies in a folder, below it.
    package func isPath(inside folder: String) -> Bool {
        let prefix = folder == "/" ? "/" : folder + "/"
        return utf8.count > prefix.utf8.count && utf8.starts(with: prefix.utf8)
    }

    /// The folder that a path from the root lies in.
    package var parentPath: String {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")), slash != startIndex else { return "/" }
        return String(self[..<slash])
    }
}
