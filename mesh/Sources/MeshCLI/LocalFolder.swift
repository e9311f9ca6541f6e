import Foundation
import IPLD

/// An open folder of the user's own in which things are made by name; nothing in it is followed.
final class LocalFolder {
    private let descriptor: Int32
    /// Its path, for people.
    let path: String

    private init(_ descriptor: Int32, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Opens a folder that the user names; a link is followed.
    init(following path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw LocalFileError(path: path, reason: String(cString: strerror(errno))) }
        self.descriptor = descriptor
        self.path = path
    }

    /// Makes a folder that the user names, unless it is there, and opens it.
    convenience init(making path: String) throws {
        if mkdir(path, 0o777) != 0, errno != EEXIST {
            throw LocalFileError(path: path, reason: String(cString: strerror(errno)))
        }
        try self.init(following: path)
    }

    /// A file under a name that a user gives: in place of what is there, or as a new one when it is whole.
    static func file(at path: String) throws -> NewFile {
        var information = stat()
        if stat(path, &information) == 0 { return try NewFile(replacing: path) }
        let url = URL(filePath: path)
        let folder = try LocalFolder(following: url.deletingLastPathComponent().path)
        return try folder.create(Array(url.lastPathComponent.utf8))
    }

    /// Whether bytes can be the name of a file.
    static func isName(_ name: [UInt8]) -> Bool {
        !name.isEmpty && name.count <= Int(NAME_MAX) && !name.contains(0) && !name.contains(UInt8(ascii: "/"))
            && name != [UInt8(ascii: ".")] && name != Array("..".utf8)
    }

