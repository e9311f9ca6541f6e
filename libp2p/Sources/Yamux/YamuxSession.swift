import DequeModule
package import Determinism
package import NIOCore

/// One Yamux session: many flow-controlled streams over one ordered byte stream (libp2p specification `yamux`).
///
/// The shell gives it what arrives (`received`) and sends what it gives (`nextOutput`, pulled only while the transport
/// can take more, so unsent bytes stay with their streams and every stream gets its turn). Unlike other implementations
/// it delivers a body as it arrives, so it never holds more than eleven bytes of input; it checks a body against the
/// stream's window as soon as the header is complete.
///
/// Receive windows start at 256 KiB and double, up to `streamWindowBytesMax` and within the session's
/// `receiveBytesMax`, when half a window is consumed within four round trips.
package struct YamuxSession: Core {
    /// Which side of the connection this is; the dialer's streams are odd.
    package enum Role: Hashable, Sendable {
        /// The side that dialed.
        case dialer
        /// The side that accepted.
        case listener
    }

    enum State: Sendable {
        case open
        /// Go-away was sent or received: streams finish, none are opened.
        case draining
        case failed(YamuxViolation)
    }

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

    /// The side of the connection.
    package let role: Role
    /// The bounds in force.
    package internal(set) var limits: Limits
    /// Inbound streams refused with RST because of a limit.
    package internal(set) var refusedStreamCount = 0

    var state = State.open
    var streams: [YamuxStreamID: YamuxStreamState] = [:]
    var inboundCount = 0
    var outboundCount = 0
    var unacknowledgedCount = 0
    /// The sum of all streams' receive window targets.
    var chargedBytes = 0
    var nextOutboundID: UInt32
    var seenInbound = YamuxSeenStreams()
    var finished: [YamuxStreamID] = []

    var reader = YamuxFrameReader()
    var keepAlive: YamuxKeepAlive
    var control = Deque<YamuxHeader>()
    var ready = Deque<YamuxStreamID>()

    /// A session over a fresh connection. Its first frame is a ping, which measures the round trip.
    package init(role: Role, limits: Limits = Limits(), now: MonotonicInstant) {
        self.role = role
        self.limits = limits
        nextOutboundID = role == .dialer ? 1 : 2
        keepAlive = YamuxKeepAlive(limits: limits, now: now)
        control.append(keepAlive.ping(now: now))
    }

    // MARK: Streams

    /// Opens a stream; the next output carries its SYN.
    package mutating func openStream(now: MonotonicInstant) -> Result<YamuxStreamID, YamuxOpenRefusal> {
        guard case .open = state else { return .failure(.sessionClosing) }
        guard outboundCount < limits.outboundStreamsMax else {
            return .failure(.tooManyStreams(limit: limits.outboundStreamsMax))
        }
        guard unacknowledgedCount < limits.unacknowledgedStreamsMax else {
            return .failure(.acknowledgementBacklogFull(limit: limits.unacknowledgedStreamsMax))
        }
        guard chargedBytes + Self.initialWindowBytes <= limits.receiveBytesMax else {
            return .failure(.receiveBudgetExhausted(limit: limits.receiveBytesMax))
        }
        guard control.count < limits.controlFramesMax else {
            return .failure(.controlBacklogFull(limit: limits.controlFramesMax))
        }
        let id = YamuxStreamID(nextOutboundID)
        let (next, overflow) = nextOutboundID.addingReportingOverflow(2)
        guard !overflow else { return .failure(.streamIDsExhausted) }
        nextOutboundID = next
        outboundCount += 1
        unacknowledgedCount += 1
        chargedBytes += Self.initialWindowBytes
        streams[id] = YamuxStreamState(id: id, isOutbound: true, now: now)
        markReady(id)
        return .success(id)
    }

    /// Queues bytes on a stream. The caller bounds what it queues by what `nextOutput` reports as drained.
    package mutating func send(_ bytes: ByteBuffer, on id: YamuxStreamID) -> Result<Void, YamuxSendRefusal> {
        guard let index = streams.index(forKey: id) else { return .failure(.unknownStream) }
        guard case .open = streams.values[index].sendingSide else { return .failure(.closedForWriting) }
        guard bytes.readableBytes > 0 else { return .success(()) }
        streams.values[index].sendQueue.append(bytes)
        streams.values[index].sendQueueBytes += bytes.readableBytes
        queuedBytes += bytes.readableBytes
        markReady(id)
        return .success(())
    }

    /// Half-closes our side once the queued bytes are sent. Does nothing if it is closed or unknown.
    package mutating func closeWrite(_ id: YamuxStreamID) {
        guard let index = streams.index(forKey: id), case .open = streams.values[index].sendingSide else { return }
        streams.values[index].sendingSide = .closing
        markReady(id)
    }

    /// Drops a stream in both directions. Does nothing if it is unknown.
    package mutating func reset(_ id: YamuxStreamID) {
        guard let stream = streams[id] else { return }
        // A stream whose SYN was never sent never existed.
        if !stream.owedFlags.contains(.syn) {
            control.append(YamuxHeader(kind: .windowUpdate, flags: .rst, streamID: id, length: 0))
        }
        forget(id)
    }

    /// The reader took `count` bytes; opens the peer's window again when half of it is used.
    ///
    /// - Parameter grant: asked by how much a window may grow, at most so many bytes; the shell books what it answers
    ///   until the stream is finished.
    package mutating func consumed(
        _ count: Int, on id: YamuxStreamID, now: MonotonicInstant, grant: (Int) -> Int = { $0 }
    ) {
        guard let index = streams.index(forKey: id) else { return }
        let delivered = streams.values[index].unconsumedBytes
        precondition(count <= delivered, "consumed \(count) bytes of \(delivered) on stream \(id)")
        streams.values[index].unconsumedBytes -= count
        if streams.values[index].remoteClosed {
            forgetIfFinished(id)
            return
        }
        let stream = streams.values[index]
        let used = stream.receiveWindowTarget - stream.receiveWindow - stream.unconsumedBytes
        guard used * 2 >= stream.receiveWindowTarget else { return }
        growWindow(at: index, now: now, grant: grant)
        let target = streams.values[index].receiveWindowTarget
        let credit = target - stream.receiveWindow - stream.unconsumedBytes
        streams.values[index].receiveWindow += credit
        streams.values[index].owedCredit += credit
        streams.values[index].windowOpenedAt = now
        markReady(id)
    }

    private mutating func growWindow(
        at index: Dictionary<YamuxStreamID, YamuxStreamState>.Index, now: MonotonicInstant, grant: (Int) -> Int
    ) {
        let stream = streams.values[index]
        let elapsed = now.nanoseconds - stream.windowOpenedAt.nanoseconds
        let (fourRoundTrips, overflow) = (roundTripNanoseconds ?? 0).multipliedReportingOverflow(by: 4)
        let threshold = max(overflow ? .max : fourRoundTrips, limits.windowGrowthFloorMilliseconds * 1_000_000)
        guard elapsed < threshold else { return }
        let room = min(
            stream.receiveWindowTarget, limits.streamWindowBytesMax - stream.receiveWindowTarget,
            limits.receiveBytesMax - chargedBytes)
        guard room > 0 else { return }
        let granted = grant(room)
        precondition((0...room).contains(granted), "granted \(granted) of \(room) bytes")
        streams.values[index].receiveWindowTarget += granted
        chargedBytes += granted
    }

    /// Streams that ended since the last call, in order; the shell forgets them.
    package mutating func takeFinishedStreams() -> [YamuxStreamID] {
        guard !finished.isEmpty else { return [] }
        defer { finished.removeAll() }
        return finished
    }

    /// Lowers the budget for receive windows; those already granted stay.
    package mutating func lowerReceiveBudget(to bytes: Int) {
        limits.receiveBytesMax = min(limits.receiveBytesMax, bytes)
    }

    // MARK: Session

    /// Says goodbye: no further streams in either direction; open ones may finish.
    package mutating func goAway(_ code: YamuxGoAwayCode) {
        guard case .open = state else { return }
        state = .draining
        control.append(YamuxHeader(kind: .goAway, flags: [], streamID: YamuxStreamID(0), length: code.rawValue))
    }

    /// When to call `deadlineReached`.
    package var nextDeadline: MonotonicInstant? {
        if case .failed = state { return nil }
        return keepAlive.nextDeadline
    }

    /// Asks for a sign of life now: without a byte of the peer within `milliseconds` the session is dead.
    package mutating func probe(milliseconds: Int64, now: MonotonicInstant) {
        if case .failed = state { return }
        if let ping = keepAlive.probe(milliseconds: milliseconds, now: now) { control.append(ping) }
    }

    /// Sends the keep-alive ping, or notices that the peer is gone.
    package mutating func deadlineReached(now: MonotonicInstant) throws(YamuxViolation) {
        if case .failed(let violation) = state { throw violation }
        do throws(YamuxViolation) {
            if let ping = try keepAlive.deadlineReached(now: now) { control.append(ping) }
        } catch {
            throw fail(error)
        }
    }

    /// The last measured round trip, in nanoseconds.
    package var roundTripNanoseconds: Int64? { keepAlive.roundTripNanoseconds }

    /// Streams open in either direction.
    package var streamCount: Int { streams.count }

    /// Receive windows granted to all streams: the most that the peer can make this session's readers hold.
    package var chargedReceiveBytes: Int { chargedBytes }

    /// Bytes queued on all streams, waiting for windows or for the transport.
    package internal(set) var queuedBytes = 0

    /// Bytes that a stream's reader got and has not consumed.
    package func unconsumedBytes(of id: YamuxStreamID) -> Int { streams[id]?.unconsumedBytes ?? 0 }

    mutating func fail(_ violation: YamuxViolation) -> YamuxViolation {
        if case .failed(let first) = state { return first }
        state = .failed(violation)
        // The reason is sent before everything else; nothing follows it.
        control.removeAll()
        ready.removeAll()
        let code = violation == .keepAliveTimeout ? YamuxGoAwayCode.internalError : .protocolError
        control.append(YamuxHeader(kind: .goAway, flags: [], streamID: YamuxStreamID(0), length: code.rawValue))
        return violation
    }

    // MARK: Bookkeeping

    mutating func markReady(_ id: YamuxStreamID) {
        if case .failed = state { return }
        guard let index = streams.index(forKey: id), !streams.values[index].isReady, streams.values[index].hasOutput
        else { return }
        streams.values[index].isReady = true
        ready.append(id)
    }

    mutating func forgetIfFinished(_ id: YamuxStreamID) {
        guard let index = streams.index(forKey: id), streams.values[index].isFinished else { return }
        forget(id)
    }

    mutating func forget(_ id: YamuxStreamID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        chargedBytes -= stream.receiveWindowTarget
        queuedBytes -= stream.sendQueueBytes
        if stream.isOutbound { outboundCount -= 1 } else { inboundCount -= 1 }
        if !stream.isAcknowledged { unacknowledgedCount -= 1 }
        // A peer that opens and resets without reading must leave nothing behind.
        if stream.isReady { ready.removeAll { $0 == id } }
        finished.append(id)
    }

    /// Stops the process if the accounts disagree; tests and the simulator call it after every input.
    package func checkInvariants() {
        let all = streams.values
        precondition(inboundCount == all.filter { !$0.isOutbound }.count, "inbound count is off")
        precondition(outboundCount == all.filter(\.isOutbound).count, "outbound count is off")
        precondition(unacknowledgedCount == all.filter { !$0.isAcknowledged }.count, "unacknowledged count is off")
        precondition(chargedBytes == all.reduce(0) { $0 + $1.receiveWindowTarget }, "charged bytes are off")
        precondition(queuedBytes == all.reduce(0) { $0 + $1.sendQueueBytes }, "the sum of queued bytes is off")
        precondition(inboundCount <= limits.inboundStreamsMax, "too many inbound streams")
        reader.checkInvariants()
        for stream in all {
            precondition(stream.sendWindow >= 0, "negative send window")
            precondition(stream.receiveWindow >= 0, "negative receive window")
            precondition(
                stream.receiveWindow + stream.unconsumedBytes <= stream.receiveWindowTarget,
                "stream \(stream.id) may hold more than its window")
            precondition(
                stream.sendQueueBytes == stream.sendQueue.reduce(0) { $0 + $1.readableBytes }, "queued bytes are off")
            if case .failed = state { continue }
            precondition(!stream.hasOutput || stream.isReady, "stream \(stream.id) has output and is not ready")
        }
    }
}
