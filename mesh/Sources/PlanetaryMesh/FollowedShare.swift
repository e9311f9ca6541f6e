import SignedObjects

/// How much this node keeps of the logs of others, and of whom: no author can take what is another's.
///
/// An author that the owner names has more room than one that is followed as one of all. All of the latter have their
/// rooms together in half of the total, so none of them, and no number of keys, takes what another one has, or what is
/// left for those whom the owner names.
struct FollowedShare: Sendable {
    /// Every bound of what is kept.
    struct Limits: Sendable {
        /// Authors that the owner names; further ones are not followed.
        var namedMax = 64
        /// Authors that are followed as some of all.
        var strangersMax = 256
        /// Logs of one author: its name, and those under which it began again.
        var logsPerAuthorMax = 4
        /// Entries of an author that the owner names.
        var entriesPerNamedMax: UInt64 = 1 << 20
        /// Bytes of them.
        var bytesPerNamedMax: UInt64 = 512 << 20
        /// Entries of another author.
        var entriesPerStrangerMax: UInt64 = 8_192
        /// Bytes of them.
        var bytesPerStrangerMax: UInt64 = 4 << 20
        /// Entries in all.
        var entriesInAllMax: UInt64 = 1 << 22
        /// Bytes in all.
        var bytesInAllMax: UInt64 = 2 << 30

        /// The defaults.
        init() {}
    }

    /// What is kept of an author, or may be.
    struct Amount: Hashable, Sendable {
        var entries: UInt64 = 0
        var bytes: UInt64 = 0

        var isNone: Bool { entries == 0 || bytes == 0 }

        mutating func add(_ other: Amount) {
            entries += other.entries
            bytes += other.bytes
        }

        /// What is left of a bound.
        func left(of entriesMax: UInt64, _ bytesMax: UInt64) -> Amount {
            Amount(
                entries: entriesMax > entries ? entriesMax - entries : 0, bytes: bytesMax > bytes ? bytesMax - bytes : 0
            )
        }
    }

    let limits: Limits
    private var kept: [DID: Amount] = [:]
    private(set) var total = Amount()

    init(limits: Limits) { self.limits = limits }

    /// What is kept of an author.
    func kept(of author: DID) -> Amount { kept[author] ?? Amount() }

    /// Notes that more is kept.
    mutating func add(_ amount: Amount, of author: DID) {
        kept[author, default: Amount()].add(amount)
        total.add(amount)
    }

    /// Notes that nothing is kept of an author any more.
    mutating func remove(_ author: DID) {
        guard let amount = kept.removeValue(forKey: author) else { return }
        total.entries -= amount.entries
        total.bytes -= amount.bytes
    }

    /// Whom to follow: those whom the owner names, and if he wants all, of the others those of whom something is kept
    /// already, and then those heard of first.
    func authors(named: [DID], all heard: [DID]?) -> [DID] {
        var authors = Array(named.prefix(limits.namedMax))
        guard let heard else { return authors }
        var seen = Set(authors)
        let others = (kept.keys.sorted() + heard).filter { seen.insert($0).inserted }
        authors += others.prefix(limits.strangersMax)
        return authors
    }

    /// What may still be taken of an author.
    func room(of author: DID, isNamed: Bool) -> Amount {
        let own =
            isNamed
            ? kept(of: author).left(of: limits.entriesPerNamedMax, limits.bytesPerNamedMax)
            : kept(of: author).left(of: limits.entriesPerStrangerMax, limits.bytesPerStrangerMax)
        let rest = total.left(of: limits.entriesInAllMax, limits.bytesInAllMax)
        return Amount(entries: min(own.entries, rest.entries), bytes: min(own.bytes, rest.bytes))
    }
}
