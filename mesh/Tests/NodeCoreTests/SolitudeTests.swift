import Determinism
import Testing

@testable import NodeCore

/// When a node stops waiting for bids, by what it sees around itself.
@Suite struct SolitudeTests {
    private typealias Surroundings = Solitude.Surroundings

    private let limits = Solitude.Limits()
    /// One neighbour that passes gossip on, and no offer.
    private let relay = Surroundings(connectionCount: 1, mayPassOn: true, hasListener: true, hasOffer: false)
    /// The same, with an executor's offer.
    private let market = Surroundings(connectionCount: 1, mayPassOn: true, hasListener: true, hasOffer: true)
    /// One neighbour that does not even speak gossip.
    private let deaf = Surroundings(connectionCount: 1, mayPassOn: false, hasListener: false, hasOffer: false)

    private func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }

    /// What a node has to expect that looks around at these moments.
    private func prospects(
        _ solitude: inout Solitude, _ looks: [(milliseconds: Int64, Surroundings)]
    ) -> [Solitude.Prospect] {
        looks.map { solitude.prospect($0.1, now: at($0.milliseconds)) }
    }

    private func connected(_ count: Int) -> Surroundings {
        Surroundings(connectionCount: count, mayPassOn: true, hasListener: true, hasOffer: true)
    }

    @Test func aNodeThatDialedAllAndReachedNobodyIsAloneAtOnce() {
        var solitude = Solitude()
        #expect(prospects(&solitude, [(0, connected(0)), (1, connected(0))]) == [.open, .open], "it still dials")
        solitude.dialedAtStart()
        let looks = [(2, connected(0)), (3, connected(1)), (4, connected(0))] as [(Int64, Surroundings)]
        #expect(prospects(&solitude, looks) == [.alone, .open, .open])
    }

    @Test func aNodeThatStillDialsOrLostItsPeersIsGivenTenSeconds() {
        #expect(limits.patienceMilliseconds == 10_000)
        var dialing = Solitude()
        let waits = [(5, connected(0)), (10_004, connected(0)), (10_005, connected(0))] as [(Int64, Surroundings)]
        #expect(prospects(&dialing, waits) == [.open, .open, .alone])
        var left = Solitude()
        left.dialedAtStart()
        let looks =
            [
                (0, connected(2)), (100, connected(0)), (9_000, connected(1)), (20_000, connected(0)),
                (29_999, connected(0)), (30_000, connected(0)),
            ] as [(Int64, Surroundings)]
        #expect(prospects(&left, looks) == [.open, .open, .open, .open, .open, .alone], "it came back in between")
    }

    @Test func whereNoExecutorIsKnownAJobWaitsForOneThatIsSomeHopsAway() {
        var solitude = Solitude()
        solitude.dialedAtStart()
        let unknown = Solitude.Prospect.nobodyExecutes(afterMilliseconds: limits.unknownMilliseconds)
        #expect(limits.unknownMilliseconds + NodeCore.lookMilliseconds < 10_000)
        let looks =
            [(0, relay), (6_999, relay), (7_000, relay), (20_000, market), (140_000, relay)] as [(Int64, Surroundings)]
        #expect(prospects(&solitude, looks) == [.open, .open, unknown, .open, .nobodyExecutes(afterMilliseconds: 750)])
    }

    @Test func aJobWaitsForWholeWhileAnOfferOrABidderIsKnown() {
        var solitude = Solitude()
        solitude.dialedAtStart()
        #expect(prospects(&solitude, [(0, market), (500_000, market)]) == [.open, .open])
        solitude.bidArrived(now: at(500_000))
        #expect(prospects(&solitude, [(619_999, relay)]) == [.open], "it is busy and may bid again")
        #expect(prospects(&solitude, [(620_000, relay)]) == [.nobodyExecutes(afterMilliseconds: 750)])
    }

    @Test func whoListenedForTwoMinutesAndHeardNoOfferKnowsThatThereIsNoExecutor() {
        #expect(limits.offersMilliseconds == 120_000)
        #expect(limits.offersMilliseconds >= 2 * AdvertisementSchedule.Limits().regularMilliseconds)
        var solitude = Solitude()
        solitude.dialedAtStart()
        let known = Solitude.Prospect.nobodyExecutes(afterMilliseconds: limits.noneMilliseconds)
        let unknown = Solitude.Prospect.nobodyExecutes(afterMilliseconds: limits.unknownMilliseconds)
        #expect(prospects(&solitude, [(0, relay), (119_999, relay), (120_000, relay)]) == [.open, unknown, known])
        // One that heard nobody for a while begins anew.
        #expect(prospects(&solitude, [(120_001, deaf), (120_002, relay), (240_001, relay)]).last == unknown)
    }

    @Test func whereNoNeighbourSpeaksGossipNobodyHearsOfTheJob() {
        #expect(limits.noneMilliseconds + NodeCore.lookMilliseconds <= 1_000)
        let known = Solitude.Prospect.nobodyExecutes(afterMilliseconds: limits.noneMilliseconds)
        var solitude = Solitude()
        #expect(prospects(&solitude, [(0, deaf), (1_000, deaf)]) == [.open, .open], "it still dials")
        solitude.dialedAtStart()
        #expect(prospects(&solitude, [(1_001, deaf), (1_002, relay), (1_003, deaf)]) == [known, .open, .open])
        #expect(prospects(&solitude, [(1_003 + 749, deaf), (1_003 + 750, deaf)]) == [.open, known])
    }

    /// After how long a job that all known executors refuse is given up, at these moments.
    private func patience(_ solitude: inout Solitude, _ looks: [(milliseconds: Int64, Surroundings)]) -> [Int64?] {
        looks.map { look in
            _ = solitude.prospect(look.1, now: at(look.milliseconds))
            return solitude.patienceMilliseconds
        }
    }

    @Test func aJobThatAllKnownExecutorsRefuseWaitsAsIfNoneWereKnown() {
        var solitude = Solitude()
        solitude.dialedAtStart()
        let looks = [(0, market), (6_999, market), (7_000, market), (120_000, market)] as [(Int64, Surroundings)]
        #expect(patience(&solitude, looks) == [nil, nil, 7_000, 750])
        // A bidder whose offer is known is among those that refuse; one whose offer is not may be anywhere.
        solitude.bidArrived(isStranger: false, now: at(120_001))
        #expect(patience(&solitude, [(120_002, market)]) == [750])
        solitude.bidArrived(isStranger: true, now: at(120_003))
        #expect(patience(&solitude, [(120_004, market), (240_002, market), (240_003, market)]) == [nil, nil, 750])
        #expect(patience(&solitude, [(240_004, connected(0))]) == [nil])
    }

    @Test func howLongSuchAJobWaitsIsKnownFromTheFirstConnectionOn() {
        var solitude = Solitude()
        solitude.dialedAtStart()
        func wait(age: Int64, at milliseconds: Int64) -> Int64? {
            _ = solitude.prospect(market, now: at(milliseconds))
            return solitude.waitMilliseconds(age: age, now: at(milliseconds))
        }
        #expect(solitude.waitMilliseconds(age: 0, now: at(0)) == nil, "it has no connection")
        #expect(wait(age: 200, at: 0) == 7_000, "the job is older than the connection")
        #expect(wait(age: 0, at: 3_000) == 7_000, "the connection is older than the job")
        #expect(wait(age: 2_500, at: 6_000) == 4_500)
        #expect(wait(age: 2_500, at: 8_000) == 4_500)
        #expect(wait(age: 8_000, at: 8_001) == 0)
        #expect(wait(age: 100, at: 130_000) == 650, "by then every executor has repeated its offer")
        solitude.bidArrived(isStranger: true, now: at(130_001))
        #expect(wait(age: 100, at: 130_002) == nil, "nobody can tell")
    }

    /// A key that was there first with a dear offer takes no job from executors that this node has yet to meet.
    @Test func aStrangersPriceIsThatOfTheMeshOnceOthersCouldHaveBid() {
        var solitude = Solitude()
        func isAcquainted(_ surroundings: Surroundings, at milliseconds: Int64) -> Bool {
            _ = solitude.prospect(surroundings, now: at(milliseconds))
            return solitude.isAcquainted
        }
        solitude.dialedAtStart()
        #expect(!isAcquainted(connected(0), at: 0))
        #expect(!isAcquainted(market, at: 60_000), "connected only now")
        #expect(!isAcquainted(market, at: 60_000 + limits.unknownMilliseconds - 1))
        #expect(isAcquainted(market, at: 60_000 + limits.unknownMilliseconds))
        #expect(!isAcquainted(connected(0), at: 70_000))
        #expect(!isAcquainted(market, at: 70_001), "the mesh may be another one")
    }
}
