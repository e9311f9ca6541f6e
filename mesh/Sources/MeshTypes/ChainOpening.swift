package import Multiformats
package import SignedObjects

/// An executor's word that the chain of its receipts begins again, since its home was restored from a backup: it does
/// not know what it signed after that. The next receipt names it as the one before. Source: PROTOCOL.md,
/// "ChainOpening".
package struct ChainOpening: Hashable, Sendable, SignedBody {
    /// Whose chain it is.
    package var executorDID: DID
    /// The last receipt in the backup, or the opening in its place; none if there was none.
    package var afterCID: CID?
    /// When the restored node first started. It answers for no bid of before.
    package var openedAt: UnixMilliseconds

    package init(executorDID: DID, afterCID: CID?, openedAt: UnixMilliseconds) {
        self.executorDID = executorDID
        self.afterCID = afterCID
        self.openedAt = openedAt
    }

    /// The type name that is signed.
    package static let typeName = "ChainOpening"
    /// The executor signs.
    package var signerDID: DID { executorDID }

    enum CodingKeys: String, CodingKey {
        case executorDID = "executor_did"
        case afterCID = "after_cid"
        case openedAt = "opened_at"
    }
}
