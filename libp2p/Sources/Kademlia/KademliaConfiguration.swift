/// The settings of a DHT node: its network, its role and every bound.
public struct KademliaConfiguration: Sendable {
    /// Whether a node answers requests.
    public enum Mode: Sendable, Hashable {
        /// Asks only; others do not list it (behind NAT, short-lived).
        case client
        /// Asks and answers.
        case server
    }

    /// The protocol, which also names the network: nodes with different IDs do not meet.
    public var protocolID = "/ipfs/kad/1.0.0"
    /// Whether this node answers requests.
    public var mode = Mode.server
    /// Whether peers that have only private and loopback addresses enter the routing table. Turn it off on the open
    /// internet: such peers cannot be dialed, and the limits per address group do not hold them.
    public var admitsPrivatePeers = true
    /// Bounds of the routing table.
    public var table = RoutingTable.Limits()
    /// Bounds of one walk.
    public var lookup = Lookup.Limits()
    /// Bounds of the record store.
    public var records = RecordStore.Limits()
    /// Bounds of the provider store.
    public var providers = ProviderStore.Limits()
    /// Bounds of one message.
    public var messages = KademliaMessageCoding.Limits()
    /// Valid records to collect before the best is returned; 1 returns the first.
    public var valueQuorum = 1
    /// How long one request may take, dial included.
    public var requestTimeoutMilliseconds: Int64 = 10_000
    /// How long one operation may take.
    public var queryTimeoutMilliseconds: Int64 = 60_000
    /// Operations under way at once; further ones are refused.
    public var queriesMax = 128
    /// Values that this node announces again; one more ends the announcements of the oldest.
    public var publishedValuesMax = 4_096
    /// Bytes of these values; more end the announcements of the oldest.
    public var publishedValueBytesMax = 16 * 1024 * 1024
    /// Provided blocks that this node announces again; one more ends the announcements of the oldest.
    public var publishedProvidersMax = 4_096
    /// Repeated announcements under way at once.
    public var republishParallelMax = 4
    /// How long until an announcement is repeated; well under the lifetimes of the stores.
    public var republishIntervalMilliseconds: Int64 = 22 * 3_600_000
    /// How long until an announcement that reached nobody is tried again.
    public var republishRetryMilliseconds: Int64 = 60_000
    /// How often random walks refresh the routing table.
    public var refreshIntervalMilliseconds: Int64 = 600_000
    /// How many buckets, from the farthest, a refresh walks to.
    public var refreshBucketsMax = 12
    /// How often the stores drop what has expired.
    public var sweepIntervalMilliseconds: Int64 = 300_000
    /// The shortest time between two probes of old members for which newcomers wait.
    public var probeIntervalMilliseconds: Int64 = 1_000
    /// For how long the answer of a server that named all it knows is taken for its answer to another key. A node that
    /// puts many values in a small network would ask every server for the same few names each time.
    public var wholeAnswerReuseMilliseconds: Int64 = 1_000
    /// Servers whose whole answers are remembered; for one more the oldest is forgotten.
    public var wholeAnswersMax = 64
    /// Clients whose addresses are remembered, to answer searches for them.
    public var clientsMax = 256

    /// The defaults: a server of the network that most libp2p nodes are on.
    public init() {}
}
