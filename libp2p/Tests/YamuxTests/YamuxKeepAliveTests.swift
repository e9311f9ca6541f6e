import Determinism
import Testing

@testable import Yamux

@Suite("Keep-alive of a session")
struct YamuxKeepAliveTests {
    private static let interval: Int64 = 15_000
    private static let timeout: Int64 = 10_000

    private static func keepAlive() -> YamuxKeepAlive {
        var limits = YamuxSession.Limits()
        limits.keepAliveIntervalMilliseconds = interval
        limits.keepAliveTimeoutMilliseconds = timeout
        return YamuxKeepAlive(limits: limits, now: .zero)
    }

    private static func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant.zero.advanced(milliseconds: milliseconds)
    }

    @Test("The first ping is due at once and the next an interval later, each with its own value")
    func pings() throws {
        var keepAlive = Self.keepAlive()
        #expect(keepAlive.nextDeadline == Self.at(0))
        let first = try #require(try keepAlive.deadlineReached(now: Self.at(0)))
        #expect(first == YamuxHeader(kind: .ping, flags: .syn, streamID: YamuxStreamID(0), length: 1))
        keepAlive.heard(byteCount: 12, now: Self.at(30))
        #expect(keepAlive.answered(1, now: Self.at(30)) == 30_000_000)
        #expect(keepAlive.roundTripNanoseconds == 30_000_000)
        #expect(keepAlive.nextDeadline == Self.at(Self.interval))
        #expect(try keepAlive.deadlineReached(now: Self.at(Self.interval - 1)) == nil)
        #expect(try keepAlive.deadlineReached(now: Self.at(Self.interval))?.length == 2)
    }

    @Test("An answer to another ping, or a second answer, does not count")
    func foreignAnswers() throws {
        var keepAlive = Self.keepAlive()
        _ = try keepAlive.deadlineReached(now: Self.at(0))
        for value in [0, 2, UInt32.max] { #expect(keepAlive.answered(value, now: Self.at(5)) == nil) }
        #expect(keepAlive.nextDeadline == Self.at(Self.timeout))
        #expect(keepAlive.answered(1, now: Self.at(7)) == 7_000_000)
        #expect(keepAlive.answered(1, now: Self.at(9)) == nil)
        #expect(keepAlive.roundTripNanoseconds == 7_000_000)
    }

    @Test("Any byte puts off the timeout, but only an answer ends the ping")
    func signsOfLife() throws {
        var keepAlive = Self.keepAlive()
        _ = try keepAlive.deadlineReached(now: Self.at(0))
        keepAlive.heard(byteCount: 1, now: Self.at(4_000))
        #expect(keepAlive.nextDeadline == Self.at(4_000 + Self.timeout))
        #expect(try keepAlive.deadlineReached(now: Self.at(Self.timeout)) == nil)
        #expect(throws: YamuxViolation.keepAliveTimeout) {
            try keepAlive.deadlineReached(now: Self.at(4_000 + Self.timeout))
        }
    }

    @Test("A probe brings the timeout nearer, and a second one does not put it off")
    func probes() throws {
        var keepAlive = Self.keepAlive()
        _ = try keepAlive.deadlineReached(now: Self.at(0))
        keepAlive.heard(byteCount: 12, now: Self.at(1))
        _ = keepAlive.answered(1, now: Self.at(1))
        #expect(keepAlive.probe(milliseconds: 2_000, now: Self.at(100))?.length == 2)
        #expect(keepAlive.nextDeadline == Self.at(2_100))
        #expect(keepAlive.probe(milliseconds: 2_000, now: Self.at(1_000)) == nil)
        #expect(keepAlive.nextDeadline == Self.at(2_100))
        #expect(keepAlive.probe(milliseconds: 500, now: Self.at(1_000)) == nil)
        #expect(keepAlive.nextDeadline == Self.at(1_500))
        #expect(throws: YamuxViolation.keepAliveTimeout) { try keepAlive.deadlineReached(now: Self.at(1_500)) }
    }

    @Test("One byte ends a probe and an empty piece does not; its ping stays under way", arguments: [0, 1])
    func probed(byteCount: Int) throws {
        var keepAlive = Self.keepAlive()
        _ = keepAlive.probe(milliseconds: 2_000, now: Self.at(100))
        keepAlive.heard(byteCount: byteCount, now: Self.at(200))
        #expect(keepAlive.nextDeadline == Self.at(byteCount == 0 ? 2_100 : 200 + Self.timeout))
    }

    @Test("A peer that answers stays; a silent one times out when it is due, and not before")
    func silence() throws {
        let seed = UInt64.random(in: 0...(.max))
        print("yamux keep-alive seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<200 {
            var keepAlive = Self.keepAlive()
            var now = Self.at(0)
            let silentFrom = Self.at(Int64.random(in: 0...200_000, using: &generator))
            var lastHeard = now
            while now < silentFrom {
                let ping = try keepAlive.deadlineReached(now: now)
                #expect(keepAlive.nextDeadline > now, "seed \(seed), round \(round): woken for nothing")
                let answersAfter = Int64.random(in: 0..<Self.timeout, using: &generator)
                if let ping {
                    now = now.advanced(milliseconds: answersAfter)
                    guard now < silentFrom else { break }
                    keepAlive.heard(byteCount: 12, now: now)
                    #expect(keepAlive.answered(ping.length, now: now) == answersAfter * 1_000_000, "seed \(seed)")
                    lastHeard = now
                } else {
                    now = keepAlive.nextDeadline
                }
            }
            var isGone = false
            while !isGone {
                now = max(now, keepAlive.nextDeadline)
                do throws(YamuxViolation) {
                    _ = try keepAlive.deadlineReached(now: now)
                } catch {
                    #expect(error == .keepAliveTimeout)
                    isGone = true
                }
            }
            let silence = now.milliseconds(since: lastHeard)
            #expect((Self.timeout...Self.interval + Self.timeout).contains(silence), "seed \(seed), round \(round)")
        }
    }
}
