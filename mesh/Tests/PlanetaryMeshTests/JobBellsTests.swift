import MeshTypes
import Multiformats
import Testing

@testable import PlanetaryMesh

/// Who listens for what happens to a job is told, and nobody else.
@Suite struct JobBellsTests {
    private let jobs = (1...2).map { JobID(CID.hashing([$0], codec: .dagCBOR)) }

    /// How often a listener is rung for: heard to the end, which leaving is.
    private func heard(_ rings: AsyncStream<Void>) async -> Int { await rings.reduce(0) { count, _ in count + 1 } }

    @Test func ringsAtOnceAndForItsJobOnly() async {
        var bells = JobBells()
        let (first, second) = (bells.listen(to: jobs[0]), bells.listen(to: jobs[1]))
        var (mine, others) = (first.rings.makeAsyncIterator(), second.rings.makeAsyncIterator())
        #expect(await mine.next() != nil)
        #expect(await others.next() != nil)
        bells.ring(jobs[0])
        #expect(await mine.next() != nil)
        bells.leave(second.number, of: jobs[1])
        #expect(await others.next() == nil, "nothing happened to the other job")
        #expect(bells.count == 1)
    }

    @Test func whatNobodyHeardYetIsOneRing() async {
        var bells = JobBells()
        let listener = bells.listen(to: jobs[0])
        for _ in 0..<10 { bells.ring(jobs[0]) }
        bells.leave(listener.number, of: jobs[0])
        bells.ring(jobs[0])
        #expect(await heard(listener.rings) == 1)
        #expect(bells.count == 0)
    }
}
