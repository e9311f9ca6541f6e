import Determinism

/// How often a peer may push its identify message on one connection: a few at once, then at a steady rate for as long
/// as the connection lasts.
struct PushAllowance: Sendable {
    /// When all accepted pushes are paid for.
    private var paidAt = MonotonicInstant(nanoseconds: .min)

    /// Accepts a push if one of `burst` is left; these refill at `perMinute`.
    mutating func take(perMinute: Int, burst: Int, now: MonotonicInstant) -> Bool {
        let price = 60_000 / Int64(max(1, perMinute))
        let paid = max(paidAt, now).advanced(milliseconds: price)
        guard paid.milliseconds(since: now) <= price * Int64(burst) else { return false }
        paidAt = paid
        return true
    }
}
