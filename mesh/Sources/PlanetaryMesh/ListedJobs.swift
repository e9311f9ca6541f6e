import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore

/// Pages of jobs, as the API lists them: one that was made is given again while neither the core nor the store has
/// changed, and each of its jobs, for any page, while nothing of that job has.
///
/// Programs ask for the same page many times between two changes, and on a node that always does something for ever
/// other pages of mostly the same jobs. To make a page costs a look into the database, and to make one of its jobs as
/// much as a twentieth of that.
final class ListedJobs: Sendable {
    /// What a page is made from: the jobs that the market remembers, and the rows of the store.
    struct Stamp: Hashable, Sendable {
        let decisions: UInt64
        let changes: UInt64
    }

    /// A query by its bytes, as the database compares texts; Swift takes two spellings of a letter for one.
    struct Key: Hashable, Sendable {
        let query: JobQuery
        let label: [UInt8]
        let named: [UInt8]

        init(_ query: JobQuery) {
            self.query = query
            (label, named) = (Array((query.label ?? "").utf8), Array((query.named ?? "").utf8))
        }
    }

    /// One side of a job.
    struct Side: Hashable, Sendable {
        let job: CID
        let role: StoreRole
    }

    /// What a job in a page is made from.
    enum Origin: Equatable, Sendable {
        /// The job as the market remembers it, by its revision.
        case remembered(UInt64)
        /// The row of a job that the market has forgotten.
        case stored(JobRow)
    }

    /// Pages at once, and their jobs together; with more, all are made anew.
    static let limits = StampedMemo<Key, Stamp, JobPage>.Limits(countMax: 64, weightMax: 4_096)
    /// Jobs at once, and they and their outputs together; with more, all are made anew.
    static let jobLimits = StampedMemo<Side, Origin, JobView>.Limits(countMax: 4_096, weightMax: 16_384)

    let pages = StampedMemo<Key, Stamp, JobPage>(limits)
    let jobs = StampedMemo<Side, Origin, JobView>(jobLimits)

    /// A page of the jobs of a node.
    func page(_ query: JobQuery, of node: isolated MeshNode) async throws(NodeServiceError) -> JobPage {
        let (begin, key) = (Self.stamp(of: node), Key(query))
        if let begin, let known = pages.value(of: key, at: begin) { return known }
        let page = try await node.reader.page(query)
        let listed = JobPage(jobs: await views(of: page.rows, on: node), next: page.next?.text)
        if let begin, Self.stamp(of: node) == begin, listed.jobs.allSatisfy(\.isSettled) {
            pages.keep(listed, of: key, at: begin, weight: max(1, listed.jobs.count))
        }
        return listed
    }

    /// The jobs of rows. Those that the market remembers are all of one moment, after everything was read.
    private func views(of rows: [JobRow], on node: isolated MeshNode) async -> [JobView] {
        var stored: [Int: JobView] = [:]
        while true {
            let views = remembered(rows, on: node)
            let missing = rows.indices.filter { views[$0] == nil && stored[$0] == nil }
            if missing.isEmpty { return rows.indices.compactMap { views[$0] ?? stored[$0] } }
            for index in missing { stored[index] = await forgotten(rows[index], on: node) }
        }
    }

    /// The jobs that the market remembers, at the places of their rows.
    private func remembered(_ rows: [JobRow], on node: isolated MeshNode) -> [JobView?] {
        // One copy for all of them: each is some fifty references.
        let market = node.core.market
        return rows.map { row in
            let (side, id) = (Side(job: row.jobID, role: row.role), JobID(row.jobID))
            let revision =
                switch row.role {
                case .originator: market.originatedRevision(of: id)
                case .executor: market.executedRevision(of: id)
                }
            guard let revision else { return nil }
            if let known = jobs.value(of: side, at: .remembered(revision)) { return known }
            guard let found = market.view(of: row) else { return nil }
            let view = node.marked(found)
            if market.showsAlone(row) { keep(view, of: side, .remembered(revision)) }
            return view
        }
    }

    /// A job that the market has forgotten.
    private func forgotten(_ row: JobRow, on node: isolated MeshNode) async -> JobView {
        let side = Side(job: row.jobID, role: row.role)
        if let known = jobs.value(of: side, at: .stored(row)) { return known }
        let view = node.marked(await node.reader.view(of: row))
        // An end that could not be read may be readable the next time.
        if view.isSettled { keep(view, of: side, .stored(row)) }
        return view
    }

    /// Keeps a job for other pages.
    func keep(_ view: JobView, of side: Side, _ origin: Origin) {
        jobs.keep(view, of: side, at: origin, weight: 1 + (view.result?.outputs.count ?? 0))
    }

    /// Nil while a transaction is under way, of which others may see what nobody was told yet.
    private static func stamp(of node: isolated MeshNode) -> Stamp? {
        node.parts.store.changes.map { Stamp(decisions: node.decisions, changes: $0) }
    }
}

extension JobMarket {
    /// Whether what is shown of a job that is remembered follows from the job alone. How far a run is, or what comes
    /// before it, is known beside it.
    fileprivate func showsAlone(_ row: JobRow) -> Bool {
        let id = JobID(row.jobID)
        switch row.role {
        case .originator: return originatedJob(id).map { $0.liveAttempt == nil } ?? false
        case .executor: return executedJob(id).map { !$0.occupiesPlace && $0.status != .preparingExecution } ?? false
        }
    }
}

extension JobView {
    /// Whether it says nothing that changes without an event: how long its preparation lasts and how far this node's
    /// own run is do, and an end that could not be read may be readable the next time.
    fileprivate var isSettled: Bool {
        if preparation != nil { return false }
        if role == JobSide.executor.rawValue { return outcome != .running }
        return result != nil || !isTerminal
    }
}
