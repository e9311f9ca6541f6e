package import MerkleLog
import MeshTypes
package import Multiformats
package import SignedObjects

/// What a witness keeps of an issuer's book: entries that it cannot read under the heads that the issuer signed, and
/// what it was given behind them, of the latest term.
///
/// An issuer shows others what a quorum of its witnesses keeps. Any two quorums have an honest witness in common: so
/// whoever asks a quorum hears of all that was shown, and whoever promised a later term lets no earlier life of the
/// issuer show more. Every change is on the disk before it is answered. Source: PROTOCOL.md, "Replicas of a book".
package struct BookReplica: Hashable, Sendable {
    /// Whose book it is.
    package let issuer: DID
    /// The CID of the body of its charter.
    package let charterCID: CID
    /// The latest term that it promised.
    package private(set) var promised: BookTerm?
    /// The tree over the entries that have a head.
    package private(set) var tree: MerkleTree
    /// The signed head of these; nil while there are none.
    package private(set) var head: [UInt8]?
    /// What it was given behind them; nil where that is nothing.
    package private(set) var batch: ReplicaBatch?

    /// The replica of a book that nothing is known of.
    package init(issuer: DID, charterCID: CID) {
        (self.issuer, self.charterCID, tree) = (issuer, charterCID, MerkleTree())
    }

    /// A replica as it was stored.
    package init(
        issuer: DID, charterCID: CID, promised: BookTerm?, tree: MerkleTree, head: [UInt8]?, batch: ReplicaBatch?
    ) {
        (self.issuer, self.charterCID, self.promised) = (issuer, charterCID, promised)
        (self.tree, self.head, self.batch) = (tree, head, batch)
    }

    /// What a question comes to: the answer, and the entries that got a head, which are to be stored with it.
    package struct Step: Hashable, Sendable {
        /// What is answered once all is on the disk.
        package var answer: ReplicaAnswer
        /// The entries that have a head now and had none before.
        package var headed: ReplicaBatch?

        package init(answer: ReplicaAnswer, headed: ReplicaBatch? = nil) {
            (self.answer, self.headed) = (answer, headed)
        }
    }

    // MARK: Questions

    /// Takes nothing of an earlier term any more.
    package mutating func promise(_ term: BookTerm) -> ReplicaAnswer {
        guard term.isPossible else { return Self.invalid("There is no such term.") }
        if let promised, term < promised { return .superseded(term: promised) }
        promised = term
        return .promised(head: head, batch: batch)
    }

    /// Keeps a batch behind all that has a head, in the place of what was there.
    package mutating func propose(_ term: BookTerm, head note: [UInt8]?, _ given: ReplicaBatch) -> Step {
        guard term.isPossible, given.isPossible, given.isOfOneTerm, given.term ?? term == term else {
            return Step(answer: Self.invalid("There is no such batch."))
        }
        if let promised, term < promised { return Step(answer: .superseded(term: promised)) }
        promised = term
        var headed: ReplicaBatch?
        if let note {
            guard let told = read(note) else { return Step(answer: Self.invalid("The head does not verify.")) }
            if told.size > tree.size {
                guard let kept = batch, kept.end >= told.size else { return Step(answer: .behind(size: tree.size)) }
                let entries = Array(kept.entries.prefix(Int(told.size - kept.start)))
                // What it has there came from another life, and had no quorum.
                guard let grown = grown(by: entries, to: told) else { return Step(answer: .behind(size: tree.size)) }
                headed = ReplicaBatch(start: kept.start, entries: entries)
                commit(grown, note, entries: entries.count)
            } else if told.size == tree.size, tree.size > 0, told.root != tree.root {
                return Step(answer: contradiction)
            }
        }
        guard given.start == tree.size else { return Step(answer: .behind(size: tree.size), headed: headed) }
        // Questions may overtake each other: in one term what is here is only ever added to.
        if let kept = batch, kept.term == term, given.end <= kept.end {
            let isSame = zip(kept.entries, given.entries).allSatisfy { $0.commitment == $1.commitment }
            let answer = isSame ? .accepted : Self.invalid("It has other entries of this term.")
            return Step(answer: answer, headed: headed)
        }
        batch = given.entries.isEmpty ? nil : given
        return Step(answer: .accepted, headed: headed)
    }

    /// Keeps entries that lead to a head, which need no term: what has a head does not change.
    package mutating func fill(_ note: [UInt8], _ given: ReplicaBatch) -> Step {
        guard given.isPossible, !given.entries.isEmpty else {
            return Step(answer: Self.invalid("There is no such batch."))
        }
        guard let told = read(note) else { return Step(answer: Self.invalid("The head does not verify.")) }
        if told.size == tree.size, told.root != tree.root { return Step(answer: contradiction) }
        guard given.start == tree.size else { return Step(answer: .behind(size: tree.size)) }
        guard told.size == given.end, let grown = grown(by: given.entries, to: told) else {
            return Step(answer: Self.invalid("The entries do not lead to the head."))
        }
        let kept = batch
        commit(grown, note, entries: given.entries.count)
        // What came behind other entries than these had no quorum.
        if let kept, zip(kept.entries, given.entries).contains(where: { $0.commitment != $1.commitment }) {
            batch = nil
        }
        return Step(answer: .accepted, headed: given)
    }

    // MARK: Heads

    /// The head of a note, if the issuer signed it.
    private func read(_ note: [UInt8]) -> TreeHead? {
        guard let note = SignedNote(bytes: note), let checkpoint = Checkpoint.verified(note, by: issuer.publicKey),
            checkpoint.origin == IssuerLogName.of(issuer)
        else { return nil }
        return checkpoint.head
    }

    /// The tree with entries behind it, if they lead to a head.
    private func grown(by entries: [ReplicaEntry], to head: TreeHead) -> MerkleTree? {
        var grown = tree
        for entry in entries { _ = grown.append(.leaf(entry.commitment)) }
        return TreeHead(grown) == head ? grown : nil
    }

    private mutating func commit(_ grown: MerkleTree, _ note: [UInt8], entries count: Int) {
        (tree, head) = (grown, note)
        guard let kept = batch else { return }
        let rest = kept.entries.dropFirst(count)
        batch = rest.isEmpty ? nil : ReplicaBatch(start: kept.start + UInt64(count), entries: Array(rest))
    }

    private static func invalid(_ text: String) -> ReplicaAnswer { .refused(reason: .invalid, text: text) }

    private var contradiction: ReplicaAnswer {
        .refused(
            reason: .contradicts,
            text:
                "The issuer signed another head of \(tree.size) entries: \(String(decoding: head ?? [], as: UTF8.self))"
        )
    }
}
