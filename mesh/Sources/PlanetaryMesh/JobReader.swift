import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI

/// Jobs as stored: those that the market has forgotten, and journals in words. It reads them as data, so what it tells
/// depends neither on what the market remembers nor on what it would still accept.
struct JobReader: Sendable {
    /// A job, according to its journals.
    struct Recalled: Sendable {
        var view: JobView
        var history = JobHistory()
        /// The events that are readable, in order.
        var events: [JobEvent] = []
        var lines: [JobExplanation.Line] = []

        /// The answer to who waits for the end of a job that has none here.
        func endless(_ jobID: CID) -> NodeServiceError {
            let reason = view.reason.isEmpty ? "" : ": \(view.reason)"
            return NodeServiceError(
                .storageFailed, "The journal of the job \(jobID) cannot be read, so it has no end here\(reason).",
                hint: "See mesh explain \(jobID) for what is left of it, and run it again under another key.")
        }
    }

    /// The answer to who cancels a job of somebody else.
    static func isOnlyBid(_ jobID: CID) -> NodeServiceError {
        NodeServiceError(
            .invalidRequest, "This node only bid on the job \(jobID); it cannot cancel it.",
            hint: "The node that asked for the job can.")
    }

    let store: MeshStore
    let results: EndedResults

    /// A job that the market has forgotten, as a listing shows it.
    func view(of row: JobRow) async -> JobView { JobStory.view(row, result: await result(of: row)) }

    /// The result of a job that this node asked for and that is over, as its journal says; nil if that does not say.
    private func result(of row: JobRow) async -> JobResult? {
        guard row.role == .originator, row.isTerminal else { return nil }
        if let known = results[row.jobID] { return known }
        let journal = try? await stored { () throws(MeshStoreError) in try await store.readableJournal(of: row.jobID) }
        guard let journal, journal.damaged.isEmpty else { return nil }
        var history = JobHistory()
        for entry in journal.entries {
            guard let event = try? JobEvent.decode(entry.bytes) else { return nil }
            history.read(event)
        }
        guard let job = history.originated else { return nil }
        let result = JobStory.result(of: job) ?? JobStory.resultOfClosed(row, attempts: history.attempts)
        results.keep(result, of: row.jobID)
        return result
    }

    /// A page of jobs.
    func page(_ query: JobQuery) async throws(NodeServiceError) -> JobRowPage {
        try await written()
        var filter = JobFilter()
        filter.role = query.role.map { $0 == .originator ? .originator : .executor }
        filter.outcomes = query.statuses.flatMap { $0.outcomes.map(\.rawValue) }
        filter.payments = query.statuses.flatMap { $0.payments.map(\.rawValue) }
        filter.since = query.since
        filter.label = query.label
        filter.named = query.named
        // A user asked for one job, and sees one; who names a replica gets it.
        if query.named == nil { filter.withoutKeysFrom = ReplicaKey.prefix }
        let (limit, after) = (max(0, query.limit), query.after)
        let page = try await stored { [filter] () throws(MeshStoreError) in
            try await store.jobs(filter, after: after, limit: limit)
        }
        if let page { return page }
        throw Self.unknown(after)
    }

    private static func unknown(_ jobID: CID?) -> NodeServiceError {
        NodeServiceError(
            .jobNotFound, "This node knows no job \(jobID?.text ?? "").",
            hint: "See mesh jobs for those that it knows.")
    }

    /// Reads a job's journals, in words too.
    func recalled(_ jobID: CID) async throws(NodeServiceError) -> Recalled {
        try await written()
        let journal = try await stored { () throws(MeshStoreError) in try await store.readableJournal(of: jobID) }
        let row = try await row(of: jobID)
        guard !journal.entries.isEmpty || !journal.damaged.isEmpty || row != nil else {
            throw Self.unknown(jobID)
        }
        var history = JobHistory()
        var events: [JobEvent] = []
        var lines: [JobExplanation.Line] = []
        var progress: JobEventKind?
        for entry in journal.entries {
            guard let event = try? JobEvent.decode(entry.bytes) else { continue }
            history.read(event)
            events.append(event)
            if case .executionProgressed = event.kind {
                // Its executor records again and again that a run continues.
                if progress == event.kind { continue }
                progress = event.kind
            }
            lines.append(
                JobExplanation.Line(
                    at: entry.at, phase: history.status(event.role) ?? "", text: event.explanation,
                    news: JobNews(event)))
        }
        if !journal.damaged.isEmpty {
            let rows = journal.damaged.map(String.init).joined(separator: ", ")
            lines.append(
                JobExplanation.Line(
                    at: lines.last?.at ?? 0, phase: lines.last?.phase ?? "",
                    text: "damaged, and left out of this: the rows \(rows) of the journal"))
        }
        // Of a journal with gaps the row knows more, and of a job that a start has closed, since no journal says so.
        let isClosedByStart = row?.isTerminal ?? false && !(history.view?.isTerminal ?? true)
        let isReadable = journal.damaged.isEmpty && events.count == journal.entries.count
        if isClosedByStart, isReadable, let row, row.role == .originator {
            return Recalled(
                view: JobStory.view(row, result: JobStory.resultOfClosed(row, attempts: history.attempts)),
                history: history, events: events, lines: lines)
        }
        let view = journal.damaged.isEmpty && !isClosedByStart ? history.view : nil
        guard let view = view ?? row.map({ JobStory.view($0, result: nil) }) ?? history.view else {
            throw NodeServiceError(.storageFailed, "The journal of \(jobID) is unreadable.")
        }
        return Recalled(view: view, history: history, events: events, lines: lines)
    }

