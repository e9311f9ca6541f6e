import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// Jobs whose price cannot be held: they wait as long as other jobs hold tokens, and fail at once when none does.
@Suite("Funds that other jobs hold")
struct FundsTests {
    /// A world whose originator has few tokens; a job holds 20 with its one executor and costs 11.
    private func world(
        tokens: UInt64, executors: Int = 1, _ configure: (inout MarketConfiguration) -> Void = { _ in }
    ) throws -> MarketWorld {
        var world = MarketWorld(executors: executors) { _, configuration in
            configuration.executor?.concurrentRunsMax = 8
            configure(&configuration)
        }
        let (identity, configuration) = (world.parties[0].identity, world.parties[0].configuration)
        world.parties[0].market = JobMarket(identity: identity, configuration: configuration)
        let grant = try world.parties[0].market.grant(
            TokenAmount(tokens), reference: "few", wallClock: world.wallClock)
        world.parties[0].grants = [try #require(grant)]
        world.checksReplay = true
        return world
    }

    private func results(_ world: MarketWorld, _ ids: [JobID]) -> [StandardJobStatus?] {
        ids.map { world.job($0)?.result }
    }

    @Test func jobsWaitForWhatOthersDoNotUse() throws {
        var world = try world(tokens: 50)
        let ids = try (0..<4).map { try world.submit(MarketWorld.request("job \($0)")) }
        #expect(world.run(milliseconds: 1100) { $0.names(of: 0).count { $0 == "assignment_made" } == 2 })
        world.run(milliseconds: 50)
        let waiting = ids.filter { world.job($0)?.phase == .funds }
        #expect(waiting.count == 2)
        #expect(world.names(of: 0).count { $0 == "funds_awaited" } == 2)
        // 50 pay for three of them: after two there are 28, after three 17, and then nothing is held any more.
        world.run(milliseconds: 60_000)
        #expect(results(world, ids).count { $0 == .completedSuccessfully } == 3)
        let failed = ids.compactMap { world.job($0)?.failure }
        #expect(failed == [.cannotHold(needed: TokenAmount(20), available: TokenAmount(17), fuel: 7_000_000)])
        #expect(failed.first?.description == "20 tokens must be held, 17 are there")
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(17))
    }

