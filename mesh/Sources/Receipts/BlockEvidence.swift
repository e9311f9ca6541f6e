/// What a verifier gets for a CID.
package enum BlockEvidence: Hashable, Sendable {
    /// The block; the verifier hashes it.
    case bytes([UInt8])
    /// The block was fetched and hashed correctly, and only its size is kept, in bytes. For outputs.
    case checked(byteCount: Int)
    /// The block is missing; the reason is for people.
    case missing(String)
}
