import Determinism

/// Judges whether anybody can be expected to bid on this node's jobs.
///
/// A node without a connection is *alone*: at once when it dialed all that it knows and reached nobody, else after a
/// while, since it dials again. A node with connections hears of executors by their offers, which are gossiped through
/// neighbours that run no jobs themselves, and by their bids. While it knows of one it waits. While it knows of none, a
/// job that nobody bid on is given up after a while, in which an executor that is some hops away would have bid;
/// and at once where that cannot be: none of the connected peers speaks gossip, or none of them has passed on an offer
/// for so long that every executor has repeated its own.
struct Solitude: Sendable {
    /// The bounds of being alone, in milliseconds.
    struct Limits: Sendable {
        /// Without a connection, until a node that may yet find one counts as alone.
        var patienceMilliseconds: Int64 = 10_000
        /// Between two looks at the connections.
        var lookMilliseconds: Int64 = 250
        /// How long a job without a bid waits where no executor is known.
        var unknownMilliseconds: Int64 = 7_000
        /// How long a job without a bid waits where it is known that nobody executes, and how long peers may take after
        /// identify to say that they speak gossip after all.
        var noneMilliseconds: Int64 = 750
        /// For how long a node hears no offer among listeners until it knows that nobody executes: executors repeat
        /// theirs every minute.
        var offersMilliseconds: Int64 = 120_000
    }

    /// What a node sees around itself.
    struct Surroundings: Sendable {
        /// Connected peers.
        var connectionCount = 0
        /// Whether one of them may pass gossip on, as far as they have told yet.
        var mayPassOn = false
        /// Whether one of them listens to what executors offer.
        var hasListener = false
        /// Whether an executor's offer is known.
        var hasOffer = false
    }

    /// What becomes of jobs that nobody has bid on.
    enum Prospect: Hashable, Sendable {
        /// They wait.
        case open
        /// Nobody hears of them.
        case alone
        /// Those that were submitted so long ago wait for nobody.
        case nobodyExecutes(afterMilliseconds: Int64)
    }

    private let limits: Limits
    private var aloneSince: MonotonicInstant?
    private var metSince: MonotonicInstant?
    private var listenedSince: MonotonicInstant?
    private var deafSince: MonotonicInstant?
    private var lastBidAt: MonotonicInstant?
    private var hasDialed = false
    private var hasMet = false

    /// A node that has dialed nobody yet.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// All addresses known at the start were dialed, or there were none.
    mutating func dialedAtStart() { hasDialed = true }

    /// An executor bid on a job of this node, so there is one, whether its offer is known or not.
    mutating func bidArrived(now: MonotonicInstant) { lastBidAt = now }

    /// What this node has to expect, by what it sees now.
    mutating func prospect(_ surroundings: Surroundings, now: MonotonicInstant) -> Prospect {
        if surroundings.connectionCount == 0 {
            (metSince, listenedSince, deafSince) = (nil, nil, nil)
            let since = aloneSince ?? now
            aloneSince = since
            if hasDialed, !hasMet { return .alone }
            return now.milliseconds(since: since) >= limits.patienceMilliseconds ? .alone : .open
        }
        hasMet = true
        aloneSince = nil
        let met = metSince ?? now
        metSince = met
        listenedSince = surroundings.hasListener ? listenedSince ?? now : nil
        deafSince = surroundings.mayPassOn ? nil : deafSince ?? now
        let hasBidder = lastBidAt.map { now.milliseconds(since: $0) < limits.offersMilliseconds } ?? false
        guard !surroundings.hasOffer, !hasBidder else { return .open }
        let isKnown =
            hasLasted(limits.offersMilliseconds, since: listenedSince, now)
            || hasLasted(limits.noneMilliseconds, since: deafSince, now)
        if hasDialed, isKnown { return .nobodyExecutes(afterMilliseconds: limits.noneMilliseconds) }
        // A job may be older than the connections, when the node was started again.
        guard hasLasted(limits.unknownMilliseconds, since: met, now) else { return .open }
        return .nobodyExecutes(afterMilliseconds: limits.unknownMilliseconds)
    }

    private func hasLasted(_ milliseconds: Int64, since: MonotonicInstant?, _ now: MonotonicInstant) -> Bool {
        since.map { now.milliseconds(since: $0) >= milliseconds } ?? false
    }
}
