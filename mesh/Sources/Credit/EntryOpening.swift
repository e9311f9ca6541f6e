import Crypto
import IPLD
import MeshTypes
import Multiformats

/// An entry with the salt that hides it: whoever has both can tell that the log commits to it, and nobody else can tell
/// what is in the log by guessing.
package struct EntryOpening: Hashable, Sendable, Codable {
    /// The length of a salt.
    package static let saltBytes = 32
    /// The length of a commitment.
    package static let commitmentBytes = 32
    /// What every commitment begins with, before the salt.
    static let domain = Array("icn-mesh/v1/BookEntry\u{0}".utf8)

    /// 32 bytes that nobody else can guess.
    package let salt: [UInt8]
    /// The DAG-CBOR of the entry.
    package let entry: [UInt8]

    package init(salt: [UInt8], entry: [UInt8]) {
        self.salt = salt
        self.entry = entry
    }

    /// What the log has of the entry: SHA-256 over the domain, the salt and the entry.
    package var commitment: [UInt8] { Array(SHA256.hash(data: Self.domain + salt + entry)) }

    /// The entry; `nil` if the salt is none, the bytes are not canonical, or have what this version does not know.
    package var read: BookEntry? {
        guard salt.count == Self.saltBytes, let read = try? DAGCBORDecoder().decode(BookEntry.self, from: entry),
            let again = try? DAGCBOREncoder().encode(read), again == entry
        else { return nil }
        return read
    }
}

/// The secret of an issuer from which the salts of its entries follow, so that a copy of the book has them, too.
package struct EntrySalts: Sendable {
    private let key: SymmetricKey

    /// The salts of a secret of 32 random bytes, which stays the same as long as the book.
    package init(secret: [UInt8]) { key = SymmetricKey(data: secret) }

    /// The salt of an entry's number.
    package func salt(of number: UInt64) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array("entry \(number)".utf8), using: key))
    }

    /// An entry as it can be opened to others.
    package func opening(of entry: BookEntry) throws(BookRefusal) -> EntryOpening {
        guard let bytes = try? DAGCBOREncoder().encode(entry) else { throw .malformed(.outOfBounds(field: "event")) }
        return EntryOpening(salt: salt(of: entry.number), entry: bytes)
    }
}
