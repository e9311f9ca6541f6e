import DequeModule
import Determinism
import JobMarket
import MeshTypes
import Multiformats
import NodeCore
import OrderedCollections

/// What a simulated node keeps: the journal and the blocks of its jobs, in the order in which they were given, each
/// write a while after it was given. What is not written when the node crashes is lost, but for a part at the front
/// whose acknowledgement was lost with the node.
struct VirtualDisk: Sendable {
    private struct Write: Sendable {
        let write: NodeWrite
        let doneAt: MonotonicInstant
    }

    /// The journal as it is on the disk.
    private(set) var journal: [JobEvent] = []
    /// The receipt that the node signed last.
    private(set) var lastReceipt: CID?
    /// The heads of the anchored DAG.
    private(set) var anchorHeads: (heads: [CID], height: UInt64) = ([], 0)
    private var blocks: [CID: [UInt8]] = [:]
    private var queue = Deque<Write>()

    /// When the next write is on the disk.
    var nextDeadline: MonotonicInstant? { queue.first?.doneAt }

    /// A block of the node, of which others may ask as soon as it is given.
    subscript(cid: CID) -> [UInt8]? { blocks[cid] }

    /// Takes a write; one that is in a hurry is there within 20 ms, one that is not within 250 ms, and none before
    /// those that were given earlier.
    mutating func take(_ write: NodeWrite, now: MonotonicInstant, dice: inout SeededGenerator) {
        let pause: Int64 =
            switch write.haste {
            case .urgent: 1 + Int64(dice.next() % 19)
            case .answer: 20
            case .none: 250
            }
        var doneAt = now.advanced(milliseconds: pause)
        if write.haste == .urgent {
            // Its transaction takes along what waits.
            queue = Deque(queue.map { Write(write: $0.write, doneAt: min($0.doneAt, doneAt)) })
        }
        if let last = queue.last?.doneAt { doneAt = max(doneAt, last) }
        queue.append(Write(write: write, doneAt: doneAt))
    }

    /// Keeps a block that was fetched.
    mutating func keep(_ block: MadeBlock) { blocks[block.cid] = block.bytes }

    /// Loses a block, as a disk may that nobody looks after.
    mutating func lose(_ cid: CID) { blocks[cid] = nil }

    /// What is on the disk by now; the number of the last write, where there is one.
    mutating func written(by now: MonotonicInstant) -> UInt64? {
        var number: UInt64?
        while let first = queue.first, first.doneAt <= now {
            queue.removeFirst()
            apply(first.write)
            number = first.write.number
        }
        return number
    }

    /// The power fails: of what was given and not acknowledged, so many writes from the front are there all the same.
    mutating func powerFailed(survivors: Int) {
        for write in queue.prefix(survivors) { apply(write.write) }
        queue = []
    }

    /// Whether something on which others are to rely is not written yet: an assignment, a receipt or a result.
    var hasPromisesWaiting: Bool {
        queue.contains { item in
            item.write.events.contains { event in
                switch event.kind {
                case .assignmentAccepted, .receiptSigned, .receiptAccepted, .resultReached: true
                default: false
                }
            }
        }
    }

    /// The journal of each side of each job, in the order of the jobs' beginnings.
    var journals: [(job: JobID, role: JobRole, events: [JobEvent])] {
        var sides: OrderedDictionary<Side, [JobEvent]> = [:]
        for event in journal { sides[Side(job: event.jobID, role: event.role), default: []].append(event) }
        return sides.map { ($0.key.job, $0.key.role, $0.value) }
    }

    private struct Side: Hashable {
        let job: JobID
        let role: JobRole
    }

    /// The number of writes that are not acknowledged.
    var waitingCount: Int { queue.count }

    /// Forgets executors' journals of bids that nobody took and that were closed before a date.
    mutating func pruneBids(before date: UnixMilliseconds) {
        var over: Set<JobID> = []
        for event in journal where event.role == .executor {
            if case .bidClosed = event.kind, event.at < date {
                over.insert(event.jobID)
            } else {
                over.remove(event.jobID)
            }
        }
        journal.removeAll { $0.role == .executor && over.contains($0.jobID) }
    }

    private mutating func apply(_ write: NodeWrite) {
        journal += write.events
        for block in write.evidence { blocks[block.cid] = block.bytes }
        for output in write.outputs { keep(output.block) }
        lastReceipt = write.lastReceipt ?? lastReceipt
        if let heads = write.anchorHeads { anchorHeads = (heads.heads, heads.height) }
    }
}
