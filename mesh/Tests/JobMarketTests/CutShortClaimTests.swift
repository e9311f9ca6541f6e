import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What an executor is paid for a run that was cancelled, or that the clock stopped: nobody can replay it to an end, so
/// its claim is bounded by time.
@Suite("Claims for runs cut short")
struct CutShortClaimTests {
    /// A world whose executor takes a million tokens for the most fuel of a job, and hangs in a run of it.
    private func running(_ id: inout JobID?, promising: Bool = true) throws -> MarketWorld {
        var world = MarketWorld(executors: 1, tokens: 10_000_000) { _, configuration in
            configuration.executor?.priceMax = nil
        }
        world.parties[1].run = .hang
        if !promising { world.blocked = [.jobBid] }
        let job = try world.submit(MarketWorld.request { $0.maxFuel = 1_000_000_000_000 })
        if !promising { try bidWithoutPromise(&world, job) }
        #expect(world.run(milliseconds: 5_000) { $0.job(job)?.status == .running })
        id = job
        return world
    }

    /// A bid as nodes of earlier versions make them.
    private func bidWithoutPromise(_ world: inout MarketWorld, _ job: JobID) throws {
        world.run(milliseconds: 100)
        let party = world.parties[1]
        let bid = Bid(
            jobID: job, originatorPeerID: world.parties[0].peer, bidderDID: party.identity.did,
            bidderPeerID: party.peer,
            terms: BidTerms(
                price: TokenAmount(1_000_010), basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(1),
                earliestStart: world.wallClock, deadline: world.wallClock.advanced(milliseconds: 60_000)),
            issuedAt: world.wallClock, expiresAt: world.wallClock.advanced(milliseconds: 30_000))
        let signed = try SignedObject.sign(bid, with: party.identity)
        world.give(.jobBid(JobBidV1(bid: ProtocolBid(signed))), from: party.peer, to: 0)
    }

    /// The receipt of a run with this outcome, claim and length by its executor's dates.
    private func receipt(
        _ world: MarketWorld, _ id: JobID, _ outcome: ExecutionOutcome, fuel: UInt64, milliseconds: UInt64
    ) throws -> ExecutionReceipt {
        let job = try #require(world.job(id))
        let attempt = try #require(job.liveAttempt)
        return ExecutionReceipt(
            jobID: id, assignmentCID: attempt.cid, originatorDID: job.manifest.originatorDID,
            executorDID: world.parties[1].identity.did, attempt: 1, moduleCID: job.manifest.params.wasmCID,
            inputCIDs: [:], outcome: outcome, resourceUsage: ResourceUsage(fuel: fuel),
            price: attempt.assignment.terms.due(for: outcome, fuel: fuel),
            engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: world.wallClock,
            executionEndedAt: world.wallClock.advanced(milliseconds: milliseconds))
    }

    private func deliver(_ receipt: ExecutionReceipt, _ world: inout MarketWorld) throws -> CID {
        let signed = try SignedObject.sign(receipt, with: world.parties[1].identity)
        let notice = ExecutionReceiptAvailableV1(
            jobID: receipt.jobID, receiptCID: signed.cid, executorDID: receipt.executorDID, status: receipt.status,
            receipt: signed.bytes)
        world.give(.executionReceiptAvailable(notice), from: world.parties[1].peer, to: 0)
        return signed.cid
    }

    private func verdicts(_ world: MarketWorld) -> [ReputationVerdict] {
        world.parties[0].market.reputation.evidence(about: world.parties[1].identity.did).map(\.verdict)
    }

    /// The most that can be due: the rate that was promised, for the time since the assignment by the world's clock.
    private func capped(_ world: MarketWorld, _ id: JobID) throws -> TokenAmount {
        let attempt = try #require(world.job(id)?.attempts.first)
        let elapsed = world.wallClock.milliseconds(since: attempt.assignment.assignedAt)
        let terms = attempt.assignment.terms
        return terms.due(fuel: terms.claimMax(milliseconds: elapsed))
    }

    @Test func bidsPromiseARate() throws {
        var id: JobID?
        let world = try running(&id)
        let job = try #require(id)
        let attempt = try #require(world.job(job)?.liveAttempt)
        #expect(attempt.assignment.terms.fuelPerSecond == FuelPace.perSecondDefault)
    }

