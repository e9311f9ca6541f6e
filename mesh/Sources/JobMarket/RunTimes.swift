import DequeModule
import MeshTypes
import Multiformats

/// How long runs of each kind took, as this node measured it: from its assignment to the receipt that counts. Of one
/// kind are those of a module whose limits of fuel lie between the same two powers of two.
///
/// It follows from the journals that a node reads at its start, which are those of jobs that are open or not yet
/// forgotten.
struct RunTimes: Hashable, Sendable {
    /// What bounds it.
    enum Limits {
        /// The kinds that are remembered; the one that was first heard of goes first.
        static let kindsMax = 1_024
        /// The latest runs of a kind.
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

    /// What runs are compared by.
    private struct Kind: Hashable {
        let module: CID
        /// The bits of the limit of fuel.
        let fuelClass: Int

        init(_ params: MeshJobParams) {
            module = params.wasmCID
            fuelClass = UInt64.bitWidth - params.maxFuel.leadingZeroBitCount
        }
    }

    private var runs: [Kind: Deque<UInt64>] = [:]
    private var order = Deque<Kind>()

    /// What knows of no run.
    init() {}

    /// The kinds of which it knows a run.
    var kindCount: Int { runs.count }

    /// Notes that a run took so long, in milliseconds.
    mutating func ran(_ params: MeshJobParams, milliseconds: UInt64) {
        let kind = Kind(params)
        if runs[kind] == nil {
            order.append(kind)
            if order.count > Limits.kindsMax, let first = order.popFirst() { runs[first] = nil }
        }
        runs[kind, default: []].append(milliseconds)
        if runs[kind, default: []].count > Limits.runsMax { runs[kind]?.removeFirst() }
    }

    /// When a run is slow: after more than 95 of 100 of the past ones of its kind took, or after half of its time-out
    /// where too few are known.
    func mark(of params: MeshJobParams) -> Mark {
        let known = (runs[Kind(params)] ?? []).sorted()
        guard known.count >= Limits.runsMin else {
            let (half, isTooMuch) = params.timeoutSeconds.multipliedReportingOverflow(by: 500)
            return Mark(milliseconds: max(isTooMuch ? .max : half, Limits.slowMillisecondsMin), runs: 0)
        }
        let slow = known[(known.count * 95 + 99) / 100 - 1]
        return Mark(milliseconds: max(slow, Limits.slowMillisecondsMin), runs: UInt64(known.count))
    }
}
