import Determinism
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// How much is kept of whom.
@Suite struct FollowedShareTests {
    private let authors = (0..<5).map { _ in Identity.generate().did }

    private func share(_ change: (inout FollowedShare.Limits) -> Void = { _ in }) -> FollowedShare {
        var limits = FollowedShare.Limits()
        (limits.namedMax, limits.strangersMax) = (2, 2)
        (limits.entriesPerNamedMax, limits.bytesPerNamedMax) = (100, 1_000)
        (limits.entriesPerStrangerMax, limits.bytesPerStrangerMax) = (10, 100)
        (limits.entriesInAllMax, limits.bytesInAllMax) = (150, 1_100)
        change(&limits)
        return FollowedShare(limits: limits)
    }

    @Test func eachAuthorHasItsOwnRoom() {
        var share = share()
        share.add(.init(entries: 10, bytes: 40), of: authors[0])
        #expect(share.room(of: authors[0], isNamed: false).isNone)
        #expect(share.room(of: authors[0], isNamed: true) == .init(entries: 90, bytes: 960))
        #expect(share.room(of: authors[1], isNamed: false) == .init(entries: 10, bytes: 100))
        share.add(.init(entries: 1, bytes: 200), of: authors[1])
        #expect(share.room(of: authors[1], isNamed: false) == .init(entries: 9, bytes: 0))
        #expect(share.room(of: authors[1], isNamed: false).isNone)
        share.add(.init(entries: 100, bytes: 800), of: authors[2])
        #expect(share.room(of: authors[3], isNamed: false) == .init(entries: 10, bytes: 60))
    }

    @Test func strangersTogetherHaveHalfOfTheTotal() {
        let limits = FollowedShare.Limits()
        let strangers = UInt64(limits.strangersMax)
        #expect(2 * strangers * limits.bytesPerStrangerMax <= limits.bytesInAllMax)
        #expect(2 * strangers * limits.entriesPerStrangerMax <= limits.entriesInAllMax)
    }

    @Test func whoIsKeptKeepsItsPlace() {
        var share = share()
        #expect(share.authors(named: authors, all: nil) == Array(authors[..<2]))
        #expect(
            share.authors(named: [authors[4]], all: [authors[1], authors[0], authors[2]]) == [
                authors[4], authors[1], authors[0],
            ])
        share.add(.init(entries: 1, bytes: 1), of: authors[2])
        let followed = share.authors(named: [], all: [authors[1], authors[0], authors[2]])
        #expect(followed == [authors[2], authors[1]])
    }

    @Test func aPeerHasItsRateAndIsForgottenAfterOthers() {
        var rates = PeerRates(perSecond: 2, burst: 3)
        let (peer, start) = (authors[0].peerID, MonotonicInstant.zero)
        func taken(_ peer: PeerID, _ count: Int, after milliseconds: Int64 = 0) -> Int {
            (0..<count).count { _ in rates.take(peer, now: start.advanced(milliseconds: milliseconds)) }
        }
        var counts = [taken(peer, 5), taken(authors[1].peerID, 1)]
        counts += [taken(peer, 2, after: 500), taken(peer, 1, after: 900)]
        for _ in 0...PeerRates.peersMax { _ = taken(Identity.generate().peerID, 1) }
        counts.append(taken(peer, 4))
        #expect(counts == [3, 1, 1, 0, 3])
    }
}
