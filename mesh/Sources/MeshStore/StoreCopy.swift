import Foundation
import GRDB
import Multiformats

/// A copy of a node's database as it was at one moment, of a node that runs or does not; while it exists, the packs
/// keep what its rows name.
///
/// The lock comes first, then the rows, then the packs: bytes are in a pack before a row names them, and none that a
/// row named since the lock was taken is deleted. So no row of the copy names bytes that are not there.
package struct StoreCopy: Sendable {
    /// The setting that marks the database of a home that was restored, until its node has started: when the backup was
    /// made, as text.
    package static let restoredKey = "restored"
    /// The setting with the secret with which a node cosigns as a witness. It is of one database alone.
    package static let witnessSeedKey = "witness_seed"
    /// The setting with the date since which the node knows all that it said as a witness of charters, in milliseconds
    /// since the Unix epoch, as text.
    package static let witnessSinceKey = "witness_since"
    /// The newest version of the tables that this program reads.
    package static let versionMax = StoreSchema.version
    /// Pages that are copied before it says how far it is.
    private static let pagesPerStep: CInt = 1_024

    /// The part of a pack that its rows name.
    package struct Pack: Hashable, Sendable {
        /// The number of the pack.
        package let number: Int
        /// Where it is.
        package let path: String
        /// How many of its bytes are needed.
        package let bytes: Int
    }

    /// Where the copy of the database is.
    package let path: String
    /// The DID of the node.
    package let owner: String
    /// The version of its tables.
    package let version: Int
    /// How many blocks it has.
    package let blocks: Int
    /// The packs that it needs, by number.
    package let packs: [Pack]
    private let source: BlockPacks
    private let hold: CopyLock.Hold

    /// Copies the database at `source` to a new file; `progress` hears how many bytes of how many are copied.
    package init(
        of source: String, to path: String, progress: (Int, Int) -> Void
    ) throws(MeshStoreError) {
        try DatabaseFile.checkHeader(path: source)
        self.path = path
        let limits = StoreLimits()
        self.source = BlockPacks(databasePath: source, limits: limits)
        hold = try self.source.copying.hold()
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(Double(limits.busyTimeoutMilliseconds) / 1000)
            let from = try DatabaseQueue(path: source, configuration: configuration)
            let to = try DatabaseQueue(path: path)
            try withoutActuallyEscaping(progress) { progress in
                try from.read { db in
                    // Begins the transaction, so that all steps copy the same moment.
                    let pageBytes = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0
                    _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master")
                    try to.writeWithoutTransaction { copy in
                        try db.backup(to: copy, pagesPerStep: Self.pagesPerStep) { step in
                            progress(step.completedPageCount * pageBytes, step.totalPageCount * pageBytes)
                        }
                        // One file, without a log beside it.
                        try copy.execute(sql: "PRAGMA journal_mode = DELETE")
                        // With the key whoever reads the backup could cosign as this witness. Its bytes go as well.
                        try copy.execute(sql: "PRAGMA secure_delete = ON")
                        try copy.execute(
                            sql: "DELETE FROM settings WHERE key = ?", arguments: [Self.witnessSeedKey])
                    }
                }
            }
            try from.close()
            (version, owner, blocks) = try to.read { try Self.facts($0) }
            packs = try to.read { try Self.packs($0) }.map {
                Pack(number: $0.number, path: "\(source)-blocks/\($0.number)", bytes: $0.bytes)
            }
            try to.close()
        } catch {
            throw MeshStoreError.from(error, path: source)
        }
    }

    /// How many blocks in packs do not hash to their CIDs: they are as damaged in the home itself.
    package func damagedBlocks(progress: (Int, Int) -> Void) throws(MeshStoreError) -> Int {
        let total = packs.reduce(0) { $0 + $1.bytes }
        var (damaged, done) = (0, 0)
        do {
            let queue = try DatabaseQueue(path: path)
            if version >= PackedRows.sinceVersion {
                try queue.read { db in
                    try PackedRows.each(db) { cid, extent in
                        if source.read(extent.count, at: extent.place).map(cid.matches) != true { damaged += 1 }
                        done += extent.count
                        progress(done, total)
                    }
                }
            }
            try queue.close()
        } catch {
            throw MeshStoreError.from(error, path: path)
        }
        return damaged
    }

    /// Checks a copy that came from a backup, with its packs beside it: all pages, the version, whose it is, and that
    /// each row's bytes are within its pack. Then marks it as restored, so that its node signs nothing before it has
    /// begun a new chain.
    ///
    /// As a witness the original may have cosigned heads since, so the key for that is gone (backups of before have
    /// one), and what others cosigned is of a log that does not go on. With the new key no time was said yet, so one
    /// that was behind the backup, as a clock was wrong, does not count. As a witness of charters it may have dated
    /// objects since that are not here, and it has the same key: it reports nothing of before now, and dates later.
    package static func accept(
        _ path: String, owner: String, madeAt: UInt64, at now: UInt64? = nil
    ) throws(MeshStoreError) {
        try DatabaseFile.checkHeader(path: path)
        do {
            let queue = try DatabaseQueue(path: path)
            try queue.write { db in
                try DatabaseFile.check(db, path: path, owner: owner)
                try DatabaseFile.checkPages(db, path: path)
                for pack in try packs(db) {
                    var file = stat()
                    let isThere = stat("\(path)-blocks/\(pack.number)", &file) == 0
                    guard isThere, Int(file.st_size) >= pack.bytes else {
                        throw MeshStoreError.recordCorrupt(table: "packed", row: Int64(pack.number))
                    }
                }
                try db.execute(
                    sql: "INSERT INTO settings(key, value) VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
                    arguments: [restoredKey, Data(String(madeAt).utf8)])
                try db.execute(sql: "DELETE FROM settings WHERE key = ?", arguments: [witnessSeedKey])
                let since = max(madeAt, now ?? UInt64(max(0, Date().timeIntervalSince1970 * 1_000))) + 1
                try db.execute(
                    sql: "INSERT INTO settings(key, value) VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
                    arguments: [witnessSinceKey, Data(String(since).utf8)])
                if try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0 >= WitnessedRow.sinceVersion {
                    try db.execute(sql: "DELETE FROM cosigned")
                    try db.execute(
                        sql: "UPDATE witnessed SET seconds = min(seconds, ?)",
                        arguments: [Int64(clamping: madeAt / 1_000)])
                }
                // Entries of after the backup may be known to others: the book takes no more, or it would have two
                // histories.
                if try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0 >= IssuerRow.sinceVersion {
                    try db.execute(sql: "UPDATE issuer SET restored = 1")
                }
                // A witness may have promised since, and kept entries of books, which are in no backup.
                if try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0 >= ReplicaRow.sinceVersion {
                    try db.execute(sql: "UPDATE replicas SET restored = 1")
                }
            }
            try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
            try queue.close()
        } catch {
            throw MeshStoreError.from(error, path: path)
        }
    }

    private static func facts(_ db: Database) throws -> (version: Int, owner: String, blocks: Int) {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        let owner = try Data.fetchOne(
            db, sql: "SELECT value FROM settings WHERE key = ?", arguments: [StoreSchema.ownerKey])
        let blocks = try Int.fetchOne(db, sql: "SELECT count(*) FROM blocks") ?? 0
        return (version, owner.map { String(decoding: $0, as: UTF8.self) } ?? "", blocks)
    }

    private static func packs(_ db: Database) throws -> [(number: Int, bytes: Int)] {
        guard try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0 >= PackedRows.sinceVersion else { return [] }
        let sql = "SELECT pack, max(at + size) AS bytes FROM packed GROUP BY pack ORDER BY pack"
        return try Row.fetchAll(db, sql: sql).map {
            (try StoredRow($0).integer("pack"), try StoredRow($0).integer("bytes"))
        }
    }
}
