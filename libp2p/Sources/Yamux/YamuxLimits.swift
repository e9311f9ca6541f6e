extension YamuxSession {
    /// Every bound of a session, with its unit in its name. What happens at each is said beside it.
    public struct Limits: Hashable, Sendable {
        /// Streams the peer may have open; the next is answered with RST.
        public var inboundStreamsMax = 256
        /// Streams we may have open; the next is refused.
        public var outboundStreamsMax = 256
        /// Streams of ours the peer has not acknowledged; the next is refused (specification: 256).
        public var unacknowledgedStreamsMax = 256
        /// The sum of all receive windows, which is all that the peer can make us hold; windows stop growing and
        /// further streams are refused.
        public var receiveBytesMax = 32 * 1024 * 1024
        /// The largest receive window of one stream.
        public var streamWindowBytesMax = 16 * 1024 * 1024
        /// Body bytes of one frame that we send, so that streams take turns.
        public var frameBytesMax = 64 * 1024
        /// Pongs and resets that wait to be sent; one more is a violation.
        public var controlFramesMax = 4_096
        /// Between two keep-alive pings.
        public var keepAliveIntervalMilliseconds: Int64 = 30_000
        /// After a ping, without any byte from the peer; then the session is dead.
        public var keepAliveTimeoutMilliseconds: Int64 = 10_000
        /// A window that was used up within four round trips, or within this time if it is longer, doubles.
        public var windowGrowthFloorMilliseconds: Int64 = 4

        /// The default limits.
        public init() {}
    }

    /// The window that every stream starts with, in both directions; fixed by the specification.
    public static let initialWindowBytes = 256 * 1024
}
