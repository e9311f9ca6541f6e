/// What a verifier is given for a CID.
public enum BlockEvidence: Hashable, Sendable {
    /// The block; the verifier hashes it.
    case bytes([UInt8])
    /// The block was fetched, hashed and found right, and only its size is kept, in bytes. For outputs.
    case checked(byteCount: Int)
    /// The block could not be had; the reason is for people.
    case missing(String)
}
