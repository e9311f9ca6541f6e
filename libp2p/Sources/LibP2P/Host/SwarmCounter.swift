/// What a swarm counts: everything it refused or ended, by reason.
public enum SwarmCounter: String, CaseIterable, Hashable, Sendable {
    /// Connections, accepted or dialed, that finished their handshake.
    case connectionsOpened
    /// Refused: `pendingInboundMax`.
    case refusedPendingInbound
    /// Unfinished handshakes closed for a newcomer: all places were taken, most of them by this one's group.
    case displacedPendingInbound
    /// Pauses in accepting for lack of descriptors or memory: `acceptPauseMilliseconds`.
    case acceptingPaused
    /// Refused: `connectionsPerIPMax`.
    case refusedPerIP
    /// Refused dials: `pendingOutboundMax`.
    case refusedPendingOutbound
    /// Refused: `connectionsMax` or `inboundConnectionsMax`.
    case refusedTotal
    /// Closed after the handshake: `connectionsPerPeerMax`.
    case refusedPerPeer
    /// Closed after the handshake: the peer was this node itself.
    case refusedSelf
    /// Closed after the handshake, and dials not made: the owner of this node denies the peer.
    case refusedDenied
    /// One of these handshakes was with another process that has this node's key.
    case ownKeyElsewhere
    /// `handshakeTimeoutMilliseconds` passed.
    case handshakeTimedOut
    /// Multistream-select failed before the connection was established.
    case handshakeNegotiationFailed
    /// The Noise handshake failed.
    case handshakeNoiseFailed
    /// The peer proved to be another than the one dialed.
    case handshakeWrongPeer
    /// The peer closed before the handshake was finished.
    case handshakeAbandoned
    /// A message did not decrypt.
    case decryptionFailed
    /// The peer violated Yamux or left too much unread.
    case muxerViolation
    /// The peer did not answer a ping.
    case keepAliveTimedOut
    /// Closed: `idleTimeoutMilliseconds`.
    case idleClosed
    /// Inbound streams reset: `handlersPerPeerMax`.
    case refusedStreams
    /// Inbound streams reset: `streamsPerProtocolPerPeerMax`, `pingStreamsPerPeerMax` or `identifyStreamsPerPeerMax`.
    case refusedStreamsOfProtocol
    /// Inbound streams reset: `handlersMax`.
    case refusedStreamsTotal
    /// Streams reset, dials refused and identify exchanges skipped: `queuedWorkMax`.
    case refusedQueuedWork
    /// Inbound streams reset because multistream-select failed.
    case streamNegotiationFailed
    /// Streams reset: `streamNegotiationTimeoutMilliseconds`.
    case streamNegotiationTimedOut
    /// Streams reset: `abandonedStreamTimeoutMilliseconds`.
    case abandonedStreamTimedOut
    /// Ping streams reset: `pingIdleTimeoutMilliseconds`.
    case pingIdleTimedOut
    /// Identify exchanges that failed or were refused.
    case identifyFailed
    /// Identify pushes refused: `identifyPushesAtOnceMax`, `identifyPushesPerMinuteMax`.
    case identifyPushRefused
    /// Signed peer records that did not verify or named another peer.
    case peerRecordRefused
    /// Changes of this node's own addresses.
    case addressesChanged
    /// Lists of addresses from others with some that `AddressPolicy` did not admit.
    case addressesNotAdmitted
    /// Dials not made: `failedDialsPerMinuteMax`, `failedProvenDialsPerMinuteMax`.
    case refusedDialBudget
    /// Streams reset because nobody took their data: `heldBytesPerConnectionMax`, `heldBytesPerPeerMax` or
    /// `heldBytesMax`.
    case streamsOverBudget
    /// Peer events lost because a service was too slow: `PeerEventHub.Limits`.
    case peerEventsLost
}
