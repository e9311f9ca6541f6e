/// What a swarm counts: everything it refused or ended, by reason.
public enum SwarmCounter: String, CaseIterable, Hashable, Sendable {
    /// Connections that were accepted or dialed and finished their handshake.
    case connectionsOpened
    /// Refused: `pendingInboundMax`.
    case refusedPendingInbound
    /// Unfinished handshakes closed for a newcomer: all places were taken, most of them by the group of this one.
    case displacedPendingInbound
    /// Pauses in accepting, for want of descriptors or memory: `acceptPauseMilliseconds`.
    case acceptingPaused
    /// Refused: `connectionsPerIPMax`.
    case refusedPerIP
    /// Refused dials: `pendingOutboundMax`.
    case refusedPendingOutbound
    /// Refused: `connectionsMax` or `inboundConnectionsMax`.
    case refusedTotal
    /// Closed after the handshake: `connectionsPerPeerMax`.
    case refusedPerPeer
    /// Closed after the handshake: it was ourselves.
    case refusedSelf
    /// `handshakeTimeoutMilliseconds` passed.
    case handshakeTimedOut
    /// Multistream-select failed before the connection stood.
    case handshakeNegotiationFailed
    /// The Noise handshake failed.
    case handshakeNoiseFailed
    /// The peer proved to be another than was dialed.
    case handshakeWrongPeer
    /// The peer closed before the handshake was finished.
    case handshakeAbandoned
    /// A message did not decrypt.
    case decryptionFailed
    /// The peer broke Yamux or left too much unread.
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
    /// Streams reset, dials refused and identify exchanges left out: `queuedWorkMax`.
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
    /// Lists of addresses that others named of which some were not admitted: `AddressPolicy`.
    case addressesNotAdmitted
    /// Dials that were not made: `failedDialsPerMinuteMax`, `failedProvenDialsPerMinuteMax`.
    case refusedDialBudget
    /// Streams reset because nobody took their data: `heldBytesPerConnectionMax`, `heldBytesPerPeerMax` or
    /// `heldBytesMax`.
    case streamsOverBudget
    /// Peer events that a service was too slow for: `PeerEventHub.queuedEventsMax`.
    case peerEventsLost
}
