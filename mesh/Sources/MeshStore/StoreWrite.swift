package import Multiformats

/// A node's side of a job.
package enum StoreRole: String, Hashable, Sendable, Codable, CaseIterable {
    /// The node that announced the job.
    case originator
    /// The node that runs it.
    case executor
}

/// One change; a commit is a list of changes, written whole or not at all.
package enum StoreWrite: Sendable {
    /// Stores a block; refuses bytes that do not hash to the CID. Repairs a damaged copy. An unpinned block may be
    /// evicted.
    case block(cid: CID, bytes: [UInt8], pinned: Bool)
    /// Stores a block that was hashed here; it may be evicted.
    case hashed(HashedBlock)
    /// Stores a block of a job's chain of evidence; never refused for lack of space.
    case evidence(cid: CID, bytes: [UInt8], jobID: CID)
    /// Stores a block that a job made; not evicted while the job is open.
    case output(cid: CID, bytes: [UInt8], jobID: CID)
    /// Keeps a file whose blocks are here, until it is removed.
    case file(root: CID)
    /// Lets strangers have a kept file or folder, or no more; refused with `notKept` if it is not kept.
    case publication(root: CID, isOpen: Bool)
    /// Names a CID that others may look for in the DHT.
    case root(CID)
    /// Forgets a block, whatever needs it.
    case removeBlock(CID)
    /// Forgets a block unless something needs it.
    case removeCached(CID)
    /// Forgets a file, a block, or what is kept of a job, and counts what it removed; refused with `needed` if an open
    /// or unpaid job needs it.
    case remove(CID, RemovalTally)
    /// Evicts cached blocks down to a number of bytes, and old settled evidence down to another; counts what it
    /// removed.
    case makeRoom(cachedTo: Int, evidenceTo: Int, RemovalTally)
    /// Appends an event to the journal.
    case journal(JournalEntry)
    /// Sets the summary of a job, for listings.
    case job(JobRow)
    /// Deletes the executor's journals and summaries of bids that nobody took and that closed before a date, the oldest
    /// `StoreLimits.prunedBidsMax` of them.
    case pruneBids(before: UInt64)
    /// Books a movement; booking the same movement again changes nothing.
    case ledger(LedgerRow)
    /// Indexes a receipt whose block is stored; a later write for the CID replaces the row.
    case receipt(ReceiptRow)
    /// Indexes the proof of a fraud whose block is stored.
    case proof(ProofRow)
    /// Remembers that a receipt follows another.
    case receiptLink(ReceiptLinkRow)
    /// Keeps what a job showed of somebody, as the newest row, in place of what was kept of the assignment.
    case conduct(ConductRow)
    /// Forgets what the job of an assignment showed of somebody.
    case forgetConduct(side: String, subject: String, assignment: CID)
    /// Remembers a peer's addresses and when it was seen.
    case peer(PeerRow)
    /// Counts misbehaviours of a peer, with the last note about it; ignores a peer never met.
    case peerMisbehaved(PeerID, note: String, count: Int = 1, isMet: Bool = true, at: UInt64)
    /// Forgets a peer's addresses and misbehaviours.
    case forgetPeer(PeerID)
    /// Sets a workflow, or where it is.
    case workflow(WorkflowRow)
    /// Appends an event to the journal of a workflow's plan.
    case workflowEvent(id: CID, bytes: [UInt8])
    /// Remembers the result of a work, which may serve again, or that it just did.
    case work(WorkRow)
    /// Appends an entry to the node's log; refused with `logTaken` if it has one of that number, or not the one before.
    case anchored(AnchoredRow)
    /// Remembers that the receipt of a workflow has to be anchored, until an entry does it.
    case anchorOwed(CID, workflow: CID)
    /// Remembers the newest checkpoint of another's log, before this node cosigns it.
    case witnessed(WitnessedRow)
    /// Keeps a witness's cosignature on a head of this node's log.
    case cosigned(CosignedRow)
    /// Appends entries to what is kept of another's log; refused with `logTaken` unless they are the next.
    case followed(FollowedBatch)
    /// Forgets what is kept of another's log, by its name.
    case forgetFollowed(origin: String)
    /// Keeps the proof that an author told two histories of its log; the first one of a log stays.
    case logFork(LogForkRow)
    /// Changes what belongs to issuers: the book of this one, or what this node knows of others.
    case issuer(IssuerWrite)
    /// A change of what this node keeps as an arbiter.
    case lodging(LodgingWrite)
    /// A change of what this node keeps of other issuers' books.
    case replica(ReplicaWrite)
    /// A change of what this node keeps as a witness of charters.
    case charterWitness(CharterWitnessWrite)
    /// Sets a setting of the node.
    case setting(key: String, value: [UInt8])

    /// The block to store, if any.
    var keptBlock: (cid: CID, bytes: [UInt8])? {
        switch self {
        case .block(let cid, let bytes, _), .evidence(let cid, let bytes, _), .output(let cid, let bytes, _):
            (cid, bytes)
        case .hashed(let block): (block.cid, block.bytes)
        default: nil
        }
    }

    /// Whether it only stores a block that may be evicted, so that nobody relies on it yet.
    var isCached: Bool {
        switch self {
        case .block(_, _, pinned: false), .hashed: true
        default: false
        }
    }

    /// Whether somebody relies on it, so that it does not fail at once on a full disk: what belongs to a job or to the
    /// ledger.
    var isOwed: Bool {
        switch self {
        case .evidence, .output, .journal, .job, .ledger, .receipt, .proof, .receiptLink, .workflow, .workflowEvent,
            .work, .anchored, .anchorOwed, .witnessed, .cosigned, .logFork, .issuer, .conduct,
            .forgetConduct, .setting:
            true
        case .block, .hashed, .file, .publication, .root, .removeBlock, .removeCached, .remove, .makeRoom, .pruneBids,
            .peer, .peerMisbehaved, .forgetPeer, .followed, .forgetFollowed, .lodging, .replica, .charterWitness:
            false
        }
    }

    /// Whether it makes room, for which it needs some itself.
    var makesRoom: Bool {
        switch self {
        case .remove, .removeBlock, .makeRoom: true
        default: false
        }
    }

    /// A block under its CID, not pinned.
    package static func block(cid: CID, bytes: [UInt8]) -> StoreWrite {
        .block(cid: cid, bytes: bytes, pinned: false)
    }

    /// The bytes of payload, for the bound of a shared transaction.
    var byteCount: Int {
        switch self {
        case .block(_, let bytes, _), .evidence(_, let bytes, _), .output(_, let bytes, _): bytes.count
        case .hashed(let block): block.bytes.count
        case .journal(let entry): entry.bytes.count + entry.reason.utf8.count
        case .setting(_, let value): value.count
        case .workflow(let row): row.manifest.count + 256
        case .workflowEvent(_, let bytes): bytes.count + 64
        case .anchored(let row): row.bytes.count + 512
        case .witnessed(let row): row.note.count + 512
        case .followed(let batch): batch.byteCount
        case .logFork(let row): row.proof.count + 512
        case .issuer(let write): write.byteCount
        case .lodging(let write): write.byteCount
        case .replica(let write): write.byteCount
        case .charterWitness(let write): write.byteCount
        case .work, .anchorOwed, .cosigned: 512
        case .file, .publication, .root, .removeBlock, .removeCached, .remove, .makeRoom, .job, .pruneBids, .ledger,
            .receipt, .proof, .receiptLink, .conduct, .forgetConduct, .peer, .peerMisbehaved, .forgetPeer,
            .forgetFollowed:
            256
        }
    }
}
