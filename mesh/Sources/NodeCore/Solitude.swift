import Determinism

/// Judges whether anybody can be expected to bid on this node's jobs.
///
/// A node without a connection is *alone*: at once if it dialed every peer it knows and reached nobody, else after a
/// while, since it dials again. A node with connections hears of executors by their bids and by their offers, which
/// even neighbours that run no jobs forward. While it knows an executor, it waits. While it knows none, it gives up a
/// job without bids after a time in which an executor some hops away would have bid; and at once if no such executor is
/// possible: no connected peer speaks gossip, or none has forwarded an offer for so long that every executor would have
/// repeated its own.
struct Solitude: Sendable {
    /// The bounds of being alone, in milliseconds.
    struct Limits: Sendable {
        /// How long a node that may yet find a connection has none before it counts as alone.
        var patienceMilliseconds: Int64 = 10_000
        /// How long a job without a bid waits while no executor is known.
        var unknownMilliseconds: Int64 = 7_000
        /// How long a job without a bid waits if it is known that nobody executes jobs, and how long peers may take
        /// after identify to say that they speak gossip.
        var noneMilliseconds: Int64 = 750
        /// How long a node among listeners hears no offer before it knows that nobody executes jobs; executors repeat
        /// theirs every minute.
        var offersMilliseconds: Int64 = 120_000
    }

    /// What a node sees around itself.
    struct Surroundings: Sendable {
        /// Connected peers.
        var connectionCount = 0
        /// Whether one of them may forward gossip, as far as they have told.
        var mayPassOn = false
        /// Whether one of them listens to executors' offers.
        var hasListener = false
        /// Whether each of those who listen has said what it offers.
        var isEveryListenerKnown = false
        /// Whether an executor's offer is known.
        var hasOffer = false
    }

    /// What happens to jobs that nobody has bid on.
    enum Prospect: Hashable, Sendable {
        /// They wait.
        case open
        /// Nobody hears of them.
        case alone
        /// Those submitted this long ago are given up.
        case nobodyExecutes(afterMilliseconds: Int64)
    }

    private let limits: Limits
    private var aloneSince: MonotonicInstant?
    private var metSince: MonotonicInstant?
    private var listenedSince: MonotonicInstant?
    private var deafSince: MonotonicInstant?
    private var lastBidAt: MonotonicInstant?
    private var lastStrangerAt: MonotonicInstant?
    /// After how long, in milliseconds, a job that every known executor refuses need not wait for others; `nil` while
    /// an executor may be there of which no offer is known.
    private(set) var patienceMilliseconds: Int64?
    /// Whether the node has had connections for so long that an executor some hops away would bid on a new job within
    /// its window. Before that, a stranger's price says nothing of what others would ask.
    private(set) var isAcquainted = false
    /// Whether the executors that this node knows are likely all that would bid on a new job: those around it have said
    /// what they offer, or it is acquainted.
    private(set) var knowsItsExecutors = false
    private var hasDialed = false
    private var hasMet = false

    /// A node that has dialed nobody yet.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Notes that the node dialed all addresses known at the start, or knew none.
    mutating func dialedAtStart() { hasDialed = true }

    /// Notes that an executor bid on a job of this node, so there is one, even if its offer is unknown.
    ///
    /// - Parameter isStranger: whether no offer of the bidder is known.
    mutating func bidArrived(isStranger: Bool = false, now: MonotonicInstant) {
        lastBidAt = now
        if isStranger { lastStrangerAt = now }
    }

    /// What this node can expect, given what it sees now.
    mutating func prospect(_ surroundings: Surroundings, now: MonotonicInstant) -> Prospect {
        if surroundings.connectionCount == 0 {
            (metSince, listenedSince, deafSince) = (nil, nil, nil)
            patienceMilliseconds = nil
            (isAcquainted, knowsItsExecutors) = (false, false)
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
        isAcquainted = hasLasted(limits.unknownMilliseconds, since: met, now)
        knowsItsExecutors = isAcquainted || (surroundings.hasListener && surroundings.isEveryListenerKnown)
        let patience = patience(met: met, now)
        patienceMilliseconds = mayMeetStranger(now) ? nil : patience
        let hasBidder = lastBidAt.map { now.milliseconds(since: $0) < limits.offersMilliseconds } ?? false
        guard !surroundings.hasOffer, !hasBidder, let patience else { return .open }
        return .nobodyExecutes(afterMilliseconds: patience)
    }

    /// How much longer, at most, a job of this age waits for executors that nobody knows; `nil` without connections,
    /// and while an executor may be there of which no offer is known.
    func waitMilliseconds(age: Int64, now: MonotonicInstant) -> Int64? {
        if let patienceMilliseconds { return max(0, patienceMilliseconds - age) }
        guard let metSince, !mayMeetStranger(now) else { return nil }
        // Until the patience is known, and then until the job is that old.
        let left = limits.unknownMilliseconds - min(age, now.milliseconds(since: metSince))
        return max(0, left)
    }

    /// Whether an executor bid lately of which no offer is known.
    private func mayMeetStranger(_ now: MonotonicInstant) -> Bool {
        lastStrangerAt.map { !hasLasted(limits.offersMilliseconds, since: $0, now) } ?? false
    }

    /// How long a job waits for executors that nobody knows; `nil` while that is not known itself.
    private func patience(met: MonotonicInstant, _ now: MonotonicInstant) -> Int64? {
        let isKnown =
            hasLasted(limits.offersMilliseconds, since: listenedSince, now)
            || hasLasted(limits.noneMilliseconds, since: deafSince, now)
        if hasDialed, isKnown { return limits.noneMilliseconds }
        // A job may be older than the connections, if the node restarted.
        return hasLasted(limits.unknownMilliseconds, since: met, now) ? limits.unknownMilliseconds : nil
    }

    private func hasLasted(_ milliseconds: Int64, since: MonotonicInstant?, _ now: MonotonicInstant) -> Bool {
        since.map { now.milliseconds(since: $0) >= milliseconds } ?? false
    }
}
