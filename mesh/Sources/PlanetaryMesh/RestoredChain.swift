import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeCore
import PeerIdentity
import SignedObjects
import Workflows

/// What the first start of a home that was restored from a backup has to do before the node signs anything: it begins
/// the chain of its receipts again (`ChainOpening`), and ends what was under way.
///
/// `StoreCopy` marks the database of such a home. The mark goes with the same transaction in which the jobs and
/// workflows of before end; a start that is cut off before does all of it again, and has signed nothing that counts.
enum RestoredChain {
    /// The setting that says when the chain began again, for as long as the home exists.
    private static let openedKey = "chain_opened_at"
    /// The most workflows that are ended; no node has more open ones.
    private static let workflowsMax = 1_024

    /// Whether the database came from a backup and its node has not started since.
    static func isPending(in store: MeshStore) async throws(MeshStoreError) -> Bool {
        try await store.setting(StoreCopy.restoredKey)?.isEmpty == false
    }

    /// When the backup was made from which the home comes.
    private static func backedUpAt(in store: MeshStore) async throws(MeshStoreError) -> UnixMilliseconds? {
        guard let bytes = try await store.setting(StoreCopy.restoredKey) else { return nil }
        return UInt64(String(decoding: bytes, as: UTF8.self)).map { UnixMilliseconds($0) }
    }

    /// When the chain of receipts began again; nil if it never did.
    static func openedAt(in store: MeshStore) async throws(MeshStoreError) -> UnixMilliseconds? {
        guard let bytes = try await store.setting(openedKey) else { return nil }
        guard bytes.count == 8 else { throw .recordCorrupt(table: "settings", row: 0) }
        return UnixMilliseconds(bytes.reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// Begins the chain again if the home was restored, and says what the next receipt follows then.
    ///
    /// - Parameter tip: the last receipt that the backup knows.
    static func open(
        after tip: CID?, _ identity: Identity, _ store: MeshStore, _ logger: Logger
    ) async throws -> (lastReceipt: CID?, openedAt: UnixMilliseconds?) {
        guard try await isPending(in: store) else { return (nil, try await openedAt(in: store)) }
        // What is of before is told by this date: a clock behind the backup's must not make it seem new.
        let now = max(NodeClock.wallClock, try await backedUpAt(in: store) ?? .init(0))
        let opening = try SignedObject.sign(
            ChainOpening(executorDID: identity.did, afterCID: tip, openedAt: now), with: identity)
        let date = (0..<8).reversed().map { UInt8(truncatingIfNeeded: now.value >> (8 * UInt64($0))) }
        try await store.commit([
            .block(cid: opening.cid, bytes: opening.bytes, pinned: true), .root(opening.cid),
            .setting(key: NodeWrite.lastReceiptKey, value: opening.cid.bytes),
            .setting(key: openedKey, value: date),
        ])
        logger.notice(
            "This home was restored from a backup: the chain of receipts begins again, and what was under way ends.",
            metadata: ["opening": "\(opening.cid)", "after": "\(tip?.text ?? "nothing")"])
        return (opening.cid, now)
    }

    /// What ends the workflows of before, and takes the mark away.
    static func ending(in store: MeshStore) async throws -> [StoreWrite] {
        let cancelled = try WorkflowRun.entry(.cancelled)
        return try await StoredWorkflows(store).newest(onlyOpen: true, limit: workflowsMax).map {
            .workflowEvent(id: $0.id, bytes: cancelled)
        } + [.setting(key: StoreCopy.restoredKey, value: [])]
    }
}
