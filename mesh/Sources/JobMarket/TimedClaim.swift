import MeshTypes
import Receipts

/// What a receipt claims, against the time that the originator counted itself.
///
/// The time goes from the assignment, which left here before the run began, to the receipt, which came after it ended:
/// both ways over the network are in it, so no honest run is longer, whatever its executor's dates say.
struct TimedClaim: Sendable {
    /// How much shorter than the job's timeout the time of a run may be that its clock stopped: two clocks differ, and
    /// one is set right meanwhile. A share of the timeout, in thousandths, and so many milliseconds.
    static let clockSlackPermille: UInt64 = 10
    static let clockSlackMilliseconds: UInt64 = 100

    private let receipt: ExecutionReceipt
    private let terms: BidTerms
    /// The time that was counted, in milliseconds.
    let milliseconds: UInt64

    init(_ receipt: ExecutionReceipt, of attempt: Attempt, cameAt: UnixMilliseconds, _ context: MarketContext) {
        self.receipt = receipt
        terms = attempt.assignment.terms
        let counted = cameAt.milliseconds(since: attempt.madeAt)
        // The clock that only moves forward stands while this machine sleeps, the calendar does not.
        let calendar = context.wallClock.milliseconds(since: attempt.assignment.assignedAt)
        let since = context.steady.milliseconds(since: cameAt)
        milliseconds = max(counted, calendar - min(calendar, since))
    }

    /// The most fuel that the time allows.
    var fuelMax: UInt64 { terms.claimMax(for: receipt.outcome, milliseconds: milliseconds) }

    /// Whether the receipt claims more.
    var isBeyond: Bool { receipt.resourceUsage.fuel > fuelMax }

    /// What is paid at most for a run that was cut short; `nil` if it claims no more, or came to an end of its own.
    var priceMax: TokenAmount? {
        receipt.outcome.isCutShort && isBeyond ? terms.due(for: receipt.outcome, fuel: fuelMax) : nil
    }

    /// Whether it says that the clock stopped the run, before its time can have been over: by its own dates, or by the
    /// time counted here.
    func isClockEarly(of manifest: JobManifest) -> Bool {
        guard receipt.outcome == .limitExceeded(.wallClock) else { return false }
        let (timeout, overflow) = manifest.params.timeoutSeconds.multipliedReportingOverflow(by: 1_000)
        let slack = timeout / 1_000 * Self.clockSlackPermille + Self.clockSlackMilliseconds
        let dates = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        return overflow || min(dates, milliseconds) < timeout - min(timeout, slack)
    }
}

extension TimedClaim {
    /// Why a receipt cannot be true that arrives now and claims more fuel than the time since its assignment allows: of
    /// a run that was cut short at the rate that its executor promised, of another at that of the fastest machines.
    static func overclaim(
        of receipt: ExecutionReceipt, on job: OriginatedJob, _ context: MarketContext
    ) -> ReceiptRefusal? {
        guard let attempt = job.assignments[receipt.assignmentCID],
            !receipt.outcome.isCutShort || attempt.assignment.terms.fuelPerSecond != nil
        else { return nil }
        let claim = TimedClaim(receipt, of: attempt, cameAt: context.steady, context)
        guard claim.isBeyond else { return nil }
        let field = ReceiptField.fuel.rawValue
        return .overLimit(field: field, used: receipt.resourceUsage.fuel, max: claim.fuelMax)
    }

    /// Whether a receipt that waits to count says too soon that the clock stopped its run.
    static func isClockEarly(_ candidate: CandidateReceipt, of job: OriginatedJob, _ context: MarketContext) -> Bool {
        let accepted = candidate.accepted
        guard let attempt = job.assignments[accepted.assignmentCID] else { return false }
        let claim = TimedClaim(accepted.receipt, of: attempt, cameAt: accepted.cameAt, context)
        return claim.isClockEarly(of: job.manifest)
    }
}
