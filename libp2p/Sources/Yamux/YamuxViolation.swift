/// Why the peer's doing ends the session. Every case closes the connection; none carries payload bytes.
package enum YamuxViolation: Error, Hashable, Sendable {
    /// The version byte is not 0.
    case unknownVersion(UInt8)
    /// The kind byte is none of the four.
    case unknownFrameKind(UInt8)
    /// Flag bits that the specification does not define.
    case unknownFlags(UInt16)
    /// A ping or go-away frame with a stream ID, or a stream frame without one.
    case wrongStreamID(kind: YamuxFrameKind, streamID: UInt32)
    /// A go-away reason that the specification does not define.
    case unknownGoAwayCode(UInt32)
    /// The peer opened a stream with an ID of our parity.
    case wrongParity(UInt32)
    /// The peer opened a stream with an ID that was used before.
    case streamIDReused(UInt32)
    /// A frame for a stream that was never opened.
    case unknownStream(UInt32)
    /// A body longer than the peer's credit; noticed in the header, before the body is read.
    case windowExceeded(streamID: UInt32, announced: UInt32, allowed: Int)
    /// Credit that would raise the window past 2^32 - 1.
    case windowOverflow(streamID: UInt32)
    /// A body after the peer half-closed the stream.
    case dataAfterFIN(UInt32)
    /// More than `controlFramesMax` answers wait to be sent: the peer asks and does not read.
    case controlBacklogExceeded(limit: Int)
    /// The peer sent nothing for `keepAliveTimeoutMilliseconds` after a ping.
    case keepAliveTimeout
    /// A frame arrived after the session was closed for a violation.
    case sessionClosed
}

extension YamuxViolation: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .unknownVersion(let version): "version \(version) of the muxer is unknown"
        case .unknownFrameKind(let kind): "a frame of the unknown kind \(kind)"
        case .unknownFlags(let flags): "a frame with the unknown flags \(flags)"
        case .wrongStreamID(_, let streamID): "a frame that does not go with stream \(streamID)"
        case .unknownGoAwayCode(let code): "a goodbye with the unknown reason \(code)"
        case .wrongParity(let id): "the peer opened stream \(id), which only this side may"
        case .streamIDReused(let id): "the peer opened stream \(id) twice"
        case .unknownStream(let id): "a frame of stream \(id), which was never opened"
        case .windowExceeded(let streamID, let announced, let allowed):
            "\(announced) bytes on stream \(streamID), where \(allowed) are allowed"
        case .windowOverflow(let streamID): "more credit for stream \(streamID) than can be counted"
        case .dataAfterFIN(let id): "bytes on stream \(id) after its end"
        case .controlBacklogExceeded(let limit): "the peer asks and does not read: \(limit) answers wait"
        case .keepAliveTimeout: "the peer has fallen silent"
        case .sessionClosed: "a frame came after the end of the session"
        }
    }
}

/// Why a stream cannot be opened now.
package enum YamuxOpenRefusal: Error, Hashable, Sendable {
    /// `outboundStreamsMax` streams are open.
    case tooManyStreams(limit: Int)
    /// `unacknowledgedStreamsMax` streams wait for the peer's ACK.
    case acknowledgementBacklogFull(limit: Int)
    /// Another receive window does not fit into `receiveBytesMax`.
    case receiveBudgetExhausted(limit: Int)
    /// Either side said go-away, or the session failed.
    case sessionClosing
    /// All 2^31 stream IDs are used up.
    case streamIDsExhausted
    /// Too many frames wait because the peer does not read.
    case controlBacklogFull(limit: Int)
}

extension YamuxOpenRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .tooManyStreams(let limit): "\(limit) streams are open, the most at once"
        case .acknowledgementBacklogFull(let limit): "\(limit) new streams wait for the peer"
        case .receiveBudgetExhausted(let limit): "another stream does not fit into the \(limit) bytes for receiving"
        case .sessionClosing: "the connection is closing"
        case .streamIDsExhausted: "all numbers of streams are used up"
        case .controlBacklogFull(let limit): "the peer does not read: \(limit) frames wait"
        }
    }
}

/// Why bytes cannot be sent on a stream.
package enum YamuxSendRefusal: Error, Hashable, Sendable {
    /// The stream is unknown: never opened, reset, or finished.
    case unknownStream
    /// Our side was half-closed already.
    case closedForWriting
}

extension YamuxSendRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .unknownStream: "the stream is over"
        case .closedForWriting: "the stream was closed for writing"
        }
    }
}

/// The reason in a go-away frame.
package enum YamuxGoAwayCode: UInt32, Hashable, Sendable {
    /// An orderly end.
    case normal = 0
    /// The other side broke the protocol.
    case protocolError = 1
    /// Something failed inside.
    case internalError = 2
}
