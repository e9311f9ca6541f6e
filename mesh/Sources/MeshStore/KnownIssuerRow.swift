import Foundation
import GRDB

/// What this node knows of an issuer that its owner asks, as a row.
package struct KnownIssuerRow: Hashable, Sendable {
    /// The issuer's DID.
    package var issuer: String
    /// Its signed charter.
    package var charter: [UInt8]
    /// The newest head that it showed.
    package var note: [UInt8]
    /// This node's lines, as the issuer told them last.
    package var lines: [UInt8]
    /// When that was, in milliseconds since the Unix epoch.
    package var toldAt: UInt64
    /// The proof that it broke its word.
    package var fault: [UInt8]?

    package init(
        issuer: String, charter: [UInt8], note: [UInt8], lines: [UInt8], toldAt: UInt64, fault: [UInt8]? = nil
    ) {
        (self.issuer, self.charter, self.note, self.lines) = (issuer, charter, note, lines)
        (self.toldAt, self.fault) = (toldAt, fault)
    }

    /// Puts the row in place of an earlier one; the first proof against an issuer stays.
    func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO known_issuers(issuer, charter, note, lines, told_at, fault) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT(issuer) DO UPDATE SET charter = excluded.charter, note = excluded.note,
                    lines = excluded.lines, told_at = excluded.told_at, fault = coalesce(fault, excluded.fault)
                """
        ).execute(arguments: [
            issuer, Data(charter), Data(note), Data(lines), Int64(clamping: toldAt), fault.map { Data($0) },
        ])
    }

    /// All issuers that are known.
    package static func all(in store: MeshStore) async throws(MeshStoreError) -> [KnownIssuerRow] {
        // BOUNDED: by `MemberDesk.Limits.issuersMax`.
        try await store.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM known_issuers ORDER BY issuer").map { row in
                let row = StoredRow(row)
                return KnownIssuerRow(
                    issuer: try row.text("issuer"), charter: try row.bytes("charter"), note: try row.bytes("note"),
                    lines: try row.bytes("lines"), toldAt: try row.unsigned("told_at"),
                    fault: try row.bytesIfPresent("fault"))
            }
        }
    }
}

/// A payment that this node ordered at an issuer, as a row: the same key orders it once.
package struct IssuerPaymentRow: Hashable, Sendable {
    /// The key that its owner gave it.
    package var key: String
    /// The signed order.
    package var bytes: [UInt8]
    /// The entry that it became.
    package var entry: UInt64?

    package init(key: String, bytes: [UInt8], entry: UInt64? = nil) {
        (self.key, self.bytes, self.entry) = (key, bytes, entry)
    }

    /// The most that are remembered; the oldest go first.
    package static let countMax = 10_000

    func put(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO issuer_payments(key, bytes, entry) VALUES (?, ?, ?)
                ON CONFLICT(key) DO UPDATE SET entry = excluded.entry WHERE bytes = excluded.bytes
                """
        ).execute(arguments: [key, Data(bytes), entry.map { Int64(clamping: $0) }])
        guard db.changesCount > 0 else { return }
        try db.cachedStatement(
            sql: """
                DELETE FROM issuer_payments WHERE id <= (
                    SELECT id FROM issuer_payments ORDER BY id DESC LIMIT 1 OFFSET ?)
                """
        ).execute(arguments: [Self.countMax])
    }

    /// The payment of a key.
    package static func of(_ key: String, in store: MeshStore) async throws(MeshStoreError) -> IssuerPaymentRow? {
        try await store.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM issuer_payments WHERE key = ?", arguments: [key]).map { row in
                let row = StoredRow(row)
                return IssuerPaymentRow(
                    key: try row.text("key"), bytes: try row.bytes("bytes"), entry: try row.unsignedIfPresent("entry"))
            }
        }
    }
}
