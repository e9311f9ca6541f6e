import Multiformats

/// A proof that an entry is in a log, which a stranger checks without a network. Source: c2sp.org/tlog-proof.
package struct LogProof: Sendable {
    /// The first line.
    static let header = "c2sp.org/tlog-proof@v1"
    /// The most bytes of a proof.
    package static let bytesMax = 10 << 10
    /// The most hashes of a proof: one for each bit of a size.
    package static let hashesMax = 63

    /// What the entry's hash is made of, if it is not known otherwise.
    package let extra: [UInt8]?
    /// The entry's number, from 0.
    package let index: UInt64
    /// The hashes, from the leaf's neighbour to the root's child.
    package let hashes: [MerkleHash]
    /// The checkpoint, with whatever signatures it has.
    package let note: SignedNote

    package init(extra: [UInt8]?, index: UInt64, hashes: [MerkleHash], note: SignedNote) {
        self.extra = extra
        self.index = index
        self.hashes = hashes
        self.note = note
    }

    /// The proof of its bytes; nil if it is none.
    package init?(bytes: [UInt8]) {
        guard bytes.count <= Self.bytesMax, case (var lines, let note)? = SignedNote.read(behindLinesOf: bytes) else {
            return nil
        }
        guard lines.popFirst()?.elementsEqual(Self.header.utf8) == true else { return nil }
        var extra: [UInt8]?
        if let line = lines.first, line.starts(with: "extra ".utf8) {
            guard let found = try? Multibase.decodeWithoutPrefix(Self.text(line, after: 6), .base64pad) else {
                return nil
            }
            extra = found
            lines.removeFirst()
        }
        guard let line = lines.popFirst(), line.starts(with: "index ".utf8),
            let index = PlainNumber.read(Self.text(line, after: 6)), lines.count <= Self.hashesMax
        else { return nil }
        let hashes = lines.compactMap { MerkleHash(base64: Self.text($0, after: 0)) }
        guard hashes.count == lines.count else { return nil }
        self.init(extra: extra, index: index, hashes: hashes, note: note)
    }

    private static func text(_ line: ArraySlice<UInt8>, after count: Int) -> String {
        String(decoding: line.dropFirst(count), as: UTF8.self)
    }

    /// The proof as it is stored and sent.
    package var bytes: [UInt8] {
        var text = Self.header + "\n"
        if let extra { text += "extra \(Multibase.encodeWithoutPrefix(extra, .base64pad))\n" }
        text += "index \(index)\n" + hashes.map { $0.base64 + "\n" }.joined() + "\n"
        return Array(text.utf8) + note.bytes
    }
}
