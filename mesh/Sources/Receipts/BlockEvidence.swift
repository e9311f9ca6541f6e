/// What a verifier gets for a CID.
package enum BlockEvidence: Hashable, Sendable {
    /// The block; the verifier hashes it.
    case bytes([UInt8])
    /// The block was fetched and hashed correctly, and only its size is kept, in bytes. For outputs.
    case checked(byteCount: Int)
    /// Whoever gathered the evidence left the block out on purpose: its CID is all there is. For outputs.
    case leftOut
    /// The block is missing; the reason is for people.
    case missing(String)
}
