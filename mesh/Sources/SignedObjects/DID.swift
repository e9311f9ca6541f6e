package import Multiformats
package import PeerIdentity

/// A decentralized identifier of method `key` over an Ed25519 key: `did:key:z6Mk…`.
///
/// It reads exactly one spelling: no fragment, query, path or version, no other base, no upper case, no escapes. It
/// checks the key like any other, so a DID always has a usable key. Source: https://w3c-ccg.github.io/did-key-spec/
package struct DID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The text.
    package let text: String
    /// The key.
    package let publicKey: PublicKey

    private static let prefix = "did:key:z"
    /// The length of every Ed25519 DID: the prefix and 47 characters of base58.
    private static let charactersCount = 56
    /// How many DIDs are remembered, so that those of a node's peers are read once and not with every message.
    static let rememberedMax = 1_024
    private static let read = Memo<ExactText, DID>(entriesMax: rememberedMax)

    /// The DID of a key.
    package init(publicKey: PublicKey) {
        self.publicKey = publicKey
        text = Self.prefix + Base58.encode([0xED, 0x01] + publicKey.rawBytes)
    }

    /// The DID of a text.
    package init(parsing text: String) throws(DIDError) {
        guard text.utf8.starts(with: Self.prefix.utf8) else { throw .notDIDKey }
        guard text.utf8.count == Self.charactersCount else { throw .wrongLength(text.utf8.count) }
        let exactly = ExactText(text)
        if let known = Self.read.value(of: exactly) {
            self = known
            return
        }
        try self.init(decoding: text)
        Self.read.keep(self, of: exactly)
    }

    private init(decoding text: String) throws(DIDError) {
        let decoded: [UInt8]
        do {
            decoded = try Base58.decode(String(text.dropFirst(Self.prefix.count)))
        } catch {
            throw .malformedText(error)
        }
        guard decoded.count == 34, decoded[0] == 0xED, decoded[1] == 0x01 else { throw .notEd25519 }
        do {
            publicKey = try PublicKey(rawBytes: Array(decoded[2...]))
        } catch {
            throw .unusableKey(error)
        }
        self.text = text
    }

    /// The PeerID of the same key.
    package var peerID: PeerID { publicKey.peerID }

    /// The text.
    package var description: String { text }

    /// Orders by the text.
    package static func < (left: DID, right: DID) -> Bool {
        left.text < right.text
    }

    /// Whether two DIDs name the same key.
    package static func == (left: DID, right: DID) -> Bool {
        left.publicKey == right.publicKey
    }

    /// Hashes the key.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(publicKey)
    }

    /// Reads the text.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do {
            self = try DID(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a did:key: \(error)")
        }
    }

    /// Writes the text.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

extension PublicKey {
    /// The did:key of this key.
    package var did: DID { DID(publicKey: self) }
}

extension Identity {
    /// The did:key of this key; makes its text anew each time.
    package var did: DID { publicKey.did }
}

/// Why a text is not a DID of this mesh.
package enum DIDError: Error, Hashable, Sendable {
    /// The text does not start with `did:key:z`.
    case notDIDKey
    /// Ed25519 DIDs do not have this many bytes.
    case wrongLength(Int)
    /// What follows the prefix is not base58.
    case malformedText(MultibaseError)
    /// The key is of another type than Ed25519 (multicodec 0xed), or of another length.
    case notEd25519
    /// The key is not one that may be an identity.
    case unusableKey(PublicKeyError)
}

extension DIDError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notDIDKey: "it does not begin with did:key:z"
        case .wrongLength(let bytes): "\(bytes) bytes are not those of a DID"
        case .malformedText(let error): "\(error)"
        case .notEd25519: "its key is not Ed25519"
        case .unusableKey(let error): "\(error)"
        }
    }
}
