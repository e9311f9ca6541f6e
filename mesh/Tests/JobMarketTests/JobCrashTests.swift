import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// kill -9 at every line of the journal, on either side, with and without the events that nobody waited for.
@Suite("Crashes and restarts")
struct JobCrashTests {
    private func world() -> MarketWorld { MarketWorld(executors: 2) }

    private let request = MarketWorld.request { params in
        params.executionPolicy = JobLifeTests.policy { $0.sufficientBids = 2 }
    }

    private func expectPaidOnce(_ world: MarketWorld, _ id: JobID, _ comment: String) {
        let job = world.job(id)
        #expect(job?.result == .completedSuccessfully, "\(comment): \(String(describing: job?.failure))")
        let settlements = world.parties[0].market.ledger.entries.filter { $0.kind == .settle }
        #expect(settlements.count == 1, "\(comment)")
        #expect(world.totalTokens == 1_000_000, "\(comment)")
        #expect(world.parties[0].market.ledger.escrowTotal == .zero, "\(comment)")
        let earned = world.parties.dropFirst().reduce(UInt64(0)) { $0 + $1.market.ledger.earned.units }
        #expect(earned == world.parties[0].market.ledger.paid.units, "\(comment): the executor knows of its payment")
    }

    @Test(arguments: [0, 1], [false, true])
    func atEveryEvent(party: Int, losesLazyEvents: Bool) throws {
        var reference = world()
        try reference.submit(request)
        reference.run(milliseconds: 600_000)
        let length = reference.parties[party].journal.count
        #expect(length >= 9)
        for count in 1...length {
            var world = world()
            world.losesLazyEvents = losesLazyEvents
            let id = try world.submit(request)
            let reached = world.run(milliseconds: 600_000) { $0.parties[party].journal.count >= count }
            #expect(reached)
            try world.restart(party, afterMilliseconds: 50)
            world.checksReplay = count % 3 == 0
            world.run(milliseconds: 900_000)
            let after = reference.parties[party].events[count - 1].kindName
            expectPaidOnce(world, id, "party \(party) killed after \(after) (\(count)), lazy lost: \(losesLazyEvents)")
        }
    }

    @Test func anExecutorThatIsAwayForLongerThanItsLeaseSignsThatItFailed() throws {
        var world = world()
        world.parties[1].run = .hang
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        try world.restart(1, afterMilliseconds: 30_000)
        world.run(milliseconds: 60_000)
        let receipt = try #require(world.parties[1].market.executedJob(id)?.receipt)
        #expect(receipt.outcome == .nodeFailed(reason: "the executor restarted after its lease was over"))
        expectPaidOnce(world, id, "reassigned")
        #expect(world.job(id)?.attempts.count == 2)
        #expect(world.job(id)?.attempts.last?.assignment.executorDID == world.parties[2].identity.did)
    }

