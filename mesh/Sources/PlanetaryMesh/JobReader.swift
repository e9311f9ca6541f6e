import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity

/// Jobs as stored: those that the market has forgotten, and journals in words.
struct JobReader: Sendable {
    /// A job, according to its journal.
    struct Recalled: Sendable {
        var view: JobView
        var lines: [JobExplanation.Line]
    }

    let store: MeshStore
    let identity: Identity
    /// The market's, whose journals these are.
    let market: MarketConfiguration

    /// The newest jobs.
    func rows(limit: Int) async throws(NodeServiceError) -> [JobRow] {
        try await written()
        return try await stored { () throws(MeshStoreError) in
            try await store.jobs(role: nil, limit: max(0, limit))
        }
    }

    /// Folds a job's journal outside the market: for jobs that the market has forgotten, and for its words.
    func recalled(_ jobID: CID) async throws(NodeServiceError) -> Recalled {
        let id = JobID(jobID)
        try await written()
        let journal = try await stored { () throws(MeshStoreError) in try await store.readableJournal(of: jobID) }
        guard !journal.entries.isEmpty || !journal.damaged.isEmpty else {
            throw NodeServiceError(
                .jobNotFound, "This node knows no job \(jobID).", hint: "See mesh jobs for those that it knows.")
        }
        var scratch = JobMarket(identity: identity, configuration: market)
        _ = try? scratch.grant(TokenAmount(.max / 4), reference: "fold", wallClock: NodeClock.wallClock)
        var lines: [JobExplanation.Line] = []
        var progress: JobEventKind?
        for entry in journal.entries {
            guard let event = try? JobEvent.decode(entry.bytes) else { continue }
            try? scratch.replay(event)
            if case .executionProgressed = event.kind {
                // Its executor records again and again that a run continues.
                if progress == event.kind { continue }
                progress = event.kind
            }
            let phase =
                event.role == .originator
                ? scratch.originatedJob(id)?.status.rawValue : scratch.executedJob(id)?.status.rawValue
            lines.append(JobExplanation.Line(at: entry.at, phase: phase ?? "", text: event.explanation))
        }
        if !journal.damaged.isEmpty {
            let rows = journal.damaged.map(String.init).joined(separator: ", ")
            lines.append(
                JobExplanation.Line(
                    at: lines.last?.at ?? 0, phase: lines.last?.phase ?? "",
                    text: "damaged, and left out of this: the rows \(rows) of the journal"))
        } else if let view = scratch.view(of: id) {
            return Recalled(view: view, lines: lines)
        }
        for role in StoreRole.allCases {
            let row = try await stored { () throws(MeshStoreError) in try await store.job(jobID, role: role) }
            if let row { return Recalled(view: try await view(of: row), lines: lines) }
        }
        throw NodeServiceError(.storageFailed, "The journal of \(jobID) is unreadable.")
    }

    /// A job of which only the row is known; its receipt says how it ended.
    func view(of row: JobRow) async throws(NodeServiceError) -> JobView {
        var result = StandardJobStatus.failed
        if let cid = row.receiptCID,
            let receipt = try await stored({ () throws(MeshStoreError) in try await store.receipt(cid) })
        {
            result = StandardJobStatus(rawValue: receipt.status) ?? .failed
        }
        let status = JobStatus(rawValue: row.status) ?? .failed
        return JobStory.view(row, standard: status.standard(result: result), result: nil)
    }

    /// Waits until everything handed to the store before is on the disk; but not for a lock or for room, which may take
    /// long: then it returns what is there.
    private func written() async throws(NodeServiceError) {
        guard !store.isStuck else { return }
        try await stored { () throws(MeshStoreError) in try await store.persisted() }
    }
}

extension JobMarket {
    /// A job that the market remembers, on either side.
    func view(of job: JobID) -> JobView? {
        if let job = originatedJob(job) { return JobStory.view(of: job) }
        return executedJob(job).map(JobStory.view(of:))
    }

    /// The job of a row, if the market remembers that side of it.
    func view(of row: JobRow) -> JobView? {
        switch row.role {
        case .originator: originatedJob(JobID(row.jobID)).map(JobStory.view(of:))
        case .executor: executedJob(JobID(row.jobID)).map(JobStory.view(of:))
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

extension JobView {
    /// The job as the owner sees it; says so if the node of `did` runs it itself.
    func marked(for did: String) -> JobView {
        var job = self
        if role == StoreRole.originator.rawValue, counterpartyDID == did { job.isOwnRun = true }
        return job
    }
}
