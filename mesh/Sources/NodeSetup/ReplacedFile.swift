import Foundation
import NodeAPI

/// A file that is written anew beside the old one, which it then replaces: whoever reads it sees all of the one or all
/// of the other.
///
/// Its folder is looked up once and kept open: what is read and what is written are in the same one, whatever somebody
/// puts in the path meanwhile. So root does not write where the owner of a home leads it.
final class ReplacedFile: Sendable {
    /// Where it is, with no link left in the path.
    let path: String
    /// The descriptor of its folder; negative if that cannot be opened.
    private let folder: Int32
    private let name: String

    /// The file at a path, or what a link there leads to.
    ///
    /// - Parameters:
    ///   - isLocked: whether others who ask for that wait until this one is gone, as this one waits for them.
    ///   - milliseconds: how long it waits; then it is refused, and says who holds the lock.
    init(
        path: String, isLocked: Bool = false, waiting milliseconds: Int = FolderLock.waitMilliseconds
    ) throws(NodeServiceError) {
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath()
        (self.path, name) = (resolved.path, resolved.lastPathComponent)
        folder = open(resolved.path.parentFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard isLocked, folder >= 0 else { return }
        // An object whose initialiser throws before all is set is not deinitialised; here all is set.
        try FolderLock.take(folder, of: resolved.path.parentFolder, waiting: milliseconds)
    }

    deinit { if folder >= 0 { close(folder) } }

    /// All that is in it; nil if it cannot be read.
    func read() -> Data? {
        guard let file = opened() else { return nil }
        return try? file.readToEnd() ?? Data()
    }

    /// Writes it, with the mode and the owner of the file that is there.
    func write(_ bytes: Data) throws(NodeServiceError) {
        var known = stat()
        guard let old = opened(), fstat(old.fileDescriptor, &known) == 0 else {
            throw refusal(of: errno)
        }
        var generator = SystemRandomNumberGenerator()
        let draft = "\(name).\(generator.next())"
        let descriptor = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let code = errno
            let place = "\(path.parentFolder)/\(draft)"
            throw NodeServiceError.noPermission(for: .making, of: place) ?? refusal(of: code)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            try file.write(contentsOf: bytes)
            // Root changes the file of another user, who is to read it still. A hardened service may not ask for an
            // owner, even for the one that is so already.
            var made = stat()
            guard fstat(descriptor, &made) == 0,
                (made.st_uid, made.st_gid) == (known.st_uid, known.st_gid)
                    || fchown(descriptor, known.st_uid, known.st_gid) == 0,
                fchmod(descriptor, known.st_mode & 0o7777) == 0
            else { throw refusal("it belongs to another user") }
            try file.synchronize()
            guard renameat(folder, draft, folder, name) == 0 else { throw refusal(of: errno) }
        } catch {
            unlinkat(folder, draft, 0)
            throw error as? NodeServiceError ?? refusal(error.localizedDescription, .storageFailed)
        }
        // So that the name too is there after a crash.
        fsync(folder)
    }

    /// The regular file of that name in the folder, which is no link.
    private func opened() -> FileHandle? {
        var information = stat()
        let descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return nil }
        return file
    }

    /// The refusal of what the system refused: without permission, which a read-only file system gives nobody, or by
    /// what is wrong with the disk.
    private func refusal(of code: Int32) -> NodeServiceError {
        let kind: NodeServiceError.Code =
            switch code {
            case EACCES, EPERM, EROFS: .permissionDenied
            case ENOSPC, EDQUOT: .storageFull
            default: .storageFailed
            }
        return refusal(String(cString: strerror(code)), kind)
    }

    private func refusal(
        _ reason: String, _ code: NodeServiceError.Code = .permissionDenied
    ) -> NodeServiceError {
        NodeServiceError(
            code, "The file \(path) cannot be written: \(reason).",
            hint: "Nothing is changed; check the folder's permissions and the room on its disk.")
    }
}
