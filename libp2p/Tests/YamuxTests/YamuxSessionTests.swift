import Determinism
import NIOCore
import Testing

@testable import Yamux

/// Two sessions joined by byte queues, with every byte checked in order.
struct YamuxPair {
    var dialer: YamuxSession
    var listener: YamuxSession
    var now = MonotonicInstant.zero
    var dialerEvents: [YamuxEvent] = []
    var listenerEvents: [YamuxEvent] = []

    init(limits: YamuxSession.Limits = .init()) {
        dialer = YamuxSession(role: .dialer, limits: limits, now: .zero)
        listener = YamuxSession(role: .listener, limits: limits, now: .zero)
    }

    /// Carries output both ways until both sides are quiet.
    mutating func settle() throws {
        while dialer.hasOutput || listener.hasOutput {
            var output = ByteBuffer()
            _ = dialer.nextOutput(bytesMax: 65_519, into: &output)
            listenerEvents += try listener.received(output, now: now)
            output = ByteBuffer()
            _ = listener.nextOutput(bytesMax: 65_519, into: &output)
            dialerEvents += try dialer.received(output, now: now)
            dialer.checkInvariants()
            listener.checkInvariants()
        }
    }
}

func frame(
    _ kind: YamuxFrameKind, _ flags: YamuxFlags = [], _ id: UInt32, _ length: UInt32, body: Int = 0
) -> ByteBuffer {
    var bytes = ByteBuffer()
    YamuxHeader(kind: kind, flags: flags, streamID: YamuxStreamID(id), length: length).encode(into: &bytes)
    bytes.writeRepeatingByte(7, count: body)
    return bytes
}

@Suite("Yamux session")
struct YamuxSessionTests {
    @Test("A stream carries bytes both ways, half-closes and is forgotten")
    func wholeLife() throws {
        var pair = YamuxPair()
        let id = try pair.dialer.openStream(now: .zero).get()
        try pair.dialer.send(ByteBuffer(string: "hello"), on: id).get()
        try pair.settle()
        guard case .streamOpened(id) = pair.listenerEvents[0], case .data(id, let bytes) = pair.listenerEvents[1] else {
            Issue.record("not opened: \(pair.listenerEvents)")
            return
        }
        #expect(String(buffer: bytes) == "hello")
        pair.listener.consumed(5, on: id, now: .zero)
        try pair.listener.send(ByteBuffer(string: "world"), on: id).get()
        pair.listener.closeWrite(id)
        pair.dialer.closeWrite(id)
        try pair.settle()
        #expect(pair.listener.streamCount == 0)
        #expect(pair.dialer.streamCount == 1, "five bytes are unread")
        pair.dialer.consumed(5, on: id, now: .zero)
        #expect(pair.dialer.streamCount == 0)
        #expect(pair.dialer.takeFinishedStreams() == [id])
        #expect(pair.dialer.chargedReceiveBytes == 0)
    }

    @Test("The first frame is a ping, and its answer gives the round trip")
    func firstPing() throws {
        var pair = YamuxPair()
        var output = ByteBuffer()
        _ = pair.dialer.nextOutput(bytesMax: 1_000, into: &output)
        #expect(try YamuxHeader.decode(from: &output)?.flags == .syn)
        output = frame(.ping, .ack, 0, 1)
        _ = try pair.dialer.received(output, now: MonotonicInstant(nanoseconds: 5_000))
        #expect(pair.dialer.roundTripNanoseconds == 5_000)
    }

    @Test("Sending stops at the window and goes on when the reader consumes")
    func backpressure() throws {
        var pair = YamuxPair()
        let id = try pair.dialer.openStream(now: .zero).get()
        try pair.dialer.send(ByteBuffer(repeating: 1, count: 1_000_000), on: id).get()
        try pair.settle()
        #expect(pair.listener.unconsumedBytes(of: id) == 262_144)
        #expect(pair.dialer.queuedBytes == 1_000_000 - 262_144)
        pair.listener.consumed(131_071, on: id, now: .zero)
        try pair.settle()
        #expect(pair.dialer.queuedBytes == 1_000_000 - 262_144, "not half yet")
        pair.listener.consumed(1, on: id, now: .zero)
        try pair.settle()
        // The round trip is zero here, so the window doubled as well.
        #expect(pair.dialer.queuedBytes == 1_000_000 - 262_144 - 131_072 - 262_144)
        #expect(pair.listener.chargedReceiveBytes == 524_288)
    }

