import Determinism
import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// Keys that cost nothing, and what their bids may do to a job: nothing.
@Suite("Floods of bids")
struct BidFloodTests {
    private func identity(_ number: Int) throws -> Identity {
        try Identity(seed: Array(repeating: 200, count: 30) + [UInt8(number / 256), UInt8(number % 256)])
    }

    private func bid(
        _ world: MarketWorld, _ id: JobID, _ identity: Identity, price: UInt64, loadPermille: UInt64 = 0
    ) throws -> MeshProtocolMessage {
        let terms = BidTerms(
            price: TokenAmount(price), basePrice: .zero, pricePerMillionFuel: .zero, earliestStart: world.wallClock,
            deadline: world.wallClock.advanced(milliseconds: 1000))
        let bid = Bid(
            jobID: id, originatorPeerID: world.parties[0].peer, bidderDID: identity.did, bidderPeerID: identity.peerID,
            terms: terms, loadPermille: loadPermille, issuedAt: world.wallClock,
            expiresAt: world.wallClock.advanced(milliseconds: 10_000))
        return .jobBid(JobBidV1(bid: ProtocolBid(try SignedObject.sign(bid, with: identity))))
    }

    /// Gives a bid to the originator; the code of its refusal, `nil` when it was taken.
    private func give(
        _ world: inout MarketWorld, _ id: JobID, by number: Int, price: UInt64, loadPermille: UInt64 = 0
    ) throws -> String? {
        let identity = try identity(number)
        let message = try bid(world, id, identity, price: price, loadPermille: loadPermille)
        let (reply, transition) = world.parties[0].market.receive(
            message, from: identity.peerID, now: world.now, wallClock: world.wallClock)
        world.carryOut(transition, of: 0)
        guard case .refused(let refusal) = reply else { return nil }
        return refusal.code.text
    }

    private func closures(_ world: MarketWorld) -> [BiddingClosure] {
        world.parties[0].events.compactMap { event in
            if case .biddingClosed(let cause, _) = event.kind { cause } else { nil }
        }
    }

    @Test func refusedBidsOfManyKeysDoNotLockAnHonestOneOut() throws {
        var world = MarketWorld(executors: 0)
        world.checksReplay = true
        let id = try world.submit(MarketWorld.request("dear") { $0.maxAcceptableBidTokens = TokenAmount(5) })
        world.run(milliseconds: 10)
        for number in 0..<64 { #expect(try give(&world, id, by: number / 4, price: 9) == "price_too_high") }
        let job = try #require(world.job(id))
        #expect(job.refusedBids.count == 16, "one of each bidder")
        #expect(job.bids.isEmpty)
        #expect(try give(&world, id, by: 99, price: 5) == nil)
        world.run(milliseconds: 1000)
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [try identity(99).did])
    }

    @Test("Where all of very many executors bid, a job keeps 64 bids and writes 1,024; the others are refused")
    func everybodyBids() throws {
        var world = MarketWorld(executors: 0)
        let limits = world.parties[0].configuration.limits
        let id = try world.submit()
        world.run(milliseconds: 10)
        let journal = world.parties[0].journal.count
        // Each is better than all before, so that each is worth keeping.
        for number in 0..<1_200 {
            let code = try give(&world, id, by: number, price: UInt64(5_000 - number))
            #expect(code == (number < Int(limits.bidsWrittenPerJobMax) ? nil : "too_many_bids"), "\(number)")
        }
        let job = try #require(world.job(id))
        #expect(job.bids.count == limits.bidsPerJobMax && job.bidCount == limits.bidsWrittenPerJobMax)
        #expect(world.parties[0].market.counters.bidsIgnored == 1_200 - limits.bidsWrittenPerJobMax)
        // Each bid that was written, and each that made way for one.
        let written = 2 * Int(limits.bidsWrittenPerJobMax) - limits.bidsPerJobMax
        #expect(world.parties[0].journal.count == journal + written)
        world.run(milliseconds: 1_000)
        #expect(world.job(id)?.attempts.first?.assignment.terms.price == TokenAmount(5_000 - 1_023))
    }

