import DequeModule
import Determinism
import Multiformats

/// How often each peer may have something done: one token bucket per peer, filled at a steady rate.
///
/// Only the latest `peersMax` have a bucket, so a forgotten one begins with a full one.
struct PeerRates: Sendable {
    private struct Bucket: Sendable {
        /// Thousandths.
        var level: Int64
        var filledAt: MonotonicInstant
    }

    /// Peers with a bucket.
    static let peersMax = 1_024

    private let perSecond: Int64
    private let burst: Int64
    private var buckets: [PeerID: Bucket] = [:]
    private var order = Deque<PeerID>()

    init(perSecond: Int, burst: Int) {
        self.perSecond = Int64(perSecond)
        self.burst = Int64(burst) * 1_000
    }

    /// Takes a token of a peer; `false` if none is left.
    mutating func take(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        var bucket = buckets[peer] ?? Bucket(level: burst, filledAt: now)
        // Tokens per second equal thousandths per millisecond.
        let elapsed = min(max(0, now.milliseconds(since: bucket.filledAt)), 3_600_000)
        bucket.level = min(burst, bucket.level + elapsed * perSecond)
        bucket.filledAt = now
        let isThere = bucket.level >= 1_000
        if isThere { bucket.level -= 1_000 }
        if buckets.updateValue(bucket, forKey: peer) == nil {
            order.append(peer)
            while order.count > Self.peersMax, let oldest = order.popFirst() { buckets[oldest] = nil }
        }
        return isThere
    }
}
