import Crypto
import Multiformats

/// A hash of the tree of RFC 9162, section 2.1.1: of a leaf, of two nodes, or of nothing. 32 bytes of SHA-256.
package struct MerkleHash: Hashable, Sendable {
    /// How long every hash is.
    package static let byteCount = 32
    /// The root of the tree without leaves.
    package static let empty = MerkleHash(SHA256.hash(data: [UInt8]()))

    /// The 32 bytes.
    package let bytes: [UInt8]

    /// A hash of 32 bytes; nil for any other number.
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// The hash of its base64, with padding; nil if it is not 32 bytes in their one spelling.
    package init?(base64 text: String) {
        guard let bytes = try? Multibase.decodeWithoutPrefix(text, .base64pad) else { return nil }
        self.init(bytes: bytes)
    }

    private init(_ digest: SHA256.Digest) { bytes = Array(digest) }

    /// The hash of a leaf, from the bytes of its entry.
    package static func leaf(_ entry: [UInt8]) -> MerkleHash {
        MerkleHash(SHA256.hash(data: [0x00] + entry))
    }

    /// The hash of a node with these two below it.
    package static func node(_ left: MerkleHash, _ right: MerkleHash) -> MerkleHash {
        MerkleHash(SHA256.hash(data: [0x01] + left.bytes + right.bytes))
    }

    /// The base64 of the bytes, with padding.
    package var base64: String { Multibase.encodeWithoutPrefix(bytes, .base64pad) }
}
