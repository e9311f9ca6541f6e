package import Multiformats
package import SignedObjects

/// One node of a scope's anchored DAG: it names its parents and the evidence it fixes.
package struct AnchorEntry: Hashable, Sendable, SignedBody {
    /// Who anchors.
    package var nodeDID: DID
    /// The heads that this entry follows, sorted.
    package var parents: [CID]
    /// Receipts and other blocks that it fixes.
    package var payload: [CID]
    /// The DAG it belongs to, for example `global`.
    package var scope: String
    /// One more than the highest parent, or 0.
    package var height: UInt64
    /// When.
    package var recordedAt: UnixMilliseconds

    package init(
        nodeDID: DID, parents: [CID], payload: [CID], scope: String, height: UInt64, recordedAt: UnixMilliseconds
    ) {
        self.nodeDID = nodeDID
        self.parents = parents
        self.payload = payload
        self.scope = scope
        self.height = height
        self.recordedAt = recordedAt
    }

    /// The type name that is signed.
    package static let typeName = "AnchorEntry"
    /// The anchoring node signs.
    package var signerDID: DID { nodeDID }

    enum CodingKeys: String, CodingKey {
        case nodeDID = "node_did"
        case parents
        case payload
        case scope
        case height
        case recordedAt = "recorded_at"
    }
}
