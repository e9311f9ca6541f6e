import Foundation
import GRDB
package import Multiformats

/// The book of an issuer that this node is, as a row: its secret, and what its entries have to come to.
package struct IssuerRow: Hashable, Sendable {
    /// The secret from which the salts of its entries follow.
    package var secret: [UInt8]
    /// How many entries it has.
    package var size: UInt64
    /// The root of the tree over their commitments.
    package var root: [UInt8]
    /// Whether the home was restored from a backup, so that entries may be missing that others know.
    package var isRestored: Bool

    /// The version of the tables that has it first.
    static let sinceVersion = 18

    /// Version 18 added the book of an issuer, the orders that wait for its officers, the issuers that this node asks,
    /// and its payments at them.
    static let tables = """
        CREATE TABLE IF NOT EXISTS issuer(
            id INTEGER PRIMARY KEY CHECK(id = 1), secret BLOB NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
            restored INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS issuer_entries(
            number INTEGER PRIMARY KEY, entry BLOB NOT NULL, commitment BLOB NOT NULL);
        CREATE TABLE IF NOT EXISTS issuer_hashes(position INTEGER PRIMARY KEY, hash BLOB NOT NULL);
        CREATE TABLE IF NOT EXISTS issuer_parties(
            did TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY(did, number)) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS issuer_orders(cid BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS known_issuers(
            issuer TEXT PRIMARY KEY, charter BLOB NOT NULL, note BLOB NOT NULL, lines BLOB NOT NULL,
            told_at INTEGER NOT NULL, fault BLOB) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS issuer_payments(
            id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL, entry INTEGER);
        """

    /// The row; nil where this node is no issuer.
    package static func read(in store: MeshStore) async throws(MeshStoreError) -> IssuerRow? {
        try await store.read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT * FROM issuer").map(StoredRow.init) else {
                // Entries without their secret could be opened to nobody.
                if try Int.fetchOne(db, sql: "SELECT count(*) FROM issuer_entries") ?? 0 > 0 {
                    throw MeshStoreError.recordCorrupt(table: "issuer", row: 1)
                }
                return nil
            }
            return IssuerRow(
                secret: try row.bytes("secret"), size: try row.unsigned("size"), root: try row.bytes("root"),
                isRestored: try row.flag("restored"))
        }
    }
}

/// An entry of an issuer's book, as a row.
package struct IssuerEntryRow: Hashable, Sendable {
    /// Counts from 0.
    package var number: UInt64
    /// Its DAG-CBOR.
    package var entry: [UInt8]
    /// The leaf of the log.
    package var commitment: [UInt8]

    /// The party of entries that everybody is shown.
    package static let everybody = "*"

    package init(number: UInt64, entry: [UInt8], commitment: [UInt8]) {
        self.number = number
        self.entry = entry
        self.commitment = commitment
    }

    private init(_ row: StoredRow) throws {
        self.init(
            number: try row.unsigned("number"), entry: try row.bytes("entry"),
            commitment: try row.bytes("commitment"))
    }

    /// Entries from a number on, in their order: at most `limit`, and no more bytes than `bytesMax`, but one at least.
    /// With a DID, those alone whose bookings they are, and those that everybody is shown.
    package static func entries(
        from number: UInt64, of party: String? = nil, below end: UInt64 = .max, limit: Int, bytesMax: Int,
        in store: MeshStore
    ) async throws(MeshStoreError) -> [IssuerEntryRow] {
        try await store.read { db in
            let parties = "JOIN issuer_parties p ON p.number = e.number AND p.did IN (?, '\(everybody)')"
            let cursor = try Row.fetchCursor(
                db,
                sql: """
                    SELECT e.* FROM issuer_entries e \(party == nil ? "" : parties)
                    WHERE e.number >= ? AND e.number < ? ORDER BY e.number LIMIT ?
                    """,
                arguments: StatementArguments(party.map { [$0] } ?? [])
                    + [Int64(clamping: number), Int64(clamping: end), limit])
            var (entries, bytes) = ([IssuerEntryRow](), 0)
            while let row = try cursor.next() {
                let entry = try IssuerEntryRow(StoredRow(row))
                bytes += entry.entry.count
                guard entries.isEmpty || bytes <= bytesMax else { break }
                entries.append(entry)
            }
            return entries
        }
    }

    /// The commitments from a number on, at most `limit`.
    package static func commitments(
        from number: UInt64, below end: UInt64, limit: Int, in store: MeshStore
    ) async throws(MeshStoreError) -> [[UInt8]] {
        try await store.read { db in
            try Data.fetchAll(
                db,
                sql: "SELECT commitment FROM issuer_entries WHERE number >= ? AND number < ? ORDER BY number LIMIT ?",
                arguments: [Int64(clamping: number), Int64(clamping: end), limit]
            ).map { [UInt8]($0) }
        }
    }

    /// The hashes of the log's tree at some positions; those that are not there are left out.
    package static func hashes(
        at positions: [UInt64], in store: MeshStore
    ) async throws(MeshStoreError) -> [UInt64: [UInt8]] {
        try await store.read { db in
            var found: [UInt64: [UInt8]] = [:]
            let statement = try db.cachedStatement(sql: "SELECT hash FROM issuer_hashes WHERE position = ?")
            for position in positions {
                let hash = try Data.fetchOne(statement, arguments: [Int64(clamping: position)])
                if let hash { found[position] = [UInt8](hash) }
            }
            return found
        }
    }
}

