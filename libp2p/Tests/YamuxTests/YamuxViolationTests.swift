import Determinism
import NIOCore
import Testing

@testable import Yamux

@Suite("Yamux against hostile peers")
struct YamuxViolationTests {
    private func listener(_ limits: YamuxSession.Limits = .init()) -> YamuxSession {
        YamuxSession(role: .listener, limits: limits, now: .zero)
    }

    private func violation(_ frames: ByteBuffer...) -> YamuxViolation? {
        var session = listener()
        do throws(YamuxViolation) {
            for bytes in frames {
                _ = try session.received(bytes, now: .zero)
                session.checkInvariants()
            }
            return nil
        } catch {
            // The reason reaches the peer as a go-away.
            var output = ByteBuffer()
            _ = session.nextOutput(bytesMax: 100, into: &output)
            let header = try? YamuxHeader.decode(from: &output)
            #expect(header?.kind == .goAway && header?.length == 1)
            #expect(!session.hasOutput)
            return error
        }
    }

    @Test("SYN with a body of 262,145 bytes is refused (CVE-2026-32314)")
    func synPastWindow() {
        #expect(
            violation(frame(.data, .syn, 1, 262_145))
                == .windowExceeded(streamID: 1, announced: 262_145, allowed: 262_144))
        #expect(violation(frame(.data, .syn, 1, 262_144)) == nil)
    }

    @Test("Credit past 2^32 - 1 is refused (CVE-2026-31814)")
    func creditOverflow() {
        #expect(
            violation(
                frame(.windowUpdate, .syn, 1, 0), frame(.windowUpdate, [], 1, 0xFFFF_0000),
                frame(.windowUpdate, [], 1, 0xFFFF_0000)) == .windowOverflow(streamID: 1))
        #expect(violation(frame(.windowUpdate, .syn, 1, 0), frame(.windowUpdate, [], 1, 0xFFFB_FFFF)) == nil)
    }

    @Test("A length of 2^32 - 1 is refused on the twelfth byte (CVE-2026-73568)")
    func hugeLength() throws {
        var session = listener()
        _ = try session.received(frame(.windowUpdate, .syn, 1, 0), now: .zero)
        var header = frame(.data, [], 1, .max)
        let last = try #require(header.getSlice(at: 11, length: 1))
        let head = header.readSlice(length: 11) ?? ByteBuffer()
        _ = try session.received(head, now: .zero)
        #expect(throws: YamuxViolation.windowExceeded(streamID: 1, announced: .max, allowed: 262_144)) {
            try session.received(last, now: .zero)
        }
        #expect(
            violation(frame(.windowUpdate, .syn, 1, 0), frame(.windowUpdate, .rst, 1, 0), frame(.data, [], 1, .max))
                == .windowExceeded(streamID: 1, announced: .max, allowed: 16 * 1024 * 1024))
    }

    @Test("A million pings from a peer that never reads end the session (CVE-2024-32984)")
    func pingFlood() throws {
        var session = listener()
        var sent = 0
        do throws(YamuxViolation) {
            for value in 0..<1_000_000 as Range<UInt32> {
                _ = try session.received(frame(.ping, .syn, 0, value), now: .zero)
                sent += 1
            }
            Issue.record("all pings were queued")
        } catch {
            #expect(error == .controlBacklogExceeded(limit: 4_096))
            #expect(sent < 4_097)
        }
    }

    @Test("Opening and resetting for ever without reading leaves nothing behind")
    func rapidReset() throws {
        var session = listener()
        for number in 0..<10_000 as Range<UInt32> {
            _ = try session.received(frame(.windowUpdate, .syn, 2 * number + 1, 0), now: .zero)
            _ = try session.received(frame(.windowUpdate, .rst, 2 * number + 1, 0), now: .zero)
            _ = session.takeFinishedStreams()
        }
        session.checkInvariants()
        #expect(session.streamCount == 0 && session.ready.isEmpty && session.control.count == 1)
    }

    @Test("Streams past the limit are answered with RST, and a flood of them ends the session")
    func tooManyStreams() throws {
        var limits = YamuxSession.Limits()
        limits.inboundStreamsMax = 4
        var session = listener(limits)
        for number in 0..<6 as Range<UInt32> {
            _ = try session.received(frame(.data, .syn, 2 * number + 1, 3, body: 3), now: .zero)
            session.checkInvariants()
        }
        #expect(session.streamCount == 4 && session.refusedStreamCount == 2)
        #expect(throws: YamuxViolation.controlBacklogExceeded(limit: 4_096)) {
            for number in 6..<10_000 as Range<UInt32> {
                _ = try session.received(frame(.windowUpdate, .syn, 2 * number + 1, 0), now: .zero)
            }
        }
    }

    @Test("The receive budget refuses streams before the stream limit does")
    func budgetRefusesStreams() throws {
        var session = listener()
        for number in 0..<200 as Range<UInt32> {
            _ = try session.received(frame(.windowUpdate, .syn, 2 * number + 1, 0), now: .zero)
        }
        #expect(session.chargedReceiveBytes == 32 * 1024 * 1024)
        #expect(session.streamCount == 128 && session.refusedStreamCount == 72)
    }

    @Test("Our own limits refuse with their names")
    func openRefusals() throws {
        var limits = YamuxSession.Limits()
        limits.outboundStreamsMax = 3
        limits.unacknowledgedStreamsMax = 2
        var session = YamuxSession(role: .dialer, limits: limits, now: .zero)
        _ = try session.openStream(now: .zero).get()
        _ = try session.openStream(now: .zero).get()
        #expect(throws: YamuxOpenRefusal.acknowledgementBacklogFull(limit: 2)) {
            try session.openStream(now: .zero).get()
        }
        _ = try session.received(frame(.windowUpdate, .ack, 1, 0), now: .zero)
        _ = try session.openStream(now: .zero).get()
        #expect(throws: YamuxOpenRefusal.tooManyStreams(limit: 3)) { try session.openStream(now: .zero).get() }
    }

    @Test("Each malformed header has its reason")
    func malformedHeaders() {
        #expect(violation(ByteBuffer(bytes: [1] + [UInt8](repeating: 0, count: 11))) == .unknownVersion(1))
        #expect(violation(ByteBuffer(bytes: [0, 4] + [UInt8](repeating: 0, count: 10))) == .unknownFrameKind(4))
        #expect(violation(ByteBuffer(bytes: [0, 0, 0, 16] + [UInt8](repeating: 0, count: 8))) == .unknownFlags(16))
        #expect(violation(frame(.ping, .syn, 1, 0)) == .wrongStreamID(kind: .ping, streamID: 1))
        #expect(violation(frame(.data, .syn, 0, 0)) == .wrongStreamID(kind: .data, streamID: 0))
        #expect(violation(frame(.goAway, [], 0, 3)) == .unknownGoAwayCode(3))
        #expect(violation(frame(.data, .syn, 2, 0)) == .wrongParity(2))
        #expect(violation(frame(.data, [], 1, 0)) == .unknownStream(1))
        #expect(violation(frame(.data, [], 2, 0)) == .unknownStream(2))
        let open = frame(.windowUpdate, .syn, 1, 0)
        #expect(violation(open, open) == .streamIDReused(1))
        #expect(violation(open, frame(.windowUpdate, .rst, 1, 0), open) == .streamIDReused(1))
        #expect(violation(open, frame(.data, .fin, 1, 0), frame(.data, [], 1, 1)) == .dataAfterFIN(1))
    }

    @Test("Stream IDs may overtake one another, but not come back after 1,024 others")
    func reuseWindow() {
        var seen = YamuxSeenStreams()
        seen.insert(10)
        #expect(!seen.contains(9) && seen.contains(10) && !seen.contains(11))
        seen.insert(9)
        #expect(seen.contains(9))
        seen.insert(2_000)
        #expect(seen.contains(976) && !seen.contains(977) && seen.contains(9))
        seen.insert(UInt32.max / 2)
        #expect(seen.contains(2_000))
    }

    @Test("Mutated and random frames pass or are refused by one reason, whether they come whole or in pieces")
    func fuzz() {
        let seed = UInt64.random(in: 0...(.max))
        print("yamux fuzz seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        var (passed, reasons) = (0, Set<YamuxViolation>())
        for _ in 0..<3_000 {
            let role: YamuxSession.Role = Bool.random(using: &generator) ? .dialer : .listener
            let frames = (0..<20).map { _ in randomFrame(&generator) }
            let whole = violation(of: frames, role)
            let pieces = frames.flatMap { frame in
                var rest = frame
                let first = rest.readSlice(length: .random(in: 0...frame.readableBytes, using: &generator))
                return [first ?? ByteBuffer(), rest]
            }
            #expect(violation(of: pieces, role) == whole, "seed \(seed)")
            if let whole { reasons.insert(whole) } else { passed += 1 }
        }
        #expect(reasons.count > 5, "seed \(seed): \(passed) passed, \(reasons)")
    }

    private func randomFrame(_ generator: inout SeededGenerator) -> ByteBuffer {
        var bytes = frame(
            YamuxFrameKind(rawValue: .random(in: 0...3, using: &generator)) ?? .data,
            YamuxFlags(rawValue: .random(in: 0...15, using: &generator)),
            .random(in: 0...4, using: &generator), .random(in: 0...40, using: &generator),
            body: .random(in: 0...40, using: &generator))
        if Int.random(in: 0..<4, using: &generator) == 0 {
            bytes.setInteger(
                UInt8.random(in: 0...255, using: &generator),
                at: .random(in: 0..<bytes.readableBytes, using: &generator))
        }
        return bytes
    }

    private func violation(of pieces: [ByteBuffer], _ role: YamuxSession.Role) -> YamuxViolation? {
        var session = YamuxSession(role: role, now: .zero)
        _ = session.openStream(now: .zero)
        do throws(YamuxViolation) {
            for piece in pieces {
                _ = try session.received(piece, now: .zero)
                session.checkInvariants()
            }
            return nil
        } catch {
            return error
        }
    }
}
