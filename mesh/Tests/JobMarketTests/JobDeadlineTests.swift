import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// Every phase has a deadline of its own, and each deadline a reason of its own.
@Suite("Deadlines of a job")
struct JobDeadlineTests {
    private func ends(of world: MarketWorld, _ id: JobID) -> [AttemptEnd?] {
        world.job(id)?.attempts.map(\.end) ?? []
    }

    @Test func announcement() throws {
        var world = MarketWorld(executors: 1)
        world.blocksAnnouncements = true
        let id = try world.submit()
        world.run(milliseconds: 11_000)
        #expect(world.job(id)?.failure == .announcementTimedOut(lastError: "no peers"))
        #expect(world.log.count > 3, "it is tried again until then")
        #expect(world.job(id)?.isClosed == true)
    }

    @Test func biddingWithoutAnyBid() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 29_000)
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 2000)
        let failure = try #require(world.job(id)?.failure)
        #expect(failure == .noAcceptableBid(bids: 0, refusals: []))
        #expect(failure.description == "no executor bid on the job before the bidding deadline")
    }

    @Test func biddingWithBidsThatAreTooDear() throws {
        var world = MarketWorld(executors: 3)
        let id = try world.submit(MarketWorld.request { $0.maxAcceptableBidTokens = TokenAmount(15) })
        world.run(milliseconds: 31_000)
        guard case .noAcceptableBid(3, let refusals) = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(
            Set(refusals.map(\.refusal))
                == Set([20, 40, 60].map { .priceTooHigh(price: TokenAmount($0), max: TokenAmount(15)) }))
        let failure = try #require(world.job(id)?.failure?.description)
        #expect(failure.contains("the price of up to 40 tokens is above the budget of 15"))
        let told = world.parties[1].market.executedJob(id)?.bidEnd
        let reason = "the price of up to 20 tokens is above the budget of 15"
        #expect(told == .refused(code: .known(.priceTooHigh), reason: reason))
    }

    @Test func confirmation() throws {
        var world = MarketWorld(executors: 3)
        world.blocked = [.assignJob]
        let id = try world.submit()
        world.run(milliseconds: 5500)
        #expect(ends(of: world, id).first == .unconfirmed)
        world.run(milliseconds: 60_000)
        #expect(ends(of: world, id) == [.unconfirmed, .unconfirmed, .unconfirmed])
        guard case .attemptsExhausted(3, .unconfirmed) = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
    }

    @Test func fetching() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        world.parties[1].run = .stall
        let id = try world.submit()
        world.run(milliseconds: 62_000)
        #expect(ends(of: world, id).first == .fetchTimedOut)
        world.run(milliseconds: 200_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    @Test func execution() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        world.parties[1].run = .hang
        let id = try world.submit()
        world.run(milliseconds: 19_000)
        #expect(ends(of: world, id) == [nil], "heartbeats keep the lease")
        world.run(milliseconds: 3000)
        #expect(ends(of: world, id).first == .executionTimedOut)
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    @Test func receipt() throws {
        var world = MarketWorld(executors: 2) { index, configuration in
            configuration.originator.sufficientBids = 2
            configuration.originator.receiptMilliseconds = 15_000
        }
        world.parties[1].run = .produce
        let id = try world.submit()
        world.run(milliseconds: 17_000)
        #expect(ends(of: world, id).first == .receiptTimedOut)
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    @Test func lease() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.parties[1].isDown = true
        world.run(milliseconds: 4500)
        #expect(world.job(id)?.attempts.count == 1)
        world.run(milliseconds: 2000)
        #expect(ends(of: world, id).first == .leaseExpired(lastStatus: .running))
        world.run(milliseconds: 2000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.last?.assignment.executorDID == world.parties[2].identity.did)
    }

    @Test func outputs() throws {
        var world = MarketWorld(executors: 3)
        world.missingOutputs = true
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        guard case .attemptsExhausted(3, .outputsMissing(_, 1)) = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
    }

    @Test func anchoring() throws {
        var world = MarketWorld(executors: 1)
        world.blocksAnchors = true
        let id = try world.submit()
        world.run(milliseconds: 20_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.isClosed == false)
        world.run(milliseconds: 60_000)
        guard case .done(_, inTime: false) = world.job(id)?.anchor else {
            Issue.record("\(String(describing: world.job(id)?.anchor))")
            return
        }
        #expect(world.job(id)?.isClosed == true)
    }

    @Test func theWholeJob() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.preparationMilliseconds = 100
        }
        world.parties[1].run = .hang
        let deadline = world.wallClock.advanced(milliseconds: 15_000)
        let id = try world.submit(
            MarketWorld.request { $0.executionPolicy = JobLifeTests.policy { $0.deadline = deadline } })
        world.run(milliseconds: 14_500)
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 600)
        #expect(world.job(id)?.failure == .expired(during: .running))
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
    }

    @Test func cancellationOfARun() throws {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        try world.cancel(id)
        world.run(milliseconds: 1000)
        let job = try #require(world.job(id))
        #expect(job.result == .cancelled)
        #expect(job.outcome == .cancelled)
        #expect(job.paid == TokenAmount(11), "the fuel used until then is paid")
        #expect(world.parties[1].market.executedJob(id)?.verdict == .paidCancelled)
    }

    @Test func cancellationWithoutAnAnswer() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.parties[1].isDown = true
        try world.cancel(id)
        world.run(milliseconds: 11_000)
        #expect(world.job(id)?.result == .cancelled)
        #expect(world.job(id)?.paid == .zero)
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
        #expect(throws: CancellationRefusal.jobEnded) { try world.cancel(id) }
    }

    @Test func cancellationBeforeAnybodyHasTheJob() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 100)
        try world.cancel(id)
        #expect(world.job(id)?.result == .cancelled)
        #expect(world.job(id)?.isClosed == true)
    }

    @Test func anExecutorsRunThatNeverEndsGivesAReceipt() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        world.blocked = [.jobStatusUpdate, .cancelJob]
        let id = try world.submit()
        world.run(milliseconds: 80_000)
        let receipt = try #require(world.parties[1].market.executedJob(id)?.receipt)
        #expect(receipt.outcome == .nodeFailed(reason: "the run did not end in its time"))
        #expect(receipt.price == .zero)
    }

    @Test func anExecutorsReceiptThatNobodyTakes() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.receiptDeliveryMilliseconds = 30_000
        }
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.parties[1].market.executedJob(id)?.receipt != nil })
        world.parties[0].isDown = true
        world.run(milliseconds: 60_000)
        let run = try #require(world.parties[1].market.executedJob(id))
        #expect(run.delivery == .expired)
        #expect(run.isClosed)
    }

    @Test func anExecutorsSettlementThatDoesNotCome() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.settlementMilliseconds = 30_000
        }
        world.blocked = [.jobSettled]
        let id = try world.submit()
        // Four times the job's 10 s more, whatever the job: it may have twins to be compared with.
        world.run(milliseconds: 80_000)
        let run = try #require(world.parties[1].market.executedJob(id))
        #expect(run.isOverdue)
        #expect(run.isClosed)
        #expect(world.names(of: 1).contains("settlement_overdue"))
    }

    @Test func anExecutorsBidThatNobodyAnswers() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.jobBid]
        let id = try world.submit()
        #expect(world.run(milliseconds: 31_000) { $0.parties[1].market.executedJob(id)?.isClosed ?? false })
        let end = world.parties[1].market.executedJob(id)?.bidEnd
        #expect(end == .notDelivered(reason: "the originator did not answer"))
    }

    @Test func aBidThatIsNotTakenUpLapses() throws {
        var world = MarketWorld(executors: 3)
        world.blocked = [.jobBidRefused]
        let id = try world.submit()
        world.run(milliseconds: 40_000)
        #expect(world.parties[2].market.executedJob(id)?.bidEnd == .lapsed)
        #expect(world.parties[3].market.executedJob(id)?.isClosed == true)
    }
}
