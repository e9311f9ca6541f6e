import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

@Suite("Selection of bids")
struct SelectionTests {
    private let date = UnixMilliseconds(1_800_000_000_000)

    private func identity(_ seed: UInt8) throws -> Identity { try Identity(seed: Array(repeating: seed, count: 32)) }

    private func manifest(_ change: (inout MeshJobParams) -> Void = { _ in }) throws -> JobManifest {
        var params = MeshJobParams(wasmCID: CID.hashing([1], codec: .raw))
        change(&params)
        let originator = try identity(1)
        return JobManifest(
            params: params, originatorDID: originator.did, originatorPeerID: originator.peerID, originatorAddresses: [],
            nonce: Array(repeating: 3, count: 16), submittedAt: date,
            biddingDeadline: date.advanced(milliseconds: 1000), expiresAt: date.advanced(milliseconds: 100_000))
    }

    private func bid(_ seed: UInt8, price: UInt64 = 10, _ change: (inout Bid) -> Void = { _ in }) throws -> Bid {
        let (bidder, originator) = (try identity(seed), try identity(1))
        let terms = BidTerms(
            price: TokenAmount(price), basePrice: .zero, pricePerMillionFuel: .zero, earliestStart: date,
            deadline: date.advanced(milliseconds: 5000))
        var bid = Bid(
            jobID: JobID(CID.hashing([9], codec: .dagCBOR)), originatorPeerID: originator.peerID, bidderDID: bidder.did,
            bidderPeerID: bidder.peerID, terms: terms, issuedAt: date, expiresAt: date.advanced(milliseconds: 9000))
        change(&bid)
        return bid
    }

    private func refusal(
        _ bid: Bid, _ change: (inout MeshJobParams) -> Void = { _ in }
    ) throws -> BidRefusal? {
        try Selection(manifest: manifest(change), reputation: ReputationBook(), wallClock: date).refusal(of: bid)
    }

    private func policy(_ change: @escaping (inout ExecutionPolicy) -> Void) -> (inout MeshJobParams) -> Void {
        { params in
            var policy = ExecutionPolicy()
            change(&policy)
            params.executionPolicy = policy
        }
    }

