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
    /// The setting that says which event of a workflow was the last one of before.
    private static let lastEventKey = "chain_opened_after_event"
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
        try await number(openedKey, in: store).map { UnixMilliseconds($0) }
    }

    /// Whether no other copy of this home can have signed the receipt of a workflow: it began here since. Where
    /// the home was restored by this version, no clock has a part in it.
    static func isOfThisHome(_ workflow: CID, in store: MeshStore) async throws(MeshStoreError) -> Bool {
        let workflows = StoredWorkflows(store)
        guard let last = try await number(lastEventKey, in: store) else {
            // It was restored before that number was kept, or never.
            guard let openedAt = try await openedAt(in: store) else { return true }
            return try await workflows.row(workflow).map { $0.submittedAt > openedAt.value } ?? false
        }
        // Each of before has an event (`ending`).
        return try await workflows.firstEvent(of: workflow).map { $0 > last } ?? true
    }

    private static func number(_ key: String, in store: MeshStore) async throws(MeshStoreError) -> UInt64? {
        guard let bytes = try await store.setting(key) else { return nil }
        guard bytes.count == 8 else { throw .recordCorrupt(table: "settings", row: 0) }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func setting(_ key: String, _ number: UInt64) -> StoreWrite {
        .setting(key: key, value: (0..<8).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) })
    }

    /// How long after its backup, at the most, a restored home's chain begins where the clock is behind the backup's:
    /// far less than clocks may differ for the receipts that follow (`ReceiptExamination`).
    private static let spreadMillisecondsMax: UInt64 = 1 << 15

    /// Begins the chain again if the home was restored, and says what the next receipt follows then.
    ///
    /// - Parameter tip: the last receipt that the backup knows.
    static func open(
        after tip: CID?, _ identity: Identity, _ store: MeshStore, _ logger: Logger
    ) async throws -> (lastReceipt: CID?, openedAt: UnixMilliseconds?) {
        guard try await isPending(in: store) else { return (nil, try await openedAt(in: store)) }
        var now = NodeClock.wallClock
        if let backedUpAt = try await backedUpAt(in: store), now <= backedUpAt {
            // A clock behind the backup's must not date the new chain before the old one; nor may a second restoration
            // of the same backup have the first one's date, by which its log is called.
            now = backedUpAt.advanced(milliseconds: .random(in: 1...Self.spreadMillisecondsMax))
        }
        let opening = try SignedObject.sign(
            ChainOpening(executorDID: identity.did, afterCID: tip, openedAt: now), with: identity)
        try await store.commit([
            .block(cid: opening.cid, bytes: opening.bytes, pinned: true), .root(opening.cid),
            .setting(key: NodeWrite.lastReceiptKey, value: opening.cid.bytes),
            setting(openedKey, now.value),
        ])
        logger.notice(
            "This home was restored from a backup: the chain of receipts begins again, and what was under way ends.",
            metadata: ["opening": "\(opening.cid)", "after": "\(tip?.text ?? "nothing")"])
        return (opening.cid, now)
    }

    /// What ends the workflows of before, says which those are, and takes the mark away; nothing else may write to
    /// journals of workflows meanwhile.
    static func ending(in store: MeshStore) async throws -> [StoreWrite] {
        let workflows = StoredWorkflows(store)
        let cancelled = try WorkflowRun.entry(.cancelled)
        let open = try await workflows.newest(onlyOpen: true, limit: workflowsMax)
        // Each of before has an event by then; one that begins later has none.
        let last = try await workflows.lastEvent() + UInt64(open.count)
        return open.map { .workflowEvent(id: $0.id, bytes: cancelled) }
            + [setting(lastEventKey, last), .setting(key: StoreCopy.restoredKey, value: [])]
    }
}
