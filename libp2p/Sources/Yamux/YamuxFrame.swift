package import NIOCore

/// The number of a stream within its session: odd when the dialer opened it, even when the listener did.
package struct YamuxStreamID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number as it stands in the frame header.
    package let rawValue: UInt32

    /// A stream ID from its number.
    package init(_ rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The number in decimal.
    package var description: String { "\(rawValue)" }

    /// Orders stream IDs by number.
    package static func < (left: YamuxStreamID, right: YamuxStreamID) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// What a frame is about (yamux specification, "Framing").
package enum YamuxFrameKind: UInt8, Hashable, Sendable {
    /// Bytes of a stream; the length says how many follow.
    case data = 0
    /// Credit for a stream; the length is the credit.
    case windowUpdate = 1
    /// A ping or its answer; the length is an opaque value.
    case ping = 2
    /// The end of the session; the length is the reason.
    case goAway = 3
}

/// The flags of a frame.
package struct YamuxFlags: OptionSet, Hashable, Sendable {
    /// The bits as they stand in the header.
    package let rawValue: UInt16

    /// Flags from their bits.
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Opens a stream, or marks a ping.
    package static let syn = YamuxFlags(rawValue: 1)
    /// Accepts a stream, or marks the answer to a ping.
    package static let ack = YamuxFlags(rawValue: 2)
    /// Half-closes a stream.
    package static let fin = YamuxFlags(rawValue: 4)
    /// Drops a stream.
    package static let rst = YamuxFlags(rawValue: 8)
}

/// The twelve bytes before every frame: version, kind, flags, stream ID and length, all big-endian.
package struct YamuxHeader: Hashable, Sendable {
    /// Bytes of a header.
    package static let byteCount = 12

    /// What the frame is about.
    package var kind: YamuxFrameKind
    /// The flags.
    package var flags: YamuxFlags
    /// The stream, or 0 for the session.
    package var streamID: YamuxStreamID
    /// Body bytes, credit, opaque value or reason, by `kind`.
    package var length: UInt32

    package init(kind: YamuxFrameKind, flags: YamuxFlags, streamID: YamuxStreamID, length: UInt32) {
        self.kind = kind
        self.flags = flags
        self.streamID = streamID
        self.length = length
    }

    /// Takes a header off the front of `bytes`; `nil` while fewer than twelve bytes are there.
    package static func decode(from bytes: inout ByteBuffer) throws(YamuxViolation) -> YamuxHeader? {
        guard bytes.readableBytes >= byteCount,
            let version = bytes.readInteger(as: UInt8.self),
            let kindByte = bytes.readInteger(as: UInt8.self),
            let flags = bytes.readInteger(as: UInt16.self),
            let streamID = bytes.readInteger(as: UInt32.self),
            let length = bytes.readInteger(as: UInt32.self)
        else { return nil }
        guard version == 0 else { throw .unknownVersion(version) }
        guard let kind = YamuxFrameKind(rawValue: kindByte) else { throw .unknownFrameKind(kindByte) }
        guard flags & 0xFFF0 == 0 else { throw .unknownFlags(flags) }
        return YamuxHeader(
            kind: kind, flags: YamuxFlags(rawValue: flags), streamID: YamuxStreamID(streamID), length: length)
    }

    /// Appends the twelve bytes.
    package func encode(into bytes: inout ByteBuffer) {
        bytes.writeMultipleIntegers(UInt8(0), kind.rawValue, flags.rawValue, streamID.rawValue, length)
    }
}
