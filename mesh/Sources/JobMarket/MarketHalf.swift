import Collections
import Economics
import MeshTypes

/// A job as a half of the market keeps it: the fold of its journal.
protocol MarketJob {
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
}

/// What both halves of the market do alike: write an event down, fold it in, and remember closed jobs for a while.
protocol MarketHalf {
    associatedtype Job: MarketJob

    /// Whose journals these are.
    static var role: JobRole { get }
    /// All jobs that are remembered: the open ones and the closed ones last.
    var jobs: [JobID: Job] { get set }
    /// The closed ones, the one that was closed first coming first.
    var closedOrder: Deque<JobID> { get set }
    /// The closed ones that came to nothing, in the same order.
    var closedBidOrder: Deque<JobID> { get set }

    /// Folds an event into its job, which the first event makes, and into what else follows from events.
    mutating func fold(_ event: JobEvent, _ context: inout MarketContext)
    /// Sets the timers that a change of state asks for.
    func armTimers(from old: Job.Marks?, to job: Job, _ context: inout MarketContext)
    /// What an event asks the world to do.
    mutating func emitActions(of event: JobEvent, _ job: Job, _ context: inout MarketContext)
    /// Drops what is kept about a job besides the job itself; `isForgotten` when the job went, too.
    mutating func drop(_ job: Job, isForgotten: Bool)
}

extension MarketHalf {
    /// The number of jobs that are not closed.
    var openCount: Int { jobs.count - closedOrder.count - closedBidOrder.count }

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

    /// Folds one event into the state, and unless it is replayed emits its actions.
    mutating func apply(_ event: JobEvent, _ context: inout MarketContext) throws(JobEventError) {
        let before = jobs[event.jobID]?.marks
        let wasClosed = jobs[event.jobID]?.isClosed ?? false
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
        guard let job = jobs[event.jobID] else { return }
        if !context.isReplaying {
            armTimers(from: before, to: job, &context)
            emitActions(of: event, job, &context)
        }
        if job.isClosed, !wasClosed { remember(closed: job, &context) }
    }

    /// Takes a job out as if it had never been, while journals are replayed.
    mutating func discard(_ id: JobID) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        closedOrder.removeAll { $0 == id }
        closedBidOrder.removeAll { $0 == id }
        drop(job, isForgotten: true)
    }

    /// Closed jobs are kept for a while to answer what comes late, the oldest are forgotten, and what was booked for
    /// them becomes part of the opening balances.
    private mutating func remember(closed job: Job, _ context: inout MarketContext) {
        drop(job, isForgotten: false)
        if job.cameToNothing {
            closedBidOrder.append(job.id)
            while closedBidOrder.count > context.limits.closedBidsMax, let oldest = closedBidOrder.popFirst() {
                if let forgotten = jobs.removeValue(forKey: oldest) { drop(forgotten, isForgotten: true) }
            }
            return
        }
        closedOrder.append(job.id)
        while closedOrder.count > context.limits.closedJobsMax, let oldest = closedOrder.popFirst() {
            guard let forgotten = jobs.removeValue(forKey: oldest) else { continue }
            drop(forgotten, isForgotten: true)
            context.ledger.fold(forgotten.ledgerKeys)
        }
    }
}
