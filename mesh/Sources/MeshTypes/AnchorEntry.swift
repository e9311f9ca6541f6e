package import Multiformats
package import SignedObjects

/// One node of a scope's anchored DAG, and one leaf of its author's log: it names its parents, the evidence it fixes,
/// and the tree of all entries of its author before it. Source: PROTOCOL.md, "Logs".
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
    /// How many entries the author's log had before, so that this one has that number; absent in entries of versions
    /// without a log.
    package var size: UInt64?
    /// The root of the tree of those entries, 32 bytes.
    package var root: [UInt8]?
    /// When the log began again, as the author's home was restored from a backup; absent if it never did.
    package var openedAt: UnixMilliseconds?
    /// The newest entries of others' logs that the author keeps and named in no earlier entry, ascending: they make one
    /// DAG of the logs of a scope. Absent if there are none.
    package var heads: [CID]?

    package init(
        nodeDID: DID, parents: [CID], payload: [CID], scope: String, height: UInt64, recordedAt: UnixMilliseconds,
        size: UInt64? = nil, root: [UInt8]? = nil, openedAt: UnixMilliseconds? = nil, heads: [CID] = []
    ) {
        self.nodeDID = nodeDID
        self.parents = parents
        self.payload = payload
        self.scope = scope
        self.height = height
        self.recordedAt = recordedAt
        self.size = size
        self.root = root
        self.openedAt = openedAt
        self.heads = heads.isEmpty ? nil : heads
    }

    /// The type name that is signed.
    package static let typeName = "AnchorEntry"
    /// The most blocks that this version fixes in one entry, so that a proof of any is short; more take more entries.
    package static let payloadMax = 64
    /// The DAG that every node anchors in.
    package static let globalScope = "global"
    /// The most heads of others that one entry names.
    package static let headsMax = 16

    /// Whether the heads of others are as they have to be: absent, or some, ascending, each once.
    package var areHeadsInOrder: Bool {
        guard let heads else { return true }
        return (1...Self.headsMax).contains(heads.count) && zip(heads, heads.dropFirst()).allSatisfy { $0 < $1 }
    }

    /// The anchoring node signs.
    package var signerDID: DID { nodeDID }

    enum CodingKeys: String, CodingKey {
        case nodeDID = "node_did"
        case parents
        case payload
        case scope
        case height
        case recordedAt = "recorded_at"
        case size
        case root
        case openedAt = "opened_at"
        case heads
    }

    /// The name of a node's log in a scope, which its signed heads begin with. A log that began again, as its home was
    /// restored from a backup, has another name: what was signed after the backup is not known any more, and must not
    /// be contradicted.
    package static func logName(of author: DID, scope: String, openedAt: UnixMilliseconds?) -> String {
        "icn-mesh/dag/\(scope)/\(author.text)" + (openedAt.map { "/\($0.value)" } ?? "")
    }
}
