import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// What follows from `earliest_start`: how a bid ranks, and how long its job waits for its turn.
@Suite("Turns that bids promise")
struct PromisedTurnTests {
    private static func request(_ key: String, seconds: UInt64) -> JobRequest {
        MarketWorld.request(key) { $0.timeoutSeconds = seconds }
    }

    /// An executor with one place, which a job has that runs up to `seconds`, and a second job that waits behind it.
    private func waiting(seconds: UInt64, isProven: Bool) throws -> (world: MarketWorld, first: JobID, second: JobID) {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.executor?.concurrentRunsMax = 1 }
        if isProven {
            try world.submit(Self.request("proves it", seconds: 10))
            world.run(milliseconds: 20_000)
        }
        world.parties[1].run = .hang
        let first = try world.submit(Self.request("first", seconds: seconds))
        try #require(world.run(milliseconds: 20_000) { $0.job(first)?.status == .running })
        world.parties[1].run = .succeed(fuel: 1)
        let second = try world.submit(Self.request("second", seconds: 10))
        try #require(world.run(milliseconds: 20_000) { $0.job(second)?.liveAttempt?.isConfirmed ?? false })
        return (world, first, second)
    }

    private func end(_ job: JobID, in world: inout MarketWorld) throws {
        let order = try #require(world.parties[1].orders.last { $0.jobID == job })
        let report = ExecutionReport(
            outcome: .exited(code: 0), startedAt: world.wallClock, endedAt: world.wallClock)
        world.give(.executionFinished(assignment: order.assignmentCID, report), to: 1)
    }

    @Test("A job waits for a turn as long as its executor's bid promised, and so does its executor")
    func waitsForItsTurn() throws {
        var (world, first, second) = try waiting(seconds: 300, isProven: true)
        let bid = try #require(world.job(second)?.bids.first?.bid)
        #expect(bid.queueMilliseconds == 300_000)
        let times = OriginatorConfiguration()
        world.run(milliseconds: 290_000)
        #expect(UInt64(290_000) > times.fetchingMilliseconds, "without the promise it would have been given up")
        #expect(world.job(second)?.attempts.count == 1 && world.job(second)?.result == nil)
        try end(first, in: &world)
        #expect(world.run(milliseconds: 30_000) { $0.job(second)?.result == .completedSuccessfully })
        #expect(world.job(second)?.attempts.count == 1)
    }

    @Test("A module that was compiled here waits for its turn, too: compiling is no run")
    func compiled() throws {
        var (world, first, _) = try waiting(seconds: 300, isProven: true)
        world.parties[1].run = .starve
        let third = try world.submit(Self.request("third", seconds: 10))
        try #require(world.run(milliseconds: 20_000) { $0.job(third)?.liveAttempt?.isConfirmed ?? false })
        let assignment = try #require(world.job(third)?.liveAttempt?.cid)
        world.give(.moduleCompiles(assignment: assignment, milliseconds: 5_000), to: 1)
        world.run(milliseconds: 1_000)
        world.give(.executionPrepared(assignment: assignment), to: 1)
        world.parties[1].run = .succeed(fuel: 1)
        // Longer than fetching, compiling and its own run may take.
        world.run(milliseconds: 150_000)
        #expect(world.job(third)?.attempts.count == 1 && world.job(third)?.result == nil)
        try end(first, in: &world)
        #expect(world.run(milliseconds: 30_000) { $0.job(third)?.result == .completedSuccessfully })
    }

    @Test(
        "The wait has its end, sooner at a stranger's; who kept its promise until then ranks last for a minute only",
        arguments: [
            (true, OriginatorConfiguration().queueMilliseconds),
            (false, OriginatorConfiguration().unprovenQueueMilliseconds),
        ])
    func bounded(isProven: Bool, most: UInt64) throws {
        var (world, _, second) = try waiting(seconds: 3_000, isProven: isProven)
        let times = OriginatorConfiguration()
        world.run(milliseconds: Int64(most + times.fetchingMilliseconds) - 5_000)
        #expect(world.job(second)?.attempts.first?.isLive == true)
        world.run(milliseconds: 10_000)
        #expect(world.job(second)?.attempts.first?.end == .fetchTimedOut)
        let executor = world.parties[1].identity.did
        let market = world.parties[0].market
        #expect(market.originator.bids.failedLately(executor, market.context))
        world.run(milliseconds: Int64(times.declinedExecutorMilliseconds))
        let later = world.parties[0].market
        #expect(!later.originator.bids.failedLately(executor, later.context))
    }

    @Test("Who promised a turn at once, and gave none, ranks last for an hour")
    func brokenPromise() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .starve
        let id = try world.submit()
        let times = OriginatorConfiguration()
        world.run(milliseconds: Int64(times.fetchingMilliseconds) + 10_000)
        // Its own fetch was given up before, which says that it failed to fetch.
        #expect(world.job(id)?.attempts.first?.end != nil)
        let attempt = try #require(world.job(id)?.attempts.first)
        let executor = attempt.assignment.executorDID
        var (market, book) = (world.parties[0].market, BidBook())
        book.attemptEnded(attempt, .fetchTimedOut, promisedWithinMilliseconds: 0, market.context)
        market.context.now = market.context.now.advanced(milliseconds: Int64(times.declinedExecutorMilliseconds) + 1)
        #expect(book.failedLately(executor, market.context))
    }

    @Test("A longer wait than the job's own time makes a bidder less idle; one beyond the job's patience ranks behind")
    func ranking() throws {
        var world = MarketWorld(executors: 3) { index, configuration in
            configuration.executor?.basePrice = TokenAmount(10)
            configuration.executor?.priceMax = TokenAmount(10)
            configuration.executor?.concurrentRunsMax = 1
            configuration.originator.sufficientBids = 3
        }
        // The first has a job of 60 s, the second one of 90 s, which is more than is granted to a stranger.
        for (index, seconds) in [(1, UInt64(60)), (2, 90)] {
            world.parties[index].run = .hang
            let busy = try world.submit(
                MarketWorld.request("keeps \(index) busy") { params in
                    params.timeoutSeconds = seconds
                    var policy = ExecutionPolicy()
                    policy.allowedDIDs = [world.parties[index].identity.did]
                    params.executionPolicy = policy
                })
            try #require(world.run(milliseconds: 20_000) { $0.job(busy)?.status == .running })
        }
        let id = try world.submit(Self.request("next", seconds: 60))
        world.run(milliseconds: 5_000)
        let closed = world.parties[0].events.last { $0.jobID == id && $0.kindName == "bidding_closed" }
        guard case .biddingClosed(_, let ranking)? = closed?.kind else {
            Issue.record("the window is open")
            return
        }
        #expect(ranking.map(\.bidder) == [3, 1, 2].map { world.parties[$0].identity.did })
        #expect(ranking.map { $0.parts[4] } == [1_000, 500, 400])
    }

    @Test("Of bids that wait, a cheaper one that begins too late is no better than a dear one in time")
    func tooLate() throws {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.executor?.concurrentRunsMax = 1
            configuration.originator.sufficientBids = 2
        }
        world.parties[1].run = .hang
        let busy = try world.submit(
            MarketWorld.request("keeps 1 busy") { params in
                params.timeoutSeconds = 61
                var policy = ExecutionPolicy()
                policy.allowedDIDs = [world.parties[1].identity.did]
                params.executionPolicy = policy
            })
        try #require(world.run(milliseconds: 20_000) { $0.job(busy)?.status == .running })
        let id = try world.submit(Self.request("next", seconds: 10))
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.result == .completedSuccessfully })
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [world.parties[2].identity.did])
    }

    @Test("A bid may claim no more than the offer that it cites, and any other says nothing")
    func citedOffer() throws {
        let identity = try Identity(seed: Array(repeating: 5, count: 32))
        let date = UnixMilliseconds(MarketWorld.epoch)
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: date, validUntil: date)
        (capability.region, capability.features, capability.resources) = ("eu", ["a", "b"], ["memory_mib": 64])
        let cited = CID.hashing([1], codec: .dagCBOR)
        let terms = BidTerms(
            price: TokenAmount(1), basePrice: .zero, pricePerMillionFuel: .zero, earliestStart: date, deadline: date)
        let rows: [(change: (inout Bid) -> Void, fault: String?)] = [
            ({ _ in }, nil),
            ({ $0.features = ["b"] }, nil),
            ({ $0.resources = ["memory_mib": 63] }, nil),
            ({ $0.region = "us" }, "its region is not that of the offer it cites"),
            ({ $0.region = nil }, "its region is not that of the offer it cites"),
            ({ $0.features = ["a", "c"] }, "it has features that the offer it cites has not"),
            ({ $0.resources = ["memory_mib": 65] }, "it has more resources than the offer it cites"),
            ({ $0.resources = ["gpu": 1] }, "it has more resources than the offer it cites"),
        ]
        for row in rows {
            var bid = Bid(
                jobID: JobID(cited), originatorPeerID: identity.peerID, bidderDID: identity.did,
                bidderPeerID: identity.peerID, terms: terms, region: "eu", features: ["a", "b"],
                resources: ["memory_mib": 64], nodeMetadataCID: cited, issuedAt: date, expiresAt: date)
            row.change(&bid)
            let known = KnownBidder(offer: KnownBidder.Offer(cid: cited, capability: capability))
            #expect(known.contradiction(in: bid) == row.fault)
            let given = KnownBidder(cited: KnownBidder.Cited(cid: cited, capability: capability))
            #expect(given.contradiction(in: bid) == row.fault, "what it gave says what its offer says")
            let none = KnownBidder(cited: KnownBidder.Cited(cid: cited, capability: nil))
            #expect(none.contradiction(in: bid) == "what it cites is no offer of its bidder")
            bid.nodeMetadataCID = CID.hashing([2], codec: .dagCBOR)
            #expect(known.contradiction(in: bid) == nil)
            #expect(KnownBidder().contradiction(in: bid) == nil)
        }
        capability.isAbridged = true
        var bid = Bid(
            jobID: JobID(cited), originatorPeerID: identity.peerID, bidderDID: identity.did,
            bidderPeerID: identity.peerID, terms: terms, region: "eu", features: ["c"], nodeMetadataCID: cited,
            issuedAt: date, expiresAt: date)
        let known = KnownBidder(offer: KnownBidder.Offer(cid: cited, capability: capability))
        #expect(known.contradiction(in: bid) == nil, "the offer names not all of its features")
        bid.region = "us"
        #expect(known.contradiction(in: bid) != nil)
    }

    @Test("A bid that contradicts the offer it cites is refused, and its reason told")
    func citedOfferRefused() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.jobBid]
        try world.submit()
        world.run(milliseconds: 100)
        let message = try #require(world.log.first { $0.variant == .jobBid })
        guard case .jobBid(let made) = message else { return }
        var bid = try SignedObject<Bid>(verifying: made.bid.signedBid).body
        let (identity, cited) = (world.parties[1].identity, CID.hashing([1], codec: .dagCBOR))
        bid.nodeMetadataCID = cited
        let capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: bid.issuedAt, validUntil: bid.expiresAt)
        let citing = MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(try SignedObject.sign(bid, with: identity))))
        let (reply, _) = world.parties[0].market.receive(
            citing, from: identity.peerID,
            of: KnownBidder(offer: KnownBidder.Offer(cid: cited, capability: capability)),
            now: world.now, wallClock: world.wallClock)
        guard case .refused(let refusal) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(refusal.text.contains("its region is not that of the offer it cites"))
    }
}
