import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// Writes a file or folder out of a tree below a path of the user's own, and nowhere else.
///
/// Whatever the tree holds, nothing is written outside the destination, and nothing through a link: every folder is
/// opened by its name in the folder above it, and links are never followed. Files come under a name of their own and
/// get their real name when they are whole, in place of an older file or link of that name. Links of the tree that lead
/// out of it are left out and told.
struct FolderDownload {
    /// The bounds of one download.
    struct Limits {
        /// Folders in each other.
        var depthMax = 256
        /// Files, folders and links together.
        var entriesMax = 1_000_000
    }

    /// How far a download is.
    struct Progress: Hashable, Sendable {
        /// Files that are written.
        var files = 0
        /// Bytes that are written.
        var bytes: UInt64 = 0
    }

    /// What was written.
    struct Written: Hashable, Sendable {
        /// Files.
        var files = 0
        /// Folders, with the destination.
        var folders = 0
        /// Symbolic links.
        var links = 0
        /// Bytes of the files.
        var bytes: UInt64 = 0
        /// Links that lead out of the destination and were left out, by their paths in it; at most some of them.
        var leftOut: [String] = []
        /// How many there were.
        var leftOutCount = 0
    }

    private static let leftOutNamedMax = 100

    private let tree: TreeReader
    private let preserves: Bool
    private let limits: Limits
    private let progress: (Progress) -> Void
    private let freeBytes: (String) -> UInt64?
    private var written = Written()
    private var entriesLeft: Int

    /// A download out of a tree.
    ///
    /// - Parameters:
    ///   - preserves: whether the permissions and times that the tree has are set.
    ///   - progress: hears how far it is, each time that a few MiB were written.
    init(
        from tree: TreeReader, preserves: Bool = false, limits: Limits = Limits(),
        freeBytes: @escaping (String) -> UInt64? = OutputPaths.freeBytes,
        progress: @escaping (Progress) -> Void = { _ in }
    ) {
        self.tree = tree
        self.preserves = preserves
        self.limits = limits
        self.freeBytes = freeBytes
        self.progress = progress
        entriesLeft = limits.entriesMax
    }

    /// Refuses a destination of a folder that cannot be written, as far as that can be known before there is anything
    /// to write: a file or link in its place, or a folder that is not there or not writable.
    static func check(_ destination: String) throws {
        var information = stat()
        guard lstat(destination, &information) == 0 else {
            return try OutputPaths.check([trimmed(destination)])
        }
        // What the user names may be a link to a folder.
        guard stat(destination, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
            throw LocalFileError(path: destination, reason: "not a folder", hint: "Choose another place.")
        }
        guard access(destination, W_OK | X_OK) == 0 else {
            throw LocalFileError(path: destination, reason: String(cString: strerror(errno)))
        }
    }

    private static func trimmed(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// Writes what a CID in the tree names: a folder's entries into the folder `destination`, which is made if it is
    /// not there; a file as `destination`.
    mutating func write(_ cid: CID, to destination: String) async throws -> Written {
        let block = try await tree.look(at: cid)
        switch block.kind {
        case .directory, .shard:
            try Self.check(destination)
            let folder = try LocalFolder(making: Self.trimmed(destination))
            try await writeEntries(of: cid, block, into: folder, depth: 0)
        case .file(let size):
            try OutputPaths.check([destination])
            try await writeNamed(cid, block, bytes: size, destination)
        case .symbolicLink(let target):
            throw NodeServiceError(
                .invalidRequest,
                "\(cid) is a symbolic link to \(String(decoding: target, as: UTF8.self)), not a file or folder.",
                hint: "Get the folder that it is in, or what it leads to.")
        }
        return written
    }

    /// Writes a file under the name that the user gave: in place of what is there, or as a new one when it is whole.
    private mutating func writeNamed(
        _ cid: CID, _ block: UnixFSBlock, bytes size: UInt64, _ destination: String
    ) async throws {
        var information = stat()
        guard stat(destination, &information) == 0 else {
            let url = URL(filePath: destination)
            let folder = try LocalFolder(following: url.deletingLastPathComponent().path)
            return try await writeFile(
                cid, block, bytes: size, named: Array(url.lastPathComponent.utf8), in: folder)
        }
        let file = try LocalFolder.NewFile(replacing: destination)
        try await fill(file, cid, bytes: size)
        if preserves { try file.set(block) }
        written.files += 1
    }

    private mutating func fill(_ file: LocalFolder.NewFile, _ cid: CID, bytes size: UInt64) async throws {
        try await tree.read(cid, bytes: size) { bytes in
            try Task.checkCancellation()
            try file.write(bytes)
            written.bytes += UInt64(bytes.count)
            progress(Progress(files: written.files, bytes: written.bytes))
        }
    }

    private mutating func writeEntries(
        of cid: CID, _ block: UnixFSBlock, into folder: LocalFolder, depth: Int
    ) async throws {
        written.folders += 1
        var names: Set<[UInt8]> = []
        for entry in try await tree.entries(of: cid) {
            try Task.checkCancellation()
            guard LocalFolder.isName(entry.name), names.insert(entry.name).inserted else {
                throw NodeServiceError(
                    .blockCorrupt,
                    "The folder \(cid) has an entry \"\(String(decoding: entry.name, as: UTF8.self))\" that no file "
                        + "can be called, or twice.", hint: "Get single files of it by their paths.")
            }
            guard entriesLeft > 0, depth < limits.depthMax else {
                throw NodeServiceError(
                    .tooLarge,
                    "There are more than \(limits.entriesMax) files, or folders nested deeper than "
                        + "\(limits.depthMax).", hint: "Get parts of it by their paths.")
            }
            entriesLeft -= 1
            try await write(entry, in: folder, depth: depth)
        }
        if preserves { try folder.set(block) }
    }

    private mutating func write(_ entry: UnixFSEntry, in folder: LocalFolder, depth: Int) async throws {
        let block = try await tree.look(at: entry.cid)
        switch block.kind {
        case .directory, .shard:
            let below = try folder.making(entry.name)
            try await writeEntries(of: entry.cid, block, into: below, depth: depth + 1)
        case .file(let size):
            try await writeFile(entry.cid, block, bytes: size, named: entry.name, in: folder)
        case .symbolicLink(let target):
            if LocalFolder.staysInside(target, depth: depth) {
                try folder.link(entry.name, to: target)
                written.links += 1
            } else {
                written.leftOutCount += 1
                if written.leftOut.count < Self.leftOutNamedMax { written.leftOut.append(folder.path(of: entry.name)) }
            }
        }
    }

    private mutating func writeFile(
        _ cid: CID, _ block: UnixFSBlock, bytes size: UInt64, named name: [UInt8], in folder: LocalFolder
    ) async throws {
        if let free = freeBytes(folder.path), size > free {
            throw LocalFileError(
                path: folder.path(of: name),
                reason: "it has \(Readable.bytes(size)), and its disk has \(Readable.bytes(free)) left",
                hint: "Make room, or choose another disk.")
        }
        let file = try folder.create(name)
        do {
            try await fill(file, cid, bytes: size)
            if preserves { try file.set(block) }
            try file.finish()
        } catch {
            file.discard()
            throw error
        }
        written.files += 1
        progress(Progress(files: written.files, bytes: written.bytes))
    }
}
