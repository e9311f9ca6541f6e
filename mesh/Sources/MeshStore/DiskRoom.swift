import Foundation
import GRDB
import Synchronization

/// What there is to write on: the free bytes of the file system that holds the database, the free pages within the
/// database, and a file that keeps some space for what a full disk must not stop.
///
/// The file of `keptFileBytes` lies beside the database. When a write that is owed finds the disk full the file goes,
/// so that the journals of open jobs can be finished; it is made again when there is room for it above the reserve.
final class DiskRoom: Sendable {
    /// What was seen at one moment.
    struct Look: Hashable, Sendable {
        /// Free bytes of the file system, without those that are kept; `Int.max` where it does not say.
        var freeBytes = Int.max
        /// Bytes of pages of the database that hold nothing, which is looked at only where it matters.
        var reusableBytes = 0
        /// Bytes of pages of the database that hold something, where there is a bound for them.
        var databaseBytes = 0

        /// Whether new work is not to begin: too little is left, counting free pages too, or so little on the disk
        /// itself that SQLite's log could not grow.
        func isShort(_ limits: StoreLimits) -> Bool {
            freeBytes < limits.diskReserveBytes / 4 || missingBytes(limits) > 0
        }

        /// What is missing for the reserve, in bytes.
        func missingBytes(_ limits: StoreLimits) -> Int {
            guard freeBytes < limits.diskReserveBytes else { return 0 }
            return max(0, limits.diskReserveBytes - freeBytes - reusableBytes)
        }
    }

    private let folder: String
    private let path: String
    private let limits: StoreLimits
    private let freeBytesNow: @Sendable (String) -> Int?
    private let isKept: Mutex<Bool>

    /// The room for the database at a path. `freeBytes` tells what is free at a folder.
    init(databasePath: String, limits: StoreLimits, freeBytes: @escaping @Sendable (String) -> Int?) {
        folder = URL(fileURLWithPath: databasePath).deletingLastPathComponent().path
        path = databasePath + ".reserve"
        self.limits = limits
        freeBytesNow = freeBytes
        let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        isKept = Mutex((size ?? 0) >= limits.keptFileBytes)
    }

    /// Free bytes of the file system, less what the kept file will take again where it was given away.
    var freeBytes: Int { isKept.withLock { freeBytes(isKept: $0) } }

    private func freeBytes(isKept: Bool) -> Int {
        guard let bytes = freeBytesNow(folder) else { return .max }
        return isKept ? bytes : max(0, bytes - limits.keptFileBytes)
    }

    /// Looks, within a transaction.
    func look(_ db: Database) throws -> Look {
        var look = Look(freeBytes: freeBytes)
        guard look.freeBytes < limits.diskReserveBytes || limits.databaseBytesMax != nil else { return look }
        func pages(_ sql: String) throws -> Int {
            try Int.fetchOne(db.cachedStatement(sql: sql)) ?? 0
        }
        let free = try pages("PRAGMA freelist_count")
        look.reusableBytes = free * StoreLimits.pageBytes
        look.databaseBytes = (try pages("PRAGMA page_count") - free) * StoreLimits.pageBytes
        return look
    }

    /// Gives the kept file's space to whoever writes next; whether there was any.
    @discardableResult
    func release() -> Bool {
        isKept.withLock { isKept in
            guard isKept else { return false }
            isKept = false
            return unlink(path) == 0
        }
    }

    /// Makes the kept file again where there is room for it above the reserve.
    func keep() {
        isKept.withLock { isKept in
            guard !isKept, freeBytes(isKept: false) >= limits.diskReserveBytes else { return }
            let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { return }
            isKept = posix_fallocate(descriptor, 0, off_t(limits.keptFileBytes)) == 0
            close(descriptor)
            if !isKept { unlink(path) }
        }
    }

    /// What `statvfs` says is free for this user at a folder, in bytes.
    static let system: @Sendable (String) -> Int? = { folder in
        var facts = statvfs()
        guard statvfs(folder, &facts) == 0 else { return nil }
        let (bytes, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize))
        return overflow ? .max : Int(clamping: bytes)
    }
}
