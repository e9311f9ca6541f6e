import DequeModule
import Determinism
import JobMarket
import MerkleLog
import MeshTypes
import Multiformats
import NodeCore
import OrderedCollections
import Reputation
import Workflows

/// What a workflow gives to the disk.
enum WorkflowWrite: Sendable {
    /// It was asked for.
    case begun(CID, WorkflowManifest)
    /// Its plan was told something, after which it is over or not.
    case event(CID, [UInt8], isOver: Bool)
    /// A folder was made of what its jobs wrote.
    case folder(CID, [ChildOutput])
}

/// What a simulated node keeps: the journal and the blocks of its jobs, in the order in which they were given, each
/// write a while after it was given. What is not written when the node crashes is lost, but for a part at the front
/// whose acknowledgement was lost with the node.
struct VirtualDisk: Sendable {
    private enum Content: Sendable {
        case node(NodeWrite)
        case workflow(WorkflowWrite)
    }

    private struct Write: Sendable {
        let content: Content
        let doneAt: MonotonicInstant
    }

    /// A workflow as the disk has it.
    struct StoredWorkflow: Sendable {
        let manifest: WorkflowManifest
        var journal: [[UInt8]] = []
        var isOver = false
    }

    /// The journal as it is on the disk.
    private(set) var journal: [JobEvent] = []
    /// The receipt that the node signed last.
    private(set) var lastReceipt: CID?
    /// The heads of the anchored DAG.
    private(set) var anchorHeads: (heads: [CID], height: UInt64) = ([], 0)
    /// What was recorded of others, in order.
    private var conduct: [ReputationChange] = []
    /// The tree over the node's entries in it.
    private(set) var log = MerkleTree()
    /// The workflows, in the order of their beginnings.
    private(set) var workflows: OrderedDictionary<CID, StoredWorkflow> = [:]
    /// The folders that were made.
    private(set) var folders: [CID: [ChildOutput]] = [:]
    private var blocks: [CID: [UInt8]] = [:]
    /// What of workflows was written and not asked for yet.
    private var news: [WorkflowWrite] = []
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
        enqueue(.node(write), isUrgent: write.haste == .urgent, doneAt: now.advanced(milliseconds: pause))
    }

    /// Takes what a workflow writes, in the same order.
    mutating func take(
        _ write: WorkflowWrite, isUrgent: Bool, now: MonotonicInstant, dice: inout SeededGenerator
    ) {
        let pause = isUrgent ? 1 + Int64(dice.next() % 19) : 250
        enqueue(.workflow(write), isUrgent: isUrgent, doneAt: now.advanced(milliseconds: pause))
    }

    private mutating func enqueue(_ content: Content, isUrgent: Bool, doneAt: MonotonicInstant) {
        if isUrgent {
            // Its transaction takes along what waits.
            queue = Deque(queue.map { Write(content: $0.content, doneAt: min($0.doneAt, doneAt)) })
        }
        queue.append(Write(content: content, doneAt: max(doneAt, queue.last?.doneAt ?? doneAt)))
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
            apply(first.content)
            if case .node(let write) = first.content { number = write.number }
        }
        return number
    }

    /// What was recorded of executors, behind what was known before, and of originators.
    func books(after known: ReputationBook) -> (executors: ReputationBook, originators: ReputationBook) {
        var books = (executors: known, originators: ReputationBook(of: .originator, limits: .ofOriginators))
        for change in conduct {
            guard let recorded = change.recorded else { continue }
            switch change.side {
            case .executor: books.executors.record(recorded)
            case .originator: books.originators.record(recorded)
            case .elsewhere: _ = books.executors.recordElsewhere(recorded)
            }
        }
        return books
    }

    /// What of workflows was written since the last call.
    mutating func takeNews() -> [WorkflowWrite] {
        defer { news = [] }
        return news
    }

    /// Whether the end of a job is not written yet; what follows it does not count, as nobody waits for that.
    func awaitsEnd(of job: JobID) -> Bool {
        queue.contains { item in
            guard case .node(let write) = item.content else { return false }
            return write.events.contains { event in
                switch event.kind {
                case .resultReached, .failed, .cancelled: event.jobID == job
                default: false
                }
            }
        }
    }

    /// The power fails: of what was given and not acknowledged, so many writes from the front are there all the same.
    mutating func powerFailed(survivors: Int) {
        for write in queue.prefix(survivors) { apply(write.content) }
        (queue, news) = ([], [])
    }

    /// Whether something on which others are to rely is not written yet: an assignment, a receipt or a result.
    var hasPromisesWaiting: Bool {
        queue.contains { item in
            guard case .node(let write) = item.content else { return false }
            return write.events.contains { event in
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

    private mutating func apply(_ content: Content) {
        switch content {
        case .node(let write): apply(write)
        case .workflow(let write):
            apply(write)
            news.append(write)
        }
    }

    private mutating func apply(_ write: WorkflowWrite) {
        switch write {
        case .begun(let id, let manifest): workflows[id] = StoredWorkflow(manifest: manifest)
        case .event(let id, let entry, let isOver):
            workflows[id]?.journal.append(entry)
            workflows[id]?.isOver = isOver
        case .folder(let folder, let entries): folders[folder] = entries
        }
    }

    private mutating func apply(_ write: NodeWrite) {
        journal += write.events
        for block in write.evidence { blocks[block.cid] = block.bytes }
        for output in write.outputs { keep(output.block) }
        lastReceipt = write.lastReceipt ?? lastReceipt
        conduct += write.judged
        if let heads = write.anchorHeads { anchorHeads = (heads.heads, heads.height) }
        for entry in write.logged {
            precondition(entry.number == log.size, "two entries of one number in a log")
            _ = log.append(.leaf(entry.cid.bytes))
        }
    }
}
