import JobMarket
import MeshTypes
import Multiformats

/// What a node that stops still waits for.
struct Drain: Sendable {
    /// The runs that were going on when it was asked to stop, by assignment.
    let runs: [CID: JobID]
}

/// The stop sequence.
///
/// A node that is asked to stop takes no more jobs, neither its owner's nor others', and starts none that waits for a
/// place. Runs may end, and their receipts be handed over, for `drain_seconds` of its configuration. Then it goes as if
/// it were killed: about what still runs nothing is written or signed, so that the restart rule of `ExecutorMarket`
/// decides at the next start. A second request goes at once.
extension MeshNode {
    public func shutdown() async throws(NodeServiceError) {
        guard drain == nil else { return goAtOnce() }
        drain = Drain(runs: running.mapValues(\.jobID))
        market.configuration.executor?.acceptsJobs = false
        market.configuration.executor?.startsRuns = false
        await sayFarewell()
        let waiting = unfinishedRuns.count
        guard configuration.drainSeconds > 0, waiting > 0 else { return goAtOnce() }
        logger.notice(
            """
            The node stops: it waits for \(waiting) running \(waiting == 1 ? "job" : "jobs"), \
            \(configuration.drainSeconds) s at the longest; a second request stops it at once.
            """)
        drainBegins.yield(())
    }

    private func goAtOnce() { stop.yield(()) }

    /// Whether no more jobs are taken.
    func requireStaying() throws(NodeServiceError) {
        guard drain != nil || isLeaving else { return }
        throw NodeServiceError(.shuttingDown, "The node is about to stop.", hint: "Start it again with mesh up.")
    }

    /// Waits, once a stop was asked for, until the runs have ended or their time is over.
    func endOfDrain() async {
        for await _ in draining { break }
        guard drain != nil else { return }
        let until = NodeClock.now.advanced(
            milliseconds: Int64(
                clamping: configuration.drainSeconds.multipliedReportingOverflow(by: 1_000).partialValue))
        while !unfinishedRuns.isEmpty, NodeClock.now < until,
            (try? await Task.sleep(for: .milliseconds(limits.drainLookMilliseconds))) != nil
        {}
        let left = unfinishedRuns.count
        if left > 0 { logger.notice("Running jobs are left to the next start.", metadata: ["jobs": "\(left)"]) }
        stop.yield(())
    }

    /// The runs that this node waits for and that have not ended, or whose receipts were not answered yet.
    private var unfinishedRuns: [JobID] {
        (drain?.runs ?? [:]).compactMap { assignment, id in
            if running[assignment] != nil { return id }
            guard let job = market.executedJob(id), job.assignmentCID == assignment, !job.isClosed,
                job.receipt == nil || job.delivery == nil
            else { return nil }
            return id
        }
    }

    /// From here on runs that are cut off leave no trace.
    func leave() {
        isLeaving = true
        store.waitNoLonger()
    }
}
