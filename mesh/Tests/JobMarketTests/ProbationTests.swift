import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What an executor without a verified receipt here can cost a job, and for how long it is remembered.
@Suite("Unproven executors")
struct ProbationTests {
    private func ends(_ world: MarketWorld, _ id: JobID) -> [AttemptEnd?] { world.job(id)?.attempts.map(\.end) ?? [] }

    private func executors(_ world: MarketWorld, _ id: JobID) -> [DID] {
        world.job(id)?.attempts.map(\.assignment.executorDID) ?? []
    }

    /// A world in which executor 1, the cheapest, proved itself.
    private func provenWorld() throws -> MarketWorld {
        var world = MarketWorld(executors: 2)
        let id = try world.submit(MarketWorld.request("proof"))
        world.run(milliseconds: 100_000)
        #expect(executors(world, id) == [world.parties[1].identity.did])
        #expect(world.job(id)?.isClosed == true)
        world.log = []
        return world
    }

    private func lease(_ world: MarketWorld, _ id: JobID) -> UInt64? {
        world.job(id)?.attempts.first?.assignment.leaseMilliseconds
    }

    @Test func confirmationOfAStrangerIsAwaitedForTwoSeconds() throws {
        var world = MarketWorld(executors: 2)
        world.blocked = [.assignJob]
        let id = try world.submit()
        world.run(milliseconds: 2900)
        #expect(ends(world, id) == [nil])
        world.run(milliseconds: 200)
        #expect(ends(world, id) == [.unconfirmed, nil])
    }

    @Test func confirmationOfAKnownExecutorIsAwaitedForFive() throws {
        var world = try provenWorld()
        world.blocked = [.assignJob]
        let id = try world.submit(MarketWorld.request("next"))
        world.run(milliseconds: 5900)
        #expect(ends(world, id) == [nil])
        #expect(lease(world, id) == 10_000)
        world.run(milliseconds: 200)
        #expect(ends(world, id) == [.unconfirmed, nil])
    }

