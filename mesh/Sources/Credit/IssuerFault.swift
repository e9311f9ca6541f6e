package import MerkleLog
import MeshTypes
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
    /// A certificate's date is over, and a head that a quorum of the charter's witnesses cosigned later does not go so
    /// far. They cosign only the newest head that they know: somebody else might be shown an old one late.
    case holdNotLogged(certificate: [UInt8], charter: [UInt8], head: SignedNote)

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
        case .holdNotLogged(let block, let charterBlock, let note):
            guard let (promise, head) = Self.both(Self.certificate(block, key), Self.head(note, key)),
                let charter = try? SignedObject<IssuerCharter>(reading: charterBlock),
                charter.did.publicKey == key, charter.bodyCID == promise.charterCID,
                let date = Self.date(of: note, by: charter.body.witnesses)
            else { return false }
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

    /// The latest date that a quorum of witnesses has not cosigned before, by whatever names they sign.
    private static func date(of note: SignedNote, by witnesses: [DID]) -> UnixMilliseconds? {
        guard let quorum = WitnessQuorum(of: witnesses.count) else { return nil }
        let times = witnesses.compactMap { witness -> UInt64? in
            note.signatures.compactMap { signature -> UInt64? in
                guard let key = NoteKey(name: signature.name.text, kind: .cosignature, publicKey: witness.publicKey),
                    signature.isOf(key), let found = Cosignature(signature.bytes),
                    found.isValid(of: note.text, by: witness.publicKey)
                else { return nil }
                return found.time
            }.max()
        }.sorted(by: >)
        guard times.count >= quorum.needed else { return nil }
        let (milliseconds, isOver) = times[quorum.needed - 1].multipliedReportingOverflow(by: 1_000)
        return isOver ? nil : UnixMilliseconds(milliseconds)
    }

    private static func certificate(_ block: [UInt8], _ key: PublicKey) -> HoldCertificate? {
        guard let signed = try? SignedObject<HoldCertificate>(reading: block), signed.did.publicKey == key else {
            return nil
        }
        return signed.body
    }
}
