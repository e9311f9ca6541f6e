/// What a service did with streams at its limits; each number only grows.
public struct ServiceStreamCounters: Hashable, Sendable {
    /// Streams of peers reset at once: `inboundStreamsPerPeerMax`.
    public var refusedPerPeer = 0
    /// Streams of peers reset at once: `inboundStreamsMax`.
    public var refusedInAll = 0
    /// Streams of peers reset after a silence: `inboundIdleMilliseconds`.
    public var inboundIdle = 0
    /// Own streams closed after a silence: `idleStreamMilliseconds`, `outboundIdleMilliseconds`.
    public var ownIdle = 0
    /// Own streams closed after use, because enough are kept: `idleStreamsMax`, `idleStreamsPerPeerMax`.
    public var ownSurplus = 0
    /// Own streams reset because the peer took too long to accept what was sent: `sendTimeoutMilliseconds`.
    public var sendsTimedOut = 0

    /// All zero.
    public init() {}
}
