import Crypto
package import MeshTypes
import Multiformats
package import PeerIdentity

/// The key to which the result of one attempt is sealed, so that whoever keeps it for its originator cannot read it
/// (PROTOCOL.md, "Results left with an arbiter").
///
/// It follows from the originator's own key, so nothing of it is kept. Who is given the secret of one attempt can read
/// what was sealed for that one, and nothing else.
package struct SealingKey: Sendable {
    /// Bytes of either half (X25519, RFC 7748).
    package static let byteCount = 32

    /// The secret half: 32 bytes.
    package let secret: [UInt8]
    /// The public half, as an assignment names it: 32 bytes.
    package let publicBytes: [UInt8]

    /// The key of an attempt of an originator's job.
    package init(of originator: Identity, job: JobID, attempt: UInt64) {
        let info = Array("icn-mesh/v1/SealingKey".utf8) + [0] + job.cid.bytes + attempt.bigEndianBytes
        let secret = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: originator.seed), info: info, outputByteCount: Self.byteCount)
        // SAFETY: the bytes are copied before the call returns.
        self.init(checked: secret.withUnsafeBytes(Array.init))
    }

    /// The key of a secret; nil if that has another length.
    package init?(secret: [UInt8]) {
        guard secret.count == Self.byteCount else { return nil }
        self.init(checked: secret)
    }

    private init(checked secret: [UInt8]) {
        self.secret = secret
        let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: secret)
        publicBytes = key.map { Array($0.publicKey.rawRepresentation) } ?? []
    }

    /// Whether something can be sealed to a public half: it has the right length, and is no point of small order, with
    /// which every secret would agree alike.
    package static func isUsable(_ publicBytes: [UInt8]) -> Bool {
        guard publicBytes.count == byteCount,
            let other = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: publicBytes),
            let shared = try? Curve25519.KeyAgreement.PrivateKey().sharedSecretFromKeyAgreement(with: other)
        else { return false }
        // RFC 7748, section 6.1; the library does not refuse it by itself.
        // SAFETY: the bytes are read within the call alone.
        return shared.withUnsafeBytes { bytes in bytes.contains { $0 != 0 } }
    }
}

extension UInt64 {
    /// The eight bytes, the highest first.
    fileprivate var bigEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - 8 * $0)) } }
}
