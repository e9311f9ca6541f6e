import Economics
import MeshTypes

/// A job as a half of the market keeps it: the fold of its journal.
protocol MarketJob: Sendable {
    /// The job.
    var id: JobID { get }
    /// Whether the journal has ended.
    var isClosed: Bool { get }
    /// What can be booked for it; none of it comes again once the job is forgotten.
    var ledgerKeys: [LedgerEntry.Key] { get }
    /// What its timers hang on, so that a change of state need not keep the whole state before.
    associatedtype Marks: Hashable
    var marks: Marks { get }
    /// Whether nothing came of it, so that it must not displace jobs that ran from the memory of closed jobs.
    var cameToNothing: Bool { get }

    /// Sets the timers that a change of state asks for; only what changed is set again, so that a step of the wall
    /// clock does not move deadlines that stand.
    func armTimers(from old: Marks?, _ context: inout MarketContext)
    /// Does what the event that was just folded in asks of the world.
    func emitActions(of event: JobEvent, _ context: inout MarketContext)
}

/// What both halves of the market do alike: write an event down, fold it in, and remember closed jobs for a while.
protocol MarketHalf {
    associatedtype Job: MarketJob

    /// Whose journals these are.
    static var role: JobRole { get }
    /// The jobs that are remembered.
    var jobs: JobTable<Job> { get set }

    /// Folds an event into its job, which the first event makes, and into what else follows from events.
    mutating func fold(_ event: JobEvent, _ context: inout MarketContext)
    /// Drops what is kept about a job besides the job itself; `isForgotten` when the job went, too.
    mutating func drop(_ job: Job, isForgotten: Bool)
}

extension MarketHalf {
    /// The number of jobs that are not closed.
    var openCount: Int { jobs.openCount }

    /// Writes an event down, unless told otherwise, and folds it in.
    mutating func record(
        _ kind: JobEventKind, of id: JobID, ledger: [LedgerEntry] = [], isWritten: Bool = true,
        _ context: inout MarketContext
    ) {
        let event = JobEvent(jobID: id, role: Self.role, at: context.steady, kind: kind, ledger: ledger)
        if isWritten { context.transition.events.append(event) }
        do throws(JobEventError) {
            try apply(event, &context)
        } catch {
            preconditionFailure("the market decided an event that its own state does not take: \(kind.name), \(error)")
        }
    }

    /// Folds one event into the state, and unless it is replayed sets timers and emits actions.
    mutating func apply(_ event: JobEvent, _ context: inout MarketContext) throws(JobEventError) {
        let before = jobs.read(event.jobID) { (marks: $0.marks, isClosed: $0.isClosed) }
        // What is booked for a forgotten job must not be booked again, so the job comes first.
        if before == nil, !event.kind.begins(Self.role) { throw .jobUnknown(event: event.kindName) }
        for entry in event.ledger {
            do {
                try context.ledger.post(entry)
            } catch {
                throw .ledger(error)
            }
        }
        fold(event, &context)
        let isClosed = jobs.read(event.jobID) { job in
            if !context.isReplaying {
                job.armTimers(from: before?.marks, &context)
                job.emitActions(of: event, &context)
            }
            return job.isClosed
        }
        if isClosed ?? false, !(before?.isClosed ?? false) { remember(closed: event.jobID, &context) }
    }

    /// Takes a job out as if it had never been, while journals are replayed.
    mutating func discard(_ id: JobID) {
        if let job = jobs.remove(id) { drop(job, isForgotten: true) }
    }

    /// Closed jobs are kept for a while to answer what comes late, the oldest are forgotten, and what was booked for
    /// them becomes part of the opening balances.
    private mutating func remember(closed id: JobID, _ context: inout MarketContext) {
        if let job = jobs[id] { drop(job, isForgotten: false) }
        for forgotten in jobs.close(id, context.limits) {
            drop(forgotten, isForgotten: true)
            if !forgotten.cameToNothing { context.ledger.fold(forgotten.ledgerKeys) }
        }
    }
}
