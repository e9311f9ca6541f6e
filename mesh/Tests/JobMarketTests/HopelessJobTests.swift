import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// What a job does about executors that refuse it or ask too much.
@Suite struct HopelessJobTests: OutlookFixtures {
    private func hopeless() -> ExecutorOutlook { ExecutorOutlook([standing(2, [memory(1 << 30)])]) }

    @Test("A job that all known executors refuse ends when nobody else is to be expected, and not before")
    func patience() throws {
        for (patience, isOver) in [(nil, false), (7_000, false), (750, true)] as [(UInt64?, Bool)] {
            var world = MarketWorld(executors: 0)
            world.checksReplay = true
            let id = try world.submit()
            world.run(milliseconds: 500)
            world.give(.executorsJudged(id, hopeless(), patienceMilliseconds: patience), to: 0)
            #expect(world.job(id)?.result == nil, "the window is open")
            #expect(world.names(of: 0).last == "executors_judged")
            world.run(milliseconds: 600)
            world.give(.executorsJudged(id, hopeless(), patienceMilliseconds: patience), to: 0)
            #expect((world.job(id)?.result == .failed) == isOver, "\(String(describing: patience))")
            guard isOver else { continue }
            #expect(world.job(id)?.failure == .noExecutor(hopeless(), bids: 0))
            let told = world.parties[0].events.map(\.explanation)
            #expect(told.contains { $0.hasPrefix("1 executor is known; it refuses: memory 3 GiB") })
            #expect(told.contains { $0.hasPrefix("The job failed: no executor took the job: 1 executor is known") })
        }
    }

    @Test("Once all refuse, the owner is told for how long the job waits; that is no news by itself, and no failure")
    func wait() throws {
        var world = MarketWorld(executors: 0)
        world.checksReplay = true
        let id = try world.submit()
        world.run(milliseconds: 500)
        func judge(wait: UInt64?, patience: UInt64?) {
            var outlook = hopeless()
            outlook.waitMilliseconds = wait
            world.give(.executorsJudged(id, outlook, patienceMilliseconds: patience), to: 0)
        }
        judge(wait: 6_201, patience: nil)
        judge(wait: 6_001, patience: nil)
        world.run(milliseconds: 600)
        judge(wait: 0, patience: 750)
        #expect(world.job(id)?.failure == .noExecutor(hopeless(), bids: 0))
        let told = world.parties[0].events.map(\.explanation)
        let sentence = " The job waits up to 7 s for executors that are not known yet."
        #expect(told.count { $0.hasPrefix("1 executor is known; it refuses: ") && $0.hasSuffix(sentence) } == 1)
        #expect(told.count { $0.contains("waits up to") } == 1, "\(told)")
    }

