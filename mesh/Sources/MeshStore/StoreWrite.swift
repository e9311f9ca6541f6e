public import Multiformats

/// On which side of a job a node stands.
public enum StoreRole: String, Hashable, Sendable, Codable, CaseIterable {
    /// The node that announced the job.
    case originator
    /// The node that runs it.
    case executor
}

/// One change; a commit is a list of them that is written whole or not at all.
public enum StoreWrite: Sendable {
    /// Keeps a block; bytes that do not hash to the CID are refused. A damaged copy is repaired by it. One that is not
    /// pinned may be evicted.
    case block(cid: CID, bytes: [UInt8], pinned: Bool)
    /// Keeps a block that the chain of a job's evidence is made of; never refused for want of space.
    case evidence(cid: CID, bytes: [UInt8], jobID: CID)
    /// Keeps a block that a job made, which is not evicted as long as the job is open.
    case output(cid: CID, bytes: [UInt8], jobID: CID)
    /// Keeps a file whose blocks are here, until it is removed.
    case file(root: CID)
    /// Names a CID that is to be found in the DHT.
    case root(CID)
    /// Forgets a block, whatever it is kept for.
    case removeBlock(CID)
    /// Forgets a block that nothing but itself is a reason to keep.
    case removeCached(CID)
    /// Forgets a file, a block, or what is kept of a job, and counts what went; refused with `needed` where an open or
    /// unpaid job needs it.
    case remove(CID, RemovalTally)
    /// Evicts cached blocks down to a number of bytes, and settled, old evidence down to another; counts what went.
    case makeRoom(cachedTo: Int, evidenceTo: Int, RemovalTally)
    /// Appends an event to the journal.
    case journal(JournalEntry)
    /// Sets the summary of a job, for listings.
    case job(JobRow)
    /// Forgets the executor's journals and summaries of bids that nobody took and that were closed before a date, the
    /// oldest `StoreLimits.prunedBidsMax` of them.
    case pruneBids(before: UInt64)
    /// Books a movement; booking the same movement again changes nothing.
    case ledger(LedgerRow)
    /// Indexes a receipt whose block is kept; a later write for the CID replaces the row.
    case receipt(ReceiptRow)
    /// Remembers that a receipt follows another.
    case receiptLink(ReceiptLinkRow)
    /// Remembers a peer's addresses and when it was seen.
    case peer(PeerRow)
    /// Counts misbehaviours of a peer, with the last note about it. One that was never met is not remembered for it.
    case peerMisbehaved(PeerID, note: String, count: Int = 1, isMet: Bool = true, at: UInt64)
    /// Sets a value of the node's own.
    case setting(key: String, value: [UInt8])

    /// The block that is to be kept, if any.
    var keptBlock: (cid: CID, bytes: [UInt8])? {
        switch self {
        case .block(let cid, let bytes, _), .evidence(let cid, let bytes, _), .output(let cid, let bytes, _):
            (cid, bytes)
        default: nil
        }
    }

    /// Whether the node owes it to somebody, so that a full disk is no reason to fail at once: what belongs to a job or
    /// to the node's books.
    var isOwed: Bool {
        switch self {
        case .evidence, .output, .journal, .job, .ledger, .receipt, .receiptLink, .setting: true
        case .block, .file, .root, .removeBlock, .removeCached, .remove, .makeRoom, .pruneBids, .peer,
            .peerMisbehaved:
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
    public static func block(cid: CID, bytes: [UInt8]) -> StoreWrite {
        .block(cid: cid, bytes: bytes, pinned: false)
    }

    /// The bytes of payload, for the bound of a shared transaction.
    var byteCount: Int {
        switch self {
        case .block(_, let bytes, _), .evidence(_, let bytes, _), .output(_, let bytes, _): bytes.count
        case .journal(let entry): entry.bytes.count + entry.reason.utf8.count
        case .setting(_, let value): value.count
        case .file, .root, .removeBlock, .removeCached, .remove, .makeRoom, .job, .pruneBids, .ledger, .receipt,
            .receiptLink, .peer, .peerMisbehaved:
            256
        }
    }
}
