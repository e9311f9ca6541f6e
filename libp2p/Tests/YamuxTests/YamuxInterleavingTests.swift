import Determinism
import NIOCore
import Testing

@testable import Yamux

/// Two sessions, random operations, an ordered but arbitrarily cut transport: every byte sent is delivered, in order.
private struct Interleaving {
    var generator: SeededGenerator
    var sessions: [YamuxSession]
    var wires = [ByteBuffer(), ByteBuffer()]
    var now = MonotonicInstant.zero
    /// Streams as both sides know them; sent and received counts by side.
    var streams: [YamuxStreamID] = []
    var sent: [[YamuxStreamID: Int]] = [[:], [:]]
    var received: [[YamuxStreamID: Int]] = [[:], [:]]
    var known: [[YamuxStreamID]] = [[], []]
    var closed: [Set<YamuxStreamID>] = [[], []]

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        var limits = YamuxSession.Limits()
        limits.receiveBytesMax = 6 * 1024 * 1024
        limits.inboundStreamsMax = 12
        limits.outboundStreamsMax = 8
        sessions = [
            YamuxSession(role: .dialer, limits: limits, now: .zero),
            YamuxSession(role: .listener, limits: limits, now: .zero),
        ]
    }

    mutating func step() throws {
        let side = Int.random(in: 0...1, using: &generator)
        now = now.advanced(milliseconds: Int64.random(in: 0...5, using: &generator))
        let streams = known[side]
        let pick = streams.isEmpty ? nil : streams[Int.random(in: 0..<streams.count, using: &generator)]
        switch Int.random(in: 0..<20, using: &generator) {
        case 0:
            if case .success(let id) = sessions[side].openStream(now: now) { known[side].append(id) }
        case 1..<6:
            if let pick, !closed[side].contains(pick) { write(on: pick, side: side) }
        case 6:
            if let pick, sent[side][pick, default: 0] > 0 {
                sessions[side].closeWrite(pick)
                closed[side].insert(pick)
            }
        case 7..<11: if let pick { consume(on: pick, side: side) }
        case 11..<15: flush(side)
        default: try deliver(to: side)
        }
        for session in sessions { session.checkInvariants() }
    }

    /// A pattern with a period that divides no power of two, so that a lost or doubled piece shows.
    private static let period = 251
    private static let pattern = ByteBuffer(bytes: (0..<900_000).map { UInt8($0 % period) })

    private static func expected(from start: Int, count: Int) -> ByteBuffer {
        pattern.getSlice(at: start % period, length: count) ?? ByteBuffer()
    }

    private mutating func write(on id: YamuxStreamID, side: Int) {
        let count = Int.random(in: 1...200_000, using: &generator)
        let start = sent[side][id, default: 0]
        let bytes = Self.expected(from: start, count: count)
        if case .success = sessions[side].send(bytes, on: id) { sent[side][id] = start + count }
    }

    private mutating func consume(on id: YamuxStreamID, side: Int) {
        let held = sessions[side].unconsumedBytes(of: id)
        if held > 0 {
            sessions[side].consumed(Int.random(in: 1...held, using: &generator), on: id, now: now)
        }
    }

    private mutating func flush(_ side: Int) {
        _ = sessions[side].nextOutput(
            bytesMax: Int.random(in: 60...65_519, using: &generator), into: &wires[1 - side])
    }

    private mutating func deliver(to side: Int) throws {
        guard wires[side].readableBytes > 0 else { return }
        let count = Int.random(in: 1...wires[side].readableBytes, using: &generator)
        guard let piece = wires[side].readSlice(length: count) else { return }
        for event in try sessions[side].received(piece, now: now) {
            switch event {
            case .streamOpened(let id): known[side].append(id)
            case .data(let id, let bytes):
                let start = received[side][id, default: 0]
                if bytes != Self.expected(from: start, count: bytes.readableBytes) {
                    Issue.record("wrong bytes on stream \(id) after \(start)")
                }
                received[side][id] = start + bytes.readableBytes
            case .reset(let id):
                // Only the limits reset a stream here, and only before anything of it was answered.
                closed[side].insert(id)
                sent[side][id] = nil
            default: continue
            }
        }
        for index in sessions.indices { _ = sessions[index].takeFinishedStreams() }
    }

    mutating func drain() throws {
        for _ in 0..<20_000 {
            for side in 0...1 {
                flush(side)
                try deliver(to: side)
                for id in known[side] {
                    let held = sessions[side].unconsumedBytes(of: id)
                    if held > 0 { sessions[side].consumed(held, on: id, now: now) }
                }
            }
            if !sessions.contains(where: { $0.hasOutput || $0.queuedBytes > 0 }),
                !wires.contains(where: { $0.readableBytes > 0 })
            {
                return
            }
        }
    }
}

@Suite("Yamux interleavings")
struct YamuxInterleavingTests {
    @Test("10,000 random steps: every byte sent is delivered in order and nothing stalls", arguments: 0..<4)
    func liveness(round: Int) throws {
        let seed = UInt64.random(in: 0...(.max))
        print("yamux interleaving seed \(seed)")
        var world = Interleaving(seed: seed)
        for _ in 0..<2_500 { try world.step() }
        try world.drain()
        for side in 0...1 {
            for (id, count) in world.sent[side] {
                #expect(world.received[1 - side][id, default: 0] == count, "stream \(id), seed \(seed)")
            }
            #expect(world.sessions[side].queuedBytes == 0, "seed \(seed)")
        }
    }
}
