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
        /// The heads that the proof shows besides: before the entry, and with it as the last one.
        fileprivate let heads: [TreeHead]
    }

    /// Whose log it is.
    package let author: DID
    /// The name of the log.
    package let origin: ExactText
    /// What the name says; nil where it is an issuer's log, of which entries are commitments.
    private let name: LogName?
    /// The head of the checkpoint.
    package let head: TreeHead
    /// The entry that is proved; nil if the file is about none.
    package let included: Included?
    /// The proof that the checkpoint continues a head of some size; nil if the file has none.
    private let growth: LogGrowth?
    /// Every head of the log that the author signed here, or that the proofs here show to be of the same history.
    package let heads: [TreeHead]
    /// Where the author signed two histories in this file alone; nil if not.
    package let contradiction: String?
    /// The checkpoint with all its signatures.
    private let note: SignedNote

    /// Reads a file, and checks everything in it that it alone can show.
    package init(verifying bytes: [UInt8]) throws(LogEvidenceError) {
        let (proof, growth) = (LogProof(bytes: bytes), LogGrowth(bytes: bytes))
        guard let note = proof?.note ?? growth?.note ?? SignedNote(bytes: bytes) else { throw .unreadable }
        guard let claimed = Checkpoint(text: note.text) else { throw .notOfTheMesh }
        let name = LogName(claimed.origin)
        guard let author = name?.author ?? IssuerLogName.issuer(of: claimed.origin) else { throw .notOfTheMesh }
        guard let checkpoint = Checkpoint.verified(note, by: author.publicKey) else { throw .notSigned(author) }
        let head = checkpoint.head
        let included = try proof.map { proof throws(LogEvidenceError) in
            guard let name else { throw .entryOfAnotherLog }
            return try Self.entry(of: proof, in: head, name)
        }
        let earlier = try growth.map { growth throws(LogEvidenceError) in try Self.earlier(than: head, by: growth) }
        (self.author, self.name, self.head, self.growth, self.included) = (author, name, head, growth, included)
        origin = ExactText(checkpoint.origin)
        heads = [head] + (included?.heads ?? []) + [earlier ?? nil].compactMap(\.self)
        contradiction = included.flatMap(Self.contradiction)
        self.note = note
    }

    /// Whether nobody but the author signed the checkpoint: lines of others could say anything.
    var isSignedAlone: Bool { note.signatures.count == 1 }

    /// When each of some witnesses cosigned the checkpoint, in seconds since 1970; nil for one that did not. A line of
    /// a witness that it did not make counts as none.
    package func cosignedAt(by witnesses: [NoteKey]) -> [UInt64?] {
        witnesses.map { key in
            guard note.isSigned(by: key) == true else { return nil }
            return note.signatures.filter { $0.isOf(key) }.compactMap { Cosignature($0.bytes)?.time }.max()
        }
    }

    /// What two pieces of evidence say about each other.
    package func compared(with other: LogEvidence) -> LogComparison {
        guard origin == other.origin else {
            guard let name, let others = other.name else { return .otherLogs }
            return name.isOfOneLog(with: others) ? .begunAgain : .otherLogs
        }
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
        // What is shown here is the beginning of the tree of this head.
        if heads.contains(other.head) || other.heads.contains(head) { return .consistent }
        let (own, others) = (continues(other), other.continues(self))
        if own == true || others == true { return .consistent }
        return own == false || others == false ? .unproved : .unknown
    }

    /// Whether a proof in this file shows that its checkpoint continues the other's; nil if it has none of that size.
    private func continues(_ other: LogEvidence) -> Bool? {
        guard let growth, growth.oldSize == other.head.size else { return nil }
        return head.extends(other.head, proof: growth.hashes)
    }

    /// The head that a growth shows to be the beginning of a later one; nil where only somebody who has that head can
    /// tell, as the proof from a size that is a power of two does not have it.
    private static func earlier(than head: TreeHead, by growth: LogGrowth) throws(LogEvidenceError) -> TreeHead? {
        guard let plan = ProofPlan.consistency(of: growth.oldSize, in: head.size), plan.count == growth.hashes.count
        else { throw .notGrown(since: growth.oldSize) }
        let isSaid = growth.oldSize > 0 && growth.oldSize < head.size && growth.oldSize.nonzeroBitCount == 1
        if isSaid { return nil }
        guard let found = head.beginning(of: growth.oldSize, said: nil, proof: growth.hashes) else {
            throw .notGrown(since: growth.oldSize)
        }
        return found
    }

    /// An entry signs the tree before it, which the proof that it is in the log shows as well.
    private static func contradiction(in included: Included) -> String? {
        guard let root = included.entry.body.root, let shown = included.heads.first, root != shown.root.bytes else {
            return nil
        }
        return "entry \(included.number) is signed after other entries than the log's signed head has before it"
    }

    private static func entry(
        of proof: LogProof, in head: TreeHead, _ name: LogName
    ) throws(LogEvidenceError) -> Included {
        guard let block = proof.extra else { throw .entryMissing }
        let entry: SignedObject<AnchorEntry>
        do {
            entry = try SignedObject<AnchorEntry>(verifying: block)
        } catch {
            throw .entryInvalid(error)
        }
        guard entry.did == name.author else { throw .entryOfAnother(entry.did) }
        guard name.mayHave(entry.body) else { throw .entryOfAnotherLog }
        guard entry.body.size != nil ? entry.body.root?.count == MerkleHash.byteCount : entry.body.root == nil else {
            throw .headIncomplete
        }
        guard entry.body.areHeadsInOrder else { throw .headsDisordered }
        if let size = entry.body.size, size != proof.index {
            // An entry from before the log began again stands in the new one at the same number.
            throw .wrongNumber(signed: size, proved: proof.index)
        }
        let leaf = MerkleHash.leaf(entry.cid.bytes)
        guard let before = head.before(leaf, at: proof.index, proof: proof.hashes) else { throw .notIncluded }
        var with = before
        _ = with.append(leaf)
        return Included(number: proof.index, entry: entry, heads: [TreeHead(before), TreeHead(with)])
    }
}

/// What two signed heads of logs say about each other.
package enum LogComparison: Hashable, Sendable {
    /// They are of two logs, and say nothing about each other.
    case otherLogs
    /// They are of one author's log, which he began again meanwhile.
    case begunAgain
    /// One continues the other, or is the other.
    case consistent
    /// They may be of one history; a proof that one continues the other is missing.
    case unknown
    /// The proof that one has does not lead to the other.
    case unproved
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
    /// The entry is of another of the author's logs.
    case entryOfAnotherLog
    /// The entry signs a size without a root of 32 bytes, or the other way round.
    case headIncomplete
    /// The entry names heads of others otherwise than ascending, each once, at most 16.
    case headsDisordered
    /// The hashes cannot lead from a head of that size to the signed root.
    case notGrown(since: UInt64)
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
        case .entryOfAnotherLog: "the entry in it is of another of its author's logs"
        case .headIncomplete: "the entry in it signs no whole tree before it, its size and a root of 32 bytes"
        case .headsDisordered: "the entry in it names heads of others in no order, or too many"
        case .notGrown(let size): "its hashes do not lead from a head of size \(size) to the signed root"
        case .wrongNumber(let signed, let proved): "the entry is signed as number \(signed), not \(proved)"
        case .notIncluded: "its hashes do not lead from the entry to the signed root"
        }
    }
}
