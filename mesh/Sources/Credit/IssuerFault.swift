package import MerkleLog
package import MeshTypes
import Multiformats
package import PeerIdentity
import SignedObjects

/// A proof that an issuer broke its word, which a stranger checks without a network.
package enum IssuerFault: Sendable {
    /// Two heads of one size that its log had both.
    case twoHistories(SignedNote, SignedNote)
    /// A certificate names an entry, and the log has another in its place: a head, the commitment that is there, and
    /// the proof of its inclusion.
    case holdReplaced(certificate: [UInt8], head: SignedNote, commitment: [UInt8], proof: [MerkleHash])
    /// A certificate's date is over, and a head that witnesses dated later does not go so far. The date is that of the
    /// reader's own quorum of witnesses (`WitnessQuorum`), who know the newest head: somebody else might be shown an
    /// old one late.
    case holdNotLogged(certificate: [UInt8], head: SignedNote, datedAt: UnixMilliseconds)

    /// Whether the proof holds against the issuer of a key.
    package func holds(against key: PublicKey) -> Bool {
        switch self {
        case .twoHistories(let first, let second):
            guard let (one, other) = Self.both(Self.head(first, key), Self.head(second, key)) else { return false }
            return one.size == other.size && one.root != other.root
        case .holdReplaced(let block, let note, let commitment, let proof):
            guard let (promise, head) = Self.both(Self.certificate(block, key), Self.head(note, key)) else {
                return false
            }
            return commitment != promise.commitment
                && head.includes(.leaf(commitment), at: promise.entry, proof: proof)
        case .holdNotLogged(let block, let note, let date):
            guard let (promise, head) = Self.both(Self.certificate(block, key), Self.head(note, key)) else {
                return false
            }
            return head.size <= promise.entry && date > promise.loggedBy
        }
    }

    private static func both<One, Other>(_ one: One?, _ other: Other?) -> (One, Other)? {
        guard let one, let other else { return nil }
        return (one, other)
    }

    private static func head(_ note: SignedNote, _ key: PublicKey) -> TreeHead? {
        guard let checkpoint = Checkpoint.verified(note, by: key), checkpoint.origin == Issuer.logName(of: key.did)
        else { return nil }
        return checkpoint.head
    }

    private static func certificate(_ block: [UInt8], _ key: PublicKey) -> HoldCertificate? {
        guard let signed = try? SignedObject<HoldCertificate>(reading: block), signed.did.publicKey == key else {
            return nil
        }
        return signed.body
    }
}
