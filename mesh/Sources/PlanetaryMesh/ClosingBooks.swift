import Determinism
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore

/// The books of a job that is over: what is anchored and delivered after its result is told to whoever waited for it.
enum ClosingBooks {
    /// For how long the removal of a job waits for them, and how often it looks, in milliseconds.
    static let milliseconds: Int64 = 5_000
    static let lookMilliseconds = 20

    /// Removes what a node's owner names, but for what an open job of the owner's needs.
    static func remove(_ cid: CID, on node: isolated MeshNode) async throws(NodeServiceError) -> RemovedBlocks {
        if let job = node.core.market.openJob(that: cid) {
            throw NodeServiceError(
                .conflict, "\(cid) is not removed: the open job \(job) needs it.",
                hint: "Wait for the job's end, or cancel it with mesh cancel.")
        }
        await wait(for: JobID(cid), on: node)
        return try await node.files.remove(cid)
    }

    /// Waits until the books of a job are closed that has its result, so that whoever saw that may remove it at once;
    /// one whose books stay open longer is kept, as one that runs is.
    private static func wait(for job: JobID, on node: isolated MeshNode) async {
        let end = NodeClock.now.advanced(milliseconds: milliseconds)
        while NodeClock.now < end, let known = node.core.market.originatedJob(job), known.result != nil,
            !known.isClosed
        {
            guard (try? await Task.sleep(for: .milliseconds(lookMilliseconds))) != nil else { return }
        }
    }
}
