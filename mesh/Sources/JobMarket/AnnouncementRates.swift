import DequeModule
import Determinism
import Multiformats

/// How many announcements of one author are judged: a bucket of tokens each, filled at a steady rate.
///
/// What is over the rate is ignored; whoever forwarded it is not to blame. Only the latest `authorsMax` authors have a
/// bucket, so an author that was forgotten begins with a full one: the work is bounded for each key, and what keys
/// are free to take is bounded by their shares.
struct AnnouncementRates: Sendable {
    private struct Bucket: Sendable {
        /// Thousandths of an announcement.
        var level: Int64
        var filledAt: MonotonicInstant
    }

    private var buckets: [PeerID: Bucket] = [:]
    private var order = Deque<PeerID>()

    /// How many authors have a bucket.
    var count: Int { buckets.count }

    /// Takes a token of an author; `false` when there is none.
    mutating func take(_ author: PeerID, now: MonotonicInstant, limits: MarketLimits) -> Bool {
        take(
            author, perSecond: limits.announcementsPerSecondMax, burst: limits.announcementBurstMax, now: now,
            limits: limits)
    }

    /// Takes a token of an author from a bucket that holds `burst` of them and fills at `perSecond`.
    mutating func take(
        _ author: PeerID, perSecond: Int, burst: Int, now: MonotonicInstant, limits: MarketLimits
    ) -> Bool {
        let full = Int64(burst) * 1000
        var bucket = buckets[author] ?? Bucket(level: full, filledAt: now)
        // A second fills as many tokens as a millisecond fills thousandths.
        let elapsed = min(max(0, now.milliseconds(since: bucket.filledAt)), 3_600_000)
        bucket.level = min(full, bucket.level + elapsed * Int64(perSecond))
        bucket.filledAt = now
        let isThere = bucket.level >= 1000
        if isThere { bucket.level -= 1000 }
        if buckets.updateValue(bucket, forKey: author) == nil {
            order.append(author)
            while order.count > limits.announcementAuthorsMax, let oldest = order.popFirst() { buckets[oldest] = nil }
        }
        return isThere
    }
}
