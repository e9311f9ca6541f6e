package import Determinism
package import NIOCore

extension YamuxSession {
    /// Takes in bytes from the transport, in order, in pieces of any size.
    ///
    /// It hands on bodies as slices of `bytes`, without a copy. After a violation the session has failed: the shell
    /// sends what `nextOutput` still gives (the go-away with the reason) and closes the connection.
    package mutating func received(
        _ bytes: ByteBuffer, now: MonotonicInstant
    ) throws(YamuxViolation) -> [YamuxEvent] {
        if case .failed = state { throw .sessionClosed }
        var bytes = bytes
        var events: [YamuxEvent] = []
        keepAlive.heard(byteCount: bytes.readableBytes, now: now)
        do throws(YamuxViolation) {
            while bytes.readableBytes > 0 {
                switch try reader.next(from: &bytes) {
                case .body(let id, let piece, let isEnd): received(piece, of: id, isEnd: isEnd, events: &events)
                case .header(let header):
                    try received(header, now: now, events: &events)
                    guard control.count <= limits.controlFramesMax else {
                        throw .controlBacklogExceeded(limit: limits.controlFramesMax)
                    }
                case nil: break
                }
            }
        } catch {
            throw fail(error)
        }
        return events
    }

    private mutating func received(
        _ piece: ByteBuffer, of streamID: YamuxStreamID?, isEnd: Bool, events: inout [YamuxEvent]
    ) {
        guard let id = streamID, let index = streams.index(forKey: id) else { return }
        streams.values[index].unconsumedBytes += piece.readableBytes
        streams.values[index].receiveWindow -= piece.readableBytes
        if piece.readableBytes > 0 { events.append(.data(id, piece)) }
        if isEnd { remoteClosed(id, events: &events) }
    }

    private mutating func received(
        _ header: YamuxHeader, now: MonotonicInstant, events: inout [YamuxEvent]
    ) throws(YamuxViolation) {
        let isSessionFrame = header.kind == .ping || header.kind == .goAway
        guard isSessionFrame == (header.streamID.rawValue == 0) else {
            throw .wrongStreamID(kind: header.kind, streamID: header.streamID.rawValue)
        }
        switch header.kind {
        case .ping:
            receivedPing(header, now: now, events: &events)
        case .goAway:
            guard let code = YamuxGoAwayCode(rawValue: header.length) else { throw .unknownGoAwayCode(header.length) }
            if case .open = state { state = .draining }
            events.append(.goAway(code))
        case .data, .windowUpdate:
            try receivedStreamFrame(header, now: now, events: &events)
        }
    }

    private mutating func receivedPing(_ header: YamuxHeader, now: MonotonicInstant, events: inout [YamuxEvent]) {
        if header.flags.contains(.syn) {
            control.append(
                YamuxHeader(kind: .ping, flags: .ack, streamID: YamuxStreamID(0), length: header.length))
        } else if let elapsed = keepAlive.answered(header.length, now: now) {
            events.append(.roundTrip(nanoseconds: elapsed))
        }
    }

    private mutating func receivedStreamFrame(
        _ header: YamuxHeader, now: MonotonicInstant, events: inout [YamuxEvent]
    ) throws(YamuxViolation) {
        let id = header.streamID
        if header.flags.contains(.syn) { try openInbound(header, now: now, events: &events) }
        guard let index = streams.index(forKey: id) else {
            try receivedForClosedStream(header)
            return
        }
        if header.flags.contains(.ack), !streams.values[index].isAcknowledged {
            streams.values[index].isAcknowledged = true
            unacknowledgedCount -= 1
        }
        if header.flags.contains(.rst) {
            forget(id)
            events.append(.reset(id))
            if header.kind == .data { try skipBody(header) }
            return
        }
        if header.kind == .windowUpdate {
            try receivedCredit(header, at: index, events: &events)
            if header.flags.contains(.fin) { remoteClosed(id, events: &events) }
            return
        }
        let window = streams.values[index].receiveWindow
        guard header.length <= window else {
            throw .windowExceeded(streamID: id.rawValue, announced: header.length, allowed: window)
        }
        if header.length > 0 {
            guard !streams.values[index].remoteClosed else { throw .dataAfterFIN(id.rawValue) }
            reader.expectBody(
                of: id, byteCount: Int(header.length), finishes: header.flags.contains(.fin))
        } else if header.flags.contains(.fin) {
            remoteClosed(id, events: &events)
        }
    }

    private mutating func receivedCredit(
        _ header: YamuxHeader, at index: Dictionary<YamuxStreamID, YamuxStreamState>.Index,
        events: inout [YamuxEvent]
    ) throws(YamuxViolation) {
        guard header.length > 0 else { return }
        let window = streams.values[index].sendWindow + Int(header.length)
        guard window <= Int(UInt32.max) else { throw .windowOverflow(streamID: header.streamID.rawValue) }
        streams.values[index].sendWindow = window
        markReady(header.streamID)
        events.append(.windowOpened(header.streamID))
    }

    private mutating func openInbound(
        _ header: YamuxHeader, now: MonotonicInstant, events: inout [YamuxEvent]
    ) throws(YamuxViolation) {
        let id = header.streamID
        guard (id.rawValue % 2 == 1) != (role == .dialer) else { throw .wrongParity(id.rawValue) }
        let ordinal = id.rawValue / 2
        guard !seenInbound.contains(ordinal) else { throw .streamIDReused(id.rawValue) }
        seenInbound.insert(ordinal)
        if header.kind == .data, Int(header.length) > Self.initialWindowBytes {
            throw .windowExceeded(
                streamID: id.rawValue, announced: header.length, allowed: Self.initialWindowBytes)
        }
        guard case .open = state, inboundCount < limits.inboundStreamsMax,
            chargedBytes + Self.initialWindowBytes <= limits.receiveBytesMax
        else {
            refusedStreamCount += 1
            control.append(YamuxHeader(kind: .windowUpdate, flags: .rst, streamID: id, length: 0))
            return
        }
        inboundCount += 1
        chargedBytes += Self.initialWindowBytes
        streams[id] = YamuxStreamState(id: id, isOutbound: false, now: now)
        events.append(.streamOpened(id))
        markReady(id)
    }

    /// Frames may still be under way for a stream that we dropped; for one that never existed they are a violation.
    private mutating func receivedForClosedStream(_ header: YamuxHeader) throws(YamuxViolation) {
        let raw = header.streamID.rawValue
        let isOurs = (raw % 2 == 1) == (role == .dialer)
        guard isOurs ? raw < nextOutboundID : seenInbound.contains(raw / 2) else { throw .unknownStream(raw) }
        if header.kind == .data { try skipBody(header) }
    }

    private mutating func skipBody(_ header: YamuxHeader) throws(YamuxViolation) {
        guard Int(header.length) <= limits.streamWindowBytesMax else {
            throw .windowExceeded(
                streamID: header.streamID.rawValue, announced: header.length, allowed: limits.streamWindowBytesMax)
        }
        guard header.length > 0 else { return }
        reader.expectBody(of: nil, byteCount: Int(header.length), finishes: false)
    }

    private mutating func remoteClosed(_ id: YamuxStreamID, events: inout [YamuxEvent]) {
        guard let index = streams.index(forKey: id), !streams.values[index].remoteClosed else { return }
        streams.values[index].remoteClosed = true
        streams.values[index].owedCredit = 0
        events.append(.remoteClosed(id))
        forgetIfFinished(id)
    }
}
