import Determinism
import SignedObjects

/// Whose logs are asked for, and when again: each author's turn, within so many fetches at the same time.
struct LogTurns {
    /// When an author is asked for next.
    private struct Turn {
        var next: MonotonicInstant
        var failures: Int64 = 0
        /// What is wrong, for the owner; nil if nothing is.
        var obstacle: String?
    }

    private let limits: LogFollower.Limits
    // BOUNDED: by four times the authors that are followed.
    private var turns: [DID: Turn] = [:]

    init(limits: LogFollower.Limits) { self.limits = limits }

    /// Those of some authors whose logs are to be fetched now, in their order.
    ///
    /// - Parameters:
    ///   - authors: whose logs may be fetched.
    ///   - fetching: whose logs are fetched at the moment.
    ///   - named: whom the owner names; however slowly strangers give theirs, the owner's own choice is fetched.
    ///   - isNews: whether more is known of an author's log than is kept.
    func due(
        among authors: [DID], fetching: some Collection<DID>, named: Set<DID>, now: MonotonicInstant,
        isNews: (DID) -> Bool
    ) -> [DID] {
        var free = limits.fetchesMax - fetching.count
        var freeForStrangers = limits.strangersFetchesMax - fetching.count { !named.contains($0) }
        return authors.filter { author in
            guard free > 0, !fetching.contains(author) else { return false }
            guard named.contains(author) || freeForStrangers > 0 else { return false }
            let turn = turns[author]
            guard turn.map({ ($0.failures == 0 && isNews(author)) || $0.next <= now }) ?? true else { return false }
            free -= 1
            if !named.contains(author) { freeForStrangers -= 1 }
            return true
        }
    }

    /// An author's log was asked for.
    ///
    /// - Parameters:
    ///   - obstacle: what kept some of it away; nil if nothing did.
    ///   - hasGrown: whether some of it came.
    mutating func ended(_ author: DID, obstacle: String?, hasGrown: Bool, now: MonotonicInstant) {
        let failures = obstacle == nil || hasGrown ? 0 : min(16, (turns[author]?.failures ?? 0) + 1)
        let pause =
            obstacle == nil
            ? limits.roundMilliseconds : min(limits.roundMilliseconds, limits.retryMilliseconds << failures)
        turns[author] = Turn(next: now.advanced(milliseconds: pause), failures: failures, obstacle: obstacle)
        if turns.count > 4 * (limits.share.namedMax + limits.share.strangersMax) { turns = [:] }
    }

    /// Forgets an author's turn.
    mutating func forget(_ author: DID) { turns[author] = nil }

    /// What keeps an author's log from being kept; nil if nothing does.
    func obstacle(of author: DID) -> String? { turns[author]?.obstacle }
}
