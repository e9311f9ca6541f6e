import Determinism
import Testing

@testable import NodeCore

/// What is asked for again, and when.
@Suite("Pauses between attempts")
struct RetryPauseTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }

    @Test("They double up to the longest, and none reaches past the end")
    func doubling() {
        var pause = RetryPause(milliseconds: 100, millisecondsMax: 300, until: at(1_000))
        #expect([0, 0, 0, 0].map { pause.next(now: at($0)) } == [100, 200, 300, 300])
        #expect(pause.next(now: at(699)) == 300)
        #expect(pause.next(now: at(700)) == nil)
        pause.reset()
        #expect(pause.next(now: at(899)) == 100)
        #expect(pause.next(now: at(900)) == nil)
    }

    @Test("Without time there is no second attempt")
    func none() {
        var pause = RetryPause(milliseconds: 1, millisecondsMax: 1, until: at(5))
        #expect(pause.next(now: at(5)) == nil)
    }

    @Test("An output that nobody has or that has no room may come, one that is no file may not")
    func obstacles() {
        func mayPass(_ obstacle: OutputObstacle) -> Bool? {
            if case .missing(let mayPass) = OutputAnswer.missing(obstacle) { mayPass } else { nil }
        }
        #expect(mayPass(.notFound) == true)
        #expect(mayPass(.noRoom) == true)
        #expect(mayPass(.noFile) == false)
        #expect(mayPass(.storageFailed) == false)
    }
}
