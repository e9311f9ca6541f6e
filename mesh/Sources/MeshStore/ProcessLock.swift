import Foundation
import Synchronization

/// An exclusive lock on a file, held while this value lives and given back by the system when the process ends, however
/// it ends.
final class ProcessLock: Sendable {
    private let descriptor: Mutex<Int32?>

    /// Takes the lock, or throws `inUse` when another process or another store of this process holds it.
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

    /// Gives the lock back; a second time changes nothing.
    ///
    /// It is not enough to close the file: a process that is being started has a copy of the descriptor until it is
    /// another program, and the lock lasts as long as any copy.
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
