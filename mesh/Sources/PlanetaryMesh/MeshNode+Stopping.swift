import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore

/// The stop sequence.
///
/// A node that is asked to stop takes no more jobs, neither its owner's nor others', and starts none that waits for a
/// place. Runs may end, and their receipts be handed over, for `drain_seconds` of its configuration. Then it goes as if
/// it were killed: about what still runs nothing is written or signed, so that the restart rule of `ExecutorMarket`
/// decides at the next start. A second request goes at once.
extension MeshNode {
    public func shutdown() async throws(NodeServiceError) {
        guard !core.isStopping else {
            stop.yield(())
            return
        }
        let milliseconds = Int64(
            clamping: configuration.drainSeconds.multipliedReportingOverflow(by: 1_000).partialValue)
        let (waiting, effects) = core.beginDrain(milliseconds: milliseconds, at: moment)
        if configuration.drainSeconds > 0, waiting > 0 {
            logger.notice(
                """
                The node stops: it waits for \(waiting) running \(waiting == 1 ? "job" : "jobs"), \
                \(configuration.drainSeconds) s at the longest; a second request stops it at once.
                """)
        }
        await sayFarewell(effects)
        carryOut(
            effects.filter { effect in
                if case .advertise = effect { false } else { true }
            })
    }

    /// Tells others that nothing is offered any more, and gives the word the time to go out: gossip is handed to the
    /// connections, which close with the node.
    private func sayFarewell(_ effects: [NodeEffect]) async {
        for case .advertise(let nothing) in effects {
            await advertise(nothing)
            try? await Task.sleep(for: .milliseconds(limits.farewellMilliseconds))
        }
    }

    /// Whether no more jobs are taken.
    func requireStaying() throws(NodeServiceError) {
        guard core.isStopping else { return }
        throw NodeServiceError(.shuttingDown, "The node is about to stop.", hint: "Start it again with mesh up.")
    }

    /// From here on runs that are cut off leave no trace, and nobody waits for the disk any more.
    func leave() {
        core.leave()
        store.waitNoLonger()
        for continuation in asked.values { continuation.resume(returning: nil) }
        asked = [:]
        for waiter in patient { waiter.continuation.resume() }
        patient = []
    }
}
