/// How a router keeps its meshes and speaks gossip; the names are those of the GossipSub v1.1 specification.
///
/// The defaults are the specification's. Times are in milliseconds; counts are peers unless the name says otherwise.
public struct GossipSubParameters: Sendable, Hashable {
    /// The degree a mesh is brought to (D).
    public var meshDegree = 6
    /// The degree under which a heartbeat grafts (D_lo).
    public var meshDegreeLow = 5
    /// The degree over which a heartbeat prunes, and at which a GRAFT of an inbound peer is refused (D_hi).
    public var meshDegreeHigh = 12
    /// How many peers survive pruning for their score alone (D_score).
    public var meshDegreeScore = 4
    /// How many peers of a mesh should be connections that this node opened (D_out).
    public var meshDegreeOutbound = 2
    /// The least number of peers told of messages by IHAVE in each heartbeat (D_lazy).
    public var gossipDegree = 6
    /// The least part of the peers outside the mesh told by IHAVE, in percent.
    public var gossipFactorPercent = 25
    /// The time between heartbeats.
    public var heartbeatMilliseconds: Int64 = 1_000
    /// The time before the first heartbeat, so that nodes started together do not beat together.
    public var firstHeartbeatMilliseconds: Int64 = 100
    /// How many heartbeats a message stays in the cache and can be fetched with IWANT.
    public var historyWindows = 5
    /// How many heartbeats a message is told of by IHAVE.
    public var gossipWindows = 3
    /// How long a topic without a subscription keeps its peers.
    public var fanoutMilliseconds: Int64 = 60_000
    /// How long neither side grafts again after a PRUNE.
    public var pruneBackoffMilliseconds: Int64 = 60_000
    /// The same after this node left the topic.
    public var unsubscribeBackoffMilliseconds: Int64 = 10_000
    /// Added to a peer's back-off before grafting, because clocks and links differ.
    public var backoffSlackMilliseconds: Int64 = 1_000
    /// The longest back-off that a peer can ask for; longer ones are shortened to it.
    public var pruneBackoffMillisecondsMax: Int64 = 3_600_000
    /// A GRAFT within this time of the PRUNE is a flood and counts twice.
    public var graftFloodMilliseconds: Int64 = 10_000
    /// How long a peer that announced a message may take to send it when asked.
    public var promiseMilliseconds: Int64 = 3_000
    /// How often one peer may fetch one message with IWANT.
    public var retransmissionsMax = 3
    /// How long a message is recognized as a duplicate.
    public var seenMilliseconds: Int64 = 120_000
    /// How long the application may take over a verdict; after that the message counts as ignored.
    public var validationMilliseconds: Int64 = 30_000
    /// Whether own messages go to every peer of the topic, not just to the mesh.
    public var floodPublish = true
    /// What misbehaviour costs, and when it has consequences.
    public var scoring = PeerScoringParameters()

    /// The specification's defaults.
    public init() {}
}
