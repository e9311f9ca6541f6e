import MeshTypes

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

    /// What is paid at most for a run that nobody replayed to its end, since it was cut short, its check was waived, or
    /// its job is being cancelled; `nil` if it claims no more.
    func priceMax(isChecked: Bool) -> TokenAmount? {
        (receipt.outcome.isCutShort || !isChecked) && isBeyond ? terms.due(for: receipt.outcome, fuel: fuelMax) : nil
    }

    /// Whether it claims more for a run that came to an end of its own than its time allows by its own dates, or by the
    /// time counted here: no fault by itself, since calls that fail take their price in no time.
    var isTooFast: Bool {
        guard !receipt.outcome.isCutShort, receipt.outcome.responsibility != .node else { return false }
        let dates = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        let most = terms.claimMax(for: receipt.outcome, milliseconds: min(dates, milliseconds))
        return receipt.resourceUsage.fuel > most
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
    /// Whether a receipt of a run that was cut short cannot be true, which arrives now: it claims more fuel than the
    /// time since its assignment allows at the rate that its executor promised.
    static func isOverclaimed(_ receipt: ExecutionReceipt, on job: OriginatedJob, _ context: MarketContext) -> Bool {
        guard receipt.outcome.isCutShort, let attempt = job.assignments[receipt.assignmentCID],
            attempt.assignment.terms.fuelPerSecond != nil
        else { return false }
        return TimedClaim(receipt, of: attempt, cameAt: context.steady, context).isBeyond
    }

    /// Whether a receipt that waits to count needs a run here first, whatever the level: it says too soon that the
    /// clock stopped its run, or claims more fuel than its time allows.
    static func needsRun(_ candidate: CandidateReceipt, of job: OriginatedJob, _ context: MarketContext) -> Bool {
        let accepted = candidate.accepted
        guard let attempt = job.assignments[accepted.assignmentCID] else { return false }
        let claim = TimedClaim(accepted.receipt, of: attempt, cameAt: accepted.cameAt, context)
        return claim.isClockEarly(of: job.manifest) || claim.isTooFast
    }

    /// Whether a receipt that waits to count says too soon that the clock stopped its run.
    static func isClockEarly(_ candidate: CandidateReceipt, of job: OriginatedJob, _ context: MarketContext) -> Bool {
        let accepted = candidate.accepted
        guard let attempt = job.assignments[accepted.assignmentCID] else { return false }
        let claim = TimedClaim(accepted.receipt, of: attempt, cameAt: accepted.cameAt, context)
        return claim.isClockEarly(of: job.manifest)
    }
}