    @Test func whatAllTokensTogetherDoNotPayFailsWithTheWindow() throws {
        var world = try world(tokens: 50)
        world.parties[1].run = .hang
        _ = try world.submit()
        world.run(milliseconds: 1_100)
        #expect(world.parties[0].market.ledger.escrowTotal == TokenAmount(20))
        let large = try world.submit(MarketWorld.request("large"))
        world.parties[1].market.configuration.executor?.priceMax = TokenAmount(51)
        world.parties[1].market.configuration.executor?.pricePerMillionFuel = TokenAmount(100)
        world.run(milliseconds: 1_100)
        #expect(
            world.job(large)?.failure
                == .cannotHold(needed: TokenAmount(51), available: TokenAmount(30), fuel: 200_000),
            "the other job gives back at most its 20")
    }

    @Test func whoWaitsLongestIsServedFirst() throws {
        var world = try world(tokens: 45)
        let ids = try (0..<2).map { try world.submit(MarketWorld.request("job \($0)")) }
        world.run(milliseconds: 1050)
        var later: [JobID] = []
        for number in 0..<2 {
            // Their windows close one after the other, so that it is known who waits longest.
            world.parties[1].run = .hang
            later.append(try world.submit(MarketWorld.request("later \(number)")))
            world.run(milliseconds: 300)
        }
        world.run(milliseconds: 1500)
        #expect(results(world, ids) == [.completedSuccessfully, .completedSuccessfully])
        #expect(world.job(later[0])?.attempts.count == 1)
        #expect(world.job(later[1])?.phase == .funds)
    }

    @Test func withNothingElseHeldAJobFailsAtOnce() throws {
        var world = try world(tokens: 19)
        let id = try world.submit()
        world.run(milliseconds: 1100)
        let failure = try #require(world.job(id)?.failure)
        #expect(failure == .cannotHold(needed: TokenAmount(20), available: TokenAmount(19), fuel: 9_000_000))
        #expect(failure.advice?.hasPrefix("Lower --max-fuel to 9000000, from which the price") == true)
    }

    @Test func aJobThatWaitsCanBeCancelledAndOutlivesARestart() throws {
        var world = try world(tokens: 30)
        world.parties[1].run = .hang
        let ids = try (0..<3).map { try world.submit(MarketWorld.request("job \($0)")) }
        world.run(milliseconds: 1200)
        let waiting = ids.filter { world.job($0)?.phase == .funds }
        let running = try #require(ids.first { !waiting.contains($0) })
        #expect(waiting.count == 2)
        try world.cancel(waiting[0])
        #expect(world.job(waiting[0])?.result == .cancelled)
        try world.restart(0, afterMilliseconds: 500)
        #expect(world.job(waiting[1])?.phase == .funds)
        // The running job is cancelled too and costs 11: 19 are too few.
        try world.cancel(running)
        world.run(milliseconds: 5000)
        #expect(world.job(running)?.result == .cancelled)
        #expect(
            world.job(waiting[1])?.failure
                == .cannotHold(needed: TokenAmount(20), available: TokenAmount(19), fuel: 9_000_000))
    }

    @Test func bidsThatLapseMeanwhileAreAskedForAgain() throws {
        var world = try world(tokens: 45) { $0.executor?.bidValidityMilliseconds = 3000 }
        world.parties[1].run = .hang
        let first = try (0..<2).map { try world.submit(MarketWorld.request("job \($0)") { $0.timeoutSeconds = 60 }) }
        world.run(milliseconds: 1500)
        let waiting = try world.submit(MarketWorld.request("waiting"))
        world.run(milliseconds: 20_000)
        #expect(world.job(waiting)?.phase == .funds)
        world.parties[1].run = .succeed(fuel: 1_000_000)
        for order in world.parties[1].orders {
            world.finish(order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        }
        world.run(milliseconds: 20_000)
        #expect(results(world, first + [waiting]) == Array(repeating: .completedSuccessfully, count: 3))
        #expect(world.job(waiting)?.round == 2)
    }

    @Test func onlySoManyAreLookedAtAtOnce() throws {
        var world = try world(tokens: 59, executors: 2) { $0.limits.holdRetriesMax = 1 }
        world.parties[1].run = .hang
        // The first that waits wants the dear executor, for which there is too little; it is the only one looked at.
        let running = try (0..<2).map { try world.submit(MarketWorld.request("job \($0)")) }
        world.run(milliseconds: 1100)
        let dear = world.parties[2].identity.did
        let first = try world.submit(
            MarketWorld.request("dear") { params in
                params.executionPolicy = JobLifeTests.policy { $0.allowedDIDs = [dear] }
            })
        world.run(milliseconds: 1100)
        let second = try world.submit(MarketWorld.request("cheap"))
        world.run(milliseconds: 1100)
        #expect(world.job(first)?.phase == .funds)
        #expect(world.job(second)?.phase == .funds)
        let order = try #require(world.parties[1].orders.first { $0.jobID == running[0] })
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        world.run(milliseconds: 1000)
        #expect(world.job(running[0])?.result == .completedSuccessfully)
        #expect([first, second].map { world.job($0)?.phase } == [.funds, .funds])
    }

    @Test func aJobIsTriedAgainWhenExactlyItsPriceIsThere() throws {
        var world = try world(tokens: 51)
        world.parties[1].run = .hang
        let running = try (0..<2).map { try world.submit(MarketWorld.request("job \($0)")) }
        #expect(world.run(milliseconds: 5000) { world in running.allSatisfy { world.job($0)?.status == .running } })
        let waiting = try world.submit(MarketWorld.request("waiting"))
        #expect(world.run(milliseconds: 5000) { $0.job(waiting)?.phase == .funds })
        let order = try #require(world.parties[1].orders.first { $0.jobID == running[0] })
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        // 11 were there, and 9 of 20 come back, while the other job goes on.
        world.run(milliseconds: 500)
        #expect(world.job(running[0])?.paid == TokenAmount(11))
        #expect(world.job(waiting)?.attempts.count == 1)
    }

    @Test func outputsBeyondWhatTheOriginatorTakesAreRefused() throws {
        var world = try world(tokens: 100) { $0.originator.outputBytesMax = 1000 }
        #expect(throws: SubmissionRefusal.outputsTooLarge(bytes: 1001, bytesMax: 1000)) {
            try world.submit(MarketWorld.request("large") { $0.maxOutputBytes = 1001 })
        }
        #expect(world.names(of: 0).isEmpty)
        let words = SubmissionRefusal.outputsTooLarge(bytes: 1001, bytesMax: 1000).description
        #expect(words == "its outputs may have 1001 bytes together, and this node takes in at most 1000")
        try world.submit(MarketWorld.request("small") { $0.maxOutputBytes = 1000 })
    }
}