    @Test("Windows grow to the stream's limit and not past the session's budget")
    func growthIsBounded() throws {
        var limits = YamuxSession.Limits()
        limits.streamWindowBytesMax = 1_000_000
        limits.receiveBytesMax = 1_500_000
        var pair = YamuxPair(limits: limits)
        let first = try pair.dialer.openStream(now: .zero).get()
        let second = try pair.dialer.openStream(now: .zero).get()
        for id in [first, second] { try pair.dialer.send(ByteBuffer(repeating: 1, count: 9_000_000), on: id).get() }
        for _ in 0..<40 {
            try pair.settle()
            for id in [first, second] {
                pair.listener.consumed(pair.listener.unconsumedBytes(of: id), on: id, now: .zero)
            }
            #expect(pair.listener.chargedReceiveBytes <= 1_500_000)
        }
        #expect(pair.listener.chargedReceiveBytes == 1_500_000)
        guard case .failure(.receiveBudgetExhausted(1_500_000)) = pair.listener.openStream(now: .zero) else {
            Issue.record("a third window was granted")
            return
        }
    }

    @Test("A slow consumer's window does not grow")
    func slowReaderKeepsItsWindow() throws {
        var pair = YamuxPair()
        let id = try pair.dialer.openStream(now: .zero).get()
        try pair.dialer.send(ByteBuffer(repeating: 1, count: 1_000_000), on: id).get()
        try pair.settle()
        pair.listener.consumed(200_000, on: id, now: MonotonicInstant(nanoseconds: 1_000_000_000))
        #expect(pair.listener.chargedReceiveBytes == 262_144)
    }

    @Test("Streams take turns")
    func fairness() throws {
        var pair = YamuxPair()
        let ids = try (0..<3).map { _ in try pair.dialer.openStream(now: .zero).get() }
        for id in ids { try pair.dialer.send(ByteBuffer(repeating: 1, count: 200_000), on: id).get() }
        var order: [YamuxStreamID] = []
        for _ in 0..<6 {
            var output = ByteBuffer()
            order += pair.dialer.nextOutput(bytesMax: 65_519, into: &output).map(\.streamID)
        }
        #expect(order.prefix(4).map(\.rawValue) == [1, 3, 5, 1])
    }

    @Test("No frame is longer than frameBytesMax, however much is queued and however much fits")
    func frames() throws {
        var limits = YamuxSession.Limits()
        #expect(limits.frameBytesMax == 64 * 1024)
        limits.frameBytesMax = 1_000
        var pair = YamuxPair(limits: limits)
        let id = try pair.dialer.openStream(now: .zero).get()
        try pair.dialer.send(ByteBuffer(repeating: 1, count: 10_500), on: id).get()
        var longest = 0
        while pair.dialer.hasOutput {
            var output = ByteBuffer()
            _ = pair.dialer.nextOutput(bytesMax: 65_519, into: &output)
            while output.readableBytes >= YamuxHeader.byteCount {
                let kind = output.getInteger(at: output.readerIndex + 1, as: UInt8.self)
                let length = Int(output.getInteger(at: output.readerIndex + 8, as: UInt32.self) ?? 0)
                output.moveReaderIndex(forwardBy: YamuxHeader.byteCount)
                guard kind == 0 else { continue }
                longest = max(longest, length)
                output.moveReaderIndex(forwardBy: length)
            }
        }
        #expect(longest == 1_000)
    }

