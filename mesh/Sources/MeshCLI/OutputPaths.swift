import Foundation
import NodeAPI

/// Where a command will write, looked at before it does anything that costs time or tokens.
enum OutputPaths {
    /// Refuses what cannot be written as far as that can be known: a folder, a path in a folder that is not there or
    /// not writable, a full disk, and two results in one file.
    ///
    /// - Parameter freeBytes: the bytes that are free where a file lies; nil if unknown.
    static func check(_ paths: [String], freeBytes: (String) -> UInt64? = OutputPaths.freeBytes) throws {
        var seen: [String: String] = [:]
        for path in paths {
            guard let identity = try identity(of: path) else { continue }
            if let other = seen.updateValue(path, forKey: identity) {
                let names = other == path ? path : "\(other) and \(path)"
                throw NodeServiceError(
                    .invalidRequest, "\(names) would be written twice.", hint: "Give every output a file of its own.")
            }
            if path != LocalFile.stream, freeBytes(path) == 0 {
                throw LocalFileError(
                    path: path, reason: "no space left on its disk", hint: "Make room, or choose another disk.")
            }
        }
    }

    /// Whether a folder is there.
    static func isFolder(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
    }

    /// Refuses destinations of collected files and folders: each has to be new, in a folder that can be written to.
    static func checkNew(_ paths: [String], freeBytes: (String) -> UInt64? = OutputPaths.freeBytes) throws {
        for path in paths {
            guard path != LocalFile.stream else {
                throw LocalFileError(
                    path: path, reason: "collected files cannot go to standard output", hint: "Name a new folder.")
            }
            var information = stat()
            if lstat(path, &information) == 0 {
                throw LocalFileError(
                    path: path, reason: "it is there already", hint: "Choose another path, or remove it first.")
            }
        }
        try check(paths.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }, freeBytes: freeBytes)
    }

    /// What two paths of one file have in common; nil for a device, which takes any number of outputs.
    private static func identity(of path: String) throws -> String? {
        if path == LocalFile.stream { return path }
        guard !path.isEmpty else {
            throw LocalFileError(path: "\"\"", reason: "no file", hint: "Name a file, as NAME=FILE.")
        }
        var information = stat()
        guard stat(path, &information) == 0 else { return try newFile(path) }
        let kind = information.st_mode & S_IFMT
        if kind == S_IFDIR { throw folder(path) }
        guard access(path, W_OK) == 0 else { throw refused(path) }
        return kind == S_IFREG ? "\(information.st_dev):\(information.st_ino)" : nil
    }

    /// A file that is not there yet: its folder has to be, and to be writable.
    private static func newFile(_ path: String) throws -> String {
        let url = URL(filePath: path)
        guard !path.hasSuffix("/") else { throw folder(path) }
        let parent = url.deletingLastPathComponent().path
        var information = stat()
        guard stat(parent, &information) == 0 else {
            throw LocalFileError(
                path: path, reason: "there is no folder \(parent)", hint: "Make it, or choose another path.")
        }
        guard information.st_mode & S_IFMT == S_IFDIR else {
            throw LocalFileError(path: path, reason: "\(parent) is not a folder", hint: "Choose another path.")
        }
        guard access(parent, W_OK | X_OK) == 0 else { throw refused(path) }
        return "\(information.st_dev):\(information.st_ino)/\(url.lastPathComponent)"
    }

    private static func folder(_ path: String) -> LocalFileError {
        LocalFileError(path: path, reason: "a folder, not a file", hint: "Name a file in it.")
    }

    private static func refused(_ path: String) -> LocalFileError {
        LocalFileError(path: path, reason: String(cString: strerror(errno)))
    }

    /// The bytes that are free on the disk of a path or of its folder; nil if the system keeps no count.
    static func freeBytes(_ path: String) -> UInt64? {
        var disk = statvfs()
        let parent = URL(filePath: path).deletingLastPathComponent().path
        guard statvfs(path, &disk) == 0 || statvfs(parent, &disk) == 0, disk.f_blocks > 0 else { return nil }
        return UInt64(geteuid() == 0 ? disk.f_bfree : disk.f_bavail) * UInt64(disk.f_frsize)
    }
}
