/// A core: a value that decides, and neither waits nor reads a clock.
///
/// Its inputs are functions of its own. What all cores share is how time comes to them: whoever drives one, a shell or
/// a simulator, keeps one alarm, sets it to `nextDeadline` after every input, and calls `wake` when it rings.
public protocol Core: Sendable {
    /// How an input is told when it comes: by the clock, or by more than that.
    associatedtype Moment: CoreMoment = MonotonicInstant
    /// What the core wants done when something was due.
    associatedtype Effects
    /// What ends the core.
    associatedtype Failure: Error = Never

    /// When something is due; nil while nothing is.
    var nextDeadline: MonotonicInstant? { get }
    /// Does what is due; nothing is before `nextDeadline`.
    mutating func deadlineReached(now: Moment) throws(Failure) -> Effects
    /// Stops the process if the core contradicts itself; tests and simulators call it after every input.
    func checkInvariants()
}

extension Core {
    /// Does what is due; nil where nothing is.
    public mutating func wake(now: Moment) throws(Failure) -> Effects? {
        guard let deadline = nextDeadline, deadline <= now.instant else { return nil }
        return try deadlineReached(now: now)
    }
}

/// When an input comes to a core.
public protocol CoreMoment: Sendable {
    /// The clock that only moves forward.
    var instant: MonotonicInstant { get }
}

extension MonotonicInstant: CoreMoment {
    /// Itself.
    public var instant: MonotonicInstant { self }
}
