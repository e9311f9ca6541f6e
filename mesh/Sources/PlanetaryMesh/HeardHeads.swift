import Determinism
import MerkleLog
import SignedObjects

/// What was heard of the heads of issuers, and what follows from it: which head is to be held against the log that the
/// issuer shows this node, which two are the proof of two histories, and when this node tells its own.
///
/// Only heads that the issuer signed come here, so nobody but it can fill anything.
struct HeardHeads: Sendable {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Issuers whose heads are followed.
        var issuersMax = 64
        /// How long nobody has told as large a head before this node tells its own, in milliseconds.
        var tellMilliseconds: Int64 = 30_000
        /// How often it tells one that has not grown, in milliseconds.
        var repeatMilliseconds: Int64 = 600_000
        /// How often a head of one issuer is held against its log, in milliseconds.
        var compareMilliseconds: Int64 = 10_000
        /// How long before the same one is held against it again, where that showed nothing, in milliseconds.
        var againMilliseconds: Int64 = 60_000

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
        /// Nothing, or it waits for its turn.
        case nothing
        /// The issuer has two histories: a second head of the size of this one.
        case twoHistories(Head)
    }

    private struct Issuer {
        /// The largest head that was told, by this node or others, and when the last one so large was.
        var toldSize: UInt64 = 0
        var toldAt: MonotonicInstant?
        /// The head that was heard last.
        var last: Head?
        /// A head that is to be held against the log.
        var waiting: Head?
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

    /// Takes a head that another node told.
    ///
    /// - Parameters:
    ///   - head: one that the issuer signed.
    ///   - did: the issuer, which is followed.
    ///   - known: the newest that it showed this node.
    ///   - now: the time.
    mutating func heard(_ head: Head, of did: DID, known: TreeHead, now: MonotonicInstant) -> Finding {
        guard var issuer = issuers[did] else { return .nothing }
        defer { issuers[did] = issuer }
        if head.tree.size >= issuer.toldSize { (issuer.toldSize, issuer.toldAt) = (head.tree.size, now) }
        if let other = [issuer.last, issuer.waiting].compactMap(\.self).first(where: { head.contradicts($0.tree) }) {
            return .twoHistories(other)
        }
        issuer.last = head
        // One of the size that this node knows is compared at once, by whoever asks.
        if head.tree != known, issuer.waiting == nil { issuer.waiting = head }
        return .nothing
    }

    /// A head that is to be held against the log now; it stays until that showed something.
    mutating func toCompare(of did: DID, now: MonotonicInstant) -> Head? {
        guard var issuer = issuers[did], let head = issuer.waiting, issuer.compareAt <= now else { return nil }
        issuer.compareAt = now.advanced(milliseconds: limits.againMilliseconds)
        issuers[did] = issuer
        return head
    }

    /// Notes that a head was held against the log, and that this showed how they stand.
    mutating func compared(of did: DID, now: MonotonicInstant) {
        issuers[did]?.waiting = nil
        issuers[did]?.compareAt = now.advanced(milliseconds: limits.compareMilliseconds)
    }

    /// Whether this node tells a head of a size now: nobody told one so large for a while. Whoever asks and is told so
    /// tells it.
    mutating func tells(_ size: UInt64, of did: DID, now: MonotonicInstant) -> Bool {
        guard var issuer = issuers[did] else { return false }
        if let at = issuer.toldAt {
            let rest = size > issuer.toldSize ? limits.tellMilliseconds : limits.repeatMilliseconds
            guard now.milliseconds(since: at) >= rest else { return false }
        }
        guard size >= issuer.toldSize else { return false }
        (issuer.toldSize, issuer.toldAt) = (size, now)
        issuers[did] = issuer
        return true
    }
}
