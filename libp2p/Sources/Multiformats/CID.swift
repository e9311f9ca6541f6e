import Crypto

/// A content identifier: the hash of a block with the codec that says how to read it.
///
/// It reads versions 0 and 1 and writes version 1. It parses any codec and hash, because foreign data links to them;
/// `namesMeshContent` says whether this project stores, serves and trusts blocks under it. Source:
/// https://github.com/multiformats/cid
public struct CID: Hashable, Comparable, Sendable, CustomStringConvertible, Codable {
    /// The version of a CID.
    public enum Version: UInt8, Sendable {
        /// A bare SHA-256 multihash of a dag-pb block, `Qm…`.
        case v0 = 0
        /// Version, codec, multihash.
        case v1 = 1
    }

    /// The multicodec of a block's content.
    public struct Codec: RawRepresentable, Hashable, Sendable {
        /// The multicodec number.
        public let rawValue: UInt64

        /// A codec by its number, known or not.
        public init(rawValue: UInt64) {
            self.rawValue = rawValue
        }

        /// Bytes without structure.
        public static let raw = Codec(rawValue: 0x55)
        /// UnixFS and other protobuf nodes.
        public static let dagPB = Codec(rawValue: 0x70)
        /// DAG-CBOR objects.
        public static let dagCBOR = Codec(rawValue: 0x71)
        /// A libp2p public key.
        public static let libp2pKey = Codec(rawValue: 0x72)
        /// DAG-JSON objects.
        public static let dagJSON = Codec(rawValue: 0x0129)
    }

    /// The longest text that is parsed.
    public static let textCharactersMax = 4096

    /// The binary form: version, codec and multihash; of version 0 the bare multihash.
    ///
    /// The only stored property, so that a CID is one word; the rest is read from it.
    public let bytes: [UInt8]

    /// A version 1 CID from its parts.
    public init(codec: Codec, multihash: Multihash) {
        var bytes: [UInt8] = [1]
        Varint.append(codec.rawValue, to: &bytes)
        bytes.append(contentsOf: multihash.bytes)
        self.bytes = bytes
    }

    /// Reads the binary form, with nothing after it.
    public init(bytes: [UInt8]) throws(CIDError) {
        let isVersion0 = bytes.count == 34 && bytes[0] == 0x12 && bytes[1] == 0x20
        // Nearly every CID has this form, which is recognized without intermediate values.
        let isUsual =
            bytes.count == 36 && bytes[0] == 1 && bytes[1] < 0x80 && bytes[2] == 0x12 && bytes[3] == 0x20
        if !isVersion0 && !isUsual { try Self.checkVersion1(bytes[...]) }
        self.bytes = bytes
    }

    /// The CID of a text: multibase of a version 1 CID, or the base58 of a version 0 one.
    public init(parsing text: String) throws(CIDError) {
        if text.utf8.count > Self.textCharactersMax { throw .textTooLong(charactersMax: Self.textCharactersMax) }
        let decoded: [UInt8]
        do {
            if text.utf8.count == 46 && text.hasPrefix("Qm") {
                decoded = try Base58.decode(text)
            } else {
                decoded = try Multibase.decode(text)
                // Version 0 has one text only, so a multibase prefix before it is a second spelling.
                if decoded.first == 0x12 { throw CIDError.unsupportedVersion(0x12) }
            }
        } catch let error as MultibaseError {
            throw .malformedText(error)
        } catch {
            throw .unsupportedVersion(0x12)
        }
        self = try CID(bytes: decoded)
    }

    /// The CID of a block: version 1, SHA-256.
    public static func hashing(_ block: [UInt8], codec: Codec) -> CID {
        hashing(block[...], codec: codec)
    }

    /// The CID of a block that is part of a larger buffer: version 1, SHA-256.
    public static func hashing(_ block: ArraySlice<UInt8>, codec: Codec) -> CID {
        CID(sha256: SHA256.hash(data: block), codec: codec)
    }

