import Determinism

/// How often a peer may push what it says about itself on one connection: some at once, and after that at a steady rate
/// for as long as the connection lasts.
struct PushAllowance: Sendable {
    /// When all pushes that were taken are paid for.
    private var paidAt = MonotonicInstant(nanoseconds: .min)

    /// Takes a push where there is one left of `burst`, which fill up again at `perMinute`.
    mutating func take(perMinute: Int, burst: Int, now: MonotonicInstant) -> Bool {
        let price = 60_000 / Int64(max(1, perMinute))
        let paid = max(paidAt, now).advanced(milliseconds: price)
        guard paid.milliseconds(since: now) <= price * Int64(burst) else { return false }
        paidAt = paid
        return true
    }
}
