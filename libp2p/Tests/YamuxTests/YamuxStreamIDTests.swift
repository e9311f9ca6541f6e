import Determinism
import Foundation
import NIOCore
import Testing

@testable import Yamux

/// What is remembered of stream IDs is exact, and costs the same however they are chosen.
@Suite("Yamux stream IDs")
struct YamuxStreamIDTests {
    @Test("The IDs seen are those of a set with a lower bound, for jumps of every length")
    func exactWithinTheSpan() {
        let seed = UInt64.random(in: 0...(.max))
        print("yamux stream id seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for longest in [1, 2, 63, 64, 65, 1_000, 1_023, 1_024, 1_025, 100_000] as [UInt32] {
            var seen = YamuxSeenStreams()
            var model: Set<UInt32> = []
            var end: UInt32 = 0
            func isKnown(_ ordinal: UInt32) -> Bool {
                ordinal < end && (end - ordinal > YamuxSeenStreams.span || model.contains(ordinal))
            }
            for _ in 0..<2_000 {
                let ahead = end + UInt32.random(in: 0..<longest, using: &generator)
                let back = UInt32.random(in: 0...1_100, using: &generator)
                let ordinal = Bool.random(using: &generator) ? ahead : end - min(end, back)
                guard seen.contains(ordinal) == isKnown(ordinal) else {
                    Issue.record("ordinal \(ordinal), end \(end), longest jump \(longest)")
                    return
                }
                if isKnown(ordinal) { continue }
                seen.insert(ordinal)
                model.insert(ordinal)
                end = max(end, ordinal + 1)
                #expect(seen.contains(ordinal))
            }
        }
    }

    /// Processor time of this thread for a listener that is told of streams whose IDs are `step` apart, each reset at
    /// once; the least of some rounds, in nanoseconds.
    private func cost(step: UInt32) throws -> UInt64 {
        var least = UInt64.max
        for _ in 0..<5 {
            var session = YamuxSession(role: .listener, now: .zero)
            var frames: [ByteBuffer] = []
            for number in 0..<500 as Range<UInt32> {
                var bytes = frame(.windowUpdate, .syn, 2 * number * step + 1, 0)
                bytes.writeImmutableBuffer(frame(.windowUpdate, .rst, 2 * number * step + 1, 0))
                frames.append(bytes)
            }
            let start = threadNanoseconds()
            for bytes in frames {
                _ = try session.received(bytes, now: .zero)
                _ = session.takeFinishedStreams()
            }
            least = min(least, threadNanoseconds() - start)
            #expect(session.streamCount == 0)
        }
        return least
    }

    private func threadNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    @Test("IDs that jump the window cost no more than twice what IDs in turn cost", arguments: [1_023, 1_024, 100_000])
    func jumpsAreCheap(step: UInt32) throws {
        let inTurn = try cost(step: 1)
        let jumping = try cost(step: step)
        #expect(jumping < 2 * inTurn, "\(jumping) ns for 500 streams \(step) apart, \(inTurn) ns in turn")
    }
}
