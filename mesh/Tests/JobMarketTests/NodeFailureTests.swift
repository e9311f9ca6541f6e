import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What an executor fails by its own doing is tried elsewhere, after two of them only if the job can be run; what an
/// executor cannot do it does not bid on again.
@Suite("Failures of nodes")
struct NodeFailureTests {
    private static let ownLimit = ExecutionOutcome.nodeFailed(reason: "compiling the module was stopped at its limit")

    /// What an originator holds against an executor.
    private func verdicts(_ world: MarketWorld, about index: Int) -> [ReputationVerdict] {
        world.parties[0].market.reputation.evidence(about: world.parties[index].identity.did).map(\.verdict)
    }

    /// What the own run gives that comes to an end.
    private static let runs = ReplayFinding.claimRefuted(reason: "here the module ended with exit code 0")

    @Test(
        "Two executors that say they failed, or crashed, end no job that runs here; both rank last afterwards",
        arguments: [
            ownLimit, .nodeFailed(reason: CrashedRun.reason("the process of the run was ended by signal 11")),
        ])
    func twoLiars(_ claim: ExecutionOutcome) throws {
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        world.trial = { _ in Self.runs }
        for index in 1...2 { world.parties[index].run = .end(claim, fuel: 0) }
        let id = try world.submit()
        #expect(world.run(milliseconds: 20_000) { !$0.tried.isEmpty })
        #expect(world.job(id)?.status == .verifying && world.job(id)?.phase == .verification)
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.map(\.assignment.executorDID) == (1...3).map { world.parties[$0].identity.did })
        #expect(world.tried.map(\.assignmentCID) == [job.attempts[1].cid], "one run for all that is said")
        for index in 1...2 { #expect(verdicts(world, about: index) == [.abandoned]) }
        #expect(job.paid == TokenAmount(31) && world.totalTokens == 1_000_000)
        // The next one goes to neither, although they bid less.
        for index in 1...2 { world.parties[index].run = .succeed(fuel: 1) }
        let next = try world.submit(Self.request("next", module: "another"))
        world.run(milliseconds: 60_000)
        #expect(world.job(next)?.attempts.map(\.assignment.executorDID) == [world.parties[3].identity.did])
    }

    @Test("A third and a fourth that say so use up the job's attempts, without another run here")
    func fourLiars() throws {
        var world = MarketWorld(executors: 5)
        world.checksReplay = true
        world.trial = { _ in Self.runs }
        for index in 1...4 { world.parties[index].run = .end(Self.ownLimit, fuel: 0) }
        let id = try world.submit()
        world.run(milliseconds: 200_000)
        guard case .attemptsExhausted(4, .nodeFailed)? = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(world.tried.count == 1)
    }

    @Test("Where a job may be tried no more, nothing is run here")
    func noAttemptsLeft() throws {
        var world = MarketWorld(executors: 3)
        for index in 1...2 { world.parties[index].run = .end(Self.ownLimit, fuel: 0) }
        var policy = ExecutionPolicy()
        policy.maxAttempts = 2
        let id = try world.submit(MarketWorld.request { $0.executionPolicy = policy })
        world.run(milliseconds: 200_000)
        #expect(world.job(id)?.failure?.code == "attempts_exhausted")
        #expect(world.tried.isEmpty)
    }

    /// A job that two executors failed, while the run here goes on.
    private func onTrial() throws -> (world: MarketWorld, id: JobID) {
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        world.trial = { _ in nil }
        for index in 1...2 { world.parties[index].run = .end(Self.ownLimit, fuel: 0) }
        let id = try world.submit()
        #expect(world.run(milliseconds: 20_000) { !$0.tried.isEmpty })
        return (world, id)
    }

    @Test("A restart begins the run here again, and its end decides")
    func restartDuringTrial() throws {
        var (world, id) = try onTrial()
        world.trial = { _ in Self.runs }
        try world.restart(0)
        world.run(milliseconds: 60_000)
        #expect(world.tried.count == 2)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 3)
    }

