/// What the owner orders the node's executor to do.
package enum ExecutorOrder: String, Hashable, Sendable, Codable, CaseIterable {
    /// Take no new jobs, start none, and let those that run stand still.
    case pause
    /// Take no new jobs, and finish those that were accepted.
    case drain
    /// Take jobs again.
    case resume
}

/// Whether a node runs jobs for others now, and what it still has of them.
package struct ExecutorState: Hashable, Sendable, Codable {
    /// `open`, `paused`, `draining`, `drained`, `out_of_hours`, `stopping`, or `off` if the node is no executor.
    package var state: String
    /// Jobs that run, or stand still.
    package var running: UInt64
    /// Accepted jobs that fetch, compile or wait for a place.
    package var waiting: UInt64
    /// For how long the accepted jobs of a paused node are kept yet, in milliseconds; then others are to run them.
    package var keptMilliseconds: UInt64?
    /// The hours of the day at which it takes jobs, by the machine's local time; empty if at all.
    package var hours: [String]
    /// How nice its runs are to the rest of the machine.
    package var nice: Int

    /// The jobs that it still has.
    package var jobs: UInt64 { running + waiting }

    package init(
        state: String, running: UInt64 = 0, waiting: UInt64 = 0, keptMilliseconds: UInt64? = nil, hours: [String] = [],
        nice: Int = 0
    ) {
        self.state = state
        self.running = running
        self.waiting = waiting
        self.keptMilliseconds = keptMilliseconds
        self.hours = hours
        self.nice = nice
    }

    private enum CodingKeys: String, CodingKey {
        case state, running, waiting, hours, nice
        case keptMilliseconds = "kept_ms"
    }
}
