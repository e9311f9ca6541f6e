import Determinism
import Testing

@Suite("Monotonic instants")
struct MonotonicInstantTests {
    @Test("Instants move in milliseconds, forward and back")
    func moves() {
        let instant = MonotonicInstant(nanoseconds: 5_000_000)
        #expect(instant.advanced(milliseconds: 7) == MonotonicInstant(nanoseconds: 12_000_000))
        #expect(instant.advanced(milliseconds: -7) == MonotonicInstant(nanoseconds: -2_000_000))
        #expect(instant.milliseconds(since: .zero) == 5)
        #expect(MonotonicInstant.zero.milliseconds(since: instant) == -5)
    }

    @Test("No duration that a peer chooses traps: instants stop at the ends of the clock")
    func saturates() {
        let last = MonotonicInstant(nanoseconds: .max - 1)
        #expect(last.advanced(milliseconds: 1) == .distantFuture)
        #expect(MonotonicInstant.zero.advanced(milliseconds: .max) == .distantFuture)
        #expect(MonotonicInstant.zero.advanced(milliseconds: .min) == MonotonicInstant(nanoseconds: .min))
        #expect(MonotonicInstant(nanoseconds: .min).milliseconds(since: .distantFuture) == .min)
        #expect(MonotonicInstant.distantFuture.milliseconds(since: MonotonicInstant(nanoseconds: .min)) == .max)
    }
}