/// A change of what belongs to issuers.
package enum IssuerWrite: Sendable {
    /// This node becomes an issuer; refused with `logTaken` if it is one.
    case founded(secret: [UInt8])
    /// An entry, whose bookings it makes, the hashes of the subtrees that it completes, and the root of the tree with
    /// it; refused with `logTaken` unless it is the next.
    case entered(IssuerEntryRow, parties: [String], hashes: [[UInt8]], root: [UInt8])
    /// The entries from a number on are gone, which nobody was shown; the root of the tree without them, and who
    /// inherited entries by one of them.
    case cut(size: UInt64, root: [UInt8], heirs: [String])
    /// The term in which its entries are written from now on (`BookTerm`), which begins with all that others may know.
    case term([UInt8])
    /// All entries so far of one party are those of another, too.
    case inherited(by: String, from: String)
    /// An officers' order that waits, in the place of what was kept of it; nil: it waits no more.
    case order(CID, [UInt8]?)
    /// A chain of tokens, by the CID of its last one; nil: it is forgotten.
    case token(CID, [UInt8]?)
    /// A chain of tokens that this node gave under a key, unless it gave one under it already.
    case givenToken(key: String, CID, [UInt8])
    /// What is known of an issuer, in the place of what was known before.
    case known(KnownIssuerRow)
    /// A payment that this node ordered, or that an issuer took it.
    case payment(IssuerPaymentRow)
    /// Something to be booked about a hold, in the place of what was to be booked before.
    case booking(HoldBookingRow)
    /// An order to hold the price of an attempt, unless the attempt has one.
    case holdOrder(HoldOrderRow)
    /// Something to be booked about a hold, unless something is already.
    case firstBooking(HoldBookingRow)
    /// What came of a booking, unless another took its place meanwhile.
    case booked(HoldBookingRow, was: [UInt8])

    /// The bytes that go to the disk.
    var byteCount: Int {
        switch self {
        case .founded, .inherited, .cut, .term: 512
        case .entered(let row, let parties, let hashes, _):
            row.entry.count + parties.count * 128 + hashes.count * 48 + 512
        case .order(_, let bytes), .token(_, let bytes): (bytes?.count ?? 0) + 512
        case .givenToken(let key, _, let bytes): key.utf8.count + bytes.count + 512
        case .known(let row): row.charter.count + row.note.count + row.lines.count + (row.fault?.count ?? 0) + 512
        case .payment(let row): row.bytes.count + 512
        case .booking(let row), .firstBooking(let row), .booked(let row, _): row.bytes.count + 512
        case .holdOrder(let row): row.bytes.count + 512
        }
    }

    func put(_ db: Database) throws {
        switch self {
        case .founded(let secret):
            try db.execute(
                sql: """
                    INSERT INTO issuer(id, secret, size, root, restored) VALUES (1, ?, 0, ?, 0)
                    ON CONFLICT DO NOTHING
                    """,
                arguments: [Data(secret), Data()])
            guard db.changesCount == 1 else { throw MeshStoreError.logTaken(number: 0, size: 1) }
        case .entered(let row, let parties, let hashes, let root):
            try Self.enter(row, parties, hashes, root, db)
        case .cut(let size, let root, let heirs): try Self.cut(to: size, root, heirs, db)
        case .term(let bytes):
            try db.execute(
                sql: "INSERT INTO settings(key, value) VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
                arguments: [Self.termKey, Data(bytes)])
            try db.execute(sql: "UPDATE issuer SET restored = 0")
        case .inherited(let heir, let party):
            try db.execute(
                sql: """
                    INSERT INTO issuer_parties(did, number) SELECT ?, number FROM issuer_parties WHERE did = ?
                    ON CONFLICT DO NOTHING
                    """,
                arguments: [heir, party])
        case .order(let cid, let bytes?):
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO issuer_orders(cid, bytes) VALUES (?, ?)")
                .execute(arguments: [Data(cid.bytes), Data(bytes)])
        case .order(let cid, nil):
            try db.cachedStatement(sql: "DELETE FROM issuer_orders WHERE cid = ?").execute(arguments: [Data(cid.bytes)])
        case .token(let cid, let bytes): try Self.put(token: cid, bytes, db)
        case .givenToken(let key, let cid, let bytes): try Self.put(given: cid, bytes, key: key, db)
        case .known(let row): try row.put(db)
        case .payment(let row): try row.put(db)
        case .booking(let row): try row.put(db)
        case .firstBooking(let row): try row.putFirst(db)
        case .holdOrder(let row): try row.put(db)
        case .booked(let row, let bytes): try row.put(db, instead: bytes)
        }
    }

    /// The setting with the term in which the entries of the book are written.
    package static let termKey = "book_term"

    private static func cut(to size: UInt64, _ root: [UInt8], _ heirs: [String], _ db: Database) throws {
        guard let number = Int64(exactly: size) else { throw MeshStoreError.numberTooLarge(size) }
        try db.execute(
            sql: "UPDATE issuer SET size = ?, root = ? WHERE size > ?", arguments: [number, Data(root), number])
        try db.execute(sql: "DELETE FROM issuer_entries WHERE number >= ?", arguments: [number])
        try db.execute(sql: "DELETE FROM issuer_parties WHERE number >= ?", arguments: [number])
        // Who inherits entries had none before.
        for heir in heirs { try db.execute(sql: "DELETE FROM issuer_parties WHERE did = ?", arguments: [heir]) }
        try db.execute(
            sql: "DELETE FROM issuer_hashes WHERE position >= ?",
            arguments: [2 * number - Int64(number.nonzeroBitCount)])
        // What is left may be of several terms.
        try db.execute(sql: "DELETE FROM settings WHERE key = ?", arguments: [Self.termKey])
    }

    private static func enter(
        _ row: IssuerEntryRow, _ parties: [String], _ hashes: [[UInt8]], _ root: [UInt8], _ db: Database
    ) throws {
        guard let number = Int64(exactly: row.number) else { throw MeshStoreError.numberTooLarge(row.number) }
        try db.cachedStatement(sql: "UPDATE issuer SET size = ?, root = ? WHERE size = ?")
            .execute(arguments: [number + 1, Data(root), number])
        guard db.changesCount == 1 else {
            let size = try Int64.fetchOne(db, sql: "SELECT size FROM issuer") ?? 0
            throw MeshStoreError.logTaken(number: row.number, size: UInt64(clamping: size))
        }
        try db.cachedStatement(sql: "INSERT INTO issuer_entries(number, entry, commitment) VALUES (?, ?, ?)")
            .execute(arguments: [number, Data(row.entry), Data(row.commitment)])
        // So many hashes all trees before made (`HashPlace.count`).
        let position = 2 * number - Int64(number.nonzeroBitCount)
        for (index, hash) in hashes.enumerated() {
            try db.cachedStatement(sql: "INSERT INTO issuer_hashes(position, hash) VALUES (?, ?)")
                .execute(arguments: [position + Int64(index), Data(hash)])
        }
        for party in parties {
            try db.cachedStatement(sql: "INSERT INTO issuer_parties(did, number) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .execute(arguments: [party, number])
        }
    }

    /// What the names of the settings begin with that have tokens.
    private static let tokenPrefix = "credit_token/"

    /// The same for the keys under which this node gave some of them.
    private static let givenPrefix = "credit_given/"

    private static func put(token cid: CID, _ bytes: [UInt8]?, _ db: Database) throws {
        guard let bytes else {
            try db.cachedStatement(sql: "DELETE FROM settings WHERE key > ? AND key < ? AND value = ?")
                .execute(arguments: [givenPrefix, "credit_given0", Data(cid.bytes)])
            return try db.cachedStatement(sql: "DELETE FROM settings WHERE key = ?")
                .execute(arguments: [tokenPrefix + cid.text])
        }
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO settings(key, value) VALUES (?, ?)")
            .execute(arguments: [tokenPrefix + cid.text, Data(bytes)])
    }

    private static func put(given cid: CID, _ bytes: [UInt8], key: String, _ db: Database) throws {
        try db.cachedStatement(sql: "INSERT INTO settings(key, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .execute(arguments: [givenPrefix + key, Data(cid.bytes)])
        if db.changesCount == 1 { try put(token: cid, bytes, db) }
    }

    /// The token that was given under a key; nil if none is kept that was.
    package static func givenToken(key: String, in store: MeshStore) async throws(MeshStoreError) -> CID? {
        guard let bytes = try await store.setting(givenPrefix + key) else { return nil }
        return try? CID(bytes: bytes)
    }

    /// A chain of tokens, by the CID of its last one; nil if it is not kept.
    package static func token(_ cid: CID, in store: MeshStore) async throws(MeshStoreError) -> [UInt8]? {
        try await store.setting(tokenPrefix + cid.text)
    }

    /// The chains of tokens, by the CIDs of their last ones.
    package static func tokens(in store: MeshStore, limit: Int) async throws(MeshStoreError) -> [[UInt8]] {
        try await store.readable { db in
            try Row.fetchAll(
                db, sql: "SELECT value FROM settings WHERE key > ? AND key < ? ORDER BY key LIMIT ?",
                arguments: [tokenPrefix, "credit_token0", limit])
        } _: { row in
            try row.bytes("value")
        }
    }

    /// The officers' orders that wait.
    package static func orders(in store: MeshStore) async throws(MeshStoreError) -> [(cid: CID, bytes: [UInt8])] {
        // BOUNDED: by the officers, and what each may propose (`IssuerDesk.Limits`).
        try await store.readable { db in
            try Row.fetchAll(db, sql: "SELECT * FROM issuer_orders ORDER BY cid")
        } _: { row in
            (try row.cid("cid"), try row.bytes("bytes"))
        }
    }
}
