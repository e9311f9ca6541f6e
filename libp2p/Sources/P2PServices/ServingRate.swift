import Determinism

/// How fast one peer is served: a number of bytes a second, and one second's bytes at once.
struct ServingRate: Sendable {
    private let bytesPerSecond: Int
    /// When everything served is paid for.
    private var paidAt: MonotonicInstant

    init(bytesPerSecond: Int, now: MonotonicInstant) {
        self.bytesPerSecond = max(1, bytesPerSecond)
        paidAt = now
    }

    /// When the peer may be served again.
    var freeAt: MonotonicInstant { paidAt.advanced(milliseconds: -1_000) }

    /// When something changes: the peer may be served again, or owes nothing any more.
    func changesAt(now: MonotonicInstant) -> MonotonicInstant { freeAt > now ? freeAt : paidAt }

    /// Whether the peer owes nothing any more.
    func isPaid(now: MonotonicInstant) -> Bool { paidAt <= now }

    /// Notes what the peer was served.
    mutating func served(_ byteCount: Int, now: MonotonicInstant) {
        let (thousandfold, overflow) = Int64(byteCount).multipliedReportingOverflow(by: 1_000)
        paidAt = max(paidAt, now).advanced(
            milliseconds: (overflow ? .max : thousandfold) / Int64(bytesPerSecond) + 1)
    }
}
