package import Multiformats
package import NodeAPI

/// Who shows the log of what a node anchored to its owner, from the node's log desk.
package protocol LogKeeper: LogWitness {
    /// Shows the log, and signs its heads.
    var logDesk: LogDesk { get }
    /// Keeps the logs of others.
    var logFollower: LogFollower { get }
}

extension LogKeeper {
    package func log(below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView] {
        try await logDesk.entries(below: number, limit: limit)
    }

    package func logHead(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView {
        try await logDesk.head(since: size)
    }

    package func logProof(of cid: CID) async throws(NodeServiceError) -> LogProofView {
        try await logDesk.proof(of: cid)
    }

    package func followedLogs() async throws(NodeServiceError) -> [FollowedLogView] {
        try await logFollower.views()
    }

    package func log(
        of author: String, below number: UInt64?, limit: Int
    ) async throws(NodeServiceError) -> [LogEntryView] {
        try await logFollower.entries(of: author, below: number, limit: limit)
    }

    package func logBlocks(
        of author: String, from number: UInt64, limit: Int
    ) async throws(NodeServiceError) -> [LogBlockView] {
        try await logFollower.blocks(of: author, from: number, limit: limit)
    }

    package func syncLogs(of author: String?) async throws(NodeServiceError) -> [LogSyncView] {
        try await logFollower.sync(author)
    }

    package func logForks(
        of author: String?, after: String?, limit: Int
    ) async throws(NodeServiceError) -> [LogForkView] {
        try await logFollower.forkViews(of: author, after: after, limit: limit)
    }

    package func forgetLog(of author: String) async throws(NodeServiceError) -> ForgottenLog {
        try await logFollower.forget(author)
    }

    package func addCheckpoint(_ request: [UInt8]) async -> WitnessAnswer {
        await logDesk.witness.addCheckpoint(request)
    }

    package func witnessedCheckpoint(ofOriginHash hash: String) async -> WitnessAnswer {
        await logDesk.witness.checkpoint(ofOriginHash: hash)
    }

    package func witnessKey() async throws(NodeServiceError) -> WitnessKeyView { try await logDesk.witnessKey() }

    package func logHead(of size: UInt64, since earlier: UInt64) async throws(NodeServiceError) -> LogHeadView {
        try await logDesk.head(of: size, since: earlier)
    }

    package func headCosigned(by witness: String) async throws(NodeServiceError) -> CosignedHead {
        try await logDesk.headCosigned(by: witness)
    }

    package func keep(_ lines: [UInt8], by witness: String, of head: LogHeadView) async throws(NodeServiceError) {
        try await logDesk.keep(lines, by: witness, of: head)
    }
}
