import DequeModule
import MeshTypes

/// The jobs that a half of the market remembers: all open ones, and the latest closed ones.
///
/// They lie in one array and are read and changed in place: a copy of a job costs a reference for almost everything
/// signed for it.
struct JobTable<Job: MarketJob>: Sendable {
    private var positions: [JobID: Int] = [:]
    private var slots: ContiguousArray<Job> = []
    /// When the job in each slot changed last, counted in changes of the table.
    private var revisions: ContiguousArray<UInt64> = []
    private var changes: UInt64 = 0
    /// The closed ones, in the order of closing.
    private var closed = Deque<JobID>()
    /// The closed ones without a result, in the same order.
    private var closedForNothing = Deque<JobID>()

    /// The number of jobs that are not closed.
    var openCount: Int { slots.count - closed.count - closedForNothing.count }

    /// All of them, in no particular order.
    var all: ContiguousArray<Job> { slots }

    /// A copy of a job.
    subscript(id: JobID) -> Job? { positions[id].map { slots[$0] } }

    func contains(_ id: JobID) -> Bool { positions[id] != nil }

    /// A number that a job has as long as nothing in it changes, and that no job of this table has twice; `nil` if
    /// unknown.
    func revision(of id: JobID) -> UInt64? { positions[id].map { revisions[$0] } }

    /// Reads a job in place; `nil` if unknown.
    func read<Value>(_ id: JobID, _ body: (Job) -> Value) -> Value? {
        guard let position = positions[id] else { return nil }
        return body(slots[position])
    }

    /// Accesses a job in place.
    func visit(_ id: JobID, _ body: (Job) -> Void) {
        if let position = positions[id] { body(slots[position]) }
    }

    /// Changes a job in place.
    mutating func update(_ id: JobID, _ body: (inout Job) -> Void) {
        guard let position = positions[id] else { return }
        revisions[position] = nextRevision()
        body(&slots[position])
    }

    /// Inserts a job, or replaces the one of the same ID.
    mutating func insert(_ job: Job) {
        guard let position = positions[job.id] else {
            positions[job.id] = slots.count
            slots.append(job)
            revisions.append(nextRevision())
            return
        }
        if slots[position].isClosed { takeOutOfOrder(job.id) }
        slots[position] = job
        revisions[position] = nextRevision()
    }

    /// Removes a job.
    mutating func remove(_ id: JobID) -> Job? {
        guard positions[id] != nil else { return nil }
        takeOutOfOrder(id)
        return takeOut(id)
    }

    /// Remembers that a job was closed; returns those it forgets instead.
    mutating func close(_ id: JobID, _ limits: MarketLimits) -> [Job] {
        guard let position = positions[id] else { return [] }
        var forgotten: [Job] = []
        if slots[position].cameToNothing {
            closedForNothing.append(id)
            while closedForNothing.count > limits.closedBidsMax, let oldest = closedForNothing.popFirst() {
                if let job = takeOut(oldest) { forgotten.append(job) }
            }
        } else {
            closed.append(id)
            while closed.count > limits.closedJobsMax, let oldest = closed.popFirst() {
                if let job = takeOut(oldest) { forgotten.append(job) }
            }
        }
        return forgotten
    }

    private mutating func nextRevision() -> UInt64 {
        changes += 1
        return changes
    }

    private mutating func takeOutOfOrder(_ id: JobID) {
        closed.removeAll { $0 == id }
        closedForNothing.removeAll { $0 == id }
    }

    /// The last job moves into the free place.
    private mutating func takeOut(_ id: JobID) -> Job? {
        guard let position = positions.removeValue(forKey: id), let last = slots.popLast(),
            let revision = revisions.popLast()
        else { return nil }
        guard position < slots.count else { return last }
        let job = slots[position]
        slots[position] = last
        revisions[position] = revision
        positions[last.id] = position
        return job
    }
}
