/// Who a node is and how it is doing.
public struct NodeStatus: Hashable, Sendable, Codable {
    /// The version of the program.
    public var version: String
    /// The peer ID.
    public var peerID: String
    /// The DID, from the same key.
    public var did: String
    /// The addresses it listens on, with `/p2p`.
    public var addresses: [String]
    /// How long it has been up, in milliseconds.
    public var uptimeMilliseconds: UInt64
    /// Resident memory, in bytes.
    public var residentBytes: UInt64
    /// Peers that are connected.
    public var connectedPeers: Int
    /// Whether it runs jobs for others.
    public var isExecutor: Bool
    /// The region that it states.
    public var region: String?
    /// The process ID.
    public var processID: Int32
    /// Its counters since its start, by name, in a fixed order.
    public var counters: [Counter]
    /// What it stores; nil from a node of an older version.
    public var storage: Storage?
    /// What is wrong with its clock, in a sentence; nil if nothing is known to be.
    public var clockWarning: String?
    /// Which open jobs the start left out, in a sentence; nil if there are none.
    public var journalWarning: String?

    /// What a node stores, and whether it accepts new work.
    public struct Storage: Hashable, Sendable, Codable {
        /// `open`, `full` (no new work until there is room), `disk_full` (the same, for lack of room on the disk) or
        /// `locked` (another program has locked the database).
        public var state: String
        /// Blocks.
        public var blocks: UInt64
        /// Their bytes.
        public var blockBytes: UInt64
        /// The bytes they may have.
        public var blockBytesMax: UInt64
        /// The bytes beyond which blocks are evicted, and new work is refused if none can be.
        public var highWaterBytes: UInt64
        /// The bytes of the database on the disk, including its log.
        public var databaseBytes: UInt64
        /// Free bytes on the disk; nil if unknown, or from an older node.
        public var diskFreeBytes: UInt64?
        /// Bytes on the disk reserved for what is under way; nil from an older node.
        public var diskReserveBytes: UInt64?

        /// What a node stores.
        public init(
            state: String, blocks: UInt64, blockBytes: UInt64, blockBytesMax: UInt64, highWaterBytes: UInt64,
            databaseBytes: UInt64, diskFreeBytes: UInt64? = nil, diskReserveBytes: UInt64? = nil
        ) {
            self.state = state
            self.blocks = blocks
            self.blockBytes = blockBytes
            self.blockBytesMax = blockBytesMax
            self.highWaterBytes = highWaterBytes
            self.databaseBytes = databaseBytes
            self.diskFreeBytes = diskFreeBytes
            self.diskReserveBytes = diskReserveBytes
        }

        private enum CodingKeys: String, CodingKey {
            case state, blocks
            case blockBytes = "block_bytes"
            case blockBytesMax = "block_bytes_max"
            case highWaterBytes = "high_water_bytes"
            case databaseBytes = "database_bytes"
            case diskFreeBytes = "disk_free_bytes"
            case diskReserveBytes = "disk_reserve_bytes"
        }
    }

    /// Something counted.
    public struct Counter: Hashable, Sendable, Codable {
        /// What.
        public var name: String
        /// How often, or how much.
        public var value: UInt64

        /// Something counted.
        public init(name: String, value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    public init(
        version: String, peerID: String, did: String, addresses: [String], uptimeMilliseconds: UInt64,
        residentBytes: UInt64, connectedPeers: Int, isExecutor: Bool, region: String?, processID: Int32,
        counters: [Counter], storage: Storage? = nil
    ) {
        self.version = version
        self.peerID = peerID
        self.did = did
        self.addresses = addresses
        self.uptimeMilliseconds = uptimeMilliseconds
        self.residentBytes = residentBytes
        self.connectedPeers = connectedPeers
        self.isExecutor = isExecutor
        self.region = region
        self.processID = processID
        self.counters = counters
        self.storage = storage
    }

    private enum CodingKeys: String, CodingKey {
        case version, did, addresses, region, counters, storage
        case peerID = "peer_id"
        case uptimeMilliseconds = "uptime_ms"
        case residentBytes = "resident_bytes"
        case connectedPeers = "connected_peers"
        case isExecutor = "executor"
        case processID = "pid"
        case clockWarning = "clock_warning"
        case journalWarning = "journal_warning"
    }
}

/// A peer, connected or remembered.
public struct PeerView: Hashable, Sendable, Codable {
    /// The peer ID.
    public var peerID: String
    /// Its DID, if its peer ID contains its key.
    public var did: String?
    /// Whether it is connected.
    public var isConnected: Bool
    /// Where it listens.
    public var addresses: [String]
    /// When it was last seen, in milliseconds since the Unix epoch.
    public var lastSeen: UInt64?
    /// Its reputation here, if it has one.
    public var reputation: Int64?
    /// What it offers as an executor: region, price, engines; empty if nothing.
    public var capability: String
    /// How often it misbehaved.
    public var misbehaviourCount: Int

    public init(
        peerID: String, did: String?, isConnected: Bool, addresses: [String], lastSeen: UInt64? = nil,
        reputation: Int64? = nil, capability: String = "", misbehaviourCount: Int = 0
    ) {
        self.peerID = peerID
        self.did = did
        self.isConnected = isConnected
        self.addresses = addresses
        self.lastSeen = lastSeen
        self.reputation = reputation
        self.capability = capability
        self.misbehaviourCount = misbehaviourCount
    }

    private enum CodingKeys: String, CodingKey {
        case did, addresses, reputation, capability
        case peerID = "peer_id"
        case isConnected = "connected"
        case lastSeen = "last_seen"
        case misbehaviourCount = "misbehaviours"
    }
}
