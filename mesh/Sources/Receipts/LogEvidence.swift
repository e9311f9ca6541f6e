package import MerkleLog
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What its author signed of a log, as a stranger has it in a file: a checkpoint, with the proof that an entry is in
/// it, or that it continues an earlier head, or alone. It is checked without a network, by the author's key, which the
/// name of the log has.
package struct LogEvidence: Sendable {
    /// An entry that the log is proved to have.
    package struct Included: Sendable {
        /// Its number.
        package let number: UInt64
        /// The entry.
        package let entry: SignedObject<AnchorEntry>
    }

    /// Whose log it is.
    package let author: DID
    /// The name of the log.
    package let origin: ExactText
    /// The head of the checkpoint.
    package let head: TreeHead
    /// The entry that is proved; nil if the file is about none.
    package let included: Included?
    /// The proof that the checkpoint continues a head of some size; nil if the file has none.
    private let growth: LogGrowth?

    /// Reads a file, and checks everything in it that it alone can show.
    package init(verifying bytes: [UInt8]) throws(LogEvidenceError) {
        let (proof, growth) = (LogProof(bytes: bytes), LogGrowth(bytes: bytes))
        guard let note = proof?.note ?? growth?.note ?? SignedNote(bytes: bytes) else { throw .unreadable }
        guard let claimed = Checkpoint(text: note.text), let author = Self.author(of: claimed.origin) else {
            throw .notOfTheMesh
        }
        guard let checkpoint = Checkpoint.verified(note, by: author.publicKey) else { throw .notSigned(author) }
        self.author = author
        origin = ExactText(checkpoint.origin)
        head = checkpoint.head
        self.growth = growth
        included = try proof.map { proof throws(LogEvidenceError) in try Self.entry(of: proof, in: checkpoint, author) }
    }

    /// Every head of the log that the author signed here: that of the checkpoint, and that before the entry.
    package var heads: [TreeHead] {
        guard let entry = included?.entry.body, let size = entry.size,
            let root = entry.root.flatMap(MerkleHash.init(bytes:))
        else { return [head] }
        return [head, TreeHead(size: size, root: root)]
    }

    /// What two pieces of evidence say about each other.
    package func compared(with other: LogEvidence) -> LogComparison {
        guard origin == other.origin else { return .otherLogs }
        if let own = included, let others = other.included, own.number == others.number,
            own.entry.cid != others.entry.cid
        {
            return .contradiction("entry \(own.number) is \(own.entry.cid) in one and \(others.entry.cid) in the other")
        }
        for own in heads {
            if let others = other.heads.first(where: { $0.size == own.size && $0.root != own.root }) {
                return .contradiction(
                    "the first \(own.size) entries have the root \(own.root.base64) in one and "
                        + "\(others.root.base64) in the other")
            }
        }
        if continues(other) || other.continues(self) { return .consistent }
        return head.size == other.head.size ? .consistent : .unknown
    }

    /// Whether a proof in this file shows that its checkpoint continues the other's.
    private func continues(_ other: LogEvidence) -> Bool {
        guard let growth, growth.oldSize == other.head.size else { return false }
        return head.extends(other.head, proof: growth.hashes)
    }

    /// The author in the name of a log: `icn-mesh/dag/<scope>/<did>`, and when it began again.
    private static func author(of origin: String) -> DID? {
        let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
        guard (4...5).contains(parts.count), let did = try? DID(parsing: String(parts[3])) else { return nil }
        let openedAt = parts.count == 5 ? UInt64(parts[4]).map { UnixMilliseconds($0) } : nil
        let name = AnchorEntry.logName(of: did, scope: String(parts[2]), openedAt: openedAt)
        return ExactText(name) == ExactText(origin) ? did : nil
    }

    private static func entry(
        of proof: LogProof, in checkpoint: Checkpoint, _ author: DID
    ) throws(LogEvidenceError) -> Included {
        guard let block = proof.extra else { throw .entryMissing }
        let entry: SignedObject<AnchorEntry>
        do {
            entry = try SignedObject<AnchorEntry>(verifying: block)
        } catch {
            throw .entryInvalid(error)
        }
        guard entry.did == author else { throw .entryOfAnother(entry.did) }
        if let size = entry.body.size, size != proof.index {
            // An entry from before the log began again stands in the new one at the same number.
            throw .wrongNumber(signed: size, proved: proof.index)
        }
        guard checkpoint.head.includes(.leaf(entry.cid.bytes), at: proof.index, proof: proof.hashes) else {
            throw .notIncluded
        }
        return Included(number: proof.index, entry: entry)
    }
}

/// What two signed heads of logs say about each other.
package enum LogComparison: Hashable, Sendable {
    /// They are of two logs, and say nothing about each other.
    case otherLogs
    /// One continues the other, or is the other.
    case consistent
    /// They may be of one history; a proof that one continues the other is missing.
    case unknown
    /// The author signed two histories; this says where they part.
    case contradiction(String)
}

/// Why a file is no evidence of a log.
package enum LogEvidenceError: Error, Hashable, Sendable {
    /// It is no proof, growth or checkpoint as C2SP writes them.
    case unreadable
    /// It is a checkpoint of some other kind of log.
    case notOfTheMesh
    /// The author did not sign the checkpoint.
    case notSigned(DID)
    /// The proof does not say of what.
    case entryMissing
    /// The entry is not a signed one.
    case entryInvalid(SignedObjectError)
    /// The entry is another author's.
    case entryOfAnother(DID)
    /// The author signed another number than is proved.
    case wrongNumber(signed: UInt64, proved: UInt64)
    /// The hashes do not lead from the entry to the root.
    case notIncluded
}

extension LogEvidenceError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .unreadable: "it is not what mesh dag prove or mesh dag heads writes"
        case .notOfTheMesh: "it is a checkpoint, but of no log of this mesh"
        case .notSigned(let author): "\(author) did not sign the checkpoint"
        case .entryMissing: "the entry that it is about is not in it"
        case .entryInvalid(let error): "the entry in it does not verify: \(error)"
        case .entryOfAnother(let author): "the entry in it is signed by \(author), to whom the log does not belong"
        case .wrongNumber(let signed, let proved): "the entry is signed as number \(signed), not \(proved)"
        case .notIncluded: "its hashes do not lead from the entry to the signed root"
        }
    }
}
