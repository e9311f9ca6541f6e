import Credit
import MerkleLog
import MeshTypes
import NodeAPI
import SignedObjects

/// How a head that an issuer signed for somebody stands to the log that it shows this node.
enum HeadStanding: Sendable {
    /// It is of the same log.
    case same
    /// The issuer shows another log, and no proof of that.
    case other
    /// The issuer shows fewer entries than that head has.
    case ahead
    /// Nobody knows now: the issuer does not answer, or not to the point.
    case unknown
    /// It is a head of a second history, which is proved now, or was before.
    case convicted

    /// Holds a head against the log that its issuer shows this node. Where it is another, the issuer is asked for what
    /// it signs of that size here; that is the proof, and it is kept.
    ///
    /// - Parameters:
    ///   - note: what the issuer signed.
    ///   - head: the head that it has.
    ///   - did: the issuer.
    ///   - member: who asks.
    static func of(_ note: SignedNote, _ head: TreeHead, at did: DID, by member: MemberDesk) async -> HeadStanding {
        do throws(NodeServiceError) {
            let issuer = try await member.meet(did)
            guard head.size <= issuer.head.size else { return .ahead }
            if head.size == issuer.head.size {
                guard head.root != issuer.head.root else { return .same }
                try await member.convict(issuer, note)
                return .other
            }
            let continues = try await member.answer(of: did, to: .head(since: head.size, size: issuer.head.size))
            // Who has too much to do refuses, too: only a proof that does not hold says something.
            guard case .head(_, let proof) = continues else { return .unknown }
            if let hashes = MerkleHash.list(of: proof), issuer.head.extends(head, proof: hashes) { return .same }
            guard case .head(let bytes, _) = try await member.answer(of: did, to: .head(since: 0, size: head.size)),
                let other = SignedNote(bytes: bytes), let shown = KnownIssuer.head(of: other, by: did),
                shown.size == head.size
            else { return .unknown }
            // It signs the same head, and does not prove that its log goes on from it.
            guard shown.root != head.root else { return .other }
            var known = issuer
            (known.note, known.head) = (note, head)
            try await member.convict(known, other)
            return .other
        } catch {
            let isConvicted = try? await member.convicted(did) != nil
            return isConvicted == true ? .convicted : .unknown
        }
    }
}