    /// The summary of a job, from its originator's side if this node has both.
    private func row(of jobID: CID) async throws(NodeServiceError) -> JobRow? {
        for role in StoreRole.allCases {
            let row = try await stored { () throws(MeshStoreError) in try await store.job(jobID, role: role) }
            if let row { return row }
        }
        return nil
    }

    /// Waits until everything handed to the store before can be read; but not for a lock or for room, which may take
    /// long: then it returns what is there.
    private func written() async throws(NodeServiceError) {
        guard !store.isStuck else { return }
        try await stored { () throws(MeshStoreError) in try await store.settled() }
    }
}

extension JobHistory {
    /// How many executors had the job.
    var attempts: UInt64 { UInt64(originated?.attempts.count ?? 0) }

    /// The job as it was read, from its originator's side if this node has both.
    var view: JobView? {
        if let originated { return JobStory.view(of: originated) }
        return executed.map(JobStory.view(of:))
    }
}

extension JobPreparation {
    /// What the market knows of it.
    init(_ preparation: Preparation) {
        self.init(
            step: preparation.step.rawValue, fetchedBytes: preparation.fetchedBytes,
            compilingMilliseconds: preparation.compilingMilliseconds,
            compilingMillisecondsMax: preparation.compilingMillisecondsMax)
    }

    /// The same without how long it has lasted, to tell what changed.
    var withoutTime: JobPreparation {
        var same = self
        same.compilingMilliseconds = nil
        return same
    }
}

extension JobMarket {
    /// A job that the market remembers, on either side.
    func view(of job: JobID) -> JobView? {
        if let job = originatedJob(job) { return told(job) }
        return executedJob(job).map(told)
    }

    private func told(_ job: ExecutedJob) -> JobView {
        var view = JobStory.view(of: job)
        view.preparation = ownPreparation(of: job.id, now: NodeClock.now).map(JobPreparation.init)
        return view
    }

    private func told(_ job: OriginatedJob) -> JobView {
        var view = JobStory.view(of: job)
        view.progressPermille = progressPermille(of: job.id)
        view.preparation = preparation(of: job.id, now: NodeClock.now).map(JobPreparation.init)
        return view
    }

    /// The job of a row, if the market remembers that side of it.
    func view(of row: JobRow) -> JobView? {
        switch row.role {
        case .originator: originatedJob(JobID(row.jobID)).map(told)
        case .executor: executedJob(JobID(row.jobID)).map(told)
        }
    }

    /// The jobs that are under way on either side, by their phases, as a listing of the open ones counts them: each job
    /// once, from its originator's side if this node has both. So this node's own bid on its own job that ended does
    /// not count, though it is open until it lapses.
    var jobsUnderWay: [NodeStatus.JobCount] {
        let (originated, executed) = unclosedJobs
        let others = executed.filter { $0.bid.originatorPeerID != $0.bid.bidderPeerID }
        let sides = [
            (JobSide.originator, originated.map { JobEnd($0).outcome }), (.executor, others.map { JobEnd($0).outcome }),
        ]
        return sides.flatMap { side, outcomes in
            let counts = Dictionary(grouping: outcomes.filter(\.isUnderWay)) { $0 }
            return counts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                NodeStatus.JobCount(side: side.rawValue, outcome: $0.key, count: UInt64($0.value.count))
            }
        }
    }

    /// This node's own open job that names a file as its module or input.
    func openJob(that needs: CID) -> JobID? {
        originatedJobs.first { job in
            let params = job.manifest.params
            return !job.isClosed && (params.wasmCID == needs || params.inputCIDs.contains { $0.value == needs })
        }?.id
    }
}
