import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What an executor may claim for its time: of a run that was cancelled, or that the clock stopped, as nobody can
/// replay it to an end; of every other run, where nobody replays it; and whether the clock can have stopped it.
@Suite("Claims and their time")
struct TimedClaimTests {
    /// A world whose executor takes a million tokens for the most fuel of a job, and hangs in a run of it.
    private func running(_ id: inout JobID?, promising: Bool = true, executors: Int = 1) throws -> MarketWorld {
        var world = MarketWorld(executors: executors, tokens: 10_000_000) { _, configuration in
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
        try world.cancel(job)
        let lie = try receipt(world, job, outcome, fuel: 1_000_000_000_000, milliseconds: 3_600_000)
        let cap = try capped(world, job)
        world.parties[0].market.context.records.wasRight(lie.executorDID, worth: 10)
        let cid = try deliver(lie, &world)
        #expect(world.parties[0].market.records.record(of: lie.executorDID).count == 0, "one lie resets the record")
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
        #expect(verdicts(world).isEmpty, "what was cancelled shows nothing")
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
        #expect(verdicts(world).isEmpty, "what was cancelled shows nothing")
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
        #expect(world.run(milliseconds: 30_000) { $0.job(job)?.result != nil })
        let most = FuelPace.fuel(perSecond: FuelPace.perSecondDefault, milliseconds: 10_000)
        #expect(world.job(job)?.receipt?.receipt.resourceUsage.fuel == most)
        #expect(world.job(job)?.paid == TokenAmount(10 + most / 1_000_000))
        #expect(verdicts(world).isEmpty, "nobody checked that the clock stopped it")
        #expect(world.checked.isEmpty, "it had its time")
    }

    // MARK: Runs that came to an end of their own

    private static let ends: [ExecutionOutcome] = [
        .exited(code: 0), .exited(code: 3), .trapped(kind: .unreachable, message: "no"), .limitExceeded(.fuel),
    ]

    /// All fuel for a moment, which the executor's own dates tell: it is run here, and another does the job.
    @Test(arguments: ends) func moreFuelThanAnyMachineBurns(_ outcome: ExecutionOutcome) throws {
        var world = MarketWorld(executors: 2, tokens: 10_000_000) { _, configuration in
            configuration.executor?.priceMax = nil
        }
        world.checksReplay = true
        world.parties[1].run = .end(outcome, fuel: 1_000_000_000_000)
        let job = try world.submit(MarketWorld.request { $0.maxFuel = 1_000_000_000_000 })
        #expect(world.run(milliseconds: 60_000) { $0.job(job)?.result != nil })
        let ended = try #require(world.job(job))
        #expect(world.checked.map(\.check) == [.replay] && world.checked.map(\.isClockEarly) == [false])
        guard case .refuted? = ended.attempts.first?.end else {
            Issue.record("\(outcome): \(String(describing: ended.attempts.first?.end))")
            return
        }
        #expect(ended.result == .completedSuccessfully)
        #expect(ended.receipt?.receipt.executorDID == world.parties[2].identity.did)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(verdicts(world) == [.invalid])
        #expect(world.totalTokens == 10_000_000)
    }

    /// The same with dates that are an hour apart, which only the originator knows to be a lie.
    @Test(arguments: ends) func moreFuelThanTheTimeSinceTheAssignmentAllows(_ outcome: ExecutionOutcome) throws {
        var id: JobID?
        var world = try running(&id, executors: 2)
        let job = try #require(id)
        let lie = try receipt(world, job, outcome, fuel: 1_000_000_000_000, milliseconds: 3_600_000)
        _ = try deliver(lie, &world)
        world.run(milliseconds: 60_000)
        #expect(world.checked.map(\.check) == [.replay])
        if case .refuted? = world.job(job)?.attempts.first?.end {
        } else {
            Issue.record("\(outcome): \(String(describing: world.job(job)?.attempts.first?.end))")
        }
        #expect(world.job(job)?.result == .completedSuccessfully)
        #expect(world.job(job)?.receipt?.receipt.executorDID == world.parties[2].identity.did)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(verdicts(world) == [.invalid])
    }

    /// Calls that fail take their price in no time: where the run here gives the same, all of it is paid.
    @Test func fuelThatTakesNoTimeIsPaidWhereARunBearsItOut() throws {
        var world = MarketWorld(executors: 1, tokens: 10_000_000) { _, configuration in
            configuration.executor?.priceMax = nil
        }
        world.checks = { _ in .confirmed }
        world.parties[1].run = .end(.exited(code: 0), fuel: 900_000_000_000)
        let job = try world.submit(MarketWorld.request { $0.maxFuel = 1_000_000_000_000 })
        #expect(world.run(milliseconds: 10_000) { $0.job(job)?.result != nil })
        #expect(world.checked.map(\.check) == [.replay])
        #expect(world.job(job)?.paid == TokenAmount(900_010) && world.job(job)?.attempts.count == 1)
        #expect(!verdicts(world).contains(.invalid))
    }

    /// A job that is cancelled is not run here: then the time is what counts.
    @Test func anEndOfItsOwnOfACancelledJobIsPaidForItsTime() throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        try world.cancel(job)
        let lie = try receipt(world, job, .exited(code: 0), fuel: 1_000_000_000_000, milliseconds: 3_600_000)
        let attempt = try #require(world.job(job)?.attempts.first)
        let elapsed = world.wallClock.milliseconds(since: attempt.assignment.assignedAt)
        let most = FuelPace.fuel(perSecond: FuelPace.perSecondMax, milliseconds: elapsed)
        _ = try deliver(lie, &world)
        #expect(world.job(job)?.paid == attempt.assignment.terms.due(fuel: most))
        #expect(world.checked.isEmpty)
    }

