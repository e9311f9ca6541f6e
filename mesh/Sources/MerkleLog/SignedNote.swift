package import Multiformats
import PeerIdentity

/// A text with lines of signatures below it. Source: c2sp.org/signed-note.
package struct SignedNote: Sendable {
    /// The most bytes of a note.
    package static let bytesMax = 16 << 10
    /// The most signatures; the specification asks for 16 or more.
    package static let signaturesMax = 64

    /// A line of a signature.
    package struct Signature: Hashable, Sendable {
        /// Who signed, as the line says.
        package let name: ExactText
        /// The first four bytes, by which the key is found.
        package let keyID: [UInt8]
        /// What follows them.
        package let bytes: [UInt8]

        package init(by key: NoteKey, _ bytes: [UInt8]) {
            (name, keyID, self.bytes) = (ExactText(key.name), key.id, bytes)
        }

        /// The signature of a line without its end; nil if it is none.
        package init?(line: some Collection<UInt8>) {
            let parts = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0].elementsEqual("—".utf8) else { return nil }
            let name = String(decoding: parts[1], as: UTF8.self)
            let base64 = String(decoding: parts[2], as: UTF8.self)
            guard NoteKey.isName(name), let bytes = try? Multibase.decodeWithoutPrefix(base64, .base64pad),
                bytes.count > 4
            else { return nil }
            self.name = ExactText(name)
            keyID = Array(bytes[..<4])
            self.bytes = Array(bytes[4...])
        }

        /// The line, with its end.
        package var line: String {
            "— \(name.text) \(Multibase.encodeWithoutPrefix(keyID + bytes, .base64pad))\n"
        }

        /// Whether the line is of a key, which then has to have made the signature.
        package func isOf(_ key: NoteKey) -> Bool { name == ExactText(key.name) && keyID == key.id }
    }

    /// What is signed: one line or more, each with its end.
    package let text: String
    /// The signatures, as they stand.
    package var signatures: [Signature]

    package init(text: String, signatures: [Signature]) {
        self.text = text
        self.signatures = signatures
    }

    /// The note of its bytes; nil if it is not one, is too long or has too many signatures.
    package init?(bytes: [UInt8]) {
        guard bytes.count <= Self.bytesMax, bytes.last == 0x0A, bytes.allSatisfy({ $0 >= 0x20 || $0 == 0x0A }),
            String(validating: bytes, as: UTF8.self) != nil,
            let blank = (1..<bytes.count).last(where: { bytes[$0] == 0x0A && bytes[$0 - 1] == 0x0A }), blank > 1
        else { return nil }
        let lines = bytes[(blank + 1)...].dropLast().split(separator: 0x0A, omittingEmptySubsequences: false)
        guard lines.count <= Self.signaturesMax else { return nil }
        let signatures = lines.compactMap { Signature(line: $0) }
        guard signatures.count == lines.count else { return nil }
        self.init(text: String(decoding: bytes[..<blank], as: UTF8.self), signatures: signatures)
    }

    /// The lines of a proof, and the note that it ends with, behind the first empty line; nil if there is none.
    static func read(behindLinesOf bytes: [UInt8]) -> (lines: ArraySlice<ArraySlice<UInt8>>, note: SignedNote)? {
        guard let blank = (1..<max(1, bytes.count)).first(where: { bytes[$0] == 0x0A && bytes[$0 - 1] == 0x0A }),
            let note = SignedNote(bytes: Array(bytes[(blank + 1)...]))
        else { return nil }
        return (bytes[..<(blank - 1)].split(separator: 0x0A, omittingEmptySubsequences: false)[...], note)
    }

    /// The note as it is stored and sent.
    package var bytes: [UInt8] {
        Array((text + "\n" + signatures.map(\.line).joined()).utf8)
    }

    /// What the lines of a key say: nil if there is none of it; `false` if one of them was not made by the key, or if
    /// there is more than one by which a key signs the text alone, without a time.
    package func isSigned(by key: NoteKey) -> Bool? {
        let own = signatures.filter { $0.isOf(key) }
        if own.isEmpty { return nil }
        guard key.kind == .cosignature || own.count == 1 else { return false }
        return own.allSatisfy { signature in
            switch key.kind {
            case .note: key.publicKey.isValidSignature(signature.bytes, for: Array(text.utf8))
            case .cosignature: Cosignature(signature.bytes).map { $0.isValid(of: text, by: key.publicKey) } ?? false
            }
        }
    }
}
