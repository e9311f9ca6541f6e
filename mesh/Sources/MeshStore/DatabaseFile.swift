import Foundation
import GRDB

/// Inspects a database file before SQLite may change it, and opens it if it is a node's.
enum DatabaseFile {
    /// Refuses files that are not a database, or another application's, by their first hundred bytes; accepts a missing
    /// or empty file. Writes nothing.
    static func checkHeader(path: String) throws(MeshStoreError) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw .unreadable(path: path, detail: String(cString: strerror(errno)))
        }
        let header: [UInt8]
        do {
            header = [UInt8](try file.read(upToCount: 100) ?? Data())
            try file.close()
        } catch {
            throw .unreadable(path: path, detail: "its first bytes do not read")
        }
        if header.isEmpty { return }
        guard header.count == 100, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw .corrupt(path: path, detail: "it does not begin like a database")
        }
        let applicationID = header[68..<72].reduce(0) { $0 << 8 | Int($1) }
        guard applicationID == StoreSchema.applicationID else {
            throw .foreignDatabase(path: path, applicationID: applicationID)
        }
    }

    /// Creates the tables of a new file, in a journal mode that puts the application's mark into the file itself; of an
    /// existing one, checks version and owner, and migrates the tables of an older version.
    static func prepare(path: String, owner: String, configuration: Configuration) throws {
        try createOwnerOnly(path: path)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.write { db in
            let applicationID = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
            let objects = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") ?? 0
            if applicationID == 0, objects == 0 {
                try StoreSchema.create(db)
                try db.execute(
                    sql: "INSERT INTO settings(key, value) VALUES (?, ?)",
                    arguments: [StoreSchema.ownerKey, Data(owner.utf8)])
            }
            try check(db, path: path, owner: owner)
            try StoreSchema.upgrade(db, from: Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0)
        }
        try queue.close()
    }

    /// Refuses another application's database, one of a newer version, and another node's.
    static func check(_ db: Database, path: String, owner: String) throws {
        let applicationID = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        guard applicationID == StoreSchema.applicationID else {
            throw MeshStoreError.foreignDatabase(path: path, applicationID: applicationID)
        }
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard version <= StoreSchema.version else {
            throw MeshStoreError.newerSchema(path: path, found: version, supported: StoreSchema.version)
        }
        let stored = try Data.fetchOne(
            db, sql: "SELECT value FROM settings WHERE key = ?", arguments: [StoreSchema.ownerKey])
        let storedOwner = stored.map { String(decoding: $0, as: UTF8.self) } ?? "(none)"
        guard storedOwner == owner else {
            throw MeshStoreError.otherNode(path: path, owner: storedOwner)
        }
    }

    /// Checks every page of a small database, so that damage shows before anything relies on it.
    static func checkPages(_ db: Database, path: String) throws {
        let findings = try String.fetchAll(db, sql: "PRAGMA quick_check(1)")
        guard findings == ["ok"] else {
            throw MeshStoreError.corrupt(path: path, detail: findings.first ?? "no answer")
        }
    }

    private static func createOwnerOnly(path: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw MeshStoreError.unreadable(path: path, detail: String(cString: strerror(errno)))
        }
        close(descriptor)
    }
}
