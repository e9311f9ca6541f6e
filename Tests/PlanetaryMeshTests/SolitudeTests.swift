import Determinism
import Testing

@testable import PlanetaryMesh

@Suite struct SolitudeTests {
    /// What a node answers that looks at its connections at these moments.
    private func answers(_ solitude: Solitude, _ looks: [(milliseconds: Int64, connections: Int)]) -> [Bool] {
        var solitude = solitude
        return looks.map { look in
            solitude.isAlone(
                connections: look.connections, now: MonotonicInstant.zero.advanced(milliseconds: look.milliseconds))
        }
    }

    @Test func aNodeThatDialedAllAndReachedNobodyIsAloneAtOnce() {
        var solitude = Solitude()
        #expect(answers(solitude, [(0, 0), (1, 0)]) == [false, false], "it still dials")
        solitude.dialedAtStart()
        #expect(answers(solitude, [(0, 0), (1, 1), (2, 0)]) == [true, false, false])
    }

    @Test func aNodeThatStillDialsOrLostItsPeersIsGivenTenSeconds() {
        #expect(answers(Solitude(), [(5, 0), (10_004, 0), (10_005, 0)]) == [false, false, true])
        var left = Solitude()
        left.dialedAtStart()
        let looks: [(Int64, Int)] = [(0, 2), (100, 0), (9_000, 1), (20_000, 0), (29_999, 0), (30_000, 0)]
        #expect(answers(left, looks) == [false, false, false, false, false, true], "it came back in between")
    }
}
