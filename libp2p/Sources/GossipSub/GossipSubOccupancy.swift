/// How full the tables of a router are; tests and the simulator compare it with the limits.
public struct GossipSubOccupancy: Hashable, Sendable {
    /// Peers served.
    public var peers: Int
    /// Topics that at least one peer is subscribed to.
    public var peerTopics: Int
    /// Topics this node is subscribed to.
    public var meshes: Int
    /// Topics that this node publishes to without a subscription.
    public var fanouts: Int
    /// Back-offs.
    public var backoffs: Int
    /// Messages in the cache.
    public var cachedMessages: Int
    /// Bytes in the cache.
    public var cachedBytes: Int
    /// Messages remembered as seen.
    public var seen: Int
    /// Requests whose answer is awaited.
    public var promises: Int
    /// Messages that wait for a verdict.
    public var pendingValidations: Int
    /// Their bytes.
    public var pendingBytes: Int
    /// Scores of connected peers.
    public var scores: Int
    /// Scores of peers that left.
    public var departedScores: Int
}
