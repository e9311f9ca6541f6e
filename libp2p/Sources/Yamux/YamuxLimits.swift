extension YamuxSession {
    /// Every bound of a session, with its unit in its name. What happens at each is said beside it.
    package struct Limits: Hashable, Sendable {
        /// Streams the peer may have open; the next is answered with RST.
        package var inboundStreamsMax = 256
        /// Streams we may have open; the next is refused.
        package var outboundStreamsMax = 256
        /// Streams of ours the peer has not acknowledged; the next is refused (specification: 256).
        package var unacknowledgedStreamsMax = 256
        /// The sum of all receive windows, which is all that the peer can make us hold; windows stop growing and
        /// further streams are refused.
        package var receiveBytesMax = 32 * 1024 * 1024
        /// The largest receive window of one stream.
        package var streamWindowBytesMax = 16 * 1024 * 1024
        /// Body bytes of one frame that we send, so that streams take turns.
        package var frameBytesMax = 64 * 1024
        /// Pongs and resets that wait to be sent; one more is a violation.
        package var controlFramesMax = 4_096
        /// Between two keep-alive pings.
        package var keepAliveIntervalMilliseconds: Int64 = 30_000
        /// After a ping, without any byte from the peer; then the session is dead.
        package var keepAliveTimeoutMilliseconds: Int64 = 10_000
        /// A window that was used up within four round trips, or within this time if it is longer, doubles.
        package var windowGrowthFloorMilliseconds: Int64 = 4

        /// The default limits.
        package init() {}
    }

    /// The window that every stream starts with, in both directions; fixed by the specification.
    package static let initialWindowBytes = 256 * 1024
}