    /// Nor is one whose check its owner ends: what nobody looked at to the end is worth its time.
    @Test func aClaimWhoseCheckIsWaivedIsPaidForItsTime() throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        world.checksReplay = true
        world.checkMilliseconds = 20_000
        let lie = try receipt(world, job, .exited(code: 0), fuel: 1_000_000_000_000, milliseconds: 3_600_000)
        let attempt = try #require(world.job(job)?.attempts.first)
        let elapsed = world.wallClock.milliseconds(since: attempt.assignment.assignedAt)
        let most = FuelPace.fuel(perSecond: FuelPace.perSecondMax, milliseconds: elapsed)
        _ = try deliver(lie, &world)
        #expect(world.run(milliseconds: 10_000) { $0.job(job)?.status == .verifying })
        try world.cancel(job)
        #expect(world.job(job)?.finding == .waived)
        #expect(world.job(job)?.paid == attempt.assignment.terms.due(fuel: most))
        #expect(attempt.assignment.terms.due(fuel: most) < lie.price)
        #expect(world.totalTokens == 10_000_000)
    }

    /// An honest machine may be faster than its bid promised: the fuel of a run that ended cannot be cut down.
    @Test func aFastMachineIsPaidWhole() throws {
        var world = MarketWorld(executors: 1, tokens: 10_000_000) { _, configuration in
            configuration.executor?.priceMax = nil
        }
        let most = FuelPace.fuel(perSecond: FuelPace.perSecondMax, milliseconds: 100)
        world.parties[1].run = .end(.limitExceeded(.fuel), fuel: most)
        let job = try world.submit(MarketWorld.request { $0.maxFuel = 1_000_000_000_000 })
        #expect(world.run(milliseconds: 10_000) { $0.job(job)?.result != nil })
        #expect(world.job(job)?.liveAttempt == nil && world.job(job)?.attempts.count == 1)
        #expect(world.job(job)?.paid == TokenAmount(10 + most / 1_000_000))
    }

    /// A calendar that is set back during a run makes its receipt no lie: the run took as long as it took.
    @Test func aCalendarThatWasSetBack() throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        let assignment = try #require(world.job(job)?.liveAttempt?.cid)
        world.run(milliseconds: 1_000)
        var report = ExecutionReport(
            outcome: .exited(code: 0), usage: ResourceUsage(fuel: 9_000_000_000, wallMilliseconds: 900),
            startedAt: world.wallClock, endedAt: UnixMilliseconds(world.wallClock.value - 60_000))
        report.stdoutCID = CID.hashing(Array("out".utf8), codec: .raw)
        world.give(.executionFinished(assignment: assignment, report), to: 1)
        world.run(milliseconds: 5_000)
        let ended = try #require(world.job(job)?.receipt?.receipt)
        #expect(ended.executionEndedAt.milliseconds(since: ended.executionStartedAt) == 900)
        #expect(world.job(job)?.result == .completedSuccessfully)
        #expect(world.job(job)?.paid == TokenAmount(9_010))
    }

    // MARK: A clock that is early

    /// Says that the clock stopped the run which has just begun, with dates so far apart.
    private func stoppedEarly(
        dates: UInt64, finding: @escaping (CheckOrder) -> ReplayFinding?
    ) throws -> (world: MarketWorld, job: JobID) {
        var id: JobID?
        var world = try running(&id, executors: 2)
        let job = try #require(id)
        world.checks = finding
        _ = try deliver(
            try receipt(world, job, .limitExceeded(.wallClock), fuel: 5_000, milliseconds: dates), &world)
        // Its own market, which still runs the job, would sign a second receipt.
        world.parties[1].isDown = true
        world.run(milliseconds: 60_000)
        return (world, job)
    }

    @Test(
        "A clock that cannot have stopped the run is looked at with level none, too, and ends no job",
        arguments: [
            1, 3_600_000,
        ])
    func earlyClock(dates: UInt64) throws {
        let (world, job) = try stoppedEarly(dates: dates) { order in
            order.isClockEarly ? .claimRefuted(reason: "here the run went on") : nil
        }
        let ended = try #require(world.job(job))
        #expect(world.checked.map(\.check) == [.replay])
        guard case .refuted(_, nil, "here the run went on")? = ended.attempts.first?.end else {
            Issue.record("\(String(describing: ended.attempts.first?.end))")
            return
        }
        #expect(ended.result == .completedSuccessfully)
        #expect(ended.receipt?.receipt.executorDID == world.parties[2].identity.did)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(verdicts(world) == [.invalid])
        #expect(world.totalTokens == 10_000_000)
    }

    @Test("A guest that sleeps past its time is stopped at once: where the own run says so, it is final and paid")
    func sleeper() throws {
        let (world, job) = try stoppedEarly(dates: 1) { _ in .confirmed }
        let ended = try #require(world.job(job))
        #expect(ended.outcome == .limitExceeded(.wallClock) && ended.attempts.count == 1)
        #expect(ended.paid == TokenAmount(11))
    }

    @Test("Where this node cannot look, another executor is asked, and the claim is no evidence")
    func earlyClockUnseen() throws {
        let (world, job) = try stoppedEarly(dates: 1) { _ in .notMade(reason: "no room") }
        let ended = try #require(world.job(job))
        if case .unverified? = ended.attempts.first?.end {} else { Issue.record("\(ended.attempts.map(\.end))") }
        #expect(ended.result == .completedSuccessfully && ended.attempts.count == 2)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(verdicts(world).isEmpty)
    }

    @Test("Two clocks may differ by a hundredth and a moment", arguments: [(9_800, false), (9_799, true)])
    func slack(milliseconds: UInt64, isEarly: Bool) throws {
        var id: JobID?
        var world = try running(&id)
        let job = try #require(id)
        world.run(milliseconds: 9_900)
        world.checks = { _ in nil }
        _ = try deliver(
            try receipt(world, job, .limitExceeded(.wallClock), fuel: 5_000, milliseconds: milliseconds), &world)
        #expect(world.checked.map(\.isClockEarly) == (isEarly ? [true] : []))
        #expect((world.job(job)?.outcome == .limitExceeded(.wallClock)) == !isEarly)
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
