/// What a router has seen and done since it started. No number ever shrinks.
public struct GossipSubCounters: Hashable, Sendable {
    /// Messages that this node published.
    public var messagesPublished: UInt64 = 0
    /// Messages that arrived for the first time with a good signature.
    public var messagesArrived: UInt64 = 0
    /// Messages that were accepted and handed to this node's subscribers.
    public var messagesDelivered: UInt64 = 0
    /// Messages that arrived again.
    public var duplicates: UInt64 = 0
    /// Messages that the application refused.
    public var rejected: UInt64 = 0
    /// Messages that the application did not want forwarded.
    public var ignored: UInt64 = 0
    /// Messages with a bad signature, author or sequence number.
    public var badSignatures: UInt64 = 0
    /// Messages of topics this node is not subscribed to.
    public var unwantedTopics: UInt64 = 0
    /// Messages dropped because too many waited for a verdict.
    public var validationOverflows: UInt64 = 0
    /// Messages whose verdict took too long.
    public var validationsOverdue: UInt64 = 0
    /// RPCs ignored because the sender's score is under the graylist threshold.
    public var graylistedRPCs: UInt64 = 0
    /// RPCs and events of peers beyond `peersMax`.
    public var unknownPeerInputs: UInt64 = 0
    /// Entries left out because an RPC had too many.
    public var entriesLeftOut: UInt64 = 0
    /// Messages sent in answer to IWANT.
    public var messagesRetransmitted: UInt64 = 0
    /// Peer recommendations in PRUNE, which are not followed.
    public var exchangedPeersIgnored: UInt64 = 0
    /// GRAFTs sent.
    public var graftsSent: UInt64 = 0
    /// PRUNEs sent.
    public var prunesSent: UInt64 = 0
    /// Heartbeats.
    public var heartbeats: UInt64 = 0

    /// All zero.
    public init() {}
}
