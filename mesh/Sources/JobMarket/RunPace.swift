import MeshTypes

/// How fast this machine burnt fuel in its own runs, and what its bids promise. Not journalled: a restarted node
/// measures again.
struct RunPace: Hashable, Sendable {
    /// The shortest run that is measured, in milliseconds.
    static let measuredMillisecondsMin: UInt64 = 100
    /// How many times the fastest run a bid promises, for the next module may be faster.
    static let headroom: UInt64 = 2

    /// The fuel per second of the fastest run.
    private(set) var fastest: UInt64 = 0

    /// Notes a run that ended.
    mutating func ran(_ usage: ResourceUsage) {
        guard usage.wallMilliseconds >= Self.measuredMillisecondsMin else { return }
        let (thousandfold, overflow) = usage.fuel.multipliedReportingOverflow(by: 1_000)
        fastest = max(fastest, (overflow ? .max : thousandfold) / usage.wallMilliseconds)
    }

    /// The fuel per second that a bid promises.
    var promised: UInt64 {
        let (rate, overflow) = fastest.multipliedReportingOverflow(by: Self.headroom)
        return min(max(overflow ? .max : rate, FuelPace.perSecondDefault), FuelPace.perSecondMax)
    }
}
