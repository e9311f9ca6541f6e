package import PeerIdentity

/// A witness's word that a log had a head at some time, and grew to it from all heads that the witness knew:
/// `cosignature/v1`, by Ed25519. Source: c2sp.org/tlog-cosignature.
package struct Cosignature: Hashable, Sendable {
    /// When it was made, in seconds since 1970.
    package let time: UInt64
    /// The Ed25519 signature.
    package let signature: [UInt8]

    /// Reads what stands in a line behind the key's four bytes; nil if it is not a time and a signature.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == 72 else { return nil }
        time = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        guard time <= UInt64(Int64.max) else { return nil }
        signature = Array(bytes[8...])
    }

    private init(time: UInt64, signature: [UInt8]) { (self.time, self.signature) = (time, signature) }

    /// Signs the text of a checkpoint.
    package static func sign(
        _ text: String, at time: UInt64, with identity: Identity
    ) throws(SigningError) -> Cosignature {
        Cosignature(time: time, signature: try identity.sign(message(text, time)))
    }

    /// What stands in a line behind the key's four bytes.
    package var bytes: [UInt8] {
        (0..<8).reversed().map { UInt8(truncatingIfNeeded: time >> (8 * UInt64($0))) } + signature
    }

    /// Whether a key made it over the text of a checkpoint.
    package func isValid(of text: String, by key: PublicKey) -> Bool {
        key.isValidSignature(signature, for: Self.message(text, time))
    }

    private static func message(_ text: String, _ time: UInt64) -> [UInt8] {
        Array("cosignature/v1\ntime \(time)\n\(text)".utf8)
    }
}
