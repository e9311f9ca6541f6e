import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// When a node judges the executors it knows with regard to a job, when it says so, and whom it asks.
@Suite struct JobOutlooksTests {
    private func job(_ number: UInt8) -> JobID { JobID(CID.hashing([number], codec: .dagCBOR)) }
    private func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }

    private func standing(
        _ seed: UInt8, _ obstacle: Obstacle? = nil, isHere: Bool = false, hasSpoken: Bool = false
    ) throws -> ExecutorStanding {
        let did = try Identity(seed: Array(repeating: seed, count: 32)).did
        return ExecutorStanding(
            did: did, isHere: isHere, obstacles: obstacle.map { [$0] } ?? [], hasSpoken: hasSpoken)
    }

    private let memory = Obstacle.limit(.memoryBytes, asked: 2, offered: 1)

    private func turn(_ outlooks: inout JobOutlooks, at milliseconds: Int64) throws -> JobOutlooks.Turn {
        try #require(outlooks.nextTurns(offers: 1, now: at(milliseconds)).first)
    }

    @Test func aRefusalOfAllIsToldAtOnceAndASilenceAfterAMoment() throws {
        let rows: [(standings: [ExecutorStanding], first: Bool, later: Bool)] = [
            (try [standing(1, memory), standing(2, memory)], true, true),
            (try [standing(1, memory), standing(2)], false, true),
            ([], false, true),
            (try [standing(1, memory), standing(2, isHere: true)], false, false),
            (try [standing(1, memory), standing(2, memory, isHere: true)], true, true),
        ]
        for row in rows {
            var outlooks = JobOutlooks()
            outlooks.announced(job(1), now: at(0))
            let outlook = ExecutorOutlook(row.standings)
            #expect(outlooks.isWorthTelling(outlook, try turn(&outlooks, at: 100)) == row.first)
            #expect(outlooks.isWorthTelling(outlook, try turn(&outlooks, at: 400)) == row.later)
        }
        // With the time between two looks, and one more for the answers, it is within a second.
        #expect(JobOutlooks.Limits().silenceMilliseconds + 2 * NodeCore.lookMilliseconds <= 1_000)
    }

    @Test func whoIsSilentWithoutAReasonIsAskedOnceAndABoundedNumber() throws {
        var outlooks = JobOutlooks()
        outlooks.announced(job(1), now: at(0))
        let standings =
            try [standing(1, memory), standing(2, hasSpoken: true)] + (3..<60).map { try standing($0) }
        let outlook = ExecutorOutlook(standings)
        var room = outlooks.limits.questionsPerLookMax
        #expect(outlooks.toAsk(try turn(&outlooks, at: 399), standings, outlook, room: &room) == [])
        let asked = outlooks.toAsk(try turn(&outlooks, at: 400), standings, outlook, room: &room)
        #expect(asked == standings[2..<10].map(\.did))
        #expect(room == outlooks.limits.questionsPerLookMax - 8)
        #expect(outlooks.toAsk(try turn(&outlooks, at: 650), standings, outlook, room: &room) == [])
        var none = 0
        outlooks.announced(job(2), now: at(0))
        let second = try #require(outlooks.nextTurns(offers: 1, now: at(800)).last)
        #expect(outlooks.toAsk(second, standings, outlook, room: &none) == [], "others were asked in this look")
    }

    @Test func interestsAreRememberedOfABoundedNumberOfExecutorsAndAreNoQuestions() throws {
        var outlooks = JobOutlooks()
        outlooks.announced(job(1), now: at(0))
        let most = outlooks.limits.interestsPerJobMax
        for number in 0...most {
            let did = try standing(UInt8(number)).did
            _ = outlooks.interested(job(1), did, Refusal(.atCapacity, String(repeating: "x", count: 100_000)))
        }
        let known = outlooks.refusals(of: job(1))
        #expect(known.count == most)
        for case .declined(let refusal) in known.values {
            #expect(refusal.code == .known(.atCapacity) && refusal.text.utf8.count <= 200)
        }
        let standings = try [standing(200), standing(201)]
        var room = 10
        let asked = outlooks.toAsk(
            try turn(&outlooks, at: 400), standings, ExecutorOutlook(standings), room: &room)
        #expect(asked.count == 2, "who said nothing is asked all the same")
        _ = outlooks.interested(job(2), try standing(1).did, Refusal(.atCapacity, "x"))
        #expect(outlooks.refusals(of: job(2)).isEmpty, "nothing waits")
    }

    @Test func ofManyExecutorsSomeSayWhyTheyDoNotBidAndOthersForEachJob() throws {
        let outlooks = JobOutlooks()
        let most = outlooks.limits.interestsPerJobMax
        let executors = try (0..<1_000).map { number in
            try Identity(seed: [UInt8(number >> 8), UInt8(number & 255)] + Array(repeating: 0, count: 30)).did
        }
        let speakers = [job(1), job(2)].map { job in
            Set(executors.filter { outlooks.speaksUp($0, on: job, offers: 1_000) })
        }
        for all in speakers { #expect(all.count > most / 2 && all.count < most * 2, "\(all.count)") }
        #expect(speakers[0] != speakers[1])
        #expect(executors.allSatisfy { outlooks.speaksUp($0, on: job(1), offers: most) })
    }

    @Test func aQuestionDialsOneAddressOfAnOfferWhateverTheOfferNames() throws {
        let identity = try Identity(seed: Array(repeating: 1, count: 32))
        let date = UnixMilliseconds(1)
        var offer = NodeCapability(nodeDID: identity.did, peerID: identity.peerID, issuedAt: date, validUntil: date)
        let outlooks = JobOutlooks()
        #expect(outlooks.addresses(of: nil) == [] && outlooks.addresses(of: offer) == [])
        offer.addresses = (1...200).map { Multiaddr([.ip4([1, 2, 3, 4]), .tcp($0)]) }
        #expect(outlooks.addresses(of: offer) == Array(offer.addresses.prefix(1)))
    }

    @Test func anOfferNamesABoundedNumberOfAddresses() throws {
        var advertising = Advertising()
        let addresses = (1...40).map { Multiaddr([.ip4([1, 2, 3, 4]), .tcp($0)]) }
        let offer = advertising.due(
            ExecutorConfiguration(), loadPermille: 0, bytesMax: 4_096,
            listeners: [try Identity(seed: Array(repeating: 2, count: 32)).peerID], addresses: addresses,
            as: try Identity(seed: Array(repeating: 1, count: 32)),
            at: NodeMoment(now: at(0), wallClock: UnixMilliseconds(1)))
        #expect(try #require(offer).body.addresses == Array(addresses.prefix(16)))
    }

    @Test func anAnswerIsTakenOfWhomWasAskedAlone() throws {
        var outlooks = JobOutlooks()
        outlooks.announced(job(1), now: at(0))
        let (known, other) = (try standing(1), try standing(2))
        var room = 10
        _ = outlooks.toAsk(try turn(&outlooks, at: 500), [known], ExecutorOutlook([known]), room: &room)
        let full = Refusal(.atCapacity, "full")
        for did in [known.did, other.did] { outlooks.answered(job(1), by: did, .declined(full)) }
        outlooks.answered(job(2), by: known.did, .ack)
        #expect(try turn(&outlooks, at: 600).answers == [known.did: .declined(full)])
        for (reply, answer) in [
            (.ack, .willing), (nil, ExecutorAnswer.none), (.refused(Refusal(.unknownVariant, "")), ExecutorAnswer.none),
        ] as [(MeshProtocolReply?, ExecutorAnswer)] {
            outlooks.answered(job(1), by: known.did, reply)
            #expect(try turn(&outlooks, at: 700).answers == [known.did: answer])
        }
    }

    @Test func oneLookJudgesABoundedNumberOfOffersAndEveryJobHasItsTurn() {
        var outlooks = JobOutlooks()
        for number in UInt8(0)..<100 { outlooks.announced(job(number), now: at(0)) }
        #expect(outlooks.count == 100)
        let perLook = outlooks.limits.judgementsPerLookMax / 1_024
        var seen: [JobID] = []
        for look in 0..<(100 / perLook) {
            let turns = outlooks.nextTurns(offers: 1_024, now: at(Int64(look) * 250))
            #expect(turns.count == perLook)
            seen += turns.map(\.job)
        }
        #expect(Set(seen).count == 100)
        #expect(outlooks.nextTurns(offers: 1_000_000, now: at(0)).count == 1, "at least one")
        #expect(outlooks.nextTurns(offers: 0, now: at(0)).count == 100)
    }

    @Test func aJobThatEndsOrHasItsBidIsForgotten() {
        let kinds: [JobEventKind] = [
            .biddingClosed(cause: .windowElapsed, ranking: []), .failed(.nobodyReachable), .cancelled(reason: "x"),
        ]
        for kind in kinds {
            var outlooks = JobOutlooks()
            outlooks.submitted(job(1), JobSizes())
            #expect(outlooks.nextTurns(offers: 1, now: at(0)).isEmpty, "it is not announced yet")
            let date = UnixMilliseconds(1)
            let announced = JobEventKind.announced(round: 1, windowUntil: date, biddingUntil: date)
            for kind in [announced, kind] {
                outlooks.follow(JobEvent(jobID: job(1), role: .originator, at: date, kind: kind), now: at(0))
            }
            #expect(outlooks.count == 0)
            #expect(outlooks.nextTurns(offers: 1, now: at(0)).isEmpty)
        }
    }

    @Test func whatABidderLacksForAModuleIsKnownByItsOfferUntilTheJobEnds() throws {
        let identity = try Identity(seed: Array(repeating: 1, count: 32))
        var offer = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: UnixMilliseconds(1),
            validUntil: UnixMilliseconds(2))
        var sizes = JobSizes()
        sizes.moduleFunctions = 11
        sizes.inputBytes = 5
        var outlooks = JobOutlooks()
        outlooks.submitted(job(1), sizes)
        #expect(outlooks.shortage(of: offer, for: job(1)) == nil, "it names no limit")
        offer.limits = ["module_functions": 10, "input_bytes": 5]
        let shortage = try #require(outlooks.shortage(of: offer, for: job(1)))
        #expect(shortage.limit == .moduleFunctions && shortage.needed == 11 && shortage.offered == 10)
        #expect(outlooks.shortage(of: offer, for: job(2)) == nil)
        for (kind, isKnown) in [
            (.biddingClosed(cause: .windowElapsed, ranking: []), true), (.failed(.nobodyReachable), false),
        ] as [(JobEventKind, Bool)] {
            outlooks.follow(
                JobEvent(jobID: job(1), role: .originator, at: UnixMilliseconds(1), kind: kind), now: at(0))
            #expect((outlooks.shortage(of: offer, for: job(1)) != nil) == isKnown)
        }
    }
}
