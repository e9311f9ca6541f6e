import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// What an executor's owner orders: a pause, a drain, hours of the day.
@Suite("Orders of an executor's owner")
struct OwnerOrderTests {
    private func order(_ order: OwnerOrder?, _ world: inout MarketWorld, of index: Int) {
        world.parties[index].market.configuration.executor?.ownerOrder = order
    }

    /// Strangers are told the same, whatever the owner ordered.
    @Test func strangersLearnNoReason() {
        for reason in [BidDecline.notAccepting, .paused, .draining, .outOfHours] {
            #expect(reason.told == Refusal(.notAccepting, "this node takes no jobs now"))
        }
        #expect(Set([BidDecline.paused, .draining, .outOfHours].map(\.toldOwner.text)).count == 3)
        #expect(BidDecline.originatorDenied.toldOwner == BidDecline.originatorDenied.told)
    }

    /// A bid that was made before is not taken up.
    @Test(arguments: OwnerOrder.allCases) func anOpenBidIsNotTakenUp(_ given: OwnerOrder) throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        world.blocked = [.assignJob]
        let id = try world.submit()
        #expect(world.run(milliseconds: 3_000) { $0.job(id)?.attempts.isEmpty == false })
        order(given, &world, of: 1)
        world.blocked = []
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.receipt?.receipt.executorDID == world.parties[2].identity.did)
    }

    /// A drained executor, and one whose hours are over, finishes what it accepted, also what waits for a place; a
    /// paused one begins nothing until its owner resumes.
    @Test(arguments: [OwnerOrder.drain, .pause, nil]) func whatWasAccepted(_ given: OwnerOrder?) throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.concurrentRunsMax = 1
            configuration.executor?.preparationMilliseconds = 600_000
        }
        world.parties[1].run = .succeed(fuel: 1_000)
        let ids = try (0..<3).map { try world.submit(MarketWorld.request("job \($0)")) }
        #expect(
            world.run(milliseconds: 5_000) { world in
                let (running, waiting) = world.parties[1].market.placesTaken
                return running + waiting == 3
            })
        order(given, &world, of: 1)
        if given == nil { world.parties[1].market.configuration.executor?.isWithinHours = false }
        let ran = world.parties[1].orders.count
        #expect(ran < 3)
        world.run(milliseconds: 20_000)
        guard given == .pause else {
            #expect(ids.allSatisfy { world.job($0)?.result == .completedSuccessfully })
            return
        }
        #expect(world.parties[1].orders.count == ran)
        #expect(world.parties[1].market.placesTaken.waiting >= 1)
        order(nil, &world, of: 1)
        world.give(.runsMayBegin, to: 1)
        world.run(milliseconds: 10_000)
        #expect(ids.allSatisfy { world.job($0)?.result == .completedSuccessfully })
    }

    /// After the pause's limit every accepted job ends as the executor's failure: nothing is paid, and another runs it.
    @Test func aPauseThatLastsGivesTheJobsAway() throws {
        var world = MarketWorld(executors: 2)
        world.checksReplay = true
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5_000) { $0.job(id)?.status == .running })
        order(.pause, &world, of: 1)
        #expect(world.parties[1].market.placesTaken == (1, 0))
        world.give(.runsGivenUp(reason: "the owner paused it"), to: 1)
        #expect(world.parties[1].market.placesTaken == (0, 0))
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 2)
        guard case .nodeFailed(_, .nodeFailed(let reason)) = world.job(id)?.attempts.first?.end else {
            Issue.record("\(String(describing: world.job(id)?.attempts.first?.end))")
            return
        }
        #expect(reason == "the owner paused it")
        #expect(world.parties[1].market.ledger.earned == .zero)
        #expect(world.totalTokens == 1_000_000)
    }

    /// A node that runs its own jobs does not wait for itself while it rests.
    @Test func aNodeThatRestsIsNotItsOwnExecutor() throws {
        for given in OwnerOrder.allCases {
            var world = MarketWorld(executors: 0) { _, configuration in
                configuration.executor = ExecutorConfiguration()
                configuration.executor?.bidsOnOwnJobs = true
                configuration.executor?.ownerOrder = given
            }
            let id = try world.submit()
            world.run(milliseconds: 2_000)
            let standings = world.parties[0].market.standings(
                of: id, offers: [], sizes: JobSizes(), answers: [:]
            ) { _ in false }
            let own = try #require(standings.first)
            #expect(own.isHere)
            #expect(own.obstacles.map(\.code) == ["not_accepting"])
            world.give(.nobodyReachable, to: 0)
            #expect(world.job(id)?.result == .failed)
        }
    }

    // MARK: Bans

    /// Has the originator ban an executor.
    private func ban(_ index: Int, _ world: inout MarketWorld) {
        let peer = world.parties[index].identity
        world.parties[0].market.configuration.originator.deniedExecutors = [peer.did]
        let (_, _, transition) = world.parties[0].market.drop(
            peer.peerID, now: world.instant(of: 0), wallClock: world.calendar(of: 0))
        world.carryOut(transition, of: 0)
    }

    /// The cheapest bid counts for nothing once its bidder is banned, and takes the place of none.
    @Test func theBidOfABannedExecutorIsNoOffer() throws {
        for executors in [1, 2] {
            var world = MarketWorld(executors: executors) { index, configuration in
                configuration.originator.sufficientBids = 2
                configuration.executor?.basePrice = TokenAmount(UInt64(index * 1_000))
            }
            if executors == 2 { world.parties[2].isDown = true }
            let id = try world.submit()
            #expect(world.run(milliseconds: 900) { $0.job(id)?.bidCount == 1 })
            ban(1, &world)
            if executors == 2 { try world.restart(2) }
            world.run(milliseconds: 60_000)
            let job = try #require(world.job(id))
            #expect(job.attempts.map(\.assignment.executorDID) == world.parties.dropFirst(2).map { $0.identity.did })
            #expect(job.result == (executors == 1 ? .failed : .completedSuccessfully))
        }
    }

    /// With one attempt allowed the job still goes to another.
    @Test func aBanUsesUpNoAttempt() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        world.parties[1].run = .hang
        let id = try world.submit(
            MarketWorld.request { params in
                var policy = params.executionPolicy ?? ExecutionPolicy()
                policy.maxAttempts = 1
                params.executionPolicy = policy
            })
        #expect(world.run(milliseconds: 5_000) { $0.job(id)?.status == .running })
        let first = try #require(world.job(id)?.attempts.first?.assignment.executorDID)
        let index = try #require(world.parties.firstIndex { $0.identity.did == first })
        world.parties[3 - index].run = .succeed(fuel: 1_000)
        ban(index, &world)
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.map(\.end) == [.dropped, nil])
    }

    /// A slow executor that was banned is not asked again when its second copy fails.
    @Test(arguments: [false, true]) func aBannedSlowOneIsNotAskedAgain(_ isBanned: Bool) throws {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.originator.sufficientBids = 2
            configuration.executor?.features.append(HedgedJob.feature)
        }
        (world.parties[1].run, world.parties[2].run) = (.hang, .hang)
        let id = try world.submit(
            MarketWorld.request { params in
                params.timeoutSeconds = 120
                var policy = params.executionPolicy ?? ExecutionPolicy()
                policy.hedge = true
                policy.require(HedgedJob.feature)
                params.executionPolicy = policy
            })
        #expect(
            world.run(milliseconds: 90_000) {
                $0.job(id)?.liveAttempt?.isConfirmed ?? false && $0.job(id)?.attempts.count == 2
            })
        if isBanned { ban(1, &world) }
        // The copy's executor fails, before the slow one's time is over.
        let copy = try #require(world.job(id)?.liveAttempt)
        let index = try #require(world.parties.firstIndex { $0.identity.did == copy.assignment.executorDID })
        #expect(index == 2)
        world.give(.runsGivenUp(reason: "the owner stopped it"), to: index)
        world.run(milliseconds: 45_000)
        #expect(world.names(of: 0).contains("attempt_resumed") == !isBanned)
    }
}
