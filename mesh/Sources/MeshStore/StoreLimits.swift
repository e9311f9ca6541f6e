/// Every bound of the store.
package struct StoreLimits: Hashable, Sendable {
    /// The largest block, in bytes.
    package var blockBytesMax = 2 * 1024 * 1024
    /// All blocks together, in bytes; a block that would exceed it is refused if none can be evicted for it. The
    /// journal and the evidence of jobs are never refused.
    package var blockBytesTotalMax = 16 * 1024 * 1024 * 1024
    /// The share of `blockBytesTotalMax`, in percent, beyond which blocks are evicted, and beyond which the store
    /// counts as full if there is nothing to evict. The rest is the reserve of jobs under way.
    package var highWaterPercent = 90
    /// Bytes of the file system reserved for what is under way: with less free, the store counts as short of disk, and
    /// evicts what it can; see `DiskRoom.Look`.
    package var diskReserveBytes = 64 * 1024 * 1024
    /// Bytes of a file beside the database that the store deletes when the disk is full, so that it can still write
    /// what somebody relies on.
    package var keptFileBytes = 4 * 1024 * 1024
    /// Bytes of used database pages, including journals; beyond `highWaterPercent` of it the store counts as full,
    /// which refuses only new work. nil leaves the bound to the disk.
    package var databaseBytesMax: Int?
    /// How long a write that somebody relies on waits for a full disk, in milliseconds; then it fails. Meanwhile the
    /// store counts as short of disk.
    package var fullMillisecondsMax: Int64 = 600_000
    /// The pause between two attempts to write on a full disk, in milliseconds.
    package var fullPauseMilliseconds = 250
    /// How long the store keeps the evidence of a settled job in any case, in milliseconds since the job's last event.
    package var evidenceKeptMilliseconds: UInt64 = 3_600_000
    /// How long the store keeps what a job of this node's own user made, in milliseconds since the job's last event.
    package var resultsKeptMilliseconds: UInt64 = 0
    /// How long the store keeps the evidence of an unpaid job that this node ran, in milliseconds since the job's last
    /// event; then the job counts as settled.
    package var unpaidEvidenceKeptMilliseconds: UInt64 = 30 * 86_400_000
    /// The most blocks that one transaction evicts.
    package var evictedPerTransactionMax = 256
    /// The most blocks that one transaction examines for evidence that may go.
    package var examinedPerTransactionMax = 16_384
    /// How long a full store waits before it looks for something to evict again, in milliseconds.
    package var roomRetryMilliseconds: UInt64 = 10_000
    /// Blocks whose use is remembered until the next transaction; further uses are not noted.
    package var notedUsesMax = 1_024
    /// The shortest time between two notes of one block's use, in milliseconds.
    package var useMilliseconds: UInt64 = 60_000
    /// The largest database in pages of 4 KiB, enforced by SQLite; nil leaves the bound to the disk.
    package var databasePagesMax: Int?
    /// Pages of 4 KiB in the write-ahead log before SQLite folds them into the database, which costs two waits for the
    /// disk; readers may let the log grow further while they read.
    package var logPagesMax = 4_096
    /// Pages of 4 KiB that the writer keeps in memory.
    package var cachedPagesMax = 2_048
    /// Commits that may wait for the disk before further ones are refused.
    package var waitingCommitsMax = 16_384
    /// How many of them may be commits that nobody relies on: one more such commit is refused, so that these never take
    /// the last places from others.
    package var waitingCommitsNotOwedMax = 8_192
    /// How long a commit that somebody waits for without urgency may stay off the disk, in milliseconds.
    package var lingerMilliseconds = 20
    /// How long a commit that nobody waits for may stay off the disk, and the row of an open job be behind its journal,
    /// in milliseconds.
    package var idleMilliseconds = 250
    /// Open jobs whose rows the store holds back for `idleMilliseconds`; the rows of further ones are written at once.
    package var rememberedJobRowsMax = 4_096
    /// Journals whose beginnings the store remembers; it forgets all of them when there are more.
    package var rememberedJournalsMax = 8_192
    /// Commits that share one transaction.
    package var commitsPerTransactionMax = 512
    /// Bytes of payload that share one transaction, unless a single commit is larger.
    package var bytesPerTransactionMax = 16 * 1024 * 1024
    /// Blocks of at least so many bytes are in packs, smaller ones in the database.
    package var packedBytesMin = 64 * 1024
    /// The longest pack, in bytes.
    package var packBytesMax = 1 << 30
    /// Packs that are open at the same time.
    package var packsOpenMax = 8
    /// Bytes of cached blocks that may not be on the disk yet; a start after a crash reads and checks them all.
    package var unsyncedBytesMax = 256 * 1024 * 1024
    /// Holes in packs whose room is given back after one transaction.
    package var holesPerTransactionMax = 4_096
    /// Blocks of one file or folder that is kept.
    package var treeBlocksMax = 1 << 20
    /// Missing blocks of a file or folder that are named at once.
    package var missingBlocksNamedMax = 1_024
    /// Rows at which one listing of jobs looks, however few of them match.
    package var listedJobsExaminedMax = 100_000
    /// The most bids that one pruning deletes.
    package var prunedBidsMax = 4_096
    /// Peers remembered with addresses; the one seen longest ago is forgotten first.
    package var peersMax = 4_096
    /// Peers remembered only for their faults, without an address; the one seen longest ago is forgotten first.
    package var peersWithoutAddressesMax = 256
    /// Receipts of which is known what they follow, and of which what they answer; the oldest go first.
    package var receiptLinksMax = 200_000
    /// Workflows that are over; the oldest go first, with their journals. Their receipts stay as evidence does.
    package var endedWorkflowsMax = 1_000
    /// Results that may serve again; those that were made last stay.
    package var worksMax = 100_000
    /// Events of workflows; what is over and has older ones goes, with its journal.
    package var workflowEventsMax = 200_000
    /// Addresses remembered per peer.
    package var addressesPerPeerMax = 16
    /// How long one attempt waits for a lock that another program holds, in milliseconds.
    package var busyTimeoutMilliseconds = 2_000
    /// How long retries wait for another program's lock, in milliseconds; then waiting commits fail. Meanwhile the
    /// store counts as locked.
    package var lockedMillisecondsMax: Int64 = 60_000
    /// The pause between two attempts, in milliseconds.
    package var lockedPauseMilliseconds = 20
    /// The most rows that one listing returns.
    package var rowsPerPageMax = 10_000
    /// A database up to this size is checked page by page when it is opened.
    package var checkedAtOpenBytesMax = 32 * 1024 * 1024

    /// The bytes of blocks at `highWaterPercent`.
    package var highWaterBytes: Int { blockBytesTotalMax / 100 * highWaterPercent }

    /// The bytes of blocks down to which the store evicts once they exceed the high-water mark.
    var lowWaterBytes: Int { highWaterBytes - blockBytesTotalMax / 32 }

    /// The bytes of the database at `highWaterPercent`, if there is a bound.
    var databaseHighWaterBytes: Int? { databaseBytesMax.map { $0 / 100 * highWaterPercent } }

    /// A page of the database, in bytes: SQLite's default.
    static let pageBytes = 4_096

    /// The defaults.
    package init() {}
}
