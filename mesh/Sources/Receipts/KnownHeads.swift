package import MerkleLog
import MeshTypes
package import Multiformats
package import SignedObjects

/// The newest signed head of each author that a node has heard of: what gossip forwards, and what two histories are
/// found by.
package struct KnownHeads: Sendable {
    /// The bounds of the table.
    package struct Limits: Sendable {
        /// Authors whose head is kept; of those that the owner does not follow, the one heard longest ago goes first.
        package var authorsMax = 1_024
        /// Bytes of a head with its cosignatures.
        package var noteBytesMax = 8 << 10

        /// The defaults.
        package init() {}
    }

    /// A head as it was heard.
    package struct Known: Sendable {
        /// The name of the log.
        package let name: LogName
        /// The same as it is written.
        package let origin: ExactText
        /// What was signed.
        package let head: TreeHead
        /// The note, with its cosignatures.
        package let note: [UInt8]

        fileprivate init(name: LogName, origin: ExactText, head: TreeHead, note: [UInt8]) {
            (self.name, self.origin, self.head, self.note) = (name, origin, head, note)
        }

        /// A head that its author signed; nil if it did not.
        package init?(verifying bytes: [UInt8]) {
            guard let note = SignedNote(bytes: bytes), let claimed = Checkpoint(text: note.text),
                let name = LogName(claimed.origin),
                let checkpoint = Checkpoint.verified(note, by: name.author.publicKey)
            else { return nil }
            self.init(name: name, origin: ExactText(checkpoint.origin), head: checkpoint.head, note: bytes)
        }
    }

    /// What a head is to this node.
    package enum Judgement: Sendable {
        /// It is the newest.
        case newest
        /// It is the newest that is known already.
        case same
        /// A newer one is known; whether it belongs to that is not said.
        case old(Known)
        /// It is none, and its author is to blame; a clause says why.
        case bad(String)
        /// Its author told two histories.
        case fork(LogFork)
    }

    /// The bounds.
    package let limits: Limits
    private var known: [DID: Known] = [:]
    /// Who was heard of, the longest ago first.
    private var order: [DID] = []

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// The newest head of an author.
    package subscript(author: DID) -> Known? { known[author] }

    /// All authors, the one heard of longest ago first.
    package var authors: [DID] { order }

    /// Hears of a head.
    ///
    /// - Parameters:
    ///   - bytes: the note.
    ///   - author: who says it, and has to be its author.
    ///   - followed: whom the owner follows; their heads go for nobody else's.
    package mutating func heard(_ bytes: [UInt8], of author: DID, followed: Set<DID>) -> Judgement {
        guard bytes.count <= limits.noteBytesMax, let note = SignedNote(bytes: bytes),
            let claimed = Checkpoint(text: note.text), let name = LogName(claimed.origin), name.author == author,
            name.scope == AnchorEntry.globalScope
        else { return .bad("it is no head of a log of its author's in this scope") }
        let heard = Known(name: name, origin: ExactText(claimed.origin), head: claimed.head, note: bytes)
        let before = known[author]
        if let before, before.origin == heard.origin, before.head == heard.head, before.note == bytes { return .same }
        guard let checkpoint = Checkpoint.verified(note, by: author.publicKey) else {
            return .bad("its author did not sign it")
        }
        if let before {
            if before.origin == heard.origin {
                if before.head.size == checkpoint.head.size, before.head.root != checkpoint.head.root {
                    let alone = FollowedLog.signedAlone(note, name).bytes
                    let earlier = SignedNote(bytes: before.note).map { FollowedLog.signedAlone($0, name).bytes }
                    return earlier.flatMap { LogFork($0, alone) }.map { .fork($0) } ?? .bad("it contradicts itself")
                }
                if before.head.size > checkpoint.head.size { return .old(heard) }
            } else if before.name.isLater(than: name) {
                return .old(heard)
            }
        }
        keep(heard, of: author, followed)
        return before.map { $0.origin == heard.origin && $0.head == heard.head } == true ? .same : .newest
    }

    /// Whether a note costs nothing to judge, or is worth it: the newest one again, or one that contradicts it. None
    /// of these may be lost among many others of its author's.
    package func isWorthJudging(_ bytes: [UInt8], of author: DID) -> Bool {
        guard let before = known[author] else { return false }
        if before.note == bytes { return true }
        guard let claimed = SignedNote(bytes: bytes).flatMap({ Checkpoint(text: $0.text) }) else { return false }
        return ExactText(claimed.origin) == before.origin && claimed.head.size == before.head.size
            && claimed.head.root != before.head.root
    }

    /// Forgets an author, whose log is followed no more.
    package mutating func forget(_ author: DID) {
        if known.removeValue(forKey: author) != nil { order.removeAll { $0 == author } }
    }

    private mutating func keep(_ heard: Known, of author: DID, _ followed: Set<DID>) {
        if known.updateValue(heard, forKey: author) != nil { order.removeAll { $0 == author } }
        order.append(author)
        while order.count > limits.authorsMax {
            let index = order.firstIndex { !followed.contains($0) } ?? order.startIndex
            known[order.remove(at: index)] = nil
        }
    }
}
