import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// A run that takes its engine down fails its executor's run alone. After two executors it is the job's fault; before
/// that it is nobody's, and if another executor does the job it was the first one's.
@Suite("Runs that crash the engine")
struct EngineCrashTests {
    private static let way = "the process of the run was ended by signal 11"
    private static let crash = ExecutionOutcome.nodeFailed(reason: CrashedRun.reason(way))
    private static let broken = ExecutionOutcome.nodeFailed(reason: "disk full")
    private static let unfetched = ExecutionOutcome.fetchFailed(reason: "no provider")
    private static let done = ExecutionOutcome.exited(code: 0)

    private static func module(_ name: String) -> CID { CID.hashing(Array(name.utf8), codec: .raw) }

    private static func request(_ key: String, _ module: String = "module") -> JobRequest {
        MarketWorld.request(key) { $0.wasmCID = Self.module(module) }
    }

    /// What an originator holds against an executor.
    private func verdicts(_ world: MarketWorld, about index: Int) -> [ReputationVerdict] {
        world.parties[0].market.reputation.evidence(about: world.parties[index].identity.did).map(\.verdict)
    }

    private struct Row {
        let ends: [ExecutionOutcome]
        /// `nil` where the job has a result.
        let failure: String?
        let attempts: Int
        let verdicts: [[ReputationVerdict]]
    }

    private static let rows = [
        Row(ends: [crash, crash, done], failure: "crashes_engine", attempts: 2, verdicts: [[], [], []]),
        Row(ends: [crash, done, done], failure: nil, attempts: 2, verdicts: [[.abandoned], [.fulfilled], []]),
        Row(
            ends: [crash, broken, done], failure: "attempts_exhausted", attempts: 2,
            verdicts: [[.abandoned], [.abandoned], []]),
        Row(
            ends: [broken, crash, done], failure: "attempts_exhausted", attempts: 2,
            verdicts: [[.abandoned], [.abandoned], []]),
        Row(
            ends: [crash, unfetched, crash], failure: "crashes_engine", attempts: 3,
            verdicts: [[], [.abandoned], []]),
        Row(
            ends: [unfetched, crash, done], failure: nil, attempts: 3,
            verdicts: [[.abandoned], [.abandoned], [.fulfilled]]),
    ]

    @Test("Two executors end the job and are not blamed; one that another made up for is", arguments: 0..<rows.count)
    func ends(row number: Int) throws {
        let row = Self.rows[number]
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        for (index, end) in row.ends.enumerated() { world.parties[index + 1].run = .end(end, fuel: 5) }
        let id = try world.submit()
        #expect(world.run(milliseconds: 30_000) { $0.job(id)?.result != nil })
        world.run(milliseconds: 1_000)
        let job = try #require(world.job(id))
        #expect(job.failure?.code == row.failure)
        #expect(job.attempts.count == row.attempts)
        #expect(world.parties[3].orders.count == (row.attempts == 3 ? 1 : 0))
        for index in 1...3 { #expect(verdicts(world, about: index) == row.verdicts[index - 1], "\(index)") }
        if row.failure != nil {
            #expect(job.result == .failed && job.paid == .zero)
            #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000), "all that was held came back")
        }
    }

    @Test("Nothing is held against anybody before the end, and the end decides after a restart, too")
    func restart() throws {
        for isLast in [Self.crash, Self.done] {
            var world = MarketWorld(executors: 2)
            world.parties[1].run = .end(Self.crash, fuel: 0)
            world.parties[2].run = .hang
            let id = try world.submit()
            #expect(world.run(milliseconds: 20_000) { $0.parties[2].orders.count == 1 })
            #expect(verdicts(world, about: 1).isEmpty)
            try world.restart(0)
            #expect(verdicts(world, about: 1).isEmpty)
            let order = try #require(world.parties[2].orders.first)
            world.finish(order.assignmentCID, isLast, fuel: 1, of: 2, after: 10)
            #expect(world.run(milliseconds: 20_000) { $0.job(id)?.result != nil })
            let isCrash = isLast == Self.crash
            #expect(world.job(id)?.failure?.code == (isCrash ? "crashes_engine" : nil))
            #expect(verdicts(world, about: 1) == (isCrash ? [] : [.abandoned]))
        }
    }

    @Test("A job that is cancelled, or may be tried once, says nothing for the executor that crashed")
    func otherEnds() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .end(Self.crash, fuel: 0)
        world.parties[2].run = .hang
        let cancelled = try world.submit()
        #expect(world.run(milliseconds: 20_000) { $0.parties[2].orders.count == 1 })
        try world.cancel(cancelled)
        #expect(world.run(milliseconds: 30_000) { $0.job(cancelled)?.result != nil })
        #expect(verdicts(world, about: 1) == [.abandoned])

        var once = MarketWorld(executors: 2)
        once.parties[1].run = .end(Self.crash, fuel: 0)
        var policy = ExecutionPolicy()
        policy.maxAttempts = 1
        let id = try once.submit(MarketWorld.request { $0.executionPolicy = policy })
        #expect(once.run(milliseconds: 30_000) { $0.job(id)?.result != nil })
        #expect(once.job(id)?.failure?.code == "attempts_exhausted")
        #expect(once.verdictsAreOf(1, [.abandoned]))
    }

