import Determinism
import Multiformats
import PeerIdentity
import Testing

@testable import NodeCore

/// What a node decides about its peers by itself: when to tell them what it offers, and when to stop listening.
@Suite struct PeerPolicyTests {
    private let peers = (0..<3).map { _ in Identity.generate().peerID }
    private let start = MonotonicInstant(nanoseconds: 0)

    /// What a schedule answers to those who listen at milliseconds after the start.
    private func answers(_ looks: [(listeners: [PeerID], at: Int64)]) -> [Bool] {
        var schedule = AdvertisementSchedule()
        return looks.map { schedule.isDue(listeners: $0.listeners, now: start.advanced(milliseconds: $0.at)) }
    }

    @Test func anOfferWaitsForTheFirstListener() {
        #expect(answers([([], 0), ([peers[0]], 250), ([peers[0]], 500)]) == [false, true, false])
    }

    @Test func aNewListenerHearsTheOfferAfterTheMinimumAndAllHearItRegularly() {
        let limits = AdvertisementSchedule.Limits()
        let both = [peers[0], peers[1]]
        let second = limits.minimumMilliseconds
        let third = second + limits.regularMilliseconds
        let looks = [([peers[0]], 0), (both, second - 1), (both, second), (both, third - 1), (both, third)]
        #expect(answers(looks) == [true, false, true, false, true])
    }

    @Test func aPeerThatWasAwayHearsTheOfferAgain() {
        let minimum = AdvertisementSchedule.Limits().minimumMilliseconds
        let looks = [(peers, 0), ([peers[0]], 250), (peers, 500), (peers, minimum)]
        #expect(answers(looks) == [true, false, false, true])
    }

    @Test func peersThatComeAndGoCannotMakeANodeFlood() {
        let limits = AdvertisementSchedule.Limits()
        var schedule = AdvertisementSchedule(limits: limits)
        var count = 0
        let seconds: Int64 = 60
        for tick in 0..<(seconds * 10) {
            let now = start.advanced(milliseconds: tick * 100)
            if schedule.isDue(listeners: tick % 2 == 0 ? [] : [peers[Int(tick / 2) % 3]], now: now) { count += 1 }
        }
        #expect(count > 1)
        #expect(Int64(count) <= seconds * 1_000 / limits.minimumMilliseconds + 1)
    }

    @Test func aPeerIsShunnedAfterTooManyFaultsAndNotForEver() {
        let limits = PeerConduct.Limits()
        var conduct = PeerConduct(limits: limits)
        for _ in 0..<limits.faultsMax {
            let isTooMany = conduct.faulted(peers[0], now: start)
            #expect(!isTooMany)
        }
        #expect(!conduct.isShunned(peers[0], now: start))
        let isTooMany = conduct.faulted(peers[0], now: start)
        #expect(isTooMany)
        #expect(conduct.isShunned(peers[0], now: start))
        #expect(!conduct.isShunned(peers[1], now: start))
        let isAgain = conduct.faulted(peers[0], now: start)
        #expect(!isAgain, "it is disconnected once")
        let end = start.advanced(milliseconds: limits.shunMilliseconds)
        #expect(conduct.isShunned(peers[0], now: end.advanced(milliseconds: -1)))
        #expect(!conduct.isShunned(peers[0], now: end))
        let isLater = conduct.faulted(peers[0], now: end)
        #expect(!isLater, "it begins anew")
    }

    @Test func faultsFarApartAreBorneAndTheTableIsBounded() {
        var limits = PeerConduct.Limits()
        limits.peersMax = 2
        var conduct = PeerConduct(limits: limits)
        for count in 0..<Int64(10 * limits.faultsMax) {
            let now = start.advanced(milliseconds: count * limits.windowMilliseconds)
            let isTooMany = conduct.faulted(peers[0], now: now)
            #expect(!isTooMany)
        }
        for _ in 0...limits.faultsMax { _ = conduct.faulted(peers[0], now: start) }
        #expect(conduct.isShunned(peers[0], now: start))
        _ = conduct.faulted(peers[1], now: start)
        _ = conduct.faulted(peers[2], now: start)
        #expect(!conduct.isShunned(peers[0], now: start), "the first one is forgotten")
    }

    @Test func questionsAboutWhatIsNotKnownAddUpToFaults() {
        let limits = PeerConduct.Limits()
        var conduct = PeerConduct(limits: limits)
        var faults = 0
        var questions = 0
        while !conduct.isShunned(peers[0], now: start), questions < 57_000 {
            questions += 1
            guard conduct.asked(peers[0], now: start) else { continue }
            faults += 1
            _ = conduct.faulted(peers[0], now: start)
        }
        #expect(faults == limits.faultsMax + 1)
        #expect(questions == faults * limits.questionsPerFault)
        #expect(!conduct.isShunned(peers[1], now: start))
    }

    @Test func questionsFarApartAreNoFault() {
        let limits = PeerConduct.Limits()
        var conduct = PeerConduct(limits: limits)
        for window in 0..<Int64(3) {
            let now = start.advanced(milliseconds: window * limits.windowMilliseconds)
            for _ in 1..<limits.questionsPerFault {
                let isFault = conduct.asked(peers[0], now: now)
                #expect(!isFault)
            }
        }
        let last = start.advanced(milliseconds: 3 * limits.windowMilliseconds - 1)
        let isFault = conduct.asked(peers[0], now: last)
        #expect(isFault, "one more within the window")
    }
}
