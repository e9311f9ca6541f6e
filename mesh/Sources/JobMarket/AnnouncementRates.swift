import DequeModule
import Determinism
import Multiformats

/// How many announcements of each author are judged: one token bucket per author, filled at a steady rate.
///
/// Announcements beyond the rate are ignored; their forwarders are not to blame. Only the latest `authorsMax` authors
/// have a bucket, so a forgotten author begins with a full one: this bounds the work per key, and shares bound what
/// many keys can take.
struct AnnouncementRates: Sendable {
    private struct Bucket: Sendable {
        /// Thousandths of an announcement.
        var level: Int64
        var filledAt: MonotonicInstant
    }

    private var buckets: [PeerID: Bucket] = [:]
    private var order = Deque<PeerID>()

    /// Takes a token of an author; `false` if none is left.
    mutating func take(_ author: PeerID, now: MonotonicInstant, limits: MarketLimits) -> Bool {
        take(
            author, perSecond: limits.announcementsPerSecondMax, burst: limits.announcementBurstMax, now: now,
            limits: limits)
    }

    /// Takes a token of an author from a bucket of `burst` tokens that fills at `perSecond`.
    mutating func take(
        _ author: PeerID, perSecond: Int, burst: Int, now: MonotonicInstant, limits: MarketLimits
    ) -> Bool {
        let full = Int64(burst) * 1000
        var bucket = buckets[author] ?? Bucket(level: full, filledAt: now)
        // Tokens per second equal thousandths per millisecond.
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
