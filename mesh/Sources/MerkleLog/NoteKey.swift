import Crypto
import Multiformats
package import PeerIdentity

/// Who signs notes, under which name and how: what C2SP calls a verifier key (`vkey`). Source: c2sp.org/signed-note.
package struct NoteKey: Sendable {
    /// What is signed, and how.
    package enum Kind: UInt8, Sendable {
        /// The note's text.
        case note = 0x01
        /// A checkpoint, with the time (`cosignature/v1`).
        case cosignature = 0x04
    }

    /// The longest name, in bytes.
    package static let nameBytesMax = 256

    /// The signer's name.
    package let name: String
    /// What it signs.
    package let kind: Kind
    /// The key.
    package let publicKey: PublicKey
    /// The first four bytes of a hash of name, kind and key: they find the line of a signature, and prove nothing.
    package let id: [UInt8]

    /// A key under a name; nil if no line of a note could hold the name.
    package init?(name: String, kind: Kind, publicKey: PublicKey) {
        guard Self.isName(name) else { return nil }
        self.name = name
        self.kind = kind
        self.publicKey = publicKey
        id = Array(SHA256.hash(data: Array(name.utf8) + [0x0A, kind.rawValue] + publicKey.rawBytes).prefix(4))
    }

    /// The key of its text, `name+id+key`; nil if it is none, or of a kind that this program does not know.
    package init?(text: String) {
        let parts = text.utf8.split(separator: 0x2B, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let name = String(parts[0]), let key = String(parts[2]),
            let bytes = try? Multibase.decodeWithoutPrefix(key, .base64pad), bytes.count == 33,
            let kind = Kind(rawValue: bytes[0]), let publicKey = try? PublicKey(rawBytes: Array(bytes[1...]))
        else { return nil }
        self.init(name: name, kind: kind, publicKey: publicKey)
        guard Multibase.encodeWithoutPrefix(id, .base16).utf8.elementsEqual(parts[1]) else { return nil }
    }

    /// The text by which others can be told of the key.
    package var text: String {
        let key = Multibase.encodeWithoutPrefix([kind.rawValue] + publicKey.rawBytes, .base64pad)
        return "\(name)+\(Multibase.encodeWithoutPrefix(id, .base16))+\(key)"
    }

    /// Whether a text can name a signer: not empty, without spaces of any script, plus signs and control characters.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= nameBytesMax
            && name.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && $0 != "+" && $0.value >= 0x20 }
    }
}