    @Test func aStrangerThatAcceptsAndStaysSilentCostsFiveSeconds() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .hang
        world.blocked = [.jobStatusUpdate]
        let id = try world.submit()
        world.run(milliseconds: 5900)
        #expect(lease(world, id) == 5000)
        #expect(ends(world, id) == [nil])
        world.run(milliseconds: 200)
        #expect(ends(world, id).first == .leaseExpired(lastStatus: .assigned))
        world.blocked = []
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(executors(world, id) == [1, 2].map { world.parties[$0].identity.did })
    }

    @Test func aLeaseOfFiveSecondsHoldsOnASlowNetwork() throws {
        var world = MarketWorld(executors: 1)
        world.delayMillisecondsMax = 900
        world.parties[1].run = .hang
        let id = try world.submit(MarketWorld.request("slow") { $0.timeoutSeconds = 60 })
        #expect(world.run(milliseconds: 10_000) { $0.job(id)?.status == .running })
        world.run(milliseconds: 50_000)
        #expect(lease(world, id) == 5000)
        #expect(ends(world, id) == [nil])
    }

    /// An executor that reports for ever, whatever it says, is ended with the limits of fetching and running.
    @Test func reportsForEver() throws {
        let cases: [(FakeRun, JobStatus, Int64, AttemptEnd)] = [
            (.stall, .preparingExecution, 60_000, .fetchTimedOut),
            (.hang, .running, 20_000, .executionTimedOut),
            (.produce, .producingOutputs, 60_000, .receiptTimedOut),
        ]
        for (run, status, milliseconds, end) in cases {
            var world = MarketWorld(executors: 2)
            world.parties[1].run = run
            let id = try world.submit()
            #expect(world.run(milliseconds: 3000) { $0.job(id)?.status == status })
            world.run(milliseconds: milliseconds - 1000)
            #expect(ends(world, id) == [nil], "\(status)")
            world.run(milliseconds: 1500)
            #expect(ends(world, id).first == end)
            world.run(milliseconds: 10_000)
            #expect(world.job(id)?.result == .completedSuccessfully, "\(status)")
        }
    }

    @Test func oneLimitHoldsForAllSteps() throws {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.executor?.preparationMilliseconds = 600_000
        }
        world.parties[1].run = .stall
        let id = try world.submit()
        #expect(world.run(milliseconds: 3000) { $0.job(id)?.status == .preparingExecution })
        // Each step comes at the last moment: 59 s of fetching, 19 s of running, then outputs without an end.
        world.run(milliseconds: 59_000)
        let assignment = try #require(world.parties[1].fetching.keys.first)
        func progress(_ status: JobStatus) -> MarketInput {
            .executionProgressed(assignment: assignment, status, progressPermille: nil)
        }
        world.give(.executionPrepared(assignment: assignment), to: 1)
        world.run(milliseconds: 19_000)
        #expect(world.job(id)?.status == .running)
        world.give(progress(.producingOutputs), to: 1)
        world.run(milliseconds: 5000)
        #expect(ends(world, id) == [nil])
        // 60 s of fetching, 10 s of timeout, 10 s of grace, and the last lease of 5 s.
        world.run(milliseconds: 3000)
        let end = try #require(ends(world, id).first)
        #expect(end == .receiptTimedOut || end == .leaseExpired(lastStatus: .producingOutputs))
    }

    @Test func whoFailedRanksLastForAnHour() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .hang
        world.blocked = [.jobStatusUpdate]
        let first = try world.submit(MarketWorld.request("first"))
        #expect(world.run(milliseconds: 7000) { $0.job(first)?.attempts.count == 2 })
        world.blocked = []
        world.run(milliseconds: 200_000)
        world.parties[1].run = .succeed(fuel: 1_000_000)
        // The cheaper executor failed, so the dearer one gets the next job, also where it is the newer bid.
        let second = try world.submit(MarketWorld.request("second"))
        world.run(milliseconds: 60_000)
        #expect(executors(world, second) == [world.parties[2].identity.did])
        let ranking = world.parties[0].events.compactMap { event -> [RankedBid]? in
            if case .biddingClosed(_, let ranking) = event.kind { ranking } else { nil }
        }.last
        #expect(ranking?.last?.bidder == world.parties[1].identity.did)
        #expect(ranking?.last?.score == 0)
        // Alone it is still taken: ranking last is not exclusion.
        world.parties[2].isDown = true
        let third = try world.submit(MarketWorld.request("third"))
        world.run(milliseconds: 60_000)
        #expect(world.job(third)?.result == .completedSuccessfully)
        #expect(executors(world, third) == [world.parties[1].identity.did])
        world.parties[2].isDown = false
        // With that it did its part, and is judged by its score again.
        let fourth = try world.submit(MarketWorld.request("fourth"))
        world.run(milliseconds: 60_000)
        #expect(executors(world, fourth) == [world.parties[1].identity.did])
    }

    @Test func anHourLaterItIsForgotten() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .hang
        world.blocked = [.jobStatusUpdate]
        let first = try world.submit(MarketWorld.request("first"))
        #expect(world.run(milliseconds: 7000) { $0.job(first)?.attempts.count == 2 })
        world.blocked = []
        world.parties[1].run = .succeed(fuel: 1_000_000)
        world.run(milliseconds: 3_601_000)
        let second = try world.submit(MarketWorld.request("second"))
        #expect(world.run(milliseconds: 5000) { $0.job(second)?.attempts.count == 1 })
        // The dearer one has a receipt here by now and the cheaper has none: judged by the scores alone.
        let ranking = world.parties[0].events.compactMap { event -> [RankedBid]? in
            if case .biddingClosed(_, let ranking) = event.kind { ranking } else { nil }
        }.last
        #expect(ranking?.map(\.score).contains(0) == false)
    }

    @Test func failedExecutorsAreRememberedUpToALimit() throws {
        var world = MarketWorld(executors: 3) { _, configuration in configuration.limits.failedExecutorsMax = 1 }
        world.blocked = [.assignJob]
        let first = try world.submit(MarketWorld.request("first"))
        #expect(world.run(milliseconds: 20_000) { $0.job(first)?.attempts.count == 3 })
        world.run(milliseconds: 60_000)
        world.blocked = []
        let second = try world.submit(MarketWorld.request("second"))
        world.run(milliseconds: 30_000)
        // All three failed and only the last of them is remembered.
        let ranking = world.parties[0].events.compactMap { event -> [RankedBid]? in
            if case .biddingClosed(_, let ranking) = event.kind { ranking } else { nil }
        }.last
        #expect(ranking?.count { $0.score == 0 } == 1)
        #expect(executors(world, second) == [world.parties[1].identity.did])
    }
}
