import Foundation
import Multiformats
import NodeAPI

/// A file of the user's own could not be read or written.
struct LocalFileError: Error {
    let path: String
    let reason: String
    var hint = "Check the path and its permissions."

    /// The failure, as reported.
    var asServiceError: NodeServiceError {
        NodeServiceError(.invalidRequest, "\(path): \(reason).", hint: hint)
    }
}

extension LocalFileError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    var description: String { asServiceError.description }
}

/// Reads and writes the user's own files.
enum LocalFile {
    /// How a command names a stream in place of a file: standard input where it reads, standard output where it writes.
    static let stream = "-"

    /// Whether a text names content by its CID: it reads as one, and there is no file of that name. `./TEXT` is always
    /// a file.
    static func isCID(_ text: String) -> Bool {
        CID.isText(text) && !FileManager.default.fileExists(atPath: text)
    }

    /// The whole file; `-` is standard input. Refuses more than `bytesMax` bytes before reading them.
    ///
    /// - Parameter setting: the key in `config.json` that bounds such a file.
    static func read(
        _ path: String, bytesMax: Int, setting: String = "limits.file_bytes_max"
    ) throws -> [UInt8] {
        let file: FileHandle
        if path == stream {
            file = .standardInput
        } else {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw LocalFileError(path: path, reason: String(cString: strerror(errno))) }
            file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            var information = stat()
            guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT != S_IFDIR else {
                throw LocalFileError(
                    path: path, reason: "a folder, and only single files are taken",
                    hint: "Name a file in it. A job gets a folder with --dir or --mount.")
            }
        }
        do {
            let data = try file.read(upToCount: bytesMax + 1) ?? Data()
            guard data.count <= bytesMax else {
                throw NodeServiceError(
                    .tooLarge, "\(path) has more than \(bytesMax) bytes, the most that this node takes.",
                    hint: "Cut it up, or raise \(setting) in this node's config.json and restart the node.")
            }
            return [UInt8](data)
        } catch let error as NodeServiceError {
            throw error
        } catch {
            throw LocalFileError(path: path, reason: error.localizedDescription)
        }
    }

    /// Adds a file to a node; refuses one that is longer than the node takes before reading all of it.
    static func add(_ path: String, to node: some NodeService) async throws -> AddedFile {
        try await node.add(read(path, bytesMax: try await node.limits().fileBytesMax))
    }

    /// Adds a module to a node, which may be longer than other files.
    static func addModule(_ path: String, to node: some NodeService) async throws -> AddedFile {
        let bytesMax = try await node.limits().moduleBytesMax
        return try await node.add(read(path, bytesMax: bytesMax, setting: "limits.module_bytes_max"))
    }

    /// Writes the whole file, replacing an existing one; `-` is standard output. A new file replaces nothing, and
    /// follows no link.
    static func write(_ bytes: [UInt8], to path: String, isNew: Bool = false) throws {
        if path == stream { return Console().data(bytes) }
        let mode = isNew ? O_EXCL | O_NOFOLLOW : O_TRUNC
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0o666)
        guard descriptor >= 0 else {
            guard isNew, errno == EEXIST else {
                throw LocalFileError(path: path, reason: String(cString: strerror(errno)))
            }
            throw LocalFileError(
                path: path, reason: "it is there already", hint: "Choose another folder, or --output NAME=FILE.")
        }
        let isWritten = Console().write(bytes, to: descriptor)
        let reason = String(cString: strerror(errno))
        guard close(descriptor) == 0, isWritten else { throw LocalFileError(path: path, reason: reason) }
    }
}
