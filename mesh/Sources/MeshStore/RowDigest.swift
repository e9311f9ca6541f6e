import Foundation
import Multiformats

/// The digest that reveals a damaged journal, ledger or balance row: eight bytes of SHA-256 over its fields, each with
/// its length.
enum RowDigest {
    /// The digest of a journal entry, without its position.
    static func of(_ entry: JournalEntry) -> Data {
        digest([
            entry.jobID.bytes, Array(entry.role.rawValue.utf8), Array(entry.kind.utf8), bytes(entry.at),
            Array(entry.reason.utf8), entry.bytes,
        ])
    }

    /// The digest of a movement, without its position.
    static func of(_ row: LedgerRow) -> Data {
        digest([
            Array(row.debit.utf8), Array(row.credit.utf8), bytes(row.amount), row.jobID?.bytes ?? [],
            Array(row.kind.utf8), Array(row.reference.utf8), bytes(row.at),
        ])
    }

    /// The digest of what is kept of a workflow: its manifest, or an event of its plan.
    static func of(workflow: CID, _ bytes: [UInt8]) -> Data { digest([workflow.bytes, bytes]) }

    /// The digest of what nothing but its row tells of a result that may serve again.
    static func of(_ row: WorkRow) -> Data {
        digest([row.key.bytes, row.jobID.bytes, row.receiptCID.bytes, bytes(UInt64(row.strength.rawValue))])
    }

    /// The digest of a balance.
    static func of(_ row: BalanceRow) -> Data {
        digest([Array(row.account.utf8), bytes(UInt64(bitPattern: row.amount))])
    }

    private static func digest(_ fields: [[UInt8]]) -> Data {
        var message: [UInt8] = []
        message.reserveCapacity(fields.reduce(0) { $0 + $1.count + 8 })
        for field in fields {
            message.append(contentsOf: bytes(UInt64(field.count)))
            message.append(contentsOf: field)
        }
        return Data(Multihash.sha256(of: message).digest.prefix(8))
    }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        // SAFETY: eight bytes are copied before the pointer ends.
        withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }
    }
}