    @Test("Whoever cancels meanwhile stops the run here")
    func cancelDuringTrial() throws {
        var (world, id) = try onTrial()
        try world.cancel(id)
        #expect(world.job(id)?.result == .cancelled)
        #expect(world.stopped == world.tried.map(\.assignmentCID))
        world.run(milliseconds: 300_000)
        #expect(world.job(id)?.isClosed == true && world.job(id)?.attempts.count == 2)
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
    }

    @Test("A run here that does not end in its time is stopped, and the two decide")
    func trialTooLong() throws {
        var (world, id) = try onTrial()
        let seconds = MarketWorld.request().params.timeoutSeconds
        let most = OriginatorConfiguration().checkMilliseconds(timeoutSeconds: seconds)
        world.run(milliseconds: Int64(most) - 1_000)
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 2_000)
        #expect(world.job(id)?.failure?.code == "attempts_exhausted")
        #expect(world.stopped == world.tried.map(\.assignmentCID))
        #expect(world.parties[3].orders.isEmpty)
    }

    /// Lets the executor that has the job decline it.
    private func decline(_ id: JobID, _ world: inout MarketWorld) throws -> DID {
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.liveAttempt != nil })
        let live = try #require(world.job(id)?.liveAttempt)
        world.give(
            .deliveryReplied(
                DeliveryID(jobID: id, kind: .assignment, subject: live.cid), .declined(Refusal(.atCapacity, "full"))),
            to: 0)
        return live.assignment.executorDID
    }

    @Test("Declined assignments use up none of a job's attempts, so many of them, and rank last for a minute")
    func declines() throws {
        for (declinesMax, isDone) in [(UInt64(16), true), (1, false)] {
            var world = MarketWorld(executors: 6) { _, configuration in
                configuration.originator.declinesMax = declinesMax
            }
            world.blocked = [.assignJob]
            let id = try world.submit()
            var declined: [DID] = []
            for _ in 1...5 where world.job(id)?.result == nil { declined.append(try decline(id, &world)) }
            world.blocked = []
            world.run(milliseconds: 200_000)
            #expect((world.job(id)?.result == .completedSuccessfully) == isDone)
            #expect(declined == (1...5).map { world.parties[$0].identity.did })
            guard isDone else { continue }
            #expect(world.job(id)?.attempts.count == 6)
            #expect((1...5).allSatisfy { verdicts(world, about: $0).isEmpty }, "it is no failure")
        }
    }

    @Test(
        "Who declined, or could not fetch, is asked last for a minute; who is proven and declined for a moment",
        arguments: [(true, false, Int64(60_000)), (true, true, 2_000), (false, false, 60_000)])
    func rankLast(isDecline: Bool, isProven: Bool, milliseconds: Int64) throws {
        do {
            var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
            if isProven { try world.submit(Self.request("proves it", module: "another")) }
            if isProven { world.run(milliseconds: 20_000) }
            func first(_ key: String) throws -> DID? {
                let id = try world.submit(Self.request(key, module: key))
                world.run(milliseconds: 10_000)
                return world.job(id)?.attempts.first?.assignment.executorDID
            }
            if isDecline {
                world.blocked = [.assignJob]
                let id = try world.submit()
                #expect(try decline(id, &world) == world.parties[1].identity.did)
                world.blocked = []
            } else {
                world.parties[1].run = .end(.fetchFailed(reason: "no provider"), fuel: 0)
                #expect(try first("fails") == world.parties[1].identity.did)
                world.parties[1].run = .succeed(fuel: 1)
            }
            if !isProven { #expect(try first("second") == world.parties[2].identity.did) }
            world.run(milliseconds: milliseconds)
            #expect(try first("third") == world.parties[1].identity.did)
        }
    }

    @Test("Where this node cannot run the job, the second failure ends it and the third executor is spared")
    func theSecondFailureWhereNothingRunsHere() throws {
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
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.originator.sufficientBids = 2
            // The first one is asked first, whatever it did.
            configuration.originator.failedExecutorMilliseconds = 0
        }
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
            configuration.originator.failedExecutorMilliseconds = 0
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