    @Test("A wait that is over at once is not told")
    func shortWait() {
        var outlook = hopeless()
        for (milliseconds, words) in [(nil, nil), (1_499, nil), (1_500, "2 s"), (2_000, "2 s"), (7_000, "7 s")]
            as [(UInt64?, String?)]
        {
            outlook.waitMilliseconds = milliseconds
            let isTold = outlook.account.contains("waits up to")
            #expect(isTold == (words != nil))
            if let words { #expect(outlook.account.hasSuffix("up to \(words) for executors that are not known yet.")) }
        }
    }

    private func standings(
        _ world: MarketWorld, _ id: JobID, sizes: JobSizes = JobSizes(), wasKnown: Bool = false
    ) -> [ExecutorStanding] {
        world.parties[0].market.standings(
            of: id, offers: [], sizes: sizes, answers: [:], wasKnown: { _ in wasKnown })
    }

    /// Who refuses, or asks too much, and when the job ends for that.
    private enum Bidder: CaseIterable { case unwanted, stranger, known, proven }

    @Test("A job whose bids are too dear ends with its window only if a bidder is no stranger; else it waits on")
    func tooDear() throws {
        for bidder in Bidder.allCases {
            var world = MarketWorld(executors: 1)
            if bidder == .proven {
                let first = try world.submit(MarketWorld.request("first"))
                world.run(milliseconds: 20_000)
                try #require(world.job(first)?.result == .completedSuccessfully)
            }
            let isDear = bidder != .unwanted
            let id = try world.submit(
                MarketWorld.request { params in
                    params.executionPolicy = ExecutionPolicy()
                    params.executionPolicy?.minReputation = isDear ? nil : 500
                    params.maxAcceptableBidTokens = isDear ? TokenAmount(3) : nil
                })
            func judge() {
                let standings = standings(world, id, wasKnown: bidder == .known)
                let outlook = ExecutorOutlook(standings)
                #expect(outlook.isTooDear == isDear && outlook.isHopeless)
                world.give(
                    .executorsJudged(id, outlook, patienceMilliseconds: standings.patience(milliseconds: 7_000)), to: 0)
            }
            world.run(milliseconds: 900)
            judge()
            #expect(world.job(id)?.result == nil, "\(bidder): the window is open")
            world.run(milliseconds: 200)
            judge()
            let endsEarly = bidder == .known || bidder == .proven
            #expect((world.job(id)?.result == .failed) == endsEarly, "\(bidder)")
            if !endsEarly {
                world.run(milliseconds: 5_800)
                judge()
                #expect(world.job(id)?.result == nil, "\(bidder)")
                world.run(milliseconds: 200)
                judge()
            }
            guard case .noExecutor(let told, let bids)? = world.job(id)?.failure else {
                Issue.record("\(bidder): \(String(describing: world.job(id)?.failure))")
                continue
            }
            #expect(bids == 1 && told.isTooDear == isDear)
            if isDear { #expect("\(told)".contains("asks up to 20 tokens, above the budget of 3"), "\(told)") }
        }
    }

    @Test("A too dear bid of a stranger takes nobody the time to bid, and the end of the bidding says what it asked")
    func dearStranger() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.biddingMilliseconds = 5_000
        }
        let id = try world.submit(MarketWorld.request { $0.maxAcceptableBidTokens = TokenAmount(3) })
        world.run(milliseconds: 2_000)
        let told = standings(world, id)
        #expect(told.patience(milliseconds: nil) == nil)
        world.give(.executorsJudged(id, ExecutorOutlook(told), patienceMilliseconds: nil), to: 0)
        world.run(milliseconds: 2_900)
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 1_000)
        #expect(world.job(id)?.failure == .noExecutor(ExecutorOutlook(told), bids: 1))
    }

    @Test("A bid of an executor that cannot hold the module, by its own offer, is refused and counted by that limit")
    func shortage() throws {
        var sizes = JobSizes()
        sizes.moduleFunctions = 11
        let shortage = try #require(OfferedShortage(of: offer(), for: sizes))
        var world = MarketWorld(executors: 1)
        world.blocked = [.jobBid]
        let id = try world.submit()
        world.run(milliseconds: 100)
        let bid = try #require(world.log.first { $0.variant == .jobBid })
        let executor = world.parties[1].peer
        let (reply, _) = world.parties[0].market.receive(
            bid, from: executor, of: KnownBidder(shortage: shortage), now: world.now, wallClock: world.wallClock)
        #expect(reply == .refused(Refusal(.resourceMissing, "module_functions 10 < 11")))
        let outlook = ExecutorOutlook(standings(world, id, sizes: sizes))
        #expect(outlook.reasons.map(\.obstacle) == [.limit(.moduleFunctions, asked: 11, offered: 10)])
        let (again, _) = world.parties[0].market.receive(
            bid, from: executor, now: world.now, wallClock: world.wallClock)
        #expect(again == .ack, "it is judged by what is known of it now")
    }

    @Test("A window that the owner named runs its course, and so does one of this node's own executor")
    func ownWindow() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit(
            MarketWorld.request {
                $0.executionPolicy = ExecutionPolicy()
                $0.executionPolicy?.bidWindowMilliseconds = 15_000
            })
        world.run(milliseconds: 14_000)
        world.give(.executorsJudged(id, hopeless(), patienceMilliseconds: 750), to: 0)
        #expect(world.job(id)?.result == nil)

        var alone = MarketWorld(executors: 0) { _, configuration in
            configuration.executor = ExecutorConfiguration()
            configuration.executor?.bidsOnOwnJobs = true
        }
        let big = try alone.submit(MarketWorld.request { $0.maxMemoryBytes = 2 << 30 })
        alone.run(milliseconds: 900)
        func outlook() -> ExecutorOutlook { ExecutorOutlook(standings(alone, big)) }
        #expect(outlook().isHere && outlook().isHopeless)
        alone.run(milliseconds: 200)
        alone.give(.executorsJudged(big, outlook(), patienceMilliseconds: nil), to: 0)
        #expect(alone.job(big)?.result == nil)
        // Without a connection nobody else is to be expected.
        alone.give(.nobodyReachable, to: 0)
        guard case .noExecutor(let told, 0)? = alone.job(big)?.failure else {
            Issue.record("\(String(describing: alone.job(big)?.failure))")
            return
        }
        #expect("\(told)".contains("this node is the only executor known; it refuses: memory 2 GiB"))
    }

    @Test("The journal records a bounded number of accounts, and each only once")
    func bounded() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 100)
        for offered in 1...20 {
            for _ in 0..<2 {
                let outlook = ExecutorOutlook([standing(2, [memory(UInt64(offered))])])
                world.give(.executorsJudged(id, outlook, patienceMilliseconds: nil), to: 0)
            }
        }
        #expect(world.names(of: 0).count { $0 == "executors_judged" } == MarketLimits().outlooksPerJobMax)
    }
}