    @Test("What executors merely say counts per executor, and orders them last whatever became of the job")
    func ranksLast() throws {
        var world = MarketWorld(executors: 3)
        for index in 1...2 { world.parties[index].run = .end(Self.crash, fuel: 0) }
        let first = try world.submit()
        #expect(world.run(milliseconds: 30_000) { $0.job(first)?.failure?.code == "crashes_engine" })
        // The two that said so are cheaper, and have other modules to do.
        for index in 1...2 { world.parties[index].run = .succeed(fuel: 1) }
        let second = try world.submit(Self.request("second", "another"))
        #expect(world.run(milliseconds: 30_000) { $0.job(second)?.result == .completedSuccessfully })
        #expect(world.job(second)?.attempts.map(\.assignment.executorDID) == [world.parties[3].identity.did])
        // It is forgotten after an hour.
        world.run(milliseconds: 3_600_000)
        let third = try world.submit(Self.request("third", "yet another"))
        #expect(world.run(milliseconds: 30_000) { $0.job(third)?.result == .completedSuccessfully })
        #expect(world.job(third)?.attempts.map(\.assignment.executorDID) == [world.parties[1].identity.did])
    }

    // MARK: The executor's side

    /// An executor, and another that does what the first one does not.
    private func executors(_ change: @escaping (inout MarketConfiguration) -> Void = { _ in }) -> MarketWorld {
        MarketWorld(executors: 2) { _, configuration in
            configuration.originator.sufficientBids = 2
            // The first one is asked first, whatever it did.
            configuration.originator.failedExecutorMilliseconds = 0
            change(&configuration)
        }
    }

    /// Runs a job of a module, which crashes the first executor, or does not; who did it.
    private func run(_ module: String, _ key: String, crashes: Bool, in world: inout MarketWorld) throws -> Int {
        world.parties[1].run = crashes ? .end(Self.crash, fuel: 0) : .succeed(fuel: 1)
        let id = try world.submit(Self.request(key, module))
        #expect(world.run(milliseconds: 30_000) { $0.job(id)?.result == .completedSuccessfully })
        let last = try #require(world.job(id)?.attempts.last?.assignment.executorDID)
        return try #require((1...2).first { world.parties[$0].identity.did == last })
    }

    @Test("An executor makes no bid on a module that crashed its engine, for a while")
    func declines() throws {
        var world = executors()
        #expect(try run("bad", "first", crashes: true, in: &world) == 2)
        #expect(try run("bad", "second", crashes: false, in: &world) == 2)
        #expect(world.parties[1].market.recentDeclines.last?.reason == .moduleCrashed)
        #expect(world.parties[1].market.counters.declines["module_crashed"] == 1)
        #expect(try run("good", "third", crashes: false, in: &world) == 1)
        world.run(milliseconds: Int64(ExecutorConfiguration().crashedModuleMilliseconds))
        #expect(try run("bad", "fourth", crashes: false, in: &world) == 1)
    }

    /// A stranger announces a job, and gives it to the executor.
    private func assign(by stranger: Identity, _ world: inout MarketWorld) throws {
        let message = try ExecutorShareTests.announcement(by: stranger, 0, world)
        world.give(message, author: stranger.peerID, to: 1)
        let job = try #require(world.parties[1].market.executedJobs.first { $0.manifest.originatorDID == stranger.did })
        let assignment = Assignment(
            jobID: job.id, originatorDID: stranger.did, bidCID: job.bidCID, executorDID: job.bid.bidderDID,
            attempt: 1, leaseMilliseconds: 10_000, terms: job.bid.terms, assignedAt: world.wallClock,
            acceptBy: job.bid.expiresAt)
        let order = AssignJobV1(
            manifest: job.signedManifest.bytes, bid: job.signedBid.bytes,
            assignment: try SignedObject.sign(assignment, with: stranger).bytes)
        world.give(.assignJob(order), from: stranger.peerID, to: 1)
    }

