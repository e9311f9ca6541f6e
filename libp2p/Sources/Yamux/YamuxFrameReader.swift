import NIOCore

/// Cuts what arrives into headers and pieces of bodies, and holds at most eleven bytes of it.
struct YamuxFrameReader: Sendable {
    /// What came next.
    enum Part {
        case header(YamuxHeader)
        /// Bytes of a body, of a stream or to be thrown away; whether FIN stands behind them.
        case body(YamuxStreamID?, ByteBuffer, isEnd: Bool)
    }

    /// A body of which part is still to come.
    private struct Body: Sendable {
        let streamID: YamuxStreamID?
        var remaining: Int
        let finishes: Bool
    }

    private var partialHeader = ByteBuffer()
    private var body: Body?

    /// So many bytes follow the header that came last, of a stream or to be thrown away; FIN may stand behind them.
    mutating func expectBody(of streamID: YamuxStreamID?, byteCount: Int, finishes: Bool) {
        body = Body(streamID: streamID, remaining: byteCount, finishes: finishes)
    }

    /// The next part; nil when the bytes end before the end of a header.
    mutating func next(from bytes: inout ByteBuffer) throws(YamuxViolation) -> Part? {
        if var body {
            guard let piece = bytes.readSlice(length: min(body.remaining, bytes.readableBytes)) else { return nil }
            body.remaining -= piece.readableBytes
            self.body = body.remaining > 0 ? body : nil
            return .body(body.streamID, piece, isEnd: body.remaining == 0 && body.finishes)
        }
        return try header(from: &bytes).map { .header($0) }
    }

    private mutating func header(from bytes: inout ByteBuffer) throws(YamuxViolation) -> YamuxHeader? {
        if partialHeader.readableBytes == 0 {
            if bytes.readableBytes >= YamuxHeader.byteCount { return try YamuxHeader.decode(from: &bytes) }
            partialHeader.clear()
        }
        let missing = YamuxHeader.byteCount - partialHeader.readableBytes
        guard var piece = bytes.readSlice(length: min(missing, bytes.readableBytes)) else { return nil }
        partialHeader.writeBuffer(&piece)
        return try YamuxHeader.decode(from: &partialHeader)
    }

    func checkInvariants() {
        precondition(partialHeader.readableBytes < YamuxHeader.byteCount, "a whole header waits")
    }
}
