import DequeModule
import NodeCore

/// Spans on their way to the receiver, and when to try: a value, which `TraceExporter` carries out.
struct TraceQueue: Sendable {
    /// The bounds of spans that wait, and the times between attempts.
    struct Limits: Sendable {
        /// Spans that wait; beyond, the oldest are dropped.
        var spansQueuedMax = 2_048
        /// Spans of one request.
        var batchSpansMax = 512
        /// The pause after a request that went well, in milliseconds.
        var pauseMilliseconds: Int64 = 1_000
        /// The pause after a first failure, in milliseconds; it doubles.
        var retryMillisecondsMin: Int64 = 1_000
        /// The longest pause after a failure, in milliseconds.
        var retryMillisecondsMax: Int64 = 60_000
        /// Attempts at sending the same spans.
        var attemptsMax = 8
    }

    /// What came of a request.
    enum Outcome: Hashable, Sendable {
        /// The receiver has them, but for so many.
        case taken(rejected: UInt64)
        /// The receiver will never take them, and why.
        case refused(String)
        /// It may take them later; why not now.
        case unavailable(String)
    }

    /// What an outcome means.
    struct Report: Hashable, Sendable {
        var sent: UInt64 = 0
        var dropped: UInt64 = 0
        /// What went wrong, the first time since it went well.
        var warning: String?
    }

    private let limits: Limits
    private var waiting = Deque<TraceSpan>()
    /// The spans of the request that is under way, or is to be repeated.
    private var batch: [TraceSpan] = []
    private var attempts = 0
    private var hasWarned = false
    /// Requests that failed since one went well.
    private var failures = 0

    init(limits: Limits = Limits()) { self.limits = limits }

    /// How long to wait before the next request, in milliseconds.
    var pauseMilliseconds: Int64 {
        guard failures > 0 else { return limits.pauseMilliseconds }
        let doublings = min(failures - 1, 32)
        return min(limits.retryMillisecondsMax, limits.retryMillisecondsMin << doublings)
    }

    /// Spans in memory.
    var count: Int { waiting.count + batch.count }

    /// Takes spans in, and returns how many of the oldest had to go.
    mutating func add(_ spans: [TraceSpan]) -> UInt64 {
        waiting += spans
        let excess = max(0, waiting.count - limits.spansQueuedMax)
        waiting.removeFirst(excess)
        return UInt64(excess)
    }

    /// The spans of the next request: those of one that failed, or new ones; none if there is nothing to send.
    mutating func next() -> [TraceSpan] {
        if batch.isEmpty {
            batch = Array(waiting.prefix(limits.batchSpansMax))
            waiting.removeFirst(batch.count)
            attempts = 0
        }
        attempts += batch.isEmpty ? 0 : 1
        return batch
    }

    /// Takes in what came of the request with the spans of `next`.
    mutating func ended(_ outcome: Outcome) -> Report {
        var report = Report()
        let count = UInt64(batch.count)
        switch outcome {
        case .taken(let rejected):
            report.dropped = min(rejected, count)
            report.sent = count - report.dropped
            if report.dropped > 0 {
                report.warning = warning("it rejected \(report.dropped) of \(count)")
            } else {
                hasWarned = false
            }
            batch = []
        case .refused(let reason):
            report.dropped = count
            report.warning = warning(reason)
            batch = []
        case .unavailable(let reason):
            report.warning = warning(reason)
            if attempts >= limits.attemptsMax {
                report.dropped = count
                batch = []
            }
            failures += 1
            return report
        }
        failures = 0
        return report
    }

    private mutating func warning(_ reason: String) -> String? {
        defer { hasWarned = true }
        return hasWarned ? nil : reason
    }
}