    /// Whether a link in a folder `depth` folders below the destination can lead out of it.
    ///
    /// `..` counts only at the beginning: behind a name it would depend on where that name leads.
    static func staysInside(_ target: [UInt8], depth: Int) -> Bool {
        guard let first = target.first, first != UInt8(ascii: "/"), !target.contains(0),
            target.count < Int(PATH_MAX)
        else { return false }
        let parts = target.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }
        let ups = parts.prefix { $0.elementsEqual("..".utf8) }
        return ups.count <= depth && !parts.dropFirst(ups.count).contains { $0.elementsEqual("..".utf8) }
    }

    /// The path of a name in it, for people.
    func path(of name: [UInt8]) -> String {
        (path.hasSuffix("/") ? path : path + "/") + String(decoding: name, as: UTF8.self)
    }

    private func failure(_ name: [UInt8], reason: String? = nil, hint: String? = nil) -> LocalFileError {
        var error = LocalFileError(path: path(of: name), reason: reason ?? String(cString: strerror(errno)))
        if let hint { error.hint = hint }
        return error
    }

    // SAFETY: the system reads the name, which ends with a zero, within the call.
    private static func withName<Value>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Value) -> Value {
        (bytes + [0]).withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { pointer in
                pointer.baseAddress.map(body) ?? body("")
            }
        }
    }

    /// The folder of a name in it, made if there is none; a link or file of that name is refused.
    func making(_ name: [UInt8]) throws -> LocalFolder {
        if Self.withName(name, { mkdirat(descriptor, $0, 0o777) }) != 0, errno != EEXIST { throw failure(name) }
        let below = Self.withName(name) { openat(descriptor, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        guard below >= 0 else {
            guard errno == ENOTDIR || errno == ELOOP else { throw failure(name) }
            throw failure(name, reason: "a folder has to go there, and it is none", hint: "Choose another place.")
        }
        return LocalFolder(below, path(of: name))
    }

    /// Makes a link, in place of a file or link of that name.
    func link(_ name: [UInt8], to target: [UInt8]) throws {
        let temporary = Self.temporaryName()
        let isMade = Self.withName(temporary) { own in
            Self.withName(target) { symlinkat($0, descriptor, own) }
        }
        guard isMade == 0 else { throw failure(name) }
        try rename(temporary, to: name)
    }

    /// A file that is being written, and gets its name when it is whole. Until then it has none where the system can do
    /// that, so that a command that is killed leaves nothing.
    func create(_ name: [UInt8]) throws -> NewFile {
        let temporary = Self.temporaryName()
        let nameless = Self.hasOpenFiles ? openat(descriptor, ".", O_WRONLY | O_CLOEXEC | Self.withoutName, 0o666) : -1
        if nameless >= 0 {
            return NewFile(
                descriptor: nameless, path: path(of: name), place: (self, temporary, name), isNameless: true)
        }
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let file = Self.withName(temporary) { openat(descriptor, $0, flags, 0o666) }
        guard file >= 0 else { throw failure(name) }
        return NewFile(descriptor: file, path: path(of: name), place: (self, temporary, name))
    }

    /// Sets what a tree says of the folder.
    func set(_ block: UnixFSBlock) throws { try Self.set(block, descriptor, path: path) }

    /// O_TMPFILE of Linux, which Swift does not import.
    private static let withoutName = 0o20_000_000 | O_DIRECTORY
    /// Where the system shows a process its open files, by which one without a name gets one.
    private static let openFiles = "/proc/self/fd/"
    private static let hasOpenFiles = access(openFiles, X_OK) == 0

    /// Gives a file without a name this one.
    private func name(_ file: Int32, _ name: [UInt8]) -> Bool {
        Self.withName(name) {
            linkat(AT_FDCWD, Self.openFiles + "\(file)", descriptor, $0, AT_SYMLINK_FOLLOW) == 0
        }
    }

    private static func temporaryName() -> [UInt8] {
        Array(".mesh-\(UInt64.random(in: 0...UInt64.max)).part".utf8)
    }

    private func rename(_ temporary: [UInt8], to name: [UInt8]) throws {
        let result = Self.withName(temporary) { old in
            Self.withName(name) { renameat(descriptor, old, descriptor, $0) }
        }
        guard result == 0 else {
            let error =
                errno == EISDIR
                ? failure(name, reason: "a file has to go there, and it is a folder", hint: "Choose another place.")
                : failure(name)
            remove(temporary)
            throw error
        }
    }

    private func remove(_ name: [UInt8]) {
        _ = Self.withName(name) { unlinkat(descriptor, $0, 0) }
    }

    /// Sets permissions, without those that give others the owner's rights, and the time, where there are any.
    private static func set(_ block: UnixFSBlock, _ descriptor: Int32, path: String) throws {
        var isSet = true
        if let mode = block.mode { isSet = fchmod(descriptor, mode_t(mode & 0o777)) == 0 }
        if let modified = block.modified {
            let time = timespec(tv_sec: Int(modified.seconds), tv_nsec: Int(modified.nanoseconds))
            isSet = futimens(descriptor, [time, time]) == 0 && isSet
        }
        guard isSet else { throw LocalFileError(path: path, reason: String(cString: strerror(errno))) }
    }

    /// A file that is being written.
    final class NewFile {
        private let descriptor: Int32
        private let path: String
        private let place: (folder: LocalFolder, temporary: [UInt8], name: [UInt8])?
        private let isNameless: Bool

        fileprivate init(
            descriptor: Int32, path: String, place: (folder: LocalFolder, temporary: [UInt8], name: [UInt8])?,
            isNameless: Bool = false
        ) {
            self.descriptor = descriptor
            self.path = path
            self.place = place
            self.isNameless = isNameless
        }

        /// The file or device that a user names, emptied; a link is followed.
        convenience init(replacing path: String) throws {
            let descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
            guard descriptor >= 0 else { throw LocalFileError(path: path, reason: String(cString: strerror(errno))) }
            self.init(descriptor: descriptor, path: path, place: nil)
        }

        deinit { close(descriptor) }

        func write(_ bytes: [UInt8]) throws {
            guard Console().write(bytes, to: descriptor) else {
                throw LocalFileError(path: path, reason: String(cString: strerror(errno)))
            }
        }

        /// Sets what a tree says of the file.
        func set(_ block: UnixFSBlock) throws { try LocalFolder.set(block, descriptor, path: path) }

        /// Gives a new file its name.
        func finish() throws {
            guard let place else { return }
            guard !isNameless || place.folder.name(descriptor, place.temporary) else {
                throw LocalFileError(path: path, reason: String(cString: strerror(errno)))
            }
            try place.folder.rename(place.temporary, to: place.name)
        }

        /// Removes what was written of a new file.
        func discard() { if !isNameless { place.map { $0.folder.remove($0.temporary) } } }
    }
}