    @Test("A stranger whose run of a module crashes keeps it from strangers, and not from who has paid")
    func knownOriginators() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.originator.sufficientBids = 1 }
        let (friend, stranger) = (world.parties[0].identity, try ExecutorShareTests.stranger(1))
        let first = try world.submit(Self.request("first", "popular"))
        #expect(world.run(milliseconds: 5_000) { $0.parties[1].market.ledger.balance(of: .income(friend.did)) > .zero })
        #expect(world.job(first)?.result == .completedSuccessfully)

        // The module of a stranger's jobs.
        let module = MarketWorld.request().params.wasmCID
        world.parties[1].run = .end(Self.crash, fuel: 0)
        try assign(by: stranger, &world)
        world.run(milliseconds: 1_000)
        let next = try ExecutorShareTests.announcement(by: try ExecutorShareTests.stranger(2), 1, world)
        world.give(next, author: try ExecutorShareTests.stranger(2).peerID, to: 1)
        #expect(world.parties[1].market.recentDeclines.last?.reason == .moduleCrashed)

        world.parties[1].run = .succeed(fuel: 1)
        let again = try world.submit(MarketWorld.request("again") { $0.wasmCID = module })
        #expect(world.run(milliseconds: 20_000) { $0.job(again)?.result == .completedSuccessfully })
        // Its own crash counts against it.
        world.parties[1].run = .end(Self.crash, fuel: 0)
        let own = try world.submit(MarketWorld.request("own") { $0.wasmCID = module })
        #expect(world.run(milliseconds: 20_000) { $0.job(own)?.attempts.last?.end != nil })
        try world.cancel(own)
        let last = try world.submit(MarketWorld.request("last") { $0.wasmCID = module })
        world.run(milliseconds: 3_000)
        #expect(world.parties[1].market.recentDeclines.last?.reason == .moduleCrashed)
        #expect(world.job(last)?.attempts.isEmpty == true)
    }

    @Test("It remembers so many, the newest ones")
    func forgetsTheOldest() throws {
        var world = executors { $0.limits.modulesCrashedMax = 2 }
        for module in ["a", "b", "c"] { #expect(try run(module, module, crashes: true, in: &world) == 2) }
        #expect(try run("a", "a again", crashes: false, in: &world) == 1)
        #expect(try run("b", "b again", crashes: false, in: &world) == 2)
        #expect(try run("c", "c again", crashes: false, in: &world) == 2)
    }

    @Test("An originator whose modules crash engines has fewer places, whatever it calls them")
    func fewerPlaces() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.originator.sufficientBids = 1 }
        func fetches() -> Int { world.parties[1].fetching.count }
        for number in 0..<4 {
            world.parties[1].run = .end(Self.crash, fuel: 0)
            let id = try world.submit(Self.request("crash \(number)", "module \(number)"))
            #expect(world.run(milliseconds: 20_000) { $0.job(id)?.attempts.last?.end != nil })
            try world.cancel(id)
        }
        world.parties[1].run = .starve
        for number in 0..<4 { _ = try world.submit(Self.request("starve \(number)", "other \(number)")) }
        world.run(milliseconds: 5_000)
        #expect(fetches() == 1, "one of four after as many crashes")
    }

    @Test("The failure says what it is and what to do")
    func words() {
        let failure = JobFailure.crashesEngine(executors: 2, last: Self.way)
        #expect(failure.code == "crashes_engine")
        #expect(failure.description == "the module crashed the engine at 2 executors; at last, \(Self.way)")
        #expect(failure.advice?.contains("mesh run --local") == true)
        #expect(CrashedRun.way(Self.crash) == Self.way)
        for other in [Self.broken, Self.unfetched, Self.done, .cancelled, .trapped(kind: .other, message: Self.way)] {
            #expect(CrashedRun.way(other) == nil)
        }
    }
}

extension MarketWorld {
    /// Whether an originator holds just this against an executor.
    fileprivate func verdictsAreOf(_ index: Int, _ verdicts: [ReputationVerdict]) -> Bool {
        parties[0].market.reputation.evidence(about: parties[index].identity.did).map(\.verdict) == verdicts
    }
}
