import Crypto

/// A digest that names its hash function and its length.
///
/// It reads any code and length, because other networks use many; `CID` and `PeerID` say what this project accepts.
/// Source: https://github.com/multiformats/multihash
public struct Multihash: Hashable, Sendable {
    /// The longest digest that is read, in bytes; identity multihashes carry data, not digests.
    public static let digestBytesMax = 1024

    /// The multicodec of the hash function.
    public let code: UInt64
    /// The digest.
    public let digest: [UInt8]

    /// The code of the identity function, whose digest is the data itself.
    public static let identityCode: UInt64 = 0x00
    /// The code of SHA-256.
    public static let sha256Code: UInt64 = 0x12

    public init(code: UInt64, digest: [UInt8]) {
        self.code = code
        self.digest = digest
    }

    /// Reads the encoding, with nothing after it.
    public init(bytes: [UInt8]) throws(MultihashError) {
        self = try Multihash(bytes: bytes[...])
    }

    /// Reads the encoding in a slice, with nothing after it.
    public init(bytes: ArraySlice<UInt8>) throws(MultihashError) {
        let (code, afterCode) = try Self.varint(bytes)
        let (length, rest) = try Self.varint(afterCode)
        if length > UInt64(Self.digestBytesMax) { throw .digestTooLong(bytesMax: Self.digestBytesMax) }
        if length != UInt64(rest.count) { throw .lengthMismatch(declared: Int(length), actual: rest.count) }
        self.code = code
        digest = Array(rest)
    }

    /// Code, length, digest.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digest.count + 4)
        Varint.append(code, to: &bytes)
        Varint.append(UInt64(digest.count), to: &bytes)
        bytes.append(contentsOf: digest)
        return bytes
    }

    /// The SHA-256 of bytes.
    public static func sha256(of bytes: [UInt8]) -> Multihash {
        Multihash(code: sha256Code, digest: Array(SHA256.hash(data: bytes)))
    }

    /// The identity multihash of bytes.
    public static func identity(of bytes: [UInt8]) -> Multihash {
        Multihash(code: identityCode, digest: bytes)
    }

    private static func varint(
        _ bytes: ArraySlice<UInt8>
    ) throws(MultihashError) -> (UInt64, ArraySlice<UInt8>) {
        do {
            let (value, rest) = try Varint.decode(bytes)
            return (value, rest)
        } catch {
            throw .malformedVarint(error)
        }
    }
}

/// Why bytes are not a multihash.
public enum MultihashError: Error, Hashable, Sendable {
    /// The code or the length is not a varint.
    case malformedVarint(VarintError)
    /// The digest is longer than is read.
    case digestTooLong(bytesMax: Int)
    /// Fewer or more bytes follow than the length says.
    case lengthMismatch(declared: Int, actual: Int)
}

extension MultihashError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .malformedVarint(let error): "\(error)"
        case .digestTooLong(let bytesMax): "its hash has more than \(bytesMax) bytes"
        case .lengthMismatch(let declared, let actual): "its hash should have \(declared) bytes and has \(actual)"
        }
    }
}
