import Crypto
import IPLD
import MeshTypes
import Multiformats
package import SignedObjects

/// Seals entries of a book for those who keep them, so that they read none: with a key that follows from the secret of
/// the issuer's salts, which a backup of its home has. Each is bound to the issuer, its number and its term, so that
/// nobody passes off one of an earlier term as one of a later. Source: PROTOCOL.md, "Replicas of a book".
package struct BookSeal: Sendable {
    /// The bytes that sealing adds: a nonce of 12 and a tag of 16.
    package static let addedBytes = 28
    private static let info = Array("icn-mesh/v1/ReplicaEntry\u{0}".utf8)

    private let issuer: DID
    private let key: SymmetricKey
    private let salts: EntrySalts

    /// The seal of an issuer with the secret of its book.
    package init(issuer: DID, secret: [UInt8]) {
        self.issuer = issuer
        salts = EntrySalts(secret: secret)
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret), info: Self.info, outputByteCount: 32)
    }

    /// An entry of a number, sealed in a term; nil if it is longer than an entry can be.
    package func seal(_ entry: [UInt8], number: UInt64, in term: BookTerm) -> ReplicaEntry? {
        guard entry.count <= BookEntry.bytesMax, let bound = bound(number, term),
            let box = try? ChaChaPoly.seal(entry, using: key, authenticating: bound)
        else { return nil }
        let opening = EntryOpening(salt: salts.salt(of: number), entry: entry)
        return ReplicaEntry(term: term, commitment: opening.commitment, sealed: Array(box.combined))
    }

    /// The entry of a number, with what opens it to others; nil if it was not sealed here as that, or is another than
    /// what the log would have.
    package func open(_ entry: ReplicaEntry, number: UInt64) -> (entry: BookEntry, opening: EntryOpening)? {
        guard let bound = bound(number, entry.term), let box = try? ChaChaPoly.SealedBox(combined: entry.sealed),
            let bytes = try? ChaChaPoly.open(box, using: key, authenticating: bound)
        else { return nil }
        let opening = EntryOpening(salt: salts.salt(of: number), entry: Array(bytes))
        guard opening.commitment == entry.commitment, let read = opening.read, read.number == number else { return nil }
        return (read, opening)
    }

    private struct Bound: Codable {
        let issuer: DID
        let number: UInt64
        let term: BookTerm
    }

    private func bound(_ number: UInt64, _ term: BookTerm) -> [UInt8]? {
        try? DAGCBOREncoder().encode(Bound(issuer: issuer, number: number, term: term))
    }
}
