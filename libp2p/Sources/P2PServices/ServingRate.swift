import Determinism

/// How fast one peer is served: so many bytes a second, and what one second allows at once.
struct ServingRate: Sendable {
    private let bytesPerSecond: Int
    /// When all that was served is paid for.
    private var paidAt: MonotonicInstant

    init(bytesPerSecond: Int, now: MonotonicInstant) {
        self.bytesPerSecond = max(1, bytesPerSecond)
        paidAt = now
    }

    /// From when on the peer may be served again.
    var freeAt: MonotonicInstant { paidAt.advanced(milliseconds: -1_000) }

    /// When something changes: the peer may be served again, or nothing is owed any more.
    func changesAt(now: MonotonicInstant) -> MonotonicInstant { freeAt > now ? freeAt : paidAt }

    /// Whether nothing is owed any more.
    func isPaid(now: MonotonicInstant) -> Bool { paidAt <= now }

    /// The peer was served.
    mutating func served(_ byteCount: Int, now: MonotonicInstant) {
        let (thousandfold, overflow) = Int64(byteCount).multipliedReportingOverflow(by: 1_000)
        paidAt = max(paidAt, now).advanced(
            milliseconds: (overflow ? .max : thousandfold) / Int64(bytesPerSecond) + 1)
    }
}
