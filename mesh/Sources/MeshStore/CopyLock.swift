import Foundation

/// A lock beside a database by which whoever copies the home keeps the node from deleting bytes in packs that the
/// rows of the copy name. Copies share it; deletions wait while it is held, and are made up for later. The system
/// releases it when a copying process ends, in whatever way.
struct CopyLock: Sendable {
    private let path: String
    private let databasePath: String

    init(databasePath: String) {
        path = databasePath + ".copying"
        self.databasePath = databasePath
    }

    /// Does something that no copy may see, unless somebody copies; whether it was done.
    func unlessCopied(_ body: () throws -> Void) rethrows -> Bool {
        // A file that cannot be opened may be held.
        guard let descriptor = opened() else { return false }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
        // A process being started has a copy of the descriptor for a moment.
        defer { flock(descriptor, LOCK_UN) }
        try body()
        return true
    }

    /// Holds it until what is returned is gone; waits for a deletion under way.
    func hold() throws(MeshStoreError) -> Hold {
        guard let descriptor = opened() else {
            throw .unreadable(path: databasePath, detail: String(cString: strerror(errno)))
        }
        var owner = stat()
        // Root copies the home of another user, whose node is to open the file still.
        if stat(databasePath, &owner) == 0 { _ = fchown(descriptor, owner.st_uid, owner.st_gid) }
        while flock(descriptor, LOCK_SH) != 0 {
            let reason = errno
            if reason == EINTR { continue }
            close(descriptor)
            throw .unreadable(path: databasePath, detail: String(cString: strerror(reason)))
        }
        return Hold(descriptor: descriptor)
    }

    private func opened() -> Int32? {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        return descriptor < 0 ? nil : descriptor
    }

    /// The lock, for as long as this exists.
    final class Hold: Sendable {
        private let descriptor: Int32

        init(descriptor: Int32) { self.descriptor = descriptor }

        deinit {
            flock(descriptor, LOCK_UN)
            close(descriptor)
        }
    }
}
