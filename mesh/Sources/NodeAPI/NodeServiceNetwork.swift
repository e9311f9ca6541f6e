/// Who a node is and how it is doing.
package struct NodeStatus: Hashable, Sendable, Codable {
    /// The version of the program.
    package var version: String
    /// The peer ID.
    package var peerID: String
    /// The DID, from the same key.
    package var did: String
    /// The addresses it listens on, with `/p2p`, as they were at most a second ago.
    package var addresses: [String]
    /// How long it has been up, in milliseconds.
    package var uptimeMilliseconds: UInt64
    /// Resident memory, in bytes.
    package var residentBytes: UInt64
    /// Peers that are connected.
    package var connectedPeers: Int
    /// Whether it runs jobs for others.
    package var isExecutor: Bool
    /// The region that it states.
    package var region: String?
    /// The process ID.
    package var processID: Int32
    /// Its counters since its start, by name, in a fixed order.
    package var counters: [Counter]
    /// What it stores; nil from a node of an older version.
    package var storage: Storage?
    /// What its executor does now; nil from a node of an older version.
    package var executorState: ExecutorState?
    /// What is wrong with its clock, in a sentence; nil if nothing is known to be.
    package var clockWarning: String?
    /// Which open jobs the start left out, in a sentence; nil if there are none.
    package var journalWarning: String?
    /// That another node runs with the same key, in a sentence; nil if none is known to.
    package var keyWarning: String?
    /// That too few witnesses of this node's charter report, in a sentence; nil if it is no issuer, or enough do.
    package var issuerWarning: String?
    /// How runs are kept apart from the node: `process`, `seccomp` and `landlock`, as far as it has them; nil from a
    /// node of an older version, or one that runs no jobs.
    package var runIsolation: [String]?
    /// Its gateway over HTTP; nil if it has none.
    package var gateway: Gateway?

    /// Where its API listens on TCP, as a URL; nil if it does not.
    package var apiAddress: String?
    /// The certificate with which its API speaks TLS, by the SHA-256 of its DER in hexadecimal digits; nil without TLS.
    package var apiCertificate: String?
    /// When a home that was restored from a backup began the chain of its receipts again, in milliseconds since the
    /// Unix epoch; nil if it is no such home, or the node is of an older version.
    package var restoredAtMilliseconds: UInt64?
    /// The jobs under way, by this node's side of them and their phase; nil from a node of an older version.
    package var jobs: [JobCount]?
    /// What happened to jobs since the start, by this node's side of them; nil from a node of an older version.
    package var events: [EventCount]?

    /// How many jobs are in a phase.
    package struct JobCount: Hashable, Sendable, Codable {
        /// `originator` or `executor`.
        package var side: String
        /// The phase.
        package var outcome: JobOutcome
        /// How many.
        package var count: UInt64

        /// So many jobs.
        package init(side: String, outcome: JobOutcome, count: UInt64) {
            self.side = side
            self.outcome = outcome
            self.count = count
        }
    }

    /// How often something happened to jobs.
    package struct EventCount: Hashable, Sendable, Codable {
        /// `originator` or `executor`.
        package var side: String
        /// What, by its name in the journals.
        package var event: String
        /// How often.
        package var count: UInt64

        /// So many events.
        package init(side: String, event: String, count: UInt64) {
            self.side = side
            self.event = event
            self.count = count
        }
    }

    /// What a node's gateway serves to strangers since its start.
    package struct Gateway: Hashable, Sendable, Codable {
        /// Where it listens, as a URL.
        package var address: String
        /// Files and folders that are public.
        package var publicRoots: Int
        /// Connections now.
        package var connections: Int
        /// Answers that it gives now.
        package var answersUnderWay: Int
        /// Requests that were answered.
        package var answers: UInt64
        /// Requests that were refused.
        package var refusals: UInt64
        /// Answers that broke off.
        package var cutAnswers: UInt64
        /// Bytes of blocks and archives that were sent.
        package var sentBytes: UInt64

        /// What a gateway serves.
        package init(
            address: String, publicRoots: Int, connections: Int = 0, answersUnderWay: Int = 0, answers: UInt64 = 0,
            refusals: UInt64 = 0, cutAnswers: UInt64 = 0, sentBytes: UInt64 = 0
        ) {
            self.address = address
            self.publicRoots = publicRoots
            self.connections = connections
            self.answersUnderWay = answersUnderWay
            self.answers = answers
            self.refusals = refusals
            self.cutAnswers = cutAnswers
            self.sentBytes = sentBytes
        }

        private enum CodingKeys: String, CodingKey {
            case address, connections, answers, refusals
            case publicRoots = "public_roots"
            case answersUnderWay = "answers_under_way"
            case cutAnswers = "cut_answers"
            case sentBytes = "sent_bytes"
        }
    }

    /// What a node stores, and whether it accepts new work.
    package struct Storage: Hashable, Sendable, Codable {
        /// `open`, `full` (no new work until there is room), `disk_full` (the same, for lack of room on the disk) or
        /// `locked` (another program has locked the database).
        package var state: String
        /// Blocks.
        package var blocks: UInt64
        /// Their bytes.
        package var blockBytes: UInt64
        /// The bytes they may have.
        package var blockBytesMax: UInt64
        /// The bytes beyond which blocks are evicted, and new work is refused if none can be.
        package var highWaterBytes: UInt64
        /// The bytes of the database on the disk, including its log.
        package var databaseBytes: UInt64
        /// Free bytes on the disk; nil if unknown, or from an older node.
        package var diskFreeBytes: UInt64?
        /// Bytes on the disk reserved for what is under way; nil from an older node.
        package var diskReserveBytes: UInt64?

        /// What a node stores.
        package init(
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
    package struct Counter: Hashable, Sendable, Codable {
        /// What.
        package var name: String
        /// How often, or how much.
        package var value: UInt64

        /// Something counted.
        package init(name: String, value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    package init(
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
        case version, did, addresses, region, counters, storage, gateway, jobs, events
        case peerID = "peer_id"
        case uptimeMilliseconds = "uptime_ms"
        case residentBytes = "resident_bytes"
        case connectedPeers = "connected_peers"
        case isExecutor = "executor"
        case processID = "pid"
        case executorState = "executor_state"
        case clockWarning = "clock_warning"
        case journalWarning = "journal_warning"
        case keyWarning = "key_warning"
        case issuerWarning = "issuer_warning"
        case runIsolation = "run_isolation"
        case apiAddress = "api_address"
        case apiCertificate = "api_certificate"
        case restoredAtMilliseconds = "restored_at_ms"
    }
}

/// A peer, connected or remembered.
package struct PeerView: Hashable, Sendable, Codable {
    /// The peer ID.
    package var peerID: String
    /// Its DID, if its peer ID contains its key.
    package var did: String?
    /// Whether it is connected.
    package var isConnected: Bool
    /// Where it listens.
    package var addresses: [String]
    /// When it was last seen, in milliseconds since the Unix epoch.
    package var lastSeen: UInt64?
    /// Its reputation here, if it has one.
    package var reputation: Int64?
    /// What it offers as an executor: region, price, engines; empty if nothing.
    package var capability: String
    /// How often it misbehaved.
    package var misbehaviourCount: Int
    /// After an order to connect: where the connections to it lead; nil in a listing.
    package var connections: [String]?
    /// After an order to connect: whether it was connected before, so that the address was not tried.
    package var wasConnected: Bool?
    /// Whether the node's owner banned it; nil if not.
    package var isBanned: Bool?

    package init(
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
        case did, addresses, reputation, capability, connections
        case peerID = "peer_id"
        case isConnected = "connected"
        case wasConnected = "was_connected"
        case isBanned = "banned"
        case lastSeen = "last_seen"
        case misbehaviourCount = "misbehaviours"
    }
}
