import DequeModule
import MeshTypes
import Multiformats

/// How long runs of each module took, as this node measured it: from its assignment to the receipt that counts.
///
/// It follows from the journals of the jobs that are remembered, so that a restarted node knows it again.
struct RunTimes: Hashable, Sendable {
    /// What bounds it.
    enum Limits {
        /// The modules that are remembered; the one that was first heard of goes first.
        static let modulesMax = 1_024
        /// The latest runs of a module.
        static let runsMax = 32
        /// The fewest runs by which one is called slow.
        static let runsMin = 8
        /// No run is called slow before, in milliseconds.
        static let slowMillisecondsMin: UInt64 = 1_000
    }

    /// When a run counts as slow.
    struct Mark: Hashable, Sendable {
        /// From the assignment, in milliseconds.
        let milliseconds: UInt64
        /// The past runs by which that is judged; none if it is half of the time-out.
        let runs: UInt64
    }

    private var runs: [CID: Deque<UInt64>] = [:]
    private var order = Deque<CID>()

    /// What knows of no run.
    init() {}

    /// The modules of which it knows a run.
    var moduleCount: Int { runs.count }

    /// Notes that a run of a module took so long, in milliseconds.
    mutating func ran(_ module: CID, milliseconds: UInt64) {
        if runs[module] == nil {
            order.append(module)
            if order.count > Limits.modulesMax, let first = order.popFirst() { runs[first] = nil }
        }
        runs[module, default: []].append(milliseconds)
        if runs[module, default: []].count > Limits.runsMax { runs[module]?.removeFirst() }
    }

    /// When a run of a module is slow: after more than 95 of 100 of its past runs took, or after half of its time-out
    /// where too few are known.
    func mark(of module: CID, timeoutSeconds: UInt64) -> Mark {
        let known = (runs[module] ?? []).sorted()
        guard known.count >= Limits.runsMin else {
            let (half, isTooMuch) = timeoutSeconds.multipliedReportingOverflow(by: 500)
            return Mark(milliseconds: max(isTooMuch ? .max : half, Limits.slowMillisecondsMin), runs: 0)
        }
        let slow = known[(known.count * 95 + 99) / 100 - 1]
        return Mark(milliseconds: max(slow, Limits.slowMillisecondsMin), runs: UInt64(known.count))
    }
}
