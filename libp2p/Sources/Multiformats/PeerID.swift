/// The name of a libp2p peer: a multihash of its public key.
///
/// It contains keys of at most 42 bytes of protobuf, such as Ed25519 keys, whole (identity multihash), and longer ones
/// as their SHA-256. Any such multihash parses, because foreign networks have RSA and secp256k1 peers; only
/// `PublicKey(peerID:)` decides whether it can be an identity here. Source:
/// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
public struct PeerID: Hashable, Comparable, Sendable, CustomStringConvertible, Codable {
    /// The longest key, as protobuf, that a PeerID contains whole, in bytes.
    public static let inlineKeyBytesMax = 42

    /// The multihash.
    public let bytes: [UInt8]

    /// The PeerID of a multihash.
    public init(bytes: [UInt8]) throws(PeerIDError) {
        let multihash: Multihash
        do {
            multihash = try Multihash(bytes: bytes)
        } catch {
            throw .malformedMultihash(error)
        }
        self = try PeerID(multihash: multihash)
    }

    /// The PeerID of a multihash.
    public init(multihash: Multihash) throws(PeerIDError) {
        switch multihash.code {
        case Multihash.identityCode:
            if multihash.digest.count > Self.inlineKeyBytesMax {
                throw .inlineKeyTooLong(bytesMax: Self.inlineKeyBytesMax)
            }
        case Multihash.sha256Code:
            if multihash.digest.count != 32 { throw .wrongDigestLength(multihash.digest.count) }
        default:
            throw .unsupportedHash(code: multihash.code)
        }
        bytes = multihash.bytes
    }

    /// The PeerID of a public key in its protobuf encoding.
    public init(publicKeyProtobuf key: [UInt8]) {
        let isInline = key.count <= Self.inlineKeyBytesMax
        bytes = (isInline ? Multihash.identity(of: key) : Multihash.sha256(of: key)).bytes
    }

    /// The PeerID of a text: base58 of the multihash (`Qm…`, `12D3…`), or a version 1 CID of codec libp2p-key.
    public init(parsing text: String) throws(PeerIDError) {
        if text.hasPrefix("Qm") || text.hasPrefix("1") {
            let decoded: [UInt8]
            do {
                decoded = try Base58.decode(text)
            } catch {
                throw .malformedText(error)
            }
            self = try PeerID(bytes: decoded)
            return
        }
        let cid: CID
        do {
            cid = try CID(parsing: text)
        } catch {
            throw .malformedCID(error)
        }
        guard cid.version == .v1, cid.codec == .libp2pKey else { throw .wrongCodec(cid.codec.rawValue) }
        self = try PeerID(multihash: cid.multihash)
    }

    /// The protobuf of the public key, if the PeerID contains it.
    public var inlinePublicKeyProtobuf: [UInt8]? {
        guard let multihash = try? Multihash(bytes: bytes), multihash.code == Multihash.identityCode else { return nil }
        return multihash.digest
    }

    /// The base58 of the multihash, the usual form.
    public var text: String { Base58.encode(bytes) }

    /// The version 1 CID of codec libp2p-key.
    public var cid: CID? {
        guard let multihash = try? Multihash(bytes: bytes) else { return nil }
        return CID(codec: .libp2pKey, multihash: multihash)
    }

    /// The text.
    public var description: String { text }

    /// Orders by the multihash bytes.
    public static func < (left: PeerID, right: PeerID) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// Reads the text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do {
            self = try PeerID(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a PeerID: \(error)")
        }
    }

    /// Writes the base58 text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// Why bytes or a text are not a PeerID.
public enum PeerIDError: Error, Hashable, Sendable {
    /// The bytes are not a multihash.
    case malformedMultihash(MultihashError)
    /// The base58 text does not decode.
    case malformedText(MultibaseError)
    /// The text is neither base58 nor a CID.
    case malformedCID(CIDError)
    /// The CID's codec is not libp2p-key.
    case wrongCodec(UInt64)
    /// The hash is neither SHA-256 nor identity.
    case unsupportedHash(code: UInt64)
    /// A SHA-256 digest of another length than 32 bytes.
    case wrongDigestLength(Int)
    /// The key is so long that it must be hashed.
    case inlineKeyTooLong(bytesMax: Int)
}

extension PeerIDError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .malformedMultihash(let error): "\(error)"
        case .malformedText(let error): "\(error)"
        case .malformedCID(let error): "\(error)"
        case .wrongCodec(let codec): "it is a CID of codec \(codec), not of a key"
        case .unsupportedHash(let code): "the hash \(code) is not supported"
        case .wrongDigestLength(let bytes): "a hash of \(bytes) bytes is not accepted"
        case .inlineKeyTooLong(let bytesMax): "its key has more than \(bytesMax) bytes"
        }
    }
}
