/// Every bound of the store.
public struct StoreLimits: Hashable, Sendable {
    /// The largest block, in bytes.
    public var blockBytesMax = 2 * 1024 * 1024
    /// All blocks together, in bytes; a block that would go past it is refused when none can be evicted for it. The
    /// journal and the evidence of jobs never are.
    public var blockBytesTotalMax = 16 * 1024 * 1024 * 1024
    /// The part of `blockBytesTotalMax`, in percent, past which blocks are evicted, and past which the store stands as
    /// full when there is nothing to evict. What is above is the reserve of jobs under way.
    public var highWaterPercent = 90
    /// Bytes of the file system that are left to what is under way: with less, the store stands as short of disk, and
    /// evicts what it can; see `DiskRoom.Look`.
    public var diskReserveBytes = 64 * 1024 * 1024
    /// A file beside the database that goes when the disk is full, so that what is owed can still be written, in bytes.
    public var keptFileBytes = 4 * 1024 * 1024
    /// The pages of the database that hold something, journals included, in bytes; past `highWaterPercent` of it the
    /// store stands as full. Nothing is refused for it but new work. nil leaves it to the disk.
    public var databaseBytesMax: Int?
    /// How long a full disk is borne by what is owed, in milliseconds; then it fails. Meanwhile the store stands as
    /// short of disk.
    public var fullMillisecondsMax: Int64 = 600_000
    /// Between two attempts to write on a full disk, in milliseconds.
    public var fullPauseMilliseconds = 250
    /// How long the evidence of a settled job is kept in any case, in milliseconds since the job's last event.
    public var evidenceKeptMilliseconds: UInt64 = 3_600_000
    /// How long the evidence of a job is kept that this node did and nobody paid, in milliseconds since the job's last
    /// event; then it counts as settled.
    public var unpaidEvidenceKeptMilliseconds: UInt64 = 30 * 86_400_000
    /// Blocks that one transaction evicts at most.
    public var evictedPerTransactionMax = 256
    /// Blocks that one transaction looks at for evidence that may go.
    public var examinedPerTransactionMax = 16_384
    /// How long a full store waits before it looks for something to evict again, in milliseconds.
    public var roomRetryMilliseconds: UInt64 = 10_000
    /// Blocks whose use is remembered until the next transaction; further uses are not noted.
    public var notedUsesMax = 1_024
    /// Between two notes of the use of one block, in milliseconds.
    public var useMilliseconds: UInt64 = 60_000
    /// The size of the whole database in pages of 4 KiB, handed to SQLite; nil leaves it to the disk.
    public var databasePagesMax: Int?
    /// Pages of 4 KiB in the write-ahead log before they are folded into the database, which costs two waits for the
    /// disk; readers may let it grow beyond that for as long as they read.
    public var logPagesMax = 4_096
    /// Pages of 4 KiB that the writer keeps in memory.
    public var cachedPagesMax = 2_048
    /// Commits that may wait for the disk before further ones are refused.
    public var waitingCommitsMax = 16_384
    /// Those of them that may be of what nobody owes: such a commit is refused while as many wait, so that it never
    /// takes the last places from what is owed.
    public var waitingCommitsNotOwedMax = 8_192
    /// How long a commit that somebody waits for without haste may stay off the disk, in milliseconds.
    public var lingerMilliseconds = 20
    /// How long a commit that nobody waits for may stay off the disk, in milliseconds.
    public var idleMilliseconds = 250
    /// Commits that share one transaction.
    public var commitsPerTransactionMax = 512
    /// Bytes of payload that share one transaction, unless a single commit is larger.
    public var bytesPerTransactionMax = 16 * 1024 * 1024
    /// Bids that one pruning forgets.
    public var prunedBidsMax = 4_096
    /// Peers that are remembered with addresses; the one seen longest ago is forgotten first.
    public var peersMax = 4_096
    /// Peers that are remembered for their faults alone, without an address; the one seen longest ago is forgotten
    /// first.
    public var peersWithoutAddressesMax = 256
    /// Links between receipts that are kept; the oldest go first.
    public var receiptLinksMax = 200_000
    /// Addresses that are remembered per peer.
    public var addressesPerPeerMax = 16
    /// How long one attempt waits for a lock that another program holds, in milliseconds.
    public var busyTimeoutMilliseconds = 2_000
    /// How long a lock of another program is borne, by attempts one after the other, in milliseconds; then what waits
    /// fails. Meanwhile the store stands as locked.
    public var lockedMillisecondsMax: Int64 = 60_000
    /// Between two attempts, in milliseconds.
    public var lockedPauseMilliseconds = 20
    /// Rows that one listing returns at most.
    public var rowsPerPageMax = 10_000
    /// A database up to this size is checked page by page when it is opened.
    public var checkedAtOpenBytesMax = 32 * 1024 * 1024

    /// The bytes of blocks at `highWaterPercent`.
    public var highWaterBytes: Int { blockBytesTotalMax / 100 * highWaterPercent }

    /// The bytes of blocks down to which is evicted once they are past the high-water mark.
    var lowWaterBytes: Int { highWaterBytes - blockBytesTotalMax / 32 }

    /// The bytes of the database at `highWaterPercent`, where there is a bound.
    var databaseHighWaterBytes: Int? { databaseBytesMax.map { $0 / 100 * highWaterPercent } }

    /// A page of the database, in bytes: what SQLite takes where it is told nothing else.
    static let pageBytes = 4_096

    /// The defaults.
    public init() {}
}
