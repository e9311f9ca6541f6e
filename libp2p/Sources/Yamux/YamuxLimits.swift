extension YamuxSession {
    /// Every bound of a session, and what happens at each.
    package struct Limits: Hashable, Sendable {
        /// Streams the peer may have open; the next is answered with RST.
        package var inboundStreamsMax = 256
        /// Streams we may have open; the next is refused.
        package var outboundStreamsMax = 256
        /// Streams of ours the peer has not acknowledged; the next is refused (specification: 256).
        package var unacknowledgedStreamsMax = 256
        /// The sum of all receive windows, which is all that the peer can make us hold; at the bound windows stop
        /// growing and further streams are refused.
        package var receiveBytesMax = 32 * 1024 * 1024
        /// The largest receive window of one stream.
        package var streamWindowBytesMax = 16 * 1024 * 1024
        /// Body bytes of one frame that we send, so that streams take turns.
        package var frameBytesMax = 64 * 1024
        /// Pongs and resets that wait to be sent; one more is a violation.
        package var controlFramesMax = 4_096
        /// The time between two keep-alive pings.
        package var keepAliveIntervalMilliseconds: Int64 = 30_000
        /// How long the peer may send nothing after a ping; then the session is dead.
        package var keepAliveTimeoutMilliseconds: Int64 = 10_000
        /// A window used up within four round trips, or within this time if that is longer, doubles.
        package var windowGrowthFloorMilliseconds: Int64 = 4

        /// The default limits.
        package init() {}
    }

    /// The window that every stream starts with, in both directions; fixed by the specification.
    package static let initialWindowBytes = 256 * 1024
}
