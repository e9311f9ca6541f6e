import Economics
import MeshTypes

/// A job, as a half of the market keeps it: the fold of its journal.
protocol MarketJob: Sendable {
    /// The job.
    var id: JobID { get }
    /// Whether the journal has ended.
    var isClosed: Bool { get }
    /// What can be booked for it; none of it recurs once the job is forgotten.
    var ledgerKeys: [LedgerEntry.Key] { get }
    /// What its timers depend on, so that a change of state need not copy the whole previous state.
    associatedtype Marks: Hashable
    var marks: Marks { get }
    /// Whether it had no result, so that it must not displace jobs that ran from the memory of closed jobs.
    var cameToNothing: Bool { get }

    /// Sets the timers that a change of state requires; resets only what changed, so that a step of the wall clock does
    /// not move existing deadlines.
    func armTimers(from old: Marks?, _ context: inout MarketContext)
    /// Emits the actions that the event just folded in requires.
    func emitActions(of event: JobEvent, _ context: inout MarketContext)
}

/// What both halves of the market have in common: record an event, fold it in, and remember closed jobs for a while.
protocol MarketHalf {
    associatedtype Job: MarketJob

    /// Whose journals these are.
    static var role: JobRole { get }
    /// The jobs that are remembered.
    var jobs: JobTable<Job> { get set }

    /// Folds an event into its job, which the first event creates, and into everything else that follows from events.
    mutating func fold(_ event: JobEvent, _ context: inout MarketContext)
    /// Drops what is kept about a job besides the job itself; `isForgotten` if the job went too.
    mutating func drop(_ job: Job, isForgotten: Bool)
}

extension MarketHalf {
    /// The number of jobs that are not closed.
    var openCount: Int { jobs.openCount }

    /// Records an event, unless told otherwise, and folds it in.
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

    /// Folds one event into the state and, outside a replay, sets timers and emits actions.
    mutating func apply(_ event: JobEvent, _ context: inout MarketContext) throws(JobEventError) {
        let before = jobs.read(event.jobID) { (marks: $0.marks, isClosed: $0.isClosed) }
        // What is booked for a forgotten job must not be booked again, so the job goes first.
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

    /// Removes a job as if it had never existed, during a replay of journals.
    mutating func discard(_ id: JobID) {
        if let job = jobs.remove(id) { drop(job, isForgotten: true) }
    }

    /// Keeps closed jobs for a while to answer late messages, forgets the oldest, and folds their bookings into the
    /// opening balances.
    private mutating func remember(closed id: JobID, _ context: inout MarketContext) {
        if let job = jobs[id] { drop(job, isForgotten: false) }
        for forgotten in jobs.close(id, context.limits) {
            drop(forgotten, isForgotten: true)
            if !forgotten.cameToNothing { context.ledger.fold(forgotten.ledgerKeys) }
        }
    }
}
