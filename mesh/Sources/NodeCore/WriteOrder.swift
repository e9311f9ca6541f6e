import DequeModule
import JobMarket
import MeshTypes
import Multiformats

/// What waits for which write to the disk: the order in which events become durable and effects leave.
///
/// Writes reach the disk in the order of their numbers. What leaves this node about a job waits for the job's last
/// write that somebody relies on; what stays within the node, such as the beginning of a run, waits for nothing, since
/// it begins again after a crash.
struct WriteOrder<Waiting: Sendable>: Sendable {
    private var waiting: [UInt64: [Waiting]] = [:]
    private var relied: [JobID: UInt64] = [:]
    private var reliedOrder = Deque<(number: UInt64, job: JobID)>()
    /// The number of the last write.
    private(set) var last: UInt64 = 0
    /// The number of the last write that is on the disk with all before it.
    private(set) var written: UInt64 = 0

    /// The number of waiting effects.
    var count: Int { waiting.values.reduce(0) { $0 + $1.count } }

    /// Whether everything is on the disk.
    var isPersisted: Bool { written == last }

    /// The number of the next write; `relied` names the jobs of events that somebody relies on.
    mutating func next(relied jobs: Set<JobID>) -> UInt64 {
        last += 1
        for job in jobs {
            relied[job] = last
            reliedOrder.append((last, job))
        }
        return last
    }

    /// The write that effects about a job wait for; `nil` if it is on the disk.
    func barrier(of job: JobID) -> UInt64? { relied[job] }

    /// Keeps an effect until a write is on the disk.
    mutating func hold(_ effect: Waiting, until number: UInt64) {
        precondition(number > written && number <= last, "nothing is to be written as number \(number)")
        waiting[number, default: []].append(effect)
    }

    /// Notes that everything up to a number is on the disk; returns what waited for it, in order.
    mutating func wrote(upTo number: UInt64) -> [Waiting] {
        guard number > written else { return [] }
        precondition(number <= last, "number \(number) was never given")
        var free: [Waiting] = []
        for done in written + 1...number { free += waiting.removeValue(forKey: done) ?? [] }
        written = number
        while let first = reliedOrder.first, first.number <= number {
            reliedOrder.removeFirst()
            if relied[first.job] == first.number { relied[first.job] = nil }
        }
        return free
    }
}
