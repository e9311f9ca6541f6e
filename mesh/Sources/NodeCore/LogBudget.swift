package import Determinism

/// How much of the log strangers may fill: so many lines of each event, and no more.
///
/// Bids, runs, connections and faults come as fast as others like. Each event has a budget of its own, so that a flood
/// of one hides none of the others. What is left out is counted, and told in a line of its own. The owner's jobs have
/// no bound here: nobody else makes them.
package struct LogBudget: Core {
    /// The bounds of the log.
    package struct Limits: Sendable {
        /// Lines of one event at once.
        package var linesAtOnceMax: Int64 = 64
        /// Further lines of one event in a minute.
        package var linesPerMinuteMax: Int64 = 240
        /// How long lines left out add up before their number is told, in milliseconds.
        package var untoldMilliseconds: Int64 = 10_000

        /// The defaults.
        package init() {}

        /// A minute's worth of milliseconds buys `linesPerMinuteMax` lines.
        fileprivate static let minuteMilliseconds: Int64 = 60_000
    }

    private struct Budget {
        /// In milliseconds times `linesPerMinuteMax`; a line costs a minute of them.
        var credit: Int64
        var at: MonotonicInstant
        var leftOut: UInt64 = 0
    }

    private let limits: Limits
    private var budgets: [WorkEvent: Budget] = [:]
    /// When to tell what was left out.
    package private(set) var nextDeadline: MonotonicInstant?

    /// A budget of which nothing is used.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Whether a line goes to the log now; counts it if not.
    package mutating func admits(_ event: WorkEvent, now: MonotonicInstant) -> Bool {
        guard event.isOfStrangers else { return true }
        let creditMax = limits.linesAtOnceMax * Limits.minuteMilliseconds
        var budget = budgets[event] ?? Budget(credit: creditMax, at: now)
        let elapsed = min(max(0, now.milliseconds(since: budget.at)), limits.linesAtOnceMax * Limits.minuteMilliseconds)
        budget.credit = min(creditMax, budget.credit + elapsed * limits.linesPerMinuteMax)
        budget.at = now
        let isAdmitted = budget.credit >= Limits.minuteMilliseconds
        if isAdmitted {
            budget.credit -= Limits.minuteMilliseconds
        } else {
            budget.leftOut += 1
            nextDeadline = nextDeadline ?? now.advanced(milliseconds: limits.untoldMilliseconds)
        }
        budgets[event] = budget
        return isAdmitted
    }

    /// The lines that tell what was left out.
    package mutating func deadlineReached(now: MonotonicInstant) -> [WorkLine] { takeLeftOut() }

    /// The lines that tell what was left out and not told yet; at the end of a node too.
    package mutating func takeLeftOut() -> [WorkLine] {
        nextDeadline = nil
        return WorkEvent.allCases.compactMap { event in
            guard let count = budgets[event]?.leftOut, count > 0 else { return nil }
            budgets[event]?.leftOut = 0
            return WorkLine(.linesLeftOut, WorkLine.Field("of", event.rawValue), WorkLine.Field("lines", count))
        }
    }

    /// A budget is never overdrawn, and whatever was left out has a moment at which it is told.
    package func checkInvariants() {
        precondition(budgets.values.allSatisfy { $0.credit >= 0 }, "a budget is overdrawn")
        let isTold = nextDeadline != nil || budgets.values.allSatisfy { $0.leftOut == 0 }
        precondition(isTold, "lines were left out that nobody will tell of")
    }
}
