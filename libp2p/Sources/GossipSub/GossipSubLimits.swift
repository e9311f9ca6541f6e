/// Every bound of a router, and what happens when a peer reaches it.
public struct GossipSubLimits: Sendable, Hashable {
    /// Bytes of one RPC on the wire, as in go-libp2p. A longer one is refused before its body is read and the stream
    /// is reset; a message that would not fit is refused at `publish`.
    public var rpcBytesMax = 1_048_576
    /// Protobuf fields of one RPC, counted over all nested messages; one more refuses the whole RPC.
    public var rpcElementsMax = 32_768
    /// Subscription entries of one RPC that are looked at; the others are left out and counted as a flood.
    public var subscriptionsPerRPCMax = 512
    /// Messages of one RPC that are looked at; the others are left out and counted.
    public var messagesPerRPCMax = 1_024
    /// GRAFT, PRUNE, IHAVE and IWANT entries of one RPC that are looked at, each kind separately; the others are left
    /// out and counted as a flood.
    public var controlEntriesPerRPCMax = 256
    /// Bytes of a topic's name; an entry with a longer one is left out and counted.
    public var topicBytesMax = 512
    /// Bytes of a message ID in IHAVE and IWANT; a longer one is left out.
    public var messageIDBytesMax = 256
    /// Topics remembered per peer; a subscription beyond is ignored and counted as a flood.
    public var topicsPerPeerMax = 512
    /// Topics this node subscribes to; one more is refused to the caller.
    public var ownTopicsMax = 1_024
    /// Topics that this node publishes to without a subscription; the one used longest ago makes room.
    public var fanoutTopicsMax = 256
    /// Peers; one more is not served, and what it sends is ignored.
    public var peersMax = 1_024
    /// Peers per topic in a mesh, whatever the parameters; the router answers a GRAFT beyond with PRUNE.
    public var meshPeersMax = 64
    /// IHAVE entries per peer and heartbeat; more are ignored and counted as a flood.
    public var ihaveEntriesPerHeartbeatMax = 10
    /// Message IDs asked of one peer per heartbeat; IDs beyond are not asked for.
    public var ihaveIDsPerHeartbeatMax = 5_000
    /// Message IDs announced to a peer per topic and heartbeat; a random choice of more.
    public var ihaveIDsSentMax = 5_000
    /// Message IDs that one peer may ask for per heartbeat; more are ignored and counted as a flood.
    public var iwantIDsPerHeartbeatMax = 5_000
    /// Bytes that one peer may fetch with IWANT per heartbeat; the rest is not sent.
    public var iwantBytesPerHeartbeatMax = 8_388_608
    /// IWANT requests whose answer is awaited; further ones are sent, and nobody is blamed when they go unanswered.
    public var promisesMax = 4_096
    /// Message IDs remembered as seen; the oldest makes room.
    public var seenEntriesMax = 65_536
    /// Messages in the cache; the oldest makes room.
    public var cacheMessagesMax = 8_192
    /// Bytes of messages in the cache; the oldest make room.
    public var cacheBytesMax = 16_777_216
    /// Messages waiting for the application's verdict; a message beyond is dropped unseen, so it can come again.
    public var pendingValidationsMax = 1_024
    /// Bytes of messages waiting for a verdict; likewise.
    public var pendingValidationBytesMax = 16_777_216
    /// Back-offs; the one that ends soonest makes room.
    public var backoffsMax = 8_192
    /// Peers whose score is kept after they left; the one that left longest ago makes room.
    public var departedScoresMax = 4_096
    /// Bytes waiting to be sent to one peer. Forwarded and gossiped messages beyond are dropped, newest first.
    public var outgoingBytesMax = 4_194_304
    /// Control bytes (subscriptions, GRAFT, PRUNE, IHAVE, IWANT) waiting for one peer, kept apart so that they get
    /// through when messages do not. A peer that reaches this reads nothing at all, and its stream is reset.
    public var outgoingControlBytesMax = 1_048_576

    public init() {}
}
