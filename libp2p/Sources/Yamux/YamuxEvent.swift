package import NIOCore

/// What the session tells its shell when bytes arrive.
package enum YamuxEvent: Sendable {
    /// The peer opened a stream.
    case streamOpened(YamuxStreamID)
    /// Bytes for a stream's reader; they stay charged to the stream until `consumed` reports them.
    case data(YamuxStreamID, ByteBuffer)
    /// The peer half-closed the stream; all its bytes were delivered before.
    case remoteClosed(YamuxStreamID)
    /// The peer dropped the stream.
    case reset(YamuxStreamID)
    /// The peer raised a stream's send window, so that queued bytes may go out.
    case windowOpened(YamuxStreamID)
    /// The answer to our ping arrived.
    case roundTrip(nanoseconds: Int64)
    /// The peer said goodbye: no further streams; open ones may finish.
    case goAway(YamuxGoAwayCode)
}

/// Queued bytes of a stream that were sent.
package struct YamuxDrained: Hashable, Sendable {
    /// The stream.
    package let streamID: YamuxStreamID
    /// The number of its queued bytes in the output.
    package let byteCount: Int
}
