import Foundation
import Synchronization

/// An exclusive lock on a file, held while this object exists; the system releases it when the process ends, in
/// whatever way.
final class ProcessLock: Sendable {
    private let descriptor: Mutex<Int32?>

    /// Takes the lock, or throws `inUse` if another process or another store of this process holds it.
    init(path: String, databasePath: String) throws(MeshStoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .unreadable(path: databasePath, detail: String(cString: strerror(errno)))
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            close(descriptor)
            if reason == EWOULDBLOCK { throw .inUse(path: databasePath) }
            throw .unreadable(path: databasePath, detail: String(cString: strerror(reason)))
        }
        self.descriptor = Mutex(descriptor)
    }

    /// Releases the lock; does nothing the second time.
    ///
    /// Closing the file is not enough: a process being started has a copy of the descriptor until it executes its
    /// program, and the lock lasts as long as any copy.
    func release() {
        descriptor.withLock { held in
            if let open = held {
                _ = flock(open, LOCK_UN)
                close(open)
            }
            held = nil
        }
    }

    deinit {
        release()
    }
}
