import Determinism
import MeshTypes
import Multiformats
import OrderedCollections
import SignedObjects

/// Which jobs are with executors that have no verified receipt here, so that keys which cost nothing never hold more
/// than a part of this node's work: from the assignment until the job has its end or another executor, and for a while
/// longer where one was proved a liar. A restart forgets who lied, and learns the rest from the journals of open jobs.
struct UnprovenHolds: Sendable {
    private struct Hold: Sendable {
        let executor: DID
        let isUnproven: Bool
    }

    private var holds: [CID: Hold] = [:]
    /// How many of them each executor without a receipt has.
    private var counts: [DID: Int] = [:]
    /// How many they have together.
    private var unprovenCount = 0
    /// When the places are free again that went to liars, the earliest first.
    private var lies = OrderedDictionary<CID, MonotonicInstant>()

    /// Notes who got a job.
    mutating func began(_ assignment: CID, _ executor: DID, isUnproven: Bool) {
        guard holds.updateValue(Hold(executor: executor, isUnproven: isUnproven), forKey: assignment) == nil,
            isUnproven
        else { return }
        counts[executor, default: 0] += 1
        unprovenCount += 1
    }

    /// Notes that an executor has a job no more.
    mutating func ended(_ assignment: CID) {
        guard let hold = holds.removeValue(forKey: assignment), hold.isUnproven else { return }
        let left = (counts[hold.executor] ?? 1) - 1
        counts[hold.executor] = left == 0 ? nil : left
        unprovenCount -= 1
    }

    /// Notes that what an executor gave was proved wrong: its place stays taken for a while.
    mutating func lied(_ assignment: CID, _ context: MarketContext) {
        let wasUnproven = holds[assignment]?.isUnproven ?? false
        ended(assignment)
        guard wasUnproven, !context.isReplaying else { return }
        while let first = lies.values.first, first <= context.now { lies.removeFirst() }
        if lies.count >= context.limits.failedExecutorsMax { lies.removeFirst() }
        let rest = Int64(clamping: context.configuration.originator.unprovenRestMilliseconds)
        lies[assignment] = context.now.advanced(milliseconds: rest)
    }

    /// The places that are taken, of those that executors without a verified receipt here may have together.
    func taken(now: MonotonicInstant) -> Int {
        let over = lies.values.prefix { $0 <= now }.count
        return unprovenCount + lies.count - over
    }

    /// Whether an executor without a verified receipt here may have no further job while others can do it.
    func isFull(for executor: DID, taken: Int, _ limits: MarketLimits) -> Bool {
        counts[executor] ?? 0 >= limits.unprovenJobsPerKeyMax
            || taken >= max(limits.unprovenJobsMax, holds.count / limits.unprovenJobsDivisor)
    }
}
