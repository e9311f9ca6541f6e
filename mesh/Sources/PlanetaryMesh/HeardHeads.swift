import DequeModule
import Determinism
import MerkleLog
import SignedObjects

/// What was heard of the heads of issuers, and what follows from it: which head is to be held against the log that the
/// issuer shows this node, which two are the proof of two histories, and when this node tells its own.
///
/// Only heads that the issuer signed come here. Anybody may tell old ones again, so of those within what this node
/// knows the largest is compared first: the heads of a second history are larger than those of the time before it.
struct HeardHeads: Sendable {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Issuers whose heads are followed.
        var issuersMax = 64
        /// How long a head is not told, or passed on, again after somebody told it, and one that grew after the last,
        /// in milliseconds.
        var tellMilliseconds: Int64 = 30_000
        /// How often one that has not grown is told, in milliseconds.
        var repeatMilliseconds: Int64 = 600_000
        /// How soon it is told again where somebody new listens, in milliseconds.
        var newcomerMilliseconds: Int64 = 5_000
        /// How often a head of one issuer is held against its log, in milliseconds.
        var compareMilliseconds: Int64 = 10_000
        /// How long before the same one is held against it again, where that showed nothing, in milliseconds.
        var againMilliseconds: Int64 = 60_000
        /// Heads of one issuer that are known to be of the log that it shows; the last.
        var sameMax = 64

        /// The defaults.
        init() {}
    }

    /// A head with the issuer's signature.
    struct Head: Sendable {
        let note: SignedNote
        let tree: TreeHead

        /// Whether one log cannot have had both.
        func contradicts(_ other: TreeHead) -> Bool { tree.size == other.size && tree.root != other.root }
    }

    /// What follows from a head.
    enum Finding: Sendable {
        /// It is heard again, too soon to be passed on.
        case again
        /// It is passed on, and waits for its turn if it is not known to be of the log.
        case passedOn
        /// The issuer has two histories: a second head of the size of this one.
        case twoHistories(Head)
    }

    private struct Issuer {
        /// The largest head of the log that was told, by this node or others, and when.
        var toldSize: UInt64 = 0
        var toldAt: MonotonicInstant?
        /// The head that was heard last, and when.
        var last: (head: Head, at: MonotonicInstant)?
        /// The largest that is to be held against the log of those within it, and the smallest of those beyond.
        var within: Head?
        var beyond: Head?
        /// Heads that are of the log.
        // BOUNDED: by `Limits.sameMax`.
        var same = Deque<TreeHead>()
        var compareAt: MonotonicInstant
    }

    let limits: Limits
    // BOUNDED: by `Limits.issuersMax`.
    private var issuers: [DID: Issuer] = [:]

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Whose heads are followed, in order.
    var followed: [DID] { issuers.keys.sorted() }

    /// Follows these and no others, the first of them where there are too many; returns who is new and who is not
    /// followed any more.
    mutating func follow(_ dids: some Sequence<DID>, now: MonotonicInstant) -> (new: [DID], gone: [DID]) {
        let wanted = Set(Set(dids).sorted().prefix(limits.issuersMax))
        let gone = issuers.keys.filter { !wanted.contains($0) }.sorted()
        for did in gone { issuers[did] = nil }
        let new = wanted.filter { issuers[$0] == nil }.sorted()
        for did in new { issuers[did] = Issuer(compareAt: now) }
        return (new, gone)
    }

    /// Does not follow an issuer for now.
    mutating func leave(_ did: DID) { issuers[did] = nil }

    /// Takes a head that another node told.
    ///
    /// - Parameters:
    ///   - head: one that the issuer signed.
    ///   - did: the issuer, which is followed.
    ///   - known: the newest that it showed this node.
    ///   - now: the time.
    mutating func heard(_ head: Head, of did: DID, known: TreeHead, now: MonotonicInstant) -> Finding {
        guard var issuer = issuers[did] else { return .again }
        defer { issuers[did] = issuer }
        let others = [issuer.last?.head, issuer.within, issuer.beyond]
        if let other = others.compactMap(\.self).first(where: { head.contradicts($0.tree) }) {
            return .twoHistories(other)
        }
        let isSame = head.tree == known || issuer.same.contains(head.tree)
        if let last = issuer.last, last.head.tree == head.tree || isSame,
            now.milliseconds(since: last.at) < limits.tellMilliseconds
        {
            return .again
        }
        issuer.last = (head, now)
        if isSame {
            if head.tree.size >= issuer.toldSize { (issuer.toldSize, issuer.toldAt) = (head.tree.size, now) }
        } else if head.tree.size <= known.size {
            if issuer.within.map({ $0.tree.size < head.tree.size }) ?? true { issuer.within = head }
        } else if issuer.beyond.map({ $0.tree.size > head.tree.size }) ?? true {
            issuer.beyond = head
        }
        return .passedOn
    }

    /// A head that is to be held against the log now; it stays until that showed something.
    ///
    /// - Parameters:
    ///   - did: the issuer.
    ///   - known: the newest head that it showed this node.
    ///   - now: the time.
    mutating func toCompare(of did: DID, known: TreeHead, now: MonotonicInstant) -> Head? {
        guard var issuer = issuers[did], issuer.compareAt <= now, let head = issuer.within ?? issuer.beyond else {
            return nil
        }
        issuer.compareAt = now.advanced(milliseconds: limits.againMilliseconds)
        issuers[did] = issuer
        return head
    }

    /// Notes that a head is of the log that the issuer shows.
    mutating func isSame(_ head: Head, of did: DID, now: MonotonicInstant) {
        guard var issuer = issuers[did] else { return }
        issuer.same.append(head.tree)
        if issuer.same.count > limits.sameMax { issuer.same.removeFirst() }
        if head.tree.size >= issuer.toldSize { (issuer.toldSize, issuer.toldAt) = (head.tree.size, now) }
        if issuer.within?.tree == head.tree { issuer.within = nil }
        if issuer.beyond?.tree == head.tree { issuer.beyond = nil }
        issuer.compareAt = now.advanced(milliseconds: limits.compareMilliseconds)
        issuers[did] = issuer
    }

    /// Notes that the log that the issuer shows does not go so far as a head, or does not go on from it: whoever told
    /// that head has to hear what this node was shown. Another one waits in its place, where there is one.
    mutating func isApart(_ head: Head, of did: DID, now: MonotonicInstant) {
        issuers[did]?.toldAt = nil
        if issuers[did]?.beyond?.tree == head.tree { issuers[did]?.beyond = nil }
    }

    /// Whether this node tells a head of a size now: nobody told it, or a larger one of that log, for a while. Whoever
    /// asks and is told so tells it.
    mutating func tells(_ size: UInt64, of did: DID, hasNewcomers: Bool, now: MonotonicInstant) -> Bool {
        guard var issuer = issuers[did] else { return false }
        if let at = issuer.toldAt {
            var rest = size > issuer.toldSize ? limits.tellMilliseconds : limits.repeatMilliseconds
            if hasNewcomers { rest = min(rest, limits.newcomerMilliseconds) }
            guard now.milliseconds(since: at) >= rest else { return false }
        }
        (issuer.toldSize, issuer.toldAt) = (max(size, issuer.toldSize), now)
        issuers[did] = issuer
        return true
    }
}
