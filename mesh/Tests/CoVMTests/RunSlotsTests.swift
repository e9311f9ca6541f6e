import P2PTesting
import Testing

@testable import CoVM

/// The places of runs, when their number changes.
@Suite("Places of runs")
struct RunSlotsTests {
    @Test("With more places those who wait get them at once; with fewer, nobody loses one, and nobody new gets one")
    func resizing() async throws {
        let slots = RunSlots(slotsMax: 1, waitersMax: 8)
        let cancellation = ExecutionCancellation()
        #expect(await slots.enter(cancellation) == .admitted)
        async let second = slots.enter(cancellation)
        async let third = slots.enter(cancellation)
        try await eventually("both wait") { slots.load.waiting == 2 }
        slots.resize(slotsMax: 2)
        #expect(slots.load == (used: 2, waiting: 1, parked: 0))
        slots.resize(slotsMax: 1)
        #expect(slots.load == (used: 2, waiting: 1, parked: 0))
        slots.leave()
        // Two ran in one place, so the place that is free now is none.
        #expect(slots.load == (used: 1, waiting: 1, parked: 0))
        slots.leave()
        #expect(slots.load == (used: 1, waiting: 0, parked: 0))
        let admissions = await [second, third]
        #expect(admissions.allSatisfy { $0 == .admitted })
        slots.leave()
        #expect(slots.load == (used: 0, waiting: 0, parked: 0))
    }
}
