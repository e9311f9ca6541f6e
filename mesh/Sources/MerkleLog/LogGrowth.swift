/// A proof that a log's checkpoint continues an earlier head: what a witness is asked with. Source:
/// c2sp.org/tlog-witness.
package struct LogGrowth: Sendable {
    /// The most bytes of one.
    package static let bytesMax = 10 << 10

    /// The size of the earlier head.
    package let oldSize: UInt64
    /// The proof, of RFC 9162, section 2.1.4.
    package let hashes: [MerkleHash]
    /// The checkpoint, with whatever signatures it has.
    package let note: SignedNote

    package init(oldSize: UInt64, hashes: [MerkleHash], note: SignedNote) {
        self.oldSize = oldSize
        self.hashes = hashes
        self.note = note
    }

    /// The growth of its bytes; nil if it is none.
    package init?(bytes: [UInt8]) {
        guard bytes.count <= Self.bytesMax, case (var lines, let note)? = SignedNote.read(behindLinesOf: bytes) else {
            return nil
        }
        guard let line = lines.popFirst(), line.starts(with: "old ".utf8),
            let size = PlainNumber.read(String(decoding: line.dropFirst(4), as: UTF8.self)),
            lines.count <= LogProof.hashesMax
        else { return nil }
        let hashes = lines.compactMap { MerkleHash(base64: String(decoding: $0, as: UTF8.self)) }
        guard hashes.count == lines.count else { return nil }
        self.init(oldSize: size, hashes: hashes, note: note)
    }

    /// The growth as it is stored and sent.
    package var bytes: [UInt8] {
        Array(("old \(oldSize)\n" + hashes.map { $0.base64 + "\n" }.joined() + "\n").utf8) + note.bytes
    }
}
