import Multiformats

/// On which side of a job a node stands.
public enum StoreRole: String, Hashable, Sendable, Codable, CaseIterable {
    /// The node that announced the job.
    case originator
    /// The node that runs it.
    case executor
}

/// One change; a commit is a list of them that is written whole or not at all.
public enum StoreWrite: Sendable {
    /// Keeps a block; bytes that do not hash to the CID are refused. A damaged copy is repaired by it.
    case block(cid: CID, bytes: [UInt8], pinned: Bool)
    /// Pins a block, so that it is never collected, or lets it go.
    case pin(CID, Bool)
    /// Forgets a block.
    case removeBlock(CID)
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
    /// Counts a misbehaviour of a peer, with the last note about it.
    case peerMisbehaved(PeerID, note: String, at: UInt64)
    /// Sets a value of the node's own.
    case setting(key: String, value: [UInt8])

    /// A block under its CID, not pinned.
    public static func block(cid: CID, bytes: [UInt8]) -> StoreWrite {
        .block(cid: cid, bytes: bytes, pinned: false)
    }

    /// The bytes of payload, for the bound of a shared transaction.
    var byteCount: Int {
        switch self {
        case .block(_, let bytes, _): bytes.count
        case .journal(let entry): entry.bytes.count + entry.reason.utf8.count
        case .setting(_, let value): value.count
        case .pin, .removeBlock, .job, .pruneBids, .ledger, .receipt, .receiptLink, .peer,
            .peerMisbehaved: 256
        }
    }
}