    @Test("Reset drops a stream on both sides, and late bytes are thrown away")
    func resetAndLateBytes() throws {
        var pair = YamuxPair()
        let id = try pair.dialer.openStream(now: .zero).get()
        try pair.dialer.send(ByteBuffer(string: "x"), on: id).get()
        try pair.settle()
        pair.listener.reset(id)
        let late = try pair.listener.received(frame(.data, [], 1, 100, body: 100), now: .zero)
        #expect(late.isEmpty)
        try pair.settle()
        #expect(pair.dialer.streamCount == 0)
        guard case .reset(id) = pair.dialerEvents.last else {
            Issue.record("no reset: \(pair.dialerEvents)")
            return
        }
        guard case .failure(.unknownStream) = pair.dialer.send(ByteBuffer(string: "y"), on: id) else {
            Issue.record("sent on a stream that was reset")
            return
        }
    }

    @Test("After go-away streams finish and none is opened")
    func goAway() throws {
        var pair = YamuxPair()
        let id = try pair.dialer.openStream(now: .zero).get()
        try pair.settle()
        pair.listener.goAway(.normal)
        try pair.settle()
        guard case .failure(.sessionClosing) = pair.dialer.openStream(now: .zero) else {
            Issue.record("opened after go-away")
            return
        }
        try pair.dialer.send(ByteBuffer(string: "late"), on: id).get()
        try pair.settle()
    }

    @Test("A peer that never answers times out, one that sends does not")
    func keepAlive() throws {
        var session = YamuxSession(role: .dialer, now: .zero)
        #expect(session.nextDeadline == MonotonicInstant.zero.advanced(milliseconds: 10_000))
        let heard = MonotonicInstant.zero.advanced(milliseconds: 9_000)
        _ = try session.received(frame(.ping, .ack, 0, 99), now: heard)
        #expect(session.nextDeadline == heard.advanced(milliseconds: 10_000))
        #expect(throws: YamuxViolation.keepAliveTimeout) {
            try session.deadlineReached(now: heard.advanced(milliseconds: 10_000))
        }
        #expect(throws: YamuxViolation.sessionClosed) { try session.received(frame(.ping, .syn, 0, 1), now: heard) }
    }

    @Test("A probe finds a dead peer at its own deadline, and any byte answers it")
    func probe() throws {
        var pair = YamuxPair()
        try pair.settle()
        pair.now = .zero.advanced(milliseconds: 1_000)
        pair.dialer.probe(milliseconds: 200, now: pair.now)
        #expect(pair.dialer.nextDeadline == .zero.advanced(milliseconds: 1_200))
        try pair.settle()
        #expect(pair.dialer.nextDeadline == .zero.advanced(milliseconds: 31_000), "the pong has answered it")
        try pair.dialer.deadlineReached(now: .zero.advanced(milliseconds: 1_200))
        // Nothing arrives any more, and a second probe does not put off the first one's deadline.
        pair.dialer.probe(milliseconds: 200, now: .zero.advanced(milliseconds: 2_000))
        pair.dialer.probe(milliseconds: 200, now: .zero.advanced(milliseconds: 2_100))
        try pair.dialer.deadlineReached(now: .zero.advanced(milliseconds: 2_199))
        #expect(throws: YamuxViolation.keepAliveTimeout) {
            try pair.dialer.deadlineReached(now: .zero.advanced(milliseconds: 2_200))
        }
    }

    @Test("After an answer the next ping goes out at the interval")
    func keepAliveInterval() throws {
        var session = YamuxSession(role: .dialer, now: .zero)
        _ = try session.received(frame(.ping, .ack, 0, 1), now: .zero)
        let due = MonotonicInstant.zero.advanced(milliseconds: 30_000)
        #expect(session.nextDeadline == due)
        var output = ByteBuffer()
        _ = session.nextOutput(bytesMax: 100, into: &output)
        try session.deadlineReached(now: due)
        output.clear()
        _ = session.nextOutput(bytesMax: 100, into: &output)
        #expect(try YamuxHeader.decode(from: &output)?.length == 2)
    }
}