    /// As a stop does that has waited for `drain_seconds`, which may be as long as the lease.
    @Test func aRunThatHasLastedForLongerThanItsLeaseGoesOnAfterARestart() throws {
        var world = world()
        world.parties[1].run = .hang
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        let lease = try #require(world.parties[1].market.executedJob(id)?.assignment?.leaseMilliseconds)
        world.run(milliseconds: Int64(2 * lease + lease / 2))
        world.parties[1].run = .succeed(fuel: 1_000_000)
        try world.restart(1, afterMilliseconds: 2000)
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].orders.count == 2)
        #expect(world.job(id)?.attempts.count == 1)
        expectPaidOnce(world, id, "run again")
    }

    @Test func anExecutorThatIsBackWithinItsLeaseRunsAgain() throws {
        var world = world()
        world.parties[1].run = .hang
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.parties[1].run = .succeed(fuel: 1_000_000)
        try world.restart(1, afterMilliseconds: 2000)
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].orders.count == 2)
        #expect(Set(world.parties[1].orders.map(\.assignmentCID)).count == 1)
        #expect(world.job(id)?.attempts.count == 1)
        expectPaidOnce(world, id, "run again")
    }

    /// The originator may still want the outputs, and may have dialed it in vain so often that it leaves it alone.
    @Test func anExecutorThatAwaitsItsSettlementGivesItsReceiptAgain() throws {
        var world = world()
        world.blocked = [.jobSettled]
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 20_000) { $0.parties[1].market.executedJob(id)?.delivery == .acknowledged })
        #expect(world.parties[1].market.executedJob(id)?.verdict == nil)
        let before = world.parties[0].market.counters.duplicates
        try world.restart(1)
        world.run(milliseconds: 1_000)
        #expect(world.parties[0].market.counters.duplicates == before + 1)
        world.blocked = []
        world.run(milliseconds: 60_000)
        expectPaidOnce(world, id, "receipt given again")
        // Nothing is owed any more, so another restart gives nothing again.
        try world.restart(1)
        world.run(milliseconds: 1_000)
        #expect(world.parties[0].market.counters.duplicates == before + 1)
    }

    @Test func anExecutorKeepsABidThatItForgot() throws {
        var world = world()
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 5000) { !$0.parties[1].journal.isEmpty })
        // The bid is on its way, and its line in the journal is lost.
        world.losesLazyEvents = true
        let packets = world.packets
        try world.restart(1)
        #expect(world.parties[1].journal.isEmpty)
        world.packets = packets
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.attempts.first?.assignment.executorDID == world.parties[1].identity.did)
        expectPaidOnce(world, id, "bid forgotten")
    }

    /// What its user typed is gone, so the job begins anew elsewhere; the lease of a session outlasts a cut of 20 s.
    @Test func aRestartedExecutorDoesNotRunASessionAgain() throws {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.executor?.features = [SessionTerms.feature]
        }
        world.parties[1].run = .hang
        let id = try world.submit(
            MarketWorld.request("job") { params in
                (params.isInteractive, params.determinism, params.session) = (true, .attested, SessionTerms())
                params.executionPolicy = ExecutionPolicy()
                params.executionPolicy?.require(SessionTerms.feature)
            })
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.blocked = [.jobStatusUpdate]
        world.run(milliseconds: 20_000)
        #expect(world.job(id)?.liveAttempt != nil, "a cut of 20 s")
        world.blocked = []
        try world.restart(1)
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.attempts.map(\.assignment.executorDID) == [1, 2].map { world.parties[$0].identity.did })
        #expect(job.result == .completedSuccessfully)
        #expect(world.parties[1].orders.count == 1)
    }

    /// With a transcript, the node itself knows what its user typed; whether it does is not the market's to see.
    @Test func aRestartedExecutorRunsASessionWithATranscriptAgain() throws {
        let features = [SessionTerms.feature, SessionTerms.transcriptFeature]
        var world = MarketWorld(executors: 2) { _, configuration in configuration.executor?.features = features }
        world.parties[1].run = .hang
        let id = try world.submit(
            MarketWorld.request("job") { params in
                (params.isInteractive, params.determinism) = (true, .attested)
                params.session = SessionTerms(transcript: .private)
                params.executionPolicy = ExecutionPolicy()
                for feature in features { params.executionPolicy?.require(feature) }
            })
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        try world.restart(1)
        #expect(world.run(milliseconds: 5000) { $0.parties[1].orders.count == 2 })
        #expect(world.job(id)?.attempts.count == 1)
    }

    @Test func aLateReceiptOfASupersededExecutorWins() throws {
        var world = world()
        world.checksReplay = true
        world.parties[1].run = .hang
        world.parties[2].run = .hang
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        let first = try #require(world.parties[1].orders.first)
        // It is cut off from the originator, not dead: its messages are lost.
        world.blocked = [.jobStatusUpdate]
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
        world.blocked = []
        #expect(world.run(milliseconds: 5000) { $0.parties[2].orders.count == 1 })
        world.finish(first.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        world.run(milliseconds: 300_000)
        let job = try #require(world.job(id))
        #expect(job.attempts.map(\.hasWon) == [true, false])
        #expect(job.attempts[1].end == .overtaken(receipt: try #require(job.receipt?.cid)))
        #expect(job.paid == TokenAmount(11))
        expectPaidOnce(world, id, "late but first")
        // The other was told to stop, and its receipt is recorded and not paid.
        #expect(world.parties[2].market.executedJob(id)?.receipt?.outcome == .cancelled)
        #expect(world.parties[2].market.executedJob(id)?.verdict == .late)
        #expect(job.lateReceipts.count == 1)
    }

    @Test func aReceiptAfterTheResultIsRecordedAndNotPaid() throws {
        var world = world()
        world.checksReplay = true
        world.parties[1].run = .hang
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        let first = try #require(world.parties[1].orders.first)
        world.blocked = [.jobStatusUpdate, .cancelJob]
        #expect(world.run(milliseconds: 30_000) { $0.job(id)?.result != nil })
        #expect(world.job(id)?.isClosed == false, "an executor is out there")
        world.finish(first.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        world.run(milliseconds: 1_000_000)
        let job = try #require(world.job(id))
        #expect(job.lateReceipts.count == 1)
        #expect(world.parties[1].market.executedJob(id)?.verdict == .late)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        expectPaidOnce(world, id, "late")
        #expect(job.isClosed)
    }
}