    /// A run of a moment, cancelled, of which the executor claims all fuel: its dates are an hour apart, which a
    /// stranger cannot know to be a lie. The originator can, and pays for the time that there was.
    @Test(arguments: [ExecutionOutcome.cancelled, .limitExceeded(.wallClock)])
    func aClaimOfTimeThatThereWasNot(_ outcome: ExecutionOutcome) throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        if outcome == .cancelled { try world.cancel(job) }
        let lie = try receipt(world, job, outcome, fuel: 1_000_000_000_000, milliseconds: 3_600_000)
        let cap = try capped(world, job)
        let cid = try deliver(lie, &world)
        #expect(world.job(job)?.receipt?.cid == cid)
        #expect(world.job(job)?.paid == cap)
        #expect(cap < TokenAmount(100_000), "\(cap) for a run of a moment")
        #expect(lie.price == TokenAmount(1_000_010))
        #expect(verdicts(world).contains(.invalid))
        #expect(world.parties[0].market.counters.refusals["receipt_untrue"] == 1)
        world.run(milliseconds: 60_000)
        #expect(world.job(job)?.paid == cap)
        #expect(world.totalTokens == 10_000_000)
    }

    /// The same claim with the dates of the moment: anybody can see that it is a lie.
    @Test func aClaimBeyondItsOwnDates() throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        try world.cancel(job)
        let lie = try receipt(world, job, .cancelled, fuel: 1_000_000_000_000, milliseconds: 1)
        let cid = try deliver(lie, &world)
        let most = FuelPace.perSecondDefault / 500
        #expect(
            world.job(job)?.attempts.first?.end
                == .receiptInvalid(
                    receipt: cid, reason: .overLimit(field: "fuel", used: 1_000_000_000_000, max: most)))
        #expect(verdicts(world) == [.invalid])
        world.run(milliseconds: 60_000)
        #expect(world.job(job)?.paid == .zero)
        #expect(world.totalTokens == 10_000_000)
    }

    @Test func anHonestClaimIsPaidWhole() throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        try world.cancel(job)
        let honest = try receipt(world, job, .cancelled, fuel: 5_000_000, milliseconds: 1)
        _ = try deliver(honest, &world)
        #expect(world.job(job)?.paid == TokenAmount(15))
        #expect(verdicts(world) == [.fulfilled])
    }

    /// A machine that slept meanwhile counts the time that its calendar saw.
    @Test func aClaimWhileTheOriginatorSlept() throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        world.suspend(0, milliseconds: 60_000)
        try world.cancel(job)
        let honest = try receipt(world, job, .cancelled, fuel: 500_000_000_000, milliseconds: 60_000)
        _ = try deliver(honest, &world)
        #expect(world.job(job)?.receipt?.receipt == honest)
        #expect(world.job(job)?.paid == TokenAmount(500_010))
        #expect(verdicts(world).contains(.invalid) == false)
    }

    /// Executors of earlier versions promise nothing: they are paid up to the default, and lose nothing else.
    @Test func aClaimWithoutAPromise() throws {
        var id: JobID?
        var world = try running(&id, promising: false)
        let job = try #require(id)
        #expect(world.job(job)?.liveAttempt?.assignment.terms.fuelPerSecond == nil)
        try world.cancel(job)
        let claim = try receipt(world, job, .cancelled, fuel: 1_000_000_000_000, milliseconds: 1)
        let cap = try capped(world, job)
        _ = try deliver(claim, &world)
        #expect(world.job(job)?.paid == cap)
        #expect(cap < TokenAmount(100_000))
        #expect(verdicts(world) == [.fulfilled])
        #expect(world.totalTokens == 10_000_000)
    }

    /// An executor does not claim what its own dates do not allow, however fast a module burns fuel.
    @Test func anExecutorClaimsNoMoreThanItPromised() throws {
        var world = MarketWorld(executors: 1, tokens: 10_000_000) { _, configuration in
            configuration.executor?.priceMax = nil
        }
        world.checksReplay = true
        world.parties[1].run = .end(.limitExceeded(.wallClock), fuel: 900_000_000_000)
        let job = try world.submit(MarketWorld.request { $0.maxFuel = 1_000_000_000_000 })
        #expect(world.run(milliseconds: 10_000) { $0.job(job)?.result != nil })
        let most = FuelPace.fuel(perSecond: FuelPace.perSecondDefault, milliseconds: 0)
        #expect(world.job(job)?.receipt?.receipt.resourceUsage.fuel == most)
        #expect(world.job(job)?.paid == TokenAmount(20))
        #expect(verdicts(world).isEmpty, "nobody checked that the clock stopped it")
    }

    /// What can be replayed is not bounded by time.
    @Test func aRunThatEndedIsNotCapped() throws {
        var world = MarketWorld(executors: 1, tokens: 10_000_000) { _, configuration in
            configuration.executor?.priceMax = nil
        }
        world.parties[1].run = .end(.limitExceeded(.fuel), fuel: 1_000_000_000_000)
        let job = try world.submit(MarketWorld.request { $0.maxFuel = 1_000_000_000_000 })
        #expect(world.run(milliseconds: 10_000) { $0.job(job)?.result != nil })
        #expect(world.job(job)?.paid == TokenAmount(1_000_010))
    }

    @Test func aPromiseFollowsTheFastestRun() {
        var pace = RunPace()
        #expect(pace.promised == FuelPace.perSecondDefault)
        // Too short to be measured.
        pace.ran(ResourceUsage(fuel: 1_000_000_000_000, wallMilliseconds: RunPace.measuredMillisecondsMin - 1))
        #expect(pace.promised == FuelPace.perSecondDefault)
        pace.ran(ResourceUsage(fuel: 7_000_000_000, wallMilliseconds: 1_000))
        #expect(pace.promised == 14_000_000_000)
        pace.ran(ResourceUsage(fuel: 1_000, wallMilliseconds: 60_000))
        #expect(pace.promised == 14_000_000_000)
        pace.ran(ResourceUsage(fuel: .max, wallMilliseconds: 100))
        #expect(pace.promised == FuelPace.perSecondMax)
    }
}
