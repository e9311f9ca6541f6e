import DequeModule
package import MeshTypes
import Multiformats
import OrderedCollections
import SignedObjects

/// A job that this node did not bid on, and why; for the operator.
package struct DeclinedJob: Hashable, Sendable {
    /// The job.
    package let jobID: JobID
    /// Why.
    package let reason: BidDecline
    /// When.
    package let at: UnixMilliseconds
}

/// What an executor remembers of announcements: how fast authors make them, which it judged, and why it did not bid.
struct Announcements: Sendable {
    private var rates = AnnouncementRates()
    private var memory = AnnouncementMemory()
    /// The last decisions not to bid by job, for originators that ask; oldest first.
    private var told: OrderedDictionary<JobID, (originator: PeerID, reason: BidDecline)> = [:]
    /// The last decisions not to bid, newest last.
    private(set) var recentDeclines = Deque<DeclinedJob>()

    /// What gossip does with an announcement that is not judged, because of its form, its author or its dates.
    mutating func verdict(
        against announcement: JobAnnouncementV1, author: PeerID, _ context: inout MarketContext
    ) -> GossipJudgement? {
        let rules = context.configuration.rules
        guard announcement.originatorPeerID == author else { return .reject(reason: "announced by another peer") }
        guard announcement.jobID.cid.namesObject else {
            return .reject(reason: "a CID of another form than objects have")
        }
        guard announcement.providerAddresses.count <= rules.addressCountMax else {
            return .reject(reason: "too many addresses")
        }
        guard rates.take(author, now: context.now, limits: context.limits) else {
            context.counters.announcementsIgnored += 1
            return .ignore(reason: "more announcements than an author may make")
        }
        let skew = rules.clockSkewMilliseconds
        if announcement.expiresAt.advanced(milliseconds: skew) <= context.wallClock {
            return .ignore(reason: "expired")
        }
        let horizon = context.date(inMilliseconds: rules.lifetimeMillisecondsMax)
        if announcement.expiresAt > horizon.advanced(milliseconds: skew) { return .ignore(reason: "outlives any job") }
        return nil
    }

    /// Why there is no bid on a job, and whose job it is.
    func decline(of job: JobID) -> (originator: PeerID, reason: BidDecline)? { told[job] }

    func isJudged(_ job: JobID) -> Bool { memory.contains(job) }

    mutating func judged(_ job: JobID, _ limits: MarketLimits) { memory.insert(job, max: limits.announcementsMax) }

    /// Forgets the verdict, so that the next announcement of the job is judged anew.
    mutating func forget(_ job: JobID) { memory.remove(job) }

    /// Notes that the node does not bid on a job; it judges the job again only if the verdict may change.
    ///
    /// - Parameter originator: who may ask for the reason; `nil` if nobody is known to be it.
    mutating func declined(
        _ job: JobID, _ reason: BidDecline, of originator: PeerID?, _ context: inout MarketContext
    ) {
        if let originator {
            told.removeValue(forKey: job)
            told[job] = (originator, reason)
            if told.count > context.limits.declinesToldMax { told.removeFirst() }
        }
        context.counters.declined(reason.code)
        let declined = DeclinedJob(jobID: job, reason: reason, at: context.wallClock)
        recentDeclines.append(declined)
        if context.configuration.tellsDeclines { context.transition.declined.append(declined) }
        if recentDeclines.count > context.limits.recentDecisionsMax { recentDeclines.removeFirst() }
        switch reason {
        case .atCapacity, .tooManyOpenBids, .shareUsedUp, .manifestUnavailable, .notAccepting, .paused,
            .draining, .outOfHours, .storageFull, .diskFull, .storageLocked, .jobRefused, .expired,
            .noIssuer:
            break
        default: judged(job, context.limits)
        }
    }
}

/// The latest announcements judged: the same job is judged once, unless judging it anew may help.
private struct AnnouncementMemory: Sendable {
    private var jobs: [JobID: UInt64] = [:]
    private var order = Deque<(job: JobID, number: UInt64)>()
    private var number: UInt64 = 0

    func contains(_ job: JobID) -> Bool { jobs[job] != nil }

    /// Its place in the order lapses: searching for it would cost more than it is worth.
    mutating func remove(_ job: JobID) { jobs[job] = nil }

    mutating func insert(_ job: JobID, max: Int) {
        guard jobs[job] == nil else { return }
        number += 1
        jobs[job] = number
        order.append((job, number))
        while order.count > max, let oldest = order.popFirst() {
            if jobs[oldest.job] == oldest.number { jobs[oldest.job] = nil }
        }
    }
}
