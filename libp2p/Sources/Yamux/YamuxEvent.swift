package import NIOCore

/// What the session tells its shell after bytes arrived.
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
    /// A ping of ours came back.
    case roundTrip(nanoseconds: Int64)
    /// The peer says goodbye: no further streams, those open may finish.
    case goAway(YamuxGoAwayCode)
}

/// Queued bytes of a stream that went out.
package struct YamuxDrained: Hashable, Sendable {
    /// The stream.
    package let streamID: YamuxStreamID
    /// How many of its queued bytes are in the output now.
    package let byteCount: Int
}
