import Determinism

/// Whether the peer of a session is alive: a ping when the last one is long ago, the round trip that its answer gives,
/// and a deadline for that, an earlier one where there is a reason to doubt the peer.
struct YamuxKeepAlive: Sendable {
    private struct Outstanding: Sendable {
        let value: UInt32
        let sentAt: MonotonicInstant
    }

    private let intervalMilliseconds: Int64
    private let timeoutMilliseconds: Int64
    private var outstanding: Outstanding?
    private var nextValue: UInt32 = 1
    private var nextPingAt: MonotonicInstant
    private var lastHeardAt: MonotonicInstant
    /// While the peer is being probed: by when it must send something.
    private var probeDeadline: MonotonicInstant?
    /// The last measured round trip, in nanoseconds.
    private(set) var roundTripNanoseconds: Int64?

    init(limits: YamuxSession.Limits, now: MonotonicInstant) {
        intervalMilliseconds = limits.keepAliveIntervalMilliseconds
        timeoutMilliseconds = limits.keepAliveTimeoutMilliseconds
        nextPingAt = now
        lastHeardAt = now
    }

    /// When a ping is due, or the peer counts as gone.
    var nextDeadline: MonotonicInstant {
        guard let outstanding else { return min(nextPingAt, probeDeadline ?? .distantFuture) }
        let since = max(outstanding.sentAt, lastHeardAt)
        return min(since.advanced(milliseconds: timeoutMilliseconds), probeDeadline ?? .distantFuture)
    }

    /// Asks for a sign of life now.
    mutating func ping(now: MonotonicInstant) -> YamuxHeader {
        defer { nextValue &+= 1 }
        outstanding = Outstanding(value: nextValue, sentAt: now)
        nextPingAt = now.advanced(milliseconds: intervalMilliseconds)
        return YamuxHeader(kind: .ping, flags: .syn, streamID: YamuxStreamID(0), length: nextValue)
    }

    /// Asks for one within `milliseconds`; the ping to send, where none is under way.
    mutating func probe(milliseconds: Int64, now: MonotonicInstant) -> YamuxHeader? {
        let header = outstanding == nil ? ping(now: now) : nil
        probeDeadline = min(probeDeadline ?? .distantFuture, now.advanced(milliseconds: milliseconds))
        return header
    }

    /// Bytes came, or a piece of none.
    mutating func heard(byteCount: Int, now: MonotonicInstant) {
        lastHeardAt = now
        if byteCount > 0 { probeDeadline = nil }
    }

    /// A ping was answered; the round trip in nanoseconds, where it is the one that is under way.
    mutating func answered(_ value: UInt32, now: MonotonicInstant) -> Int64? {
        guard let outstanding, outstanding.value == value else { return nil }
        self.outstanding = nil
        roundTripNanoseconds = max(0, now.nanoseconds - outstanding.sentAt.nanoseconds)
        return roundTripNanoseconds
    }

    /// The ping that is due, if one is.
    mutating func deadlineReached(now: MonotonicInstant) throws(YamuxViolation) -> YamuxHeader? {
        guard nextDeadline <= now else { return nil }
        guard outstanding == nil, probeDeadline == nil else { throw .keepAliveTimeout }
        return ping(now: now)
    }
}
