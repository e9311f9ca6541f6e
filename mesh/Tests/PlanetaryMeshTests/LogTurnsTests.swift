import Determinism
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Whose logs are asked for, and when again.
@Suite struct LogTurnsTests {
    private let authors: [DID]
    private var turns: LogTurns

    init() throws {
        authors = try (1...6).map { try Identity(seed: [UInt8](repeating: $0, count: 32)).did }
        var limits = LogFollower.Limits()
        (limits.fetchesMax, limits.strangersFetchesMax) = (3, 1)
        (limits.roundMilliseconds, limits.retryMilliseconds) = (60_000, 1_000)
        turns = LogTurns(limits: limits)
    }

    private func instant(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }

    private func due(
        at milliseconds: Int64, fetching: [DID] = [], named: Set<DID>? = nil, news: Set<DID> = []
    ) -> [DID] {
        let now = instant(milliseconds)
        return turns.due(among: authors, fetching: fetching, named: named ?? Set(authors), now: now) {
            news.contains($0)
        }
    }

    @Test func soManyAreFetchedAtTheSameTime() {
        #expect(due(at: 0) == Array(authors[..<3]))
        #expect(due(at: 0, fetching: [authors[1]]) == [authors[0], authors[2]])
        #expect(due(at: 0, fetching: Array(authors[3...])) == [])
    }

    @Test func strangersHaveAPartOfThePlaces() {
        let named: Set = [authors[4], authors[5]]
        #expect(due(at: 0, named: named) == [authors[0], authors[4], authors[5]])
        #expect(due(at: 0, fetching: [authors[1]], named: named) == [authors[4], authors[5]])
    }

    @Test mutating func whatIsKeptIsAskedForOnceARoundOrAtNews() {
        turns.ended(authors[0], obstacle: nil, hasGrown: true, now: instant(0))
        #expect(due(at: 59_999).first == authors[1])
        #expect(due(at: 1, news: [authors[0]]).first == authors[0])
        #expect(due(at: 60_000).first == authors[0])
        #expect(turns.obstacle(of: authors[0]) == nil)
    }

    @Test mutating func whoGaveNothingIsAskedLessAndLessOftenWhateverIsNews() {
        var now: Int64 = 0
        for pause in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] as [Int64] {
            turns.ended(authors[0], obstacle: "it sleeps", hasGrown: false, now: instant(now))
            #expect(due(at: now + pause - 1, news: [authors[0]]).first == authors[1])
            now += pause
            #expect(due(at: now).first == authors[0])
        }
        #expect(turns.obstacle(of: authors[0]) == "it sleeps")
        // What grew is on its way, whatever stopped it.
        turns.ended(authors[0], obstacle: "it sleeps", hasGrown: true, now: instant(now))
        #expect(due(at: now + 1_000).first == authors[0])
        turns.forget(authors[0])
        #expect(turns.obstacle(of: authors[0]) == nil && due(at: now).first == authors[0])
    }
}
