package import Multiformats

/// A raw block whose CID was made from its bytes here, so that nobody needs to hold them against each other.
package struct HashedBlock: Hashable, Sendable {
    /// The CID, of version 1 with SHA-256.
    package let cid: CID
    /// The bytes.
    package let bytes: [UInt8]

    /// Hashes bytes.
    package init(hashing bytes: [UInt8]) {
        cid = CID.hashing(bytes, codec: .raw)
        self.bytes = bytes
    }
}
