import Foundation
import NodeAPI

/// A file that is written anew beside the old one, which it then replaces: whoever reads it sees all of the one or all
/// of the other.
struct ReplacedFile: Sendable {
    /// Where it is, with no link left in the path.
    let path: String

    /// The file at a path, or what a link there leads to.
    init(path: String) { self.path = URL(fileURLWithPath: path).resolvingSymlinksInPath().path }

    /// Writes it, with the mode and the owner of the file that is there.
    func write(_ bytes: Data) throws(NodeServiceError) {
        var known = stat()
        guard stat(path, &known) == 0 else { throw refusal(String(cString: strerror(errno))) }
        var generator = SystemRandomNumberGenerator()
        let draft = "\(path).\(generator.next())"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw NodeServiceError.noPermission(for: .making, of: draft) ?? refusal(reason)
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            try file.write(contentsOf: bytes)
            // Root changes the file of another user, who is to read it still.
            guard fchown(descriptor, known.st_uid, known.st_gid) == 0, fchmod(descriptor, known.st_mode & 0o7777) == 0
            else { throw refusal("it belongs to another user") }
            try file.synchronize()
            guard rename(draft, path) == 0 else { throw refusal(String(cString: strerror(errno))) }
        } catch {
            unlink(draft)
            throw error as? NodeServiceError ?? refusal(error.localizedDescription)
        }
        // So that the name too is there after a crash.
        let folder = open(path.parentFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    private func refusal(_ reason: String) -> NodeServiceError {
        NodeServiceError(
            .permissionDenied, "The file \(path) cannot be written: \(reason).",
            hint: "Nothing is changed; check the folder's permissions and the room on its disk.")
    }
}
