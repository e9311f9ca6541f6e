import MeshTypes

/// The fuel that a receipt claims for a run which was cut short, against the time that the originator counted itself.
///
/// The time goes from the assignment, which left here before the run began, to the receipt, which came after it ended:
/// both ways over the network are in it, so no honest run is longer. Its executor's dates do not matter.
struct CutShortClaim: Sendable {
    private let receipt: ExecutionReceipt
    private let terms: BidTerms
    /// The most fuel that the time allows.
    let fuelMax: UInt64

    /// `nil` for a run that came to an end of its own: its fuel can be replayed.
    init?(
        _ receipt: ExecutionReceipt, of attempt: Attempt, cameAt: UnixMilliseconds, _ context: MarketContext
    ) {
        guard receipt.outcome.isCutShort else { return nil }
        self.receipt = receipt
        terms = attempt.assignment.terms
        let counted = cameAt.milliseconds(since: attempt.madeAt)
        // The clock that only moves forward stands while this machine sleeps, the calendar does not.
        let calendar = context.wallClock.milliseconds(since: attempt.assignment.assignedAt)
        let since = context.steady.milliseconds(since: cameAt)
        fuelMax = terms.claimMax(milliseconds: max(counted, calendar - min(calendar, since)))
    }

    /// Whether the receipt claims more.
    var isBeyond: Bool { receipt.resourceUsage.fuel > fuelMax }

    /// What is paid for it at most; `nil` if it claims no more.
    var priceMax: TokenAmount? { isBeyond ? terms.due(for: receipt.outcome, fuel: fuelMax) : nil }
}
