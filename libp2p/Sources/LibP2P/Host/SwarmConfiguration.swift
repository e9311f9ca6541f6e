public import Multiformats
import Peers
package import Yamux

/// The settings of a `Swarm`; every bound has its unit in its name.
public struct SwarmConfiguration: Sendable {
    /// Where to listen, such as `/ip4/0.0.0.0/tcp/4001`; port 0 lets the system choose. Empty: no listening.
    public var listenAddresses: [Multiaddr]
    /// Addresses to announce instead of those listened on.
    public var announceAddresses: [Multiaddr] = []
    /// The software, as identify announces it.
    public var agentVersion = "swift-libp2p"
    /// The family of protocols, as identify announces it.
    public var protocolVersion = "ipfs/0.1.0"
    /// All bounds.
    public var limits = Limits()

    /// A configuration with default limits.
    public init(listenAddresses: [Multiaddr] = []) {
        self.listenAddresses = listenAddresses
    }

    /// The bounds of a swarm; each says what happens when it is reached.
    public struct Limits: Sendable {
        /// Connections of both directions; the next is refused.
        public var connectionsMax = 512
        /// Inbound connections among them; the next is refused.
        public var inboundConnectionsMax = 384
        /// Connections to one peer; the next is closed after its handshake.
        public var connectionsPerPeerMax = 8
        /// Inbound connections from one IPv4 address or IPv6 /56; the next is refused before its handshake.
        public var connectionsPerIPMax = 8
        /// Whether loopback addresses are exempt from `connectionsPerIPMax` and never lose their places for handshakes:
        /// for tests and for meshes on one machine.
        public var isLoopbackExempt = true
        /// Inbound connections whose handshake is not finished; the next displaces the oldest of the address group that
        /// has most of them, and is refused if all are exempt (`isLoopbackExempt`).
        public var pendingInboundMax = 64
        /// How long an inbound connection may say nothing before it counts as silent. Every dialer speaks at once.
        public var handshakeGraceMilliseconds: Int64 = 10
        /// Inbound connections within that time, plus a few that come at the same instant; further ones wait in the
        /// system's queue.
        public var newHandshakesMax = 48
        /// Connections that wait in the system's queue; the system drops the next.
        public var acceptQueueMax: Int32 = 4_096
        /// How long accepting pauses when the process or the system is out of descriptors or memory; doubles with every
        /// pause that did not help, up to `acceptPauseMillisecondsMax`.
        public var acceptPauseMilliseconds: Int64 = 100
        /// The longest such pause.
        public var acceptPauseMillisecondsMax: Int64 = 5_000
        /// Outbound connections whose handshake is not finished; the next dial is refused.
        public var pendingOutboundMax = 64
        /// Addresses of one peer that are tried at the same time.
        public var concurrentAttemptsMax = 4
        /// How long a dial attempt runs alone before the next address is tried in parallel.
        public var attemptHeadStartMilliseconds: Int64 = 250
        /// From TCP connection to agreed muxer; after that the connection is closed.
        public var handshakeTimeoutMilliseconds: Int64 = 10_000
        /// For the TCP connection of a dial.
        public var connectTimeoutMilliseconds: Int64 = 5_000
        /// From a stream's opening to the agreed protocol; after that the stream is reset.
        public var streamNegotiationTimeoutMilliseconds: Int64 = 10_000
        /// From a doubt about a connection to the peer's next byte; after that the connection is closed.
        public var probeTimeoutMilliseconds: Int64 = 2_000
        /// How often this node checks the addresses of its interfaces.
        public var addressRefreshMilliseconds: Int64 = 5_000
        /// Dials of one peer at addresses that others named that may fail within a minute; the next fails without being
        /// made.
        public var failedDialsPerMinuteMax = 2
        /// The same for dials that only try addresses at which the peer has answered before.
        public var failedProvenDialsPerMinuteMax = 12
        /// Addresses that others named for a peer and one dial tries; the newest count.
        public var hearsayAddressesPerDialMax = 8
        /// Time without a ping on an open ping stream, or with an answer not taken; after that the stream is reset.
        public var pingIdleTimeoutMilliseconds: Int64 = 60_000
        /// Identify pushes accepted at once on one connection; further ones are reset unread.
        public var identifyPushesAtOnceMax = 32
        /// Identify pushes that each connection regains per minute: as often as a node checks for new addresses.
        public var identifyPushesPerMinuteMax = 12
        /// Time without any stream; after that the connection is closed.
        public var idleTimeoutMilliseconds: Int64 = 300_000
        /// Time since the user of a half-closed stream released it; after that the stream is reset.
        public var abandonedStreamTimeoutMilliseconds: Int64 = 10_000
        /// For one identify exchange.
        public var identifyTimeoutMilliseconds: Int64 = 5_000
        /// Inbound streams of one peer whose handlers run; the next is reset.
        public var handlersPerPeerMax = 256
        /// Inbound streams of all peers whose handlers run; the next is reset.
        public var handlersMax = 4_096
        /// Inbound streams of one protocol and one peer whose handlers run, unless the protocol has its own bound; the
        /// next is reset.
        public var streamsPerProtocolPerPeerMax = 128
        /// The same for ping, as its specification requires.
        public var pingStreamsPerPeerMax = 2
        /// The same for identify and for its pushes, one per connection.
        public var identifyStreamsPerPeerMax = 8
        /// Bytes written to one stream and not sent; beyond, writers wait.
        public var unsentBytesPerStreamMax = 256 * 1024
        /// Bytes handed to one socket and not taken by it; beyond, streams wait.
        public var unsentBytesPerConnectionMax = 512 * 1024
        /// Bytes held for one connection: received and not taken, written and not sent, and the growth of windows. At
        /// half of it windows stop growing; at all of it writers wait, and arriving bytes reset streams whose data
        /// nobody takes. Near `heldBytesMax` it shrinks to a quarter of what is free.
        public var heldBytesPerConnectionMax = 16 * 1024 * 1024
        /// The same for all connections of one peer; near `heldBytesMax` it shrinks to half of what is free.
        public var heldBytesPerPeerMax = 32 * 1024 * 1024
        /// The same for all peers.
        public var heldBytesMax = 256 * 1024 * 1024
        /// Time after which a stream counts as one whose data nobody takes, when the budget is short.
        public var stalledStreamMilliseconds: Int64 = 1_000
        /// How often writers that wait for the budget are admitted if there is room.
        public var roomRetryMilliseconds: Int64 = 20
        /// Receive windows of each of a peer's further connections, all streams together.
        public var furtherConnectionReceiveBytesMax = 4 * 1024 * 1024
        /// Peers whose addresses are remembered; one more replaces the one added longest ago and not connected.
        public var rememberedPeersMax = 4_096
        /// Addresses remembered per peer; the oldest are forgotten.
        public var addressesPerPeerMax = 32
        /// Dials that wait for `run` and streams that wait for their handler's task. A further dial fails with this
        /// limit's name, a further stream is reset, a further identify or push is skipped.
        public var queuedWorkMax = 8_192
        /// The bounds of every Yamux session.
        package var yamux = YamuxSession.Limits()

        /// The default bounds.
        public init() {}
    }
}

extension SwarmConfiguration.Limits {
    /// Those of them that bound what is remembered of peers, and how often they are dialed.
    var dialing: DialBook.Limits {
        var limits = DialBook.Limits()
        limits.peersMax = rememberedPeersMax
        limits.addressesPerPeerMax = addressesPerPeerMax
        limits.hearsayAddressesPerDialMax = hearsayAddressesPerDialMax
        limits.failedDialsPerMinuteMax = failedDialsPerMinuteMax
        limits.failedProvenDialsPerMinuteMax = failedProvenDialsPerMinuteMax
        return limits
    }
}
