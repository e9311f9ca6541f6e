import Determinism
import MeshStore
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// The proofs that authors told two histories of their logs, and which of them a new listener may not have.
struct KnownForks {
    /// A proof, and when this node had it first.
    private struct Kept {
        let fork: LogFork
        let foundAt: UnixMilliseconds
    }

    /// Proofs against authors of whose logs nothing is kept and whom the owner does not name.
    private let strangersMax: Int
    /// The pause between proofs that are told again, in milliseconds.
    private let pauseMilliseconds: Int64
    // BOUNDED: by `LogForkRow.countMax`.
    private var kept: [DID: Kept] = [:]
    /// The authors of proofs that are still to be told to whoever listens since.
    // BOUNDED: as they are.
    private var untold: [DID] = []
    /// Who listened when it was looked last.
    private var listeners: Set<PeerID> = []
    private var toldAt: MonotonicInstant?

    init(strangersMax: Int, pauseMilliseconds: Int64) {
        (self.strangersMax, self.pauseMilliseconds) = (strangersMax, pauseMilliseconds)
    }

    /// The proof against an author.
    subscript(author: DID) -> LogFork? { kept[author]?.fork }

    /// How many there are.
    var count: Int { kept.count }

    /// Whom they are against, in a fixed order.
    var authors: [DID] { kept.keys.sorted() }

    /// All of them, with when this node had each, in the order of their authors.
    var all: [(fork: LogFork, foundAt: UnixMilliseconds)] {
        kept.values.map { ($0.fork, $0.foundAt) }.sorted { $0.0.author < $1.0.author }
    }

    /// Takes one that the disk has; of an author the last one stays.
    mutating func load(_ fork: LogFork, foundAt: UnixMilliseconds) {
        kept[fork.author] = Kept(fork: fork, foundAt: foundAt)
    }

    /// Keeps one if there is room, and returns whether there is. Those against strangers, of whom anybody can make as
    /// many as keys, have a part of the room.
    mutating func keep(_ fork: LogFork, foundAt: UnixMilliseconds, isConcern: (DID) -> Bool) -> Bool {
        let strangers = isConcern(fork.author) ? 0 : kept.keys.count { !isConcern($0) }
        guard kept.count < LogForkRow.countMax, strangers < strangersMax else { return false }
        load(fork, foundAt: foundAt)
        return true
    }

    /// The proof to tell now, as long as there are some that a new listener may not have: gossip keeps none for who
    /// comes later.
    mutating func next(
        for present: Set<PeerID>, now: MonotonicInstant, using generator: inout some RandomNumberGenerator
    ) -> LogFork? {
        if !present.isSubset(of: listeners) { untold = authors.shuffled(using: &generator) }
        listeners = present
        if let toldAt, now.milliseconds(since: toldAt) < pauseMilliseconds { return nil }
        guard let fork = untold.popLast().flatMap({ self[$0] }) else { return nil }
        toldAt = now
        return fork
    }
}
