import Foundation
import GRDB
import Synchronization

/// Room to write: the free bytes of the database's file system, the free pages within the database, and a file that
/// reserves space for what a full disk must not stop.
///
/// The file of `keptFileBytes` lies beside the database. If a write that somebody relies on finds the disk full, the
/// store deletes the file, so that the journals of open jobs can be finished; it makes the file again once there is
/// room for it above the reserve.
final class DiskRoom: Sendable {
    /// What was seen at one moment.
    struct Look: Hashable, Sendable {
        /// Free bytes of the file system, without the reserved ones; `Int.max` if unknown.
        var freeBytes = Int.max
        /// Bytes of empty database pages; read only if it matters.
        var reusableBytes = 0
        /// Bytes of used database pages, if there is a bound for them.
        var databaseBytes = 0

        /// Whether new work must not begin: too little is left, counting free pages, or too little on the disk itself
        /// for SQLite's log to grow.
        func isShort(_ limits: StoreLimits) -> Bool {
            freeBytes < limits.diskReserveBytes / 4 || missingBytes(limits) > 0
        }

        /// The bytes missing for the reserve.
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

    /// The room for the database at a path. `freeBytes` returns what is free at a folder.
    init(databasePath: String, limits: StoreLimits, freeBytes: @escaping @Sendable (String) -> Int?) {
        folder = URL(fileURLWithPath: databasePath).deletingLastPathComponent().path
        path = databasePath + ".reserve"
        self.limits = limits
        freeBytesNow = freeBytes
        let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        isKept = Mutex((size ?? 0) >= limits.keptFileBytes)
    }

    /// Free bytes of the file system, minus what the reserve file will take again if it was deleted.
    var freeBytes: Int { isKept.withLock { freeBytes(isKept: $0) } }

    private func freeBytes(isKept: Bool) -> Int {
        guard let bytes = freeBytesNow(folder) else { return .max }
        return isKept ? bytes : max(0, bytes - limits.keptFileBytes)
    }

    /// Checks, within a transaction.
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

    /// Gives the reserve file's space to the next writer; returns whether there was any.
    @discardableResult
    func release() -> Bool {
        isKept.withLock { isKept in
            guard isKept else { return false }
            isKept = false
            return unlink(path) == 0
        }
    }

    /// Makes the reserve file again if there is room for it above the reserve.
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

    /// Free bytes for this user at a folder, according to `statvfs`.
    static let system: @Sendable (String) -> Int? = { folder in
        var facts = statvfs()
        guard statvfs(folder, &facts) == 0 else { return nil }
        let (bytes, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize))
        return overflow ? .max : Int(clamping: bytes)
    }
}