    @Test func everyFilterHasItsReason() throws {
        let plain = try bid(2)
        #expect(try refusal(plain) == nil)
        #expect(
            try refusal(plain, policy { $0.maxPrice = TokenAmount(9) })
                == .priceTooHigh(price: TokenAmount(10), max: TokenAmount(9)))
        #expect(
            try refusal(plain) { $0.maxAcceptableBidTokens = TokenAmount(3) }
                == .priceTooHigh(price: TokenAmount(10), max: TokenAmount(3)))
        #expect(
            try refusal(plain, policy { $0.minReputation = 1 }) == .reputationTooLow(reputation: 0, min: 1))
        #expect(try refusal(plain, policy { $0.regionFilter = ["eu"] }) == .regionNotAccepted(region: nil))
        #expect(
            try refusal(bid(2) { $0.region = "us" }, policy { $0.regionFilter = ["eu"] })
                == .regionNotAccepted(region: "us"))
        #expect(try refusal(bid(2) { $0.region = "eu" }, policy { $0.regionFilter = ["eu"] }) == nil)
        #expect(
            try refusal(plain, policy { $0.requiredFeatures = ["simd"] }) == .featureMissing(feature: "simd"))
        #expect(
            try refusal(bid(2) { $0.resources = ["memory_mib": 10] }) { $0.resourcesRequired = ["memory_mib": 64] }
                == .resourceMissing(resource: "memory_mib", needed: 64, offered: 10))
        #expect(
            try refusal(
                bid(2) {
                    $0.resources = ["memory_mib": 64]
                    $0.terms.resourceGuarantees = ["memory_mib": 63]
                }
            ) { $0.resourcesRequired = ["memory_mib": 64] }
                == .resourceMissing(resource: "memory_mib", needed: 64, offered: 63),
            "it has it, and does not keep it for the job")
        let other = try identity(3).did
        #expect(try refusal(plain, policy { $0.allowedDIDs = [other] }) == .bidderNotAllowed)
        let own = plain.bidderDID
        #expect(try refusal(plain, policy { $0.deniedDIDs = [own] }) == .bidderDenied)
        #expect(try refusal(bid(1)) == nil, "the originator's own bid is one that can be taken, and comes last")
        let deadline = date.advanced(milliseconds: 4000)
        #expect(
            try refusal(plain, policy { $0.deadline = deadline })
                == .deadlineTooLate(promised: date.advanced(milliseconds: 5000), needed: deadline))
    }

    @Test func termsThatContradictThemselves() throws {
        #expect(try refusal(bid(2) { $0.terms.basePrice = TokenAmount(11) })?.name == .termsInvalid)
        #expect(try refusal(bid(2) { $0.expiresAt = $0.issuedAt })?.name == .termsInvalid)
        #expect(try refusal(bid(2) { $0.terms.deadline = UnixMilliseconds(1) })?.name == .termsInvalid)
        #expect(
            try refusal(bid(2) { $0.terms.earliestStart = $0.terms.deadline.advanced(milliseconds: 1) })
                == .termsInvalid(reason: "the result is promised before the run begins"))
        let features = (0..<65).map { "f\($0)" }
        #expect(try refusal(bid(2) { $0.features = features })?.name == .termsInvalid)
    }

    /// Runs a round with these bids and gives the bidders in the order of the journalled ranking.
    private func ranking(
        _ bids: [Bid], latencies: [UInt64?] = [], _ change: (inout MeshJobParams) -> Void = { _ in }
    ) throws -> [RankedBid] {
        var world = MarketWorld(executors: 0)
        let request = MarketWorld.request("ranking") { params in
            change(&params)
            var policy = params.executionPolicy ?? ExecutionPolicy()
            policy.sufficientBids = UInt64(bids.count)
            params.executionPolicy = policy
        }
        let id = try world.submit(request)
        world.run(milliseconds: 10)
        for (index, bid) in bids.enumerated() {
            var bid = bid
            bid.jobID = id
            bid.originatorPeerID = world.parties[0].peer
            bid.issuedAt = world.wallClock
            bid.expiresAt = world.wallClock.advanced(milliseconds: 10_000)
            bid.terms.earliestStart = world.wallClock
            bid.terms.deadline = world.wallClock.advanced(milliseconds: 5000)
            // A bid of the originator stays its own.
            let isOwn = bid.bidderPeerID == world.parties[0].peer
            let identity = isOwn ? world.parties[0].identity : try identity(UInt8(100 + index))
            if index < latencies.count, let latency = latencies[index] {
                world.give(.latencyMeasured(identity.peerID, milliseconds: latency), to: 0)
            }
            bid.bidderDID = identity.did
            bid.bidderPeerID = identity.peerID
            let signed = try SignedObject.sign(bid, with: identity)
            world.give(.jobBid(JobBidV1(bid: ProtocolBid(signed))), from: identity.peerID, to: 0)
        }
        for event in world.parties[0].events {
            if case .biddingClosed(_, let ranking) = event.kind { return ranking }
        }
        return []
    }

    @Test func theCheaperOfEqualsWins() throws {
        let ranking = try ranking([bid(2, price: 30), bid(2, price: 10), bid(2, price: 20)])
        #expect(ranking.map(\.price) == [10, 20, 30].map { TokenAmount($0) })
        #expect(
            ranking.map { $0.parts[0] } == [1000, 666, 333],
            "twice the second, 40, is worth nothing, and a quarter of it all")
        let own = try self.ranking([bid(1, price: 10), bid(2, price: 90)])
        #expect(own.map(\.price) == [90, 10].map { TokenAmount($0) }, "the originator's own bid is the last")
    }

    @Test func loadAndRegionCountWhereTheyAreWeighed() throws {
        let idle = try bid(2, price: 20) { $0.loadPermille = 0 }
        let busy = try bid(2, price: 10) { $0.loadPermille = 900 }
        let byLoad = try ranking([busy, idle]) { params in
            params.executionPolicy = ExecutionPolicy()
            params.executionPolicy?.weights = SelectionWeights(price: 0, reputation: 0, region: 0, latency: 0, load: 1)
        }
        #expect(byLoad.map(\.score) == [1000, 100])
        let near = try bid(2, price: 20) { $0.region = "eu" }
        let far = try bid(2, price: 10) { $0.region = "us" }
        let byRegion = try ranking([far, near]) { params in
            params.executionPolicy = ExecutionPolicy()
            params.executionPolicy?.regionFilter = ["eu", "us"]
            params.executionPolicy?.weights = SelectionWeights(price: 0, reputation: 0, region: 1, latency: 0, load: 0)
        }
        #expect(byRegion.map(\.score) == [1000, 500])
    }

    @Test func theNearerWinsWhereLatencyIsWeighedAndWhoCouldNotBeMeasuredIsNotTakenForNear() throws {
        let bids = [try bid(2), try bid(2), try bid(2)]
        let ranking = try ranking(bids, latencies: [80, nil, 5_000]) { params in
            params.executionPolicy = ExecutionPolicy()
            params.executionPolicy?.weights = SelectionWeights(price: 0, reputation: 0, region: 0, latency: 1, load: 0)
        }
        #expect(ranking.map(\.score) == [200, 3, 0])
        #expect(ranking.map(\.bidder) == [try identity(100), try identity(102), try identity(101)].map(\.did))
        #expect(ranking.map { $0.parts[3] } == [200, 3, 0])
    }

    @Test func tiesAreBrokenByTheNonceAndNotByTheOrderOfArrival() throws {
        let bids = try (0..<5).map { _ in try bid(2) }
        let first = try ranking(bids)
        let second = try ranking(bids)
        #expect(first == second, "the same seed gives the same nonce")
        #expect(Set(first.map(\.score)).count == 1)
        #expect(first.map(\.bid) != first.map(\.bid).sorted(), "the order is not the bidders' to choose")
    }

    @Test func regionsAndFeaturesCompareByTheirBytes() throws {
        let (composed, decomposed) = ("\u{E9}", "e\u{301}")
        let bid = try bid(2) { bid in
            bid.region = composed
            bid.features = [composed]
        }
        #expect(try refusal(bid, policy { $0.regionFilter = [composed] }) == nil)
        #expect(
            try refusal(bid, policy { $0.regionFilter = [decomposed] }) == .regionNotAccepted(region: composed))
        #expect(try refusal(bid, policy { $0.requiredFeatures = [composed] }) == nil)
        #expect(
            try refusal(bid, policy { $0.requiredFeatures = [decomposed] }) == .featureMissing(feature: decomposed))
    }

    @Test func aPriceOfNothingIsWorthNoMoreThanOneAtTheFloor() throws {
        let ranking = try ranking([bid(2, price: 0), bid(2, price: 20), bid(2, price: 100)])
        // Twice 20, the lower of the two that ask for something, and a quarter of it.
        #expect(ranking.map { $0.parts[0] } == [1000, 666, 0])
        let scale = PriceScale(ceiling: TokenAmount(1_000), prices: [0, 100, 110].map { TokenAmount($0) })
        #expect(scale.reference == TokenAmount(200))
        #expect(PriceScale(ceiling: TokenAmount(50), prices: [TokenAmount(40)]).reference == TokenAmount(50))
        #expect(scale.part(of: TokenAmount(100)) == 666)
    }

    @Test func dearBidsThatAreNotMeantToBeTakenDoNotMakeADearOneCheap() throws {
        let decoys = [UInt64](repeating: 1_000_000_000, count: 5)
        let ranking = try ranking(([10, 10, 10, 1_000_000] + decoys).map { try bid(2, price: $0) })
        #expect(ranking.prefix(3).map(\.price) == [10, 10, 10].map { TokenAmount($0) })
        #expect(ranking[3].parts[0] < 700 && ranking[2].parts[0] == 1000)
    }

    @Test func anExecutorThatProvedItselfBeatsAStrangerThatAsksForNothing() throws {
        let (honest, stranger) = (try identity(4), try identity(5))
        var book = ReputationBook()
        for index in 0..<20 as Range<UInt8> {
            book.record(
                ReputationEvidence(
                    subject: honest.did, payer: try identity(1).did, assignmentCID: .hashing([index, 1], codec: .raw),
                    receiptCID: .hashing([index, 2], codec: .raw), verdict: .fulfilled, at: date))
        }
        let bids = try [(4 as UInt8, 60 as UInt64), (5, 0)].map { seed, price in
            ReceivedBid(
                signed: try SignedObject.sign(try bid(seed, price: price), with: identity(seed)), arrivedAt: date)
        }
        let selection = Selection(manifest: try manifest(), reputation: book, wallClock: date)
        let ranking = selection.rank(bids) { _ in nil }
        #expect(ranking.map(\.bidder) == [honest.did, stranger.did])
        #expect(ranking.map { $0.parts[0] } == [666, 1000])
    }

    @Test func aDrawFollowsItsSeedWhichNoBidderKnows() throws {
        let bids = (0..<64 as Range<UInt8>).map { CID.hashing([$0], codec: .dagCBOR) }
        func winner(_ seed: UInt8) -> CID? {
            let draw = BidDraw(seed: Array(repeating: seed, count: 32))
            return bids.min { draw.number(of: $0).lexicographicallyPrecedes(draw.number(of: $1)) }
        }
        #expect(winner(1) == winner(1))
        #expect(Set((0..<40 as Range<UInt8>).map(winner)).count > 20, "who wins by one seed does not by another")
    }

    @Test func extremePricesDoNotTrap() throws {
        for load in 0..<40 as Range<UInt64> {
            let bids = try [TokenAmount.max.units, 0, 1].map { try bid(2, price: $0) { $0.loadPermille = load } }
            let ranking = try ranking(bids)
            #expect(ranking.last?.price == .max, "load \(load)")
            #expect(ranking.map { $0.parts[0] } == [1000, 500, 0], "load \(load)")
        }
    }
}
