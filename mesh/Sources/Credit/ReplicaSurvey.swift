package import MerkleLog
import MeshTypes
package import SignedObjects

/// What a quorum of witnesses has of a book that begins its next term, and how that becomes the issuer's own.
package struct ReplicaSurvey: Sendable {
    /// What a witness keeps behind a head.
    package struct Candidate: Hashable, Sendable {
        /// Whose it is.
        package let witness: DID
        /// The entries.
        package let batch: ReplicaBatch
    }

    /// What witnesses answered, each to a promise.
    // BOUNDED: by the witnesses of a charter.
    private var answers: [(witness: DID, note: [UInt8]?, batch: ReplicaBatch?)] = []
    private let issuer: DID

    /// The survey of an issuer, before anybody answered.
    package init(of issuer: DID) { self.issuer = issuer }

    /// How many answered.
    package var count: Int { answers.count }

    /// Notes an answer; a head that the issuer did not sign is none of its book, and the answer does not count.
    package mutating func note(head: [UInt8]?, _ batch: ReplicaBatch?, of witness: DID) -> Bool {
        var size: UInt64 = 0
        if let head {
            guard let read = Self.head(of: head, issuer) else { return false }
            size = read.size
        }
        guard batch.map({ $0.isPossible && $0.isOfOneTerm && $0.start == size }) ?? true else { return false }
        answers.append((witness, head, batch))
        return true
    }

    /// The newest head that one of them has.
    package var newest: (head: TreeHead, note: [UInt8], witness: DID)? {
        answers.compactMap { answer in
            answer.note.flatMap { note in Self.head(of: note, issuer).map { ($0, note, answer.witness) } }
        }.max { $0.0.size < $1.0.size }
    }

    /// What they were given behind the newest head, the one to go on from first: the latest term decides, then how far
    /// it goes. The term is what its seal says, once it is opened.
    package var candidates: [Candidate] {
        let size = newest?.head.size ?? 0
        let all = answers.compactMap { answer in answer.batch.map { Candidate(witness: answer.witness, batch: $0) } }
        return all.filter { $0.batch.end > size }.sorted { left, right in
            guard let first = left.batch.term, let second = right.batch.term, first != second else {
                return left.batch.end > right.batch.end
            }
            return first > second
        }
    }

    private static func head(of note: [UInt8], _ issuer: DID) -> TreeHead? {
        guard let note = SignedNote(bytes: note), let checkpoint = Checkpoint.verified(note, by: issuer.publicKey),
            checkpoint.origin == IssuerLogName.of(issuer)
        else { return nil }
        return checkpoint.head
    }
}

/// What a start does with the batches that a quorum of witnesses keeps behind the newest head, one after the other in
/// the order of `ReplicaSurvey.candidates`.
///
/// What came of the latest term goes first. What earlier ones have behind that is taken up, too, since a witness may
/// say a part of what it has. The entries of this home stay as long as they are of a later term than what contradicts
/// them.
package struct ReplicaTakeUp: Hashable, Sendable {
    /// What is done with a batch.
    package enum Step: Hashable, Sendable {
        /// Nothing: what was taken up before contradicts it.
        case pass
        /// The entries from its start on are taken that are not here; before that those from a number on are forgotten.
        case take(cuttingTo: UInt64?)
        /// Nothing, nor with those that follow.
        case stop
    }

    /// The term of the entries that are here; nil where nobody wrote them as they are.
    private var own: BookTerm?
    /// Until where entries are from witnesses.
    private var taken: UInt64

    /// - Parameters:
    ///   - size: how many entries the newest head has.
    ///   - own: the term in which this home wrote its entries; nil before the first, and where some were cut off.
    package init(behind size: UInt64, own: BookTerm?) { (taken, self.own) = (size, own) }

    /// What to do with the next batch, of which `fork` is the number of the first entry that is another one here.
    package mutating func next(_ batch: ReplicaBatch, fork: UInt64?) -> Step {
        guard let term = batch.term else { return .pass }
        guard let fork else {
            taken = max(taken, batch.end)
            return .take(cuttingTo: nil)
        }
        guard fork >= taken else { return .pass }
        if let own, own >= term { return .stop }
        (own, taken) = (nil, max(taken, batch.end))
        return .take(cuttingTo: fork)
    }
}
