package import Multiformats
package import NodeAPI

/// Who shows the log of what a node anchored to its owner, from the node's log desk.
package protocol LogKeeper: Sendable {
    /// Shows the log, and signs its heads.
    var logDesk: LogDesk { get }
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
}
