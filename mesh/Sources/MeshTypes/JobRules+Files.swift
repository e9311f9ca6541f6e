import GuestFiles
import IPLD
import Multiformats
import SignedObjects

extension JobRules {
    /// Names that are no outputs of their own, because every job has them.
    package static let streamNames = ["stdout", "stderr", "log"]

    func validateFiles(_ params: MeshJobParams) throws(JobRefusal) {
        guard let files = params.files else { return }
        guard params.executionPolicy?.requires(JobFiles.feature) == true else {
            throw .featureNotRequired(JobFiles.feature)
        }
        if files.mounts.isEmpty, !files.hasTemporaryFolder, files.collect.isEmpty, files.workingFolder == nil {
            throw .empty(field: "files")
        }
        if files.mounts.count > mountCountMax {
            throw .tooMany(field: "mounts", count: files.mounts.count, max: mountCountMax)
        }
        if files.collect.count > collectCountMax {
            throw .tooMany(field: "collect", count: files.collect.count, max: collectCountMax)
        }
        try quota(files.maxBytes, "files_max_bytes", fileBytesMax)
        try quota(files.maxEntries, "files_max_entries", fileEntriesMax)
        for mount in files.mounts { try validate(mount, of: files) }
        try validateWorkingFolder(files)
        try validatePlaces(files)
        try validateCollect(files)
    }

    private func quota(_ value: UInt64, _ field: String, _ max: UInt64) throws(JobRefusal) {
        if value > max { throw .limitTooLarge(field: field, asked: value, max: max) }
    }

    private func validate(_ mount: JobFiles.Mount, of files: JobFiles) throws(JobRefusal) {
        try validatePath(mount.path, "mounts")
        if let cid = mount.cid {
            guard cid.namesFileContent else { throw .cidNotAccepted(field: "mounts", cid) }
            if mount.isFolder, cid.codec != .dagPB {
                throw .badFiles(field: "mounts", "at \(mount.path): \(cid) is a file and no folder")
            }
        } else if !mount.isFolder || !mount.isWritable {
            throw .badFiles(
                field: "mounts", "at \(mount.path): what begins empty must be a folder that can be written to")
        }
        if !mount.isWritable, mount.maxBytes != nil || mount.maxEntries != nil {
            throw .badFiles(field: "mounts", "at \(mount.path): what cannot be written to has no quota")
        }
        try quota(mount.maxBytes ?? 0, "mount_max_bytes", files.maxBytes)
        try quota(mount.maxEntries ?? 0, "mount_max_entries", files.maxEntries)
    }

    /// A path from the root in its only spelling, so that what is signed is what programs see.
    private func validatePath(_ path: String, _ field: String) throws(JobRefusal) {
        if path.isEmpty { throw .empty(field: field) }
        if path.utf8.count > pathBytesMax {
            throw .tooLong(field: field, bytes: path.utf8.count, bytesMax: pathBytesMax)
        }
        if !PlainText.isPlain(path) { throw .badText(field: field) }
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw .badFiles(field: field, "at \(path): a path there begins with /")
        }
        let parts =
            path == "/"
            ? [] : path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard !parts.contains(where: { $0.isEmpty || $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }) else {
            throw .badFiles(field: field, "at \(path): a path there has no //, . or .. and does not end in /")
        }
    }

    /// What only all mounts together tell: no two at one place, none inside a file, none in `/dev`.
    private func validatePlaces(_ files: JobFiles) throws(JobRefusal) {
        for file in files.mounts where !file.isFolder {
            if let inside = files.mounts.first(where: { $0.path.isPath(inside: file.path) }) {
                throw .badFiles(field: "mounts", "at \(inside.path): \(file.path) is a file")
            }
        }
        if let fault = files.plan(standardInput: nil).fault() {
            throw .badFiles(field: "mounts", "cannot be had: \(fault)")
        }
    }

    private func validateWorkingFolder(_ files: JobFiles) throws(JobRefusal) {
        guard let folder = files.workingFolder else { return }
        try validatePath(folder, "working_folder")
        let roots =
            files.mounts.filter(\.isFolder).map(\.path)
            + (files.hasTemporaryFolder ? [JobFiles.temporaryFolderPath] : [])
        guard roots.contains(where: { folder.isSameBytes(as: $0) || folder.isPath(inside: $0) }) else {
            throw .badFiles(field: "working_folder", "is \(folder), and no folder is mounted there")
        }
        let files = files.mounts.filter { !$0.isFolder }.map(\.path)
        if let file = files.first(where: { folder.isSameBytes(as: $0) || folder.isPath(inside: $0) }) {
            throw .badFiles(field: "working_folder", "is \(folder), and \(file) is a file")
        }
    }

    private func validateCollect(_ files: JobFiles) throws(JobRefusal) {
        for entry in files.collect {
            if entry.key.isEmpty { throw .empty(field: "collect") }
            if entry.key.utf8.count > nameBytesMax {
                throw .tooLong(field: "collect", bytes: entry.key.utf8.count, bytesMax: nameBytesMax)
            }
            guard PlainText.isPlain(entry.key), PlainText.isPlain(entry.value) else { throw .badText(field: "collect") }
            if Self.streamNames.contains(where: { $0.isSameBytes(as: entry.key) }) {
                throw .badFiles(field: "collect", "cannot be called \(entry.key): every job has an output of that name")
            }
            do throws(FileSelection.Fault) {
                _ = try files.selection(of: entry.value)
            } catch {
                throw .badFiles(field: "collect", "has the pattern '\(entry.value)', which \(error)")
            }
        }
    }
}