    private init(sha256 digest: SHA256.Digest, codec: Codec) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(40)
        bytes.append(1)
        Varint.append(codec.rawValue, to: &bytes)
        bytes.append(0x12)
        bytes.append(0x20)
        bytes.append(contentsOf: digest)
        self.bytes = bytes
    }

    /// The version.
    public var version: Version { bytes.count == 34 && bytes[0] == 0x12 ? .v0 : .v1 }

    /// The CID of version 1 that names the same block.
    public var version1: CID {
        version == .v0 ? CID(codec: .dagPB, multihash: multihash) : self
    }

    /// The codec of the block.
    public var codec: Codec {
        if version == .v0 { return .dagPB }
        if bytes[1] < 0x80 { return Codec(rawValue: UInt64(bytes[1])) }
        // Checked when this value was made, so the default is never returned.
        return Codec(rawValue: (try? Varint.decode(bytes[1...]).value) ?? 0)
    }

    private var multihashOffset: Int {
        if version == .v0 { return 0 }
        return 2 + bytes[1...].prefix { $0 >= 0x80 }.count
    }

    /// The multihash of the block.
    public var multihash: Multihash {
        // The bytes were checked when this value was made, so the empty multihash is never returned.
        (try? Multihash(bytes: bytes[multihashOffset...])) ?? Multihash(code: 0, digest: [])
    }

    /// Whether the hash is SHA-256 in full length.
    public var isSHA256: Bool {
        let offset = multihashOffset
        return bytes.count - offset == 34 && bytes[offset] == 0x12 && bytes[offset + 1] == 0x20
    }

    /// Whether it may name a block that these nodes exchange: version 1, SHA-256, and raw, dag-cbor or dag-pb.
    public var namesMeshContent: Bool {
        version == .v1 && isSHA256 && (codec == .raw || codec == .dagCBOR || codec == .dagPB)
    }

    /// Whether it may name evidence: version 1, SHA-256, and raw or dag-cbor.
    ///
    /// The narrower set keeps one block from having several names in a receipt (same digest under other codecs).
    public var namesEvidence: Bool {
        version == .v1 && isSHA256 && (codec == .raw || codec == .dagCBOR)
    }

    /// Whether this CID names a block; `false` for hash functions other than SHA-256 and identity.
    public func matches(_ block: [UInt8]) -> Bool {
        if isSHA256 { return SHA256.hash(data: block).elementsEqual(bytes[(multihashOffset + 2)...]) }
        let multihash = multihash
        return multihash.code == Multihash.identityCode && multihash.digest == block
    }

    /// The text: `b` and base32 of the bytes; of version 0 the base58.
    public var text: String {
        version == .v0 ? Base58.encode(bytes) : Multibase.encode(bytes, .base32)
    }

    /// The text.
    public var description: String { text }

    /// Whether two CIDs have the same binary form.
    public static func == (left: CID, right: CID) -> Bool {
        left.bytes == right.bytes
    }

    /// Orders by the binary form.
    public static func < (left: CID, right: CID) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// Hashes the binary form.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(allOf: bytes)
    }

    /// Reads the text; the DAG-CBOR decoder reads a link (tag 42) instead.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do {
            self = try CID(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a CID: \(error)")
        }
    }

    /// Writes the text; the DAG-CBOR encoder writes a link (tag 42) instead.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    private static func checkVersion1(_ bytes: ArraySlice<UInt8>) throws(CIDError) {
        if bytes.isEmpty { throw .empty }
        let (version, afterVersion) = try varint(bytes)
        if version != 1 { throw .unsupportedVersion(version) }
        let (_, rest) = try varint(afterVersion)
        do {
            _ = try Multihash(bytes: rest)
        } catch {
            throw .malformedMultihash(error)
        }
    }

    private static func varint(_ bytes: ArraySlice<UInt8>) throws(CIDError) -> (UInt64, ArraySlice<UInt8>) {
        do {
            let (value, rest) = try Varint.decode(bytes)
            return (value, rest)
        } catch {
            throw .malformedVarint(error)
        }
    }
}

/// Why bytes or a text are not a CID.
public enum CIDError: Error, Hashable, Sendable {
    /// There are no bytes.
    case empty
    /// The text is longer than is read.
    case textTooLong(charactersMax: Int)
    /// The text is not multibase.
    case malformedText(MultibaseError)
    /// The version or the codec is not a varint.
    case malformedVarint(VarintError)
    /// Versions other than 0 and 1, and version 0 in a form that is not its own.
    case unsupportedVersion(UInt64)
    /// What follows the codec is not a multihash.
    case malformedMultihash(MultihashError)
}

extension CIDError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .empty: "it is empty"
        case .textTooLong(let charactersMax): "it has more than \(charactersMax) characters"
        case .malformedText(let error): "\(error)"
        case .malformedVarint(let error): "\(error)"
        case .unsupportedVersion(let version): "version \(version) is not supported"
        case .malformedMultihash(let error): "\(error)"
        }
    }
}
