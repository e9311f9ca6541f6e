import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// A home with the tables of each version opens as a home of today, with all that it holds.
///
/// `OldHomes/schemas.sql` has the tables as the last commit of each version made them, so that no migration is tested
/// by itself. The rows are those of whole homes that earlier binaries wrote, as far as the tables of a version have
/// room for them.
@Suite struct OldSchemaTests {
    private static let homes = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("OldHomes")

    /// What each version added, in SQL.
    private static let sections: [(version: Int, sql: String)] = {
        let text = try? String(contentsOf: homes.appendingPathComponent("schemas.sql"), encoding: .utf8)
        return (text ?? "").components(separatedBy: "-- version ").dropFirst().compactMap { section in
            let lines = section.split(separator: "\n", maxSplits: 1)
            guard let version = Int(lines[0].prefix { $0.isNumber }), lines.count == 2 else { return nil }
            return (version, String(lines[1]))
        }
    }()

    private static func makeTables(_ db: Database, of version: Int) throws {
        for section in sections where section.version <= version { try db.execute(sql: section.sql) }
        try db.execute(
            sql: "PRAGMA application_id = \(StoreSchema.applicationID); PRAGMA user_version = \(version)")
    }

    /// A home that a binary wrote, in memory.
    private static func home(_ commit: String, _ name: String) throws -> DatabaseQueue {
        let queue = try DatabaseQueue()
        let dump = try String(contentsOf: homes.appendingPathComponent("\(commit)/\(name)/mesh.sql"), encoding: .utf8)
        try queue.writeWithoutTransaction { try $0.execute(sql: dump) }
        return queue
    }

    /// Writes the home into tables of a version, and opens it.
    private static func opened(_ home: DatabaseQueue, as version: Int, in folder: StoreFolder) throws -> MeshStore {
        let queue = try DatabaseQueue(path: folder.path)
        let owner = try home.read { from in
            try queue.write { to in
                try makeTables(to, of: version)
                for table in try names(of: "table", to) where try from.tableExists(table) {
                    let known = Set(try from.columns(in: table).map(\.name))
                    let columns = try to.columns(in: table).map(\.name).filter(known.contains)
                    let list = columns.map { "\"\($0)\"" }.joined(separator: ", ")
                    let marks = columns.map { _ in "?" }.joined(separator: ", ")
                    for row in try Row.fetchAll(from, sql: "SELECT \(list) FROM \(table)") {
                        try to.execute(
                            sql: "INSERT OR REPLACE INTO \(table)(\(list)) VALUES (\(marks))",
                            arguments: StatementArguments(row.databaseValues))
                    }
                }
                return try Data.fetchOne(to, sql: "SELECT value FROM settings WHERE key = 'owner'")
            }
        }
        try queue.close()
        return try folder.open(owner: String(decoding: try #require(owner), as: UTF8.self))
    }

    private static func names(of kind: String, _ db: Database) throws -> [String] {
        try String.fetchAll(
            db, sql: "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%' ORDER BY name",
            arguments: [kind])
    }

    /// The columns of all tables, and the indexes.
    private static func tables(_ db: Database) throws -> [String: Set<String>] {
        var tables = [
            "indexes": Set(
                try String.fetchAll(db, sql: "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
                    .map { $0.split { $0.isWhitespace }.joined(separator: " ") })
        ]
        for table in try names(of: "table", db) {
            tables[table] = Set(
                try db.columns(in: table).map {
                    "\($0.name) \($0.type) \($0.isNotNull) \($0.defaultValueSQL ?? "") \($0.primaryKeyIndex)"
                })
        }
        return tables
    }

    /// What users rely on in a home.
    private struct Kept: Equatable {
        var jobs: [JobRow] = []
        var balances: [BalanceRow] = []
        var movements: [LedgerRow] = []
        var receipts: [ReceiptRow] = []
        var journal: [JournalEntry] = []
        var blocks: [CID: [UInt8]] = [:]
        var settings: [String: Data] = [:]

        init(_ store: MeshStore) async throws {
            jobs = try #require(try await store.jobs(limit: 100)).rows
            balances = try await store.balances().sorted { $0.account < $1.account }
            movements = try await store.ledger()
            receipts = try await store.receipts()
            journal = try await store.journal(after: 0)
            for cid in try await store.read({ try Data.fetchAll($0, sql: "SELECT cid FROM blocks") }) {
                let cid = try CID(bytes: [UInt8](cid))
                blocks[cid] = try await store.block(cid)
            }
            settings = try await store.read { db in
                let rows = try Row.fetchAll(db, sql: "SELECT key, value FROM settings")
                return Dictionary(uniqueKeysWithValues: rows.map { ($0["key"] as String, $0["value"] as Data) })
            }
        }
    }

    @Test func theTablesOfTodayAreThoseOfTheirVersion() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        let now = try await store.read { try Self.tables($0) }
        let queue = try DatabaseQueue()
        try await queue.writeWithoutTransaction { try Self.makeTables($0, of: StoreSchema.version) }
        let written = try await queue.read { try Self.tables($0) }
        #expect(now == written, "a change of the tables needs a version of its own, and a section in schemas.sql")
        #expect(Self.sections.last?.version == StoreSchema.version)
    }

    @Test(arguments: 1...StoreSchema.version, ["originator", "executor"])
    func aHomeOfEachVersionOpens(_ version: Int, _ name: String) async throws {
        // The younger home has columns and events that came with version 7.
        let commit = version < 7 ? "486526a" : "086cb68"
        let home = try Self.home(commit, name)
        let (then, now) = (try StoreFolder(), try StoreFolder())
        let own = try await home.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
        let reference = try Self.opened(home, as: try #require(own), in: then)
        let expected = try await Kept(reference)
        try #require(expected.jobs.count == 4 && expected.receipts.count == 2 && expected.balances.count >= 2)
        try #require(expected.blocks.count > 20 && expected.journal.count > 20)

        let store = try Self.opened(home, as: version, in: now)
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
        let kept = try await Kept(store)
        #expect(kept == expected)
        let (new, fresh) = (try await store.read { try Self.tables($0) }, try await Self.fresh())
        for table in Set(new.keys).union(fresh.keys).sorted() { #expect(new[table] == fresh[table], "\(table)") }
        // A home that opens takes what comes.
        let (job, evidence) = (jobID(1), block(1))
        try await store.commit([
            .journal(entry(1)), .evidence(cid: evidence.cid, bytes: evidence.bytes, jobID: job),
            .job(
                JobRow(
                    jobID: job, role: .originator, status: "Pending", isTerminal: false, submittedAt: 1, updatedAt: 1)),
        ])
        #expect(try await store.block(evidence.cid) == evidence.bytes)
        #expect(try await store.journal(of: job).count == 1)
    }

    private static func fresh() async throws -> [String: Set<String>] {
        let folder = try StoreFolder()
        return try await folder.open().read { try tables($0) }
    }
}
