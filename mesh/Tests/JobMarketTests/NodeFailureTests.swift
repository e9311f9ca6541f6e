import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What an executor fails by its own doing is tried once elsewhere; what it cannot do it does not bid on again.
@Suite("Failures of nodes")
struct NodeFailureTests {
    private static let ownLimit = ExecutionOutcome.nodeFailed(reason: "compiling the module was stopped at its limit")

    @Test func theSecondFailureOfANodeEndsTheJobAndTheThirdExecutorIsSpared() throws {
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        world.parties[1].run = .end(Self.ownLimit, fuel: 0)
        world.parties[2].run = .end(Self.ownLimit, fuel: 0)
        let id = try world.submit()
        world.run(milliseconds: 200_000)
        let job = try #require(world.job(id))
        guard case .attemptsExhausted(2, .nodeFailed(_, Self.ownLimit)) = job.failure else {
            Issue.record("\(String(describing: job.failure))")
            return
        }
        #expect(job.attempts.map(\.assignment.executorDID) == (1...2).map { world.parties[$0].identity.did })
        #expect(world.parties[3].orders.isEmpty)
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
    }

    @Test("Where the executor's machine was busy, the advice is more time or another moment")
    func starved() {
        func advice(_ reason: String) -> String? {
            let receipt = CID.hashing([1], codec: .dagCBOR)
            let last = AttemptEnd.nodeFailed(receipt: receipt, outcome: .nodeFailed(reason: reason))
            return JobFailure.attemptsExhausted(attempts: 2, last: last).advice
        }
        let told = "The executor's machine is busy: raise --timeout, or run it again later."
        #expect(advice("the run had the processor for 559 of 2000 ms only") == told)
        #expect(advice("the executor stood still during the run") == told)
        #expect(advice("compiling the module was stopped at its limit") == nil)
    }

    @Test func fetchesThatFailDoNotCountAsFailuresOfNodes() throws {
        var world = MarketWorld(executors: 3)
        world.parties[1].run = .end(.fetchFailed(reason: "no provider"), fuel: 0)
        world.parties[2].run = .end(.fetchFailed(reason: "no provider"), fuel: 0)
        let id = try world.submit()
        world.run(milliseconds: 200_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 3)
    }

    private static func request(_ key: String, module: String) -> JobRequest {
        MarketWorld.request(key) { $0.wasmCID = CID.hashing(Array(module.utf8), codec: .raw) }
    }

    /// Submits a job of a module, lets the first executor find it beyond its limits, and the job end elsewhere.
    private func fail(_ module: String, in world: inout MarketWorld) throws {
        world.parties[1].run = .hang
        let id = try world.submit(Self.request("fails with \(module)", module: module))
        try #require(world.run(milliseconds: 20_000) { $0.job(id)?.status == .running })
        let order = try #require(world.parties[1].orders.last)
        try #require(order.jobID == id)
        var report = ExecutionReport(outcome: Self.ownLimit, startedAt: world.wallClock, endedAt: world.wallClock)
        report.isModuleBeyondLimits = true
        world.give(.executionFinished(assignment: order.assignmentCID, report), to: 1)
        world.parties[1].run = .succeed(fuel: 1)
        world.run(milliseconds: 20_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.last?.assignment.executorDID == world.parties[2].identity.did)
    }

    /// Who ran a job of a module.
    private func runner(of module: String, _ key: String, in world: inout MarketWorld) throws -> Int {
        let id = try world.submit(Self.request(key, module: module))
        world.run(milliseconds: 20_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.count == 1)
        return try #require((1...2).first { job.attempts[0].assignment.executorDID == world.parties[$0].identity.did })
    }

    @Test func aModuleBeyondAnExecutorsLimitsIsNotBidOnAgain() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        try fail("heavy", in: &world)
        #expect(try runner(of: "heavy", "again", in: &world) == 2)
        let decline = try #require(world.parties[1].market.recentDeclines.last)
        #expect(decline.reason == .moduleBeyondLimits)
        #expect(world.parties[1].market.counters.declines["module_beyond_limits"] == 1)
        #expect(try runner(of: "light", "another", in: &world) == 1)
    }

    @Test func ofTheModulesBeyondItsLimitsAnExecutorForgetsTheOldest() throws {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.originator.sufficientBids = 2
            configuration.limits.modulesBeyondLimitsMax = 2
        }
        for module in ["a", "b", "c"] { try fail(module, in: &world) }
        #expect(try runner(of: "a", "a again", in: &world) == 1)
        #expect(try runner(of: "b", "b again", in: &world) == 2)
        #expect(try runner(of: "c", "c again", in: &world) == 2)
    }

    // MARK: Modules that the own store knows

    private static func module(_ name: String) -> CID { CID.hashing(Array(name.utf8), codec: .raw) }

    /// Two executors, of which the first one looks modules up; it holds "long", which is longer than it runs.
    private func lookingWorld(_ change: @escaping (inout MarketLimits) -> Void = { _ in }) -> MarketWorld {
        var world = MarketWorld(executors: 2) { index, configuration in
            configuration.originator.sufficientBids = 2
            configuration.executor?.looksModulesUp = index == 1
            change(&configuration.limits)
        }
        world.parties[1].longModules = [Self.module("long")]
        return world
    }

    @Test func aModuleThatTheOwnStoreShowsToBeTooLongIsNotBidOn() throws {
        var world = lookingWorld()
        #expect(try runner(of: "long", "first", in: &world) == 2)
        #expect(world.parties[1].market.recentDeclines.last?.reason == .moduleBeyondLimits)
        #expect(!world.names(of: 1).contains("bid_made"))
        #expect(try runner(of: "long", "second", in: &world) == 2)
        #expect(world.parties[1].market.counters.declines["module_beyond_limits"] == 2)
        #expect(try runner(of: "short", "third", in: &world) == 1)
        #expect(try runner(of: "short", "fourth", in: &world) == 1)
        #expect(world.parties[1].lookedUp == ["long", "short"].map(Self.module), "each module is looked up once")
        #expect(world.parties[2].lookedUp.isEmpty)
    }

    @Test func ofTheModulesThatItLookedUpAnExecutorForgetsTheOldest() throws {
        var world = lookingWorld { $0.modulesLookedUpMax = 2 }
        for name in ["a", "b", "a", "c", "b", "a"] {
            let key = "\(name) after \(world.parties[1].orders.count)"
            #expect(try runner(of: name, key, in: &world) == 1)
        }
        #expect(world.parties[1].lookedUp == ["a", "b", "c", "a"].map(Self.module))
    }

    @Test func jobsWaitOnceForTheStoreAndNoMoreOfThemThanMay() throws {
        var world = lookingWorld { $0.moduleLooksMax = 2 }
        func open() -> Int { world.parties[1].market.executedJobs.count(where: \.isOpenBid) }
        let stranger = try ExecutorShareTests.stranger(1)
        let messages = try (0..<3).map { try ExecutorShareTests.announcement(by: stranger, $0, world) }
        for message in messages + messages {
            world.give(message, author: stranger.peerID, to: 1)
        }
        #expect(open() == 1, "the third one is judged without a look")
        #expect(world.parties[1].lookedUp.count == 1)
        world.run(milliseconds: 10)
        #expect(open() == 3)
        #expect(world.names(of: 1).count { $0 == "bid_made" } == 3)
        let more = try ExecutorShareTests.announcement(by: stranger, 3, world)
        world.give(more, author: stranger.peerID, to: 1)
        #expect(open() == 4, "it is known by now")
        #expect(world.parties[1].lookedUp.count == 1)
    }
}
