import JobMarket
import MeshStore
import Multiformats
import NodeAPI
import NodeCore

/// Pages of jobs, as the API lists them: one that was made is given again while neither the core nor the store has
/// changed.
///
/// Programs ask for the same page many times between two changes, and to make one costs a look into the database and a
/// view of every job.
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

    /// Pages at once, and their jobs together; with more, all are made anew.
    static let limits = StampedMemo<Key, Stamp, JobPage>.Limits(countMax: 64, weightMax: 4_096)

    let pages = StampedMemo<Key, Stamp, JobPage>(limits)

    /// A page of the jobs of a node.
    func page(_ query: JobQuery, of node: isolated MeshNode) async throws(NodeServiceError) -> JobPage {
        let (begin, key) = (Self.stamp(of: node), Key(query))
        if let begin, let known = pages.value(of: key, at: begin) { return known }
        let reader = node.reader
        let page = try await reader.page(query)
        var jobs: [JobView] = []
        for row in page.rows {
            let view = if let view = node.core.market.view(of: row) { view } else { await reader.view(of: row) }
            jobs.append(node.marked(view))
        }
        let listed = JobPage(jobs: jobs, next: page.next?.text)
        if let begin, Self.stamp(of: node) == begin, jobs.allSatisfy(\.isSettled) {
            pages.keep(listed, of: key, at: begin, weight: max(1, jobs.count))
        }
        return listed
    }

    /// Nil while a transaction is under way, of which others may see what nobody was told yet.
    private static func stamp(of node: isolated MeshNode) -> Stamp? {
        node.parts.store.changes.map { Stamp(decisions: node.decisions, changes: $0) }
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
