import Economics
import JobMarket
import MeshTypes
import Multiformats
import Reputation
import SignedObjects
import Testing

/// A node that executes runs its own job when nobody else wants it, through the same market, and gains nothing by it.
@Suite struct OwnJobTests {
    private static func executing(_ configuration: inout MarketConfiguration, bidsOnOwnJobs: Bool = true) {
        var executor = ExecutorConfiguration()
        executor.basePrice = TokenAmount(5)
        executor.priceMax = TokenAmount(40)
        executor.pricePerMillionFuel = TokenAmount(1)
        executor.bidsOnOwnJobs = bidsOnOwnJobs
        configuration.executor = executor
    }

    private func world(executors: Int = 0, _ change: @escaping (inout MarketConfiguration) -> Void = { _ in })
        -> MarketWorld
    {
        MarketWorld(executors: executors) { index, configuration in
            guard index == 0 else { return }
            Self.executing(&configuration)
            change(&configuration)
        }
    }

    /// The verdicts on the bids that the originator judged.
    private func refusals(_ world: MarketWorld) -> [String] {
        world.parties[0].events.compactMap { event in
            if case .bidReceived(_, let refusal) = event.kind { refusal?.name.rawValue ?? "none" } else { nil }
        }
    }

    @Test("A node alone runs its job once the window is over; nothing is earned, and no reputation comes of it")
    func alone() throws {
        var world = world()
        world.checksReplay = true
        let before = world.parties[0].market.ledger.wallet
        let id = try world.submit()
        world.run(milliseconds: 990)
        #expect(world.names(of: 0) == ["submitted", "announced"], "the window is for others")
        let isDone = world.run(milliseconds: 60_000) {
            $0.job(id)?.isClosed == true && $0.parties[0].market.openCounts.executed == 0
        }
        #expect(isDone)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully && job.attempts.count == 1)
        #expect(job.receipt?.receipt.executorDID == world.parties[0].identity.did)
        let ledger = world.parties[0].market.ledger
        #expect(ledger.wallet == before && ledger.escrowTotal == .zero)
        #expect(job.paid == TokenAmount(6) && ledger.paid == job.paid && ledger.earned == job.paid)
        #expect(world.parties[0].market.reputation.subjectCount == 0, "a receipt for oneself proves nothing")
        let texts = world.parties[0].events.map(\.explanation)
        #expect(
            texts.contains { $0.hasPrefix("Nobody else made an acceptable bid, so this node bids on its own job, ") })
        #expect(texts.contains { $0.hasPrefix("Attempt 1 goes to this node itself for at most ") })
    }

    @Test("Another acceptable bid is taken however dear it is, and the node does not even bid")
    func others() throws {
        var world = world(executors: 1) { $0.executor?.basePrice = .zero }
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.receipt?.receipt.executorDID == world.parties[1].identity.did)
        #expect(refusals(world) == ["none"])
        #expect(!world.names(of: 0).contains("bid_made"))
    }

    @Test("Where every other bid is refused, or its executor failed, the node runs the job itself")
    func lastResort() throws {
        var dear = world(executors: 1)
        let cheap = try dear.submit(MarketWorld.request { $0.maxAcceptableBidTokens = TokenAmount(9) })
        dear.parties[0].market.configuration.executor?.priceMax = TokenAmount(9)
        dear.run(milliseconds: 30_000)
        #expect(dear.job(cheap)?.receipt?.receipt.executorDID == dear.parties[0].identity.did)
        #expect(refusals(dear) == ["price_too_high", "none"])

        var failing = world(executors: 1)
        failing.parties[1].run = .end(.nodeFailed(reason: "broken"), fuel: 0)
        let id = try failing.submit()
        failing.run(milliseconds: 60_000)
        let job = try #require(failing.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(
            job.attempts.map(\.assignment.executorDID) == [failing.parties[1], failing.parties[0]].map(\.identity.did))
    }

    @Test("A node that does not bid on its own jobs fails them without waiting when it can reach nobody")
    func nobody() throws {
        for executes in [false, true] {
            var world = world { configuration in
                if !executes { configuration.executor = nil }
                configuration.executor?.bidsOnOwnJobs = false
            }
            let id = try world.submit()
            world.run(milliseconds: 100)
            world.give(.nobodyReachable, to: 0)
            #expect(world.job(id)?.failure == .nobodyReachable)
            #expect(world.parties[0].market.ledger.escrowTotal == .zero)
            world.run(milliseconds: 1_000_000)
            #expect(world.job(id)?.isClosed == true)
        }
    }

    @Test("A node that can reach nobody still waits for its own window and run; one that will not run the job fails it")
    func nobodyButItself() throws {
        var world = world()
        let id = try world.submit()
        for _ in 0..<20 {
            world.give(.nobodyReachable, to: 0)
            world.run(milliseconds: 100)
        }
        #expect(world.job(id)?.result == .completedSuccessfully)

        let large = try world.submit(MarketWorld.request("large") { $0.maxOutputBytes = 1 << 30 })
        world.run(milliseconds: 900)
        world.give(.nobodyReachable, to: 0)
        #expect(world.job(large)?.result == nil, "the window is not over")
        world.run(milliseconds: 200)
        world.give(.nobodyReachable, to: 0)
        #expect(world.job(large)?.failure == .nobodyReachable)
        #expect(world.parties[0].market.counters.declines["limit_too_large"] == 1)
    }

    @Test("Where nobody is known to execute, a job without a bid waits as long as it is told, and for its window")
    func nobodyExecutes() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 900)
        world.give(.nobodyExecutes(afterMilliseconds: 750), to: 0)
        #expect(world.job(id)?.result == nil, "the window is not over")
        world.run(milliseconds: 6_050)
        world.give(.nobodyExecutes(afterMilliseconds: 7_000), to: 0)
        #expect(world.job(id)?.result == nil, "it has not waited long enough")
        world.run(milliseconds: 100)
        world.give(.nobodyExecutes(afterMilliseconds: 7_000), to: 0)
        #expect(world.job(id)?.failure == .nobodyExecutes)
        #expect(world.parties[0].market.ledger.escrowTotal == .zero)

        var policy = ExecutionPolicy()
        policy.bidWindowMilliseconds = 20_000
        let patient = try world.submit(MarketWorld.request("patient") { $0.executionPolicy = policy })
        world.run(milliseconds: 19_000)
        world.give(.nobodyExecutes(afterMilliseconds: 7_000), to: 0)
        #expect(world.job(patient)?.result == nil, "its user gave it that long")
        world.run(milliseconds: 1_500)
        world.give(.nobodyExecutes(afterMilliseconds: 7_000), to: 0)
        #expect(world.job(patient)?.failure == .nobodyExecutes)
    }

    @Test("However short bidding is, a window that was asked for is waited for, and then the node bids itself")
    func windowBeyondBidding() throws {
        var world = MarketWorld(executors: 1)
        world.parties[0].market.configuration.originator.biddingMilliseconds = 100
        var policy = ExecutionPolicy()
        policy.bidWindowMilliseconds = 5_000
        let id = try world.submit(MarketWorld.request { $0.executionPolicy = policy })
        world.run(milliseconds: 4_500)
        #expect(world.job(id)?.result == nil)
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result != nil })
        #expect(world.job(id)?.attempts.count == 1)
    }

    @Test("A job that somebody bid on waits its whole time, whoever is known to execute")
    func refusedBidder() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit(MarketWorld.request { $0.maxAcceptableBidTokens = TokenAmount(1) })
        world.run(milliseconds: 8_000)
        world.give(.nobodyExecutes(afterMilliseconds: 750), to: 0)
        #expect(refusals(world) == ["price_too_high"])
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 30_000)
        guard case .noAcceptableBid(bids: 1, _)? = world.job(id)?.failure else {
            Issue.record("it failed by \(String(describing: world.job(id)?.failure))")
            return
        }
    }

    @Test("Jobs that wait for a place here are not failed for want of peers")
    func full() throws {
        var world = world { configuration in
            configuration.executor?.concurrentRunsMax = 1
            configuration.executor?.queuedRunsMax = 0
        }
        let first = try world.submit(MarketWorld.request("first"))
        let second = try world.submit(MarketWorld.request("second"))
        for _ in 0..<60 {
            world.give(.nobodyReachable, to: 0)
            world.run(milliseconds: 100)
        }
        #expect(world.job(first)?.result == .completedSuccessfully)
        #expect(world.job(second)?.result == .completedSuccessfully)
    }
}
