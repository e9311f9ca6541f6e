/// Every bound of the store.
public struct StoreLimits: Hashable, Sendable {
    /// The largest block, in bytes.
    public var blockBytesMax = 2 * 1024 * 1024
    /// All blocks together, in bytes; a block that would go past it is refused, the journal never is.
    public var blockBytesTotalMax = 16 * 1024 * 1024 * 1024
    /// The size of the whole database in pages of 4 KiB, handed to SQLite; nil leaves it to the disk.
    public var databasePagesMax: Int?
    /// Pages of 4 KiB in the write-ahead log before they are folded into the database, which costs two waits for the
    /// disk; readers may let it grow beyond that for as long as they read.
    public var logPagesMax = 4_096
    /// Pages of 4 KiB that the writer keeps in memory.
    public var cachedPagesMax = 2_048
    /// Commits that may wait for the disk before further ones are refused.
    public var waitingCommitsMax = 16_384
    /// How long a commit that nobody waits for may stay off the disk, in milliseconds.
    public var lingerMilliseconds = 20
    /// Commits that share one transaction.
    public var commitsPerTransactionMax = 512
    /// Bytes of payload that share one transaction, unless a single commit is larger.
    public var bytesPerTransactionMax = 16 * 1024 * 1024
    /// Bids that one pruning forgets.
    public var prunedBidsMax = 4_096
    /// Peers that are remembered; the one seen longest ago is forgotten first.
    public var peersMax = 4_096
    /// Links between receipts that are kept; the oldest go first.
    public var receiptLinksMax = 200_000
    /// Addresses that are remembered per peer.
    public var addressesPerPeerMax = 16
    /// How long to wait for a lock that another program holds, in milliseconds.
    public var busyTimeoutMilliseconds = 2_000
    /// Rows that one listing returns at most.
    public var rowsPerPageMax = 10_000
    /// A database up to this size is checked page by page when it is opened.
    public var checkedAtOpenBytesMax = 32 * 1024 * 1024

    /// The defaults.
    public init() {}
}