    @Test func refusedBidsAreCountedAndTheirAccountIsBounded() throws {
        var world = MarketWorld(executors: 0) { _, configuration in configuration.limits.refusedBidsPerJobMax = 3 }
        let id = try world.submit(MarketWorld.request("dear") { $0.maxAcceptableBidTokens = TokenAmount(5) })
        world.run(milliseconds: 10)
        let journal = world.parties[0].journal.count
        for number in 0..<40 { #expect(try give(&world, id, by: number, price: 9) == "price_too_high") }
        #expect(world.parties[0].journal.count == journal + 3)
        #expect(world.parties[0].market.bidsHeld == 3)
        world.run(milliseconds: 31_000)
        guard case .noAcceptableBid(40, let refusals) = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(
            refusals.map(\.refusal)
                == Array(repeating: .priceTooHigh(price: TokenAmount(9), max: TokenAmount(5)), count: 3))
    }

    @Test func theBestBidsAreKeptWhateverTheOrderOfTheirArrival() throws {
        var world = MarketWorld(executors: 0) { _, configuration in configuration.limits.bidsPerJobMax = 8 }
        world.checksReplay = true
        let id = try world.submit()
        world.run(milliseconds: 10)
        // All that are kept ask 50; then come dearer ones, and at last cheaper ones.
        for number in 0..<8 { #expect(try give(&world, id, by: number, price: 50) == nil) }
        for number in 8..<12 { #expect(try give(&world, id, by: number, price: 60) == "too_many_bids") }
        #expect(world.parties[0].market.counters.bidsIgnored == 4)
        for number in 12..<15 { #expect(try give(&world, id, by: number, price: 10) == nil) }
        let job = try #require(world.job(id))
        #expect(job.bids.count == 8)
        #expect(job.bids.count { $0.bid.terms.price == TokenAmount(10) } == 3)
        let told = world.log.compactMap { message -> String? in
            if case .jobBidRefused(let refusal) = message { refusal.code.text } else { nil }
        }
        #expect(told == ["too_many_bids", "too_many_bids", "too_many_bids"], "those that made way are told")
        world.run(milliseconds: 1000)
        #expect(world.job(id)?.attempts.first?.assignment.terms.price == TokenAmount(10))
    }

    @Test func theScoreThatDecidesIsTheJobsOwn() throws {
        var world = MarketWorld(executors: 0) { _, configuration in configuration.limits.bidsPerJobMax = 4 }
        let id = try world.submit(
            MarketWorld.request("idle") { params in
                params.executionPolicy = ExecutionPolicy()
                params.executionPolicy?.weights = SelectionWeights(
                    price: 0, reputation: 0, region: 0, latency: 0, load: 1)
            })
        world.run(milliseconds: 10)
        for number in 0..<4 { #expect(try give(&world, id, by: number, price: 1, loadPermille: 800) == nil) }
        #expect(try give(&world, id, by: 5, price: 1, loadPermille: 900) == "too_many_bids")
        #expect(try give(&world, id, by: 6, price: 90, loadPermille: 100) == nil)
        #expect(world.job(id)?.bids.contains { $0.bid.loadPermille == 100 } == true)
    }

    @Test func bidsOfOnePeerAndBidsInTheJournal() throws {
        var world = MarketWorld(executors: 0) { _, configuration in
            configuration.limits.bidsPerJobMax = 2
            configuration.limits.bidsWrittenPerJobMax = 12
            configuration.limits.biddersPerJobMax = 64
        }
        let id = try world.submit()
        world.run(milliseconds: 10)
        var codes: [String?] = []
        for price in (10..<16).reversed() { codes.append(try give(&world, id, by: 1, price: UInt64(price))) }
        #expect(codes == [nil, nil, nil, nil, "too_many_bids", "too_many_bids"], "four of one peer are judged")
        for number in 2..<10 { #expect(try give(&world, id, by: number, price: UInt64(10 - number)) == nil) }
        #expect(world.job(id)?.bidCount == 12)
        #expect(try give(&world, id, by: 20, price: 0) == "too_many_bids", "the journal of a job is bounded")
        #expect(world.job(id)?.bids.count == 2)
    }

    @Test func threeBidsOfNewKeysDoNotCloseTheWindow() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 10)
        for number in 0..<3 { #expect(try give(&world, id, by: number, price: 50) == nil) }
        #expect(world.job(id)?.status == .biddingOpen)
        world.run(milliseconds: 500)
        #expect(try give(&world, id, by: 9, price: 10) == nil, "an honest bid that comes later is in time")
        world.run(milliseconds: 600)
        #expect(closures(world) == [.windowElapsed])
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [try identity(9).did])
    }

    @Test func aNumberThatTheUserNamesCountsEverybody() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit(
            MarketWorld.request("two") { params in
                params.executionPolicy = JobLifeTests.policy { $0.sufficientBids = 2 }
            })
        world.run(milliseconds: 10)
        for number in 0..<2 { #expect(try give(&world, id, by: number, price: 50) == nil) }
        #expect(closures(world) == [.sufficientBids])
    }

    @Test func anExecutorThatProvedItselfClosesTheWindow() throws {
        var world = MarketWorld(executors: 3)
        let first = try world.submit(MarketWorld.request("first"))
        world.run(milliseconds: 20_000)
        #expect(world.job(first)?.result == .completedSuccessfully)
        let second = try world.submit(MarketWorld.request("second"))
        #expect(world.run(milliseconds: 100) { $0.job(second)?.attempts.count == 1 }, "no second is waited")
        #expect(closures(world) == [.windowElapsed, .sufficientBids])
        // A stranger that is cheaper would win, so others get their time.
        world.run(milliseconds: 20_000)
        world.parties[1].isDown = true
        let third = try world.submit(MarketWorld.request("third"))
        world.run(milliseconds: 50)
        #expect(try give(&world, third, by: 1, price: 1) == nil)
        world.run(milliseconds: 500)
        #expect(world.job(third)?.attempts.isEmpty == true)
    }

    @Test func bidsOfJobsThatHaveTheirResultLeaveMemory() throws {
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        for number in 0..<4 {
            let id = try world.submit(
                MarketWorld.request("job \(number)") { $0.maxAcceptableBidTokens = TokenAmount(50) })
            world.run(milliseconds: 900)
            #expect(number > 0 || world.parties[0].market.bidsHeld == 3, "two that fit and one that is too dear")
            world.run(milliseconds: 30_000)
            #expect(world.job(id)?.result == .completedSuccessfully)
            #expect(world.job(id)?.bidCount == 3)
            #expect(world.parties[0].market.bidsHeld == 0)
        }
    }

    @Test func onlyABidThatIsTakenUpIsKeptAsEvidence() throws {
        var world = MarketWorld(executors: 3)
        let id = try world.submit()
        world.run(milliseconds: 30_000)
        let taken = try #require(world.job(id)?.attempts.first?.assignment.bidCID)
        let bids = world.parties[0].blocks.filter { (try? SignedObject<Bid>(verifying: $0.value)) != nil }.map(\.key)
        #expect(bids == [taken])
    }

    // MARK: Executors that proved nothing

    /// An executor that proved itself, and dear keys of strangers beside it: who gets the jobs; `key` says which of the
    /// keys bids on a job.
    private func takers(
        jobs: Int, jobsMax: Int, keyOf: (Int) -> Int, isProven: Bool = true
    ) throws -> (world: MarketWorld, strangers: Int) {
        var world = MarketWorld(executors: isProven ? 1 : 0) { index, configuration in
            configuration.limits.unprovenJobsMax = jobsMax
            guard index > 0 else { return }
            configuration.executor?.concurrentRunsMax = 64
            configuration.executor?.basePrice = TokenAmount(90)
            configuration.executor?.priceMax = TokenAmount(90)
        }
        if isProven {
            let first = try world.submit(MarketWorld.request("first"))
            world.run(milliseconds: 20_000)
            #expect(world.job(first)?.result == .completedSuccessfully)
            world.parties[1].run = .hang
        }
        var strangers = 0
        for number in 0..<jobs {
            let id = try world.submit(
                MarketWorld.request("job \(number)") { params in
                    params.maxAcceptableBidTokens = TokenAmount(100)
                    params.executionPolicy = JobLifeTests.policy { $0.bidWindowMilliseconds = 60 }
                })
            world.run(milliseconds: 40)
            #expect(try give(&world, id, by: keyOf(number), price: 2) == nil)
            #expect(world.run(milliseconds: 40) { $0.job(id)?.attempts.isEmpty == false })
            let executor = try #require(world.job(id)?.attempts.first?.assignment.executorDID)
            if executor == (try identity(keyOf(number)).did) { strangers += 1 }
        }
        return (world, strangers)
    }

    @Test("Keys that proved nothing have four jobs at once, if one that proved itself bids and has a free place")
    func unprovenJobs() throws {
        #expect(try takers(jobs: 8, jobsMax: 100) { $0 }.strangers == 8, "they are cheaper")
        let (world, strangers) = try takers(jobs: 8, jobsMax: MarketLimits().unprovenJobsMax) { $0 }
        #expect(strangers == MarketLimits().unprovenJobsMax)
        let told = try #require(world.parties[0].events.last { $0.kindName == "bidding_closed" }?.explanation)
        #expect(told.contains("behind: executors without a verified receipt here have 4 jobs"), "\(told)")
    }

    @Test("One of them has two")
    func unprovenJobsOfOneKey() throws {
        let (_, strangers) = try takers(jobs: 4, jobsMax: 100) { _ in 0 }
        #expect(strangers == MarketLimits().unprovenJobsPerKeyMax)
    }

    @Test("Where nobody has proved anything nobody waits")
    func onlyNewKeys() throws {
        #expect(try takers(jobs: 8, jobsMax: 4, keyOf: { $0 / 4 }, isProven: false).strangers == 8)
    }

    @Test("Of many jobs under way they have one in eight, and the place of a liar is free again after a while")
    func unprovenHolds() throws {
        let (limits, times) = (MarketLimits(), OriginatorConfiguration())
        var holds = UnprovenHolds()
        func assignment(_ number: Int) -> CID { CID.hashing(Array("\(number)".utf8), codec: .raw) }
        func isFull(_ world: MarketWorld) throws -> Bool {
            try holds.isFull(
                for: identity(99).did, taken: holds.taken(now: world.now), limits)
        }
        var world = MarketWorld(executors: 0)
        for number in 0..<limits.unprovenJobsMax {
            #expect(try !isFull(world))
            holds.began(assignment(number), try identity(number).did, isUnproven: true)
        }
        #expect(try isFull(world))
        let many = (limits.unprovenJobsMax + 1) * limits.unprovenJobsDivisor
        for number in 100..<(100 + many - limits.unprovenJobsMax) {
            holds.began(assignment(number), try identity(1).did, isUnproven: false)
        }
        #expect(try !isFull(world))
        for number in 100..<(100 + many) { holds.ended(assignment(number)) }
        #expect(try isFull(world))
        holds.ended(assignment(0))
        #expect(try !isFull(world))
        holds.began(assignment(0), try identity(0).did, isUnproven: true)
        // It has no job any more, and its place is still taken.
        holds.lied(assignment(0), world.parties[0].market.context)
        #expect(try isFull(world))
        try world.submit()
        world.run(milliseconds: Int64(times.unprovenRestMilliseconds) + 1_000)
        #expect(try !isFull(world))
    }
}
