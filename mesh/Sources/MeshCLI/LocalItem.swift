import Foundation
import IPLD

/// A file, folder or link of the user's own that is read; names are bytes, as the system has them.
struct LocalItem {
    /// What it is.
    enum Kind: Equatable {
        /// A file of this size when it was looked at.
        case file(bytes: UInt64)
        /// A folder.
        case folder
        /// A link, not followed.
        case symbolicLink
        /// What has no size and no end that is known: standard input, a pipe, a device that the user names.
        case stream
    }

    /// What tells a file from others on one machine.
    struct Identity: Equatable {
        var device: UInt64
        var inode: UInt64
    }

    /// What it is.
    let kind: Kind
    /// Its permissions and when it changed.
    let attributes: UnixFSAttributes
    /// The numbers of its device and inode.
    let identity: Identity
    private let bytes: [UInt8]
    /// Whether a link was followed, as the user named it.
    private let follows: Bool

    /// The path, for people.
    var path: String { String(decoding: bytes, as: UTF8.self) }

    /// The path from the root on; nil if it is no text.
    var absolutePath: String? {
        guard let path = String(validating: bytes, as: UTF8.self) else { return nil }
        return path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// Standard input.
    static let standardInput = Self(kind: .stream, attributes: .none)

    private init(kind: Kind, attributes: UnixFSAttributes) {
        self.kind = kind
        self.attributes = attributes
        identity = Identity(device: 0, inode: 0)
        bytes = Array(LocalFile.stream.utf8)
        follows = true
    }

    /// What a user names; a link is followed.
    init(following path: String) throws {
        try self.init(Array(path.utf8), follows: true)
    }

    private init(_ bytes: [UInt8], follows: Bool) throws {
        var information = stat()
        let result = Self.withPath(bytes) { follows ? stat($0, &information) : lstat($0, &information) }
        guard result == 0 else { throw Self.failure(bytes) }
        self.bytes = bytes
        self.follows = follows
        identity = Identity(device: UInt64(information.st_dev), inode: UInt64(information.st_ino))
        switch information.st_mode & S_IFMT {
        case S_IFREG: kind = .file(bytes: UInt64(clamping: information.st_size))
        case S_IFDIR: kind = .folder
        case S_IFLNK: kind = .symbolicLink
        case _ where follows: kind = .stream
        default:
            throw LocalFileError(
                path: String(decoding: bytes, as: UTF8.self), reason: "neither a file nor a folder nor a link",
                hint: "Move sockets, pipes and devices out of the folder.")
        }
        attributes = UnixFSAttributes(
            mode: UInt32(information.st_mode) & 0o7777,
            modified: UnixFSTime(
                seconds: Int64(information.st_mtim.tv_sec), nanoseconds: UInt32(information.st_mtim.tv_nsec)))
    }

    // SAFETY: the system reads the path, which ends with a zero, within the call.
    private static func withPath<Value>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Value) -> Value {
        (bytes + [0]).withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { pointer in
                pointer.baseAddress.map(body) ?? body("")
            }
        }
    }

    private static func failure(_ bytes: [UInt8]) -> LocalFileError {
        LocalFileError(path: String(decoding: bytes, as: UTF8.self), reason: String(cString: strerror(errno)))
    }

    // MARK: Folders

    /// The names in a folder, without `.` and `..`, in the order of their bytes.
    func names() throws -> [[UInt8]] {
        guard let folder = Self.withPath(bytes, { opendir($0) }) else { throw Self.failure(bytes) }
        defer { closedir(folder) }
        var names: [[UInt8]] = []
        errno = 0
        while let entry = readdir(folder) {
            // SAFETY: the system ended the name with a zero; it is copied before the next call.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: UInt8.self, capacity: Int(NAME_MAX) + 1) { start in
                    Array(UnsafeBufferPointer(start: start, count: strlen(UnsafePointer(OpaquePointer(start)))))
                }
            }
            if name != [UInt8(ascii: ".")], name != Array("..".utf8) { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw Self.failure(bytes) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// What a name in a folder is; a link is not followed.
    func entry(_ name: [UInt8]) throws -> Self {
        let separator = bytes.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]
        return try Self(bytes + separator + name, follows: false)
    }

    /// Where a link leads, as it says.
    func target() throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = Self.withPath(bytes) { path in
            // SAFETY: the system writes into the buffer within the call, at most as much as it has.
            buffer.withUnsafeMutableBytes { raw in
                raw.baseAddress.map { readlink(path, $0.assumingMemoryBound(to: CChar.self), raw.count) } ?? -1
            }
        }
        guard count >= 0 else { throw Self.failure(bytes) }
        return Array(buffer.prefix(count))
    }

    // MARK: Files

    /// Opens a file to read it; what became a link meanwhile is refused inside folders.
    func open() throws -> FileHandle {
        if bytes == Self.standardInput.bytes { return .standardInput }
        let flags = O_RDONLY | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW)
        let descriptor = Self.withPath(bytes) { Foundation.open($0, flags) }
        guard descriptor >= 0 else { throw Self.failure(bytes) }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    /// The next bytes of an open file, as many as asked for unless it ends; nil at the end.
    func read(_ file: FileHandle, _ count: Int) throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            // SAFETY: the system writes into the buffer within the call, at most as much as it has left.
            let got = bytes.withUnsafeMutableBytes { raw in
                raw.baseAddress.map { Foundation.read(file.fileDescriptor, $0 + filled, count - filled) } ?? -1
            }
            if got < 0 {
                if errno == EINTR { continue }
                throw Self.failure(self.bytes)
            }
            if got == 0 { break }
            filled += got
        }
        if filled == 0 { return nil }
        bytes.removeLast(count - filled)
        return bytes
    }
}
