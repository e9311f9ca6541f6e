import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// A second copy of a slow run: when it is made, who wins, who is paid.
@Suite("Second copies of slow runs")
struct HedgeTests {
    private static func request(_ key: String = "job", timeout: UInt64 = 10) -> JobRequest {
        MarketWorld.request(key) { params in
            params.timeoutSeconds = timeout
            var policy = params.executionPolicy ?? ExecutionPolicy()
            policy.hedge = true
            policy.require(HedgedJob.feature)
            params.executionPolicy = policy
        }
    }

    /// A world in which the cheaper of two executors never comes to an end.
    private static func world(executors: Int = 2) -> MarketWorld {
        var world = MarketWorld(executors: executors) { _, configuration in
            configuration.originator.sufficientBids = UInt64(executors)
            configuration.executor?.features.append(HedgedJob.feature)
        }
        world.checksReplay = true
        world.parties[1].run = .hang
        return world
    }

    private func explanations(_ world: MarketWorld, _ id: JobID) -> [String] {
        world.parties[0].events.filter { $0.jobID == id && $0.role == .originator }.map(\.explanation)
    }

    private func isHedged(_ world: MarketWorld, _ id: JobID) -> Bool {
        world.job(id)?.attempts.contains { $0.end?.isHedge ?? false } ?? false
    }

    private func verdicts(_ world: MarketWorld, of index: Int) -> Int {
        world.parties[0].market.reputation.evidence(about: world.parties[index].identity.did).count
    }

    @Test("After half of the time-out another executor is asked, wins, and alone is paid")
    func secondWins() throws {
        var world = Self.world()
        let id = try world.submit(Self.request())
        world.run(milliseconds: 4_900)
        #expect(!isHedged(world, id))
        world.run(milliseconds: 5_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.map(\.assignment.executorDID) == [1, 2].map { world.parties[$0].identity.did })
        #expect(isHedged(world, id))
        world.run(milliseconds: 700_000)
        #expect(world.parties[1].market.executedJob(id)?.isClosed == true, "it was told to stop")
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(world.parties[2].market.ledger.wallet == job.paid && job.paid > .zero)
        #expect(world.parties[0].market.ledger.wallet.units == 1_000_000 - job.paid.units)
        #expect((verdicts(world, of: 1), verdicts(world, of: 2)) == (0, 1))
        #expect(world.job(id)?.isClosed ?? true)
        let told = explanations(world, id)
        #expect(told.contains { $0.hasPrefix("A second copy is made") && $0.contains("half of the time") }, "\(told)")
    }

    @Test("Without the owner's leave nobody else is asked")
    func notAllowed() throws {
        var world = Self.world()
        let id = try world.submit(MarketWorld.request())
        world.run(milliseconds: 15_000)
        #expect(world.job(id)?.attempts.count == 1)
        #expect(world.job(id)?.liveAttempt != nil)
    }

    @Test("The slow one wins if it is first after all, and the copy is not paid")
    func firstWins() throws {
        var world = Self.world()
        world.parties[2].run = .hang
        let id = try world.submit(Self.request())
        #expect(world.run(milliseconds: 9_000) { $0.job(id)?.attempts.count == 2 })
        world.run(milliseconds: 1_000)
        let slow = try #require(world.job(id)?.attempts.first?.cid)
        world.finish(slow, .exited(code: 0), fuel: 3_000_000, of: 1, after: 1)
        world.run(milliseconds: 700_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.first?.hasWon == true)
        guard case .overtaken? = job.attempts.last?.end else {
            Issue.record("\(String(describing: job.attempts.last?.end))")
            return
        }
        #expect(world.parties[1].market.ledger.wallet == job.paid && job.paid > .zero)
        #expect(world.parties[2].market.ledger.wallet == .zero)
        #expect((verdicts(world, of: 1), verdicts(world, of: 2)) == (1, 0))
    }

    /// Of some seeds the draw falls on the slow run and not on the copy, of others the other way round.
    @Test(
        "Where one of the two is being checked the other does not count unchecked",
        arguments: 1...12 as ClosedRange<UInt64>)
    func checked(seed: UInt64) throws {
        var world = MarketWorld(executors: 2, seed: seed) { _, configuration in
            configuration.originator.sufficientBids = 2
            configuration.limits.checksAtOnceMax = 2
            configuration.executor?.features.append(HedgedJob.feature)
        }
        (world.parties[1].run, world.parties[2].run) = (.hang, .hang)
        world.checkMilliseconds = 2_000
        var request = Self.request()
        request.verification = .spot(permille: 500)
        let id = try world.submit(request)
        #expect(world.run(milliseconds: 9_000) { $0.job(id)?.attempts.count == 2 })
        world.run(milliseconds: 200)
        let attempts = try #require(world.job(id)?.attempts.map(\.cid))
        world.finish(attempts[0], .exited(code: 0), fuel: 1_000_000, of: 1, after: 1)
        world.finish(attempts[1], .exited(code: 0), fuel: 1_000_000, of: 2, after: 500)
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.finding == (world.checked.isEmpty ? nil : .confirmed), "\(world.checked.count) were checked")
        #expect(job.attempts.first?.hasWon == true, "the first result was right")
    }

    @Test("Where the copy comes to nothing the slow one is waited for again, and no third is asked")
    func copyFails() throws {
        var world = Self.world()
        world.parties[2].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
        let id = try world.submit(Self.request(timeout: 120))
        #expect(
            world.run(milliseconds: 150_000) { world in
                world.parties[0].events.contains { $0.kindName == "attempt_resumed" }
            })
        let job = try #require(world.job(id))
        #expect(job.liveAttempt?.assignment.executorDID == world.parties[1].identity.did)
        #expect(!isHedged(world, id))
        world.finish(try #require(job.liveAttempt?.cid), .exited(code: 0), fuel: 3_000_000, of: 1, after: 1_000)
        world.run(milliseconds: 20_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.last?.hasWon == true)
        #expect(world.parties[0].events.count { $0.kindName == "attempt_ended" } == 2)
    }

    @Test("Who cancels while nobody bids for the copy pays the slow one as any that is cancelled")
    func cancelled() throws {
        var world = Self.world(executors: 1)
        let id = try world.submit(Self.request())
        #expect(world.run(milliseconds: 9_000) { isHedged($0, id) })
        try world.cancel(id)
        world.run(milliseconds: 700_000)
        let job = try #require(world.job(id))
        #expect(job.result == .cancelled)
        #expect(job.paid > .zero)
        #expect(world.parties[1].market.ledger.wallet == job.paid)
    }

    @Test("A receipt of the stopped copy is answered with late, whatever it claims")
    func loserClaims() throws {
        var world = Self.world()
        let id = try world.submit(Self.request())
        world.blocked = [.cancelJob]
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.result != nil })
        let slow = try #require(world.job(id)?.attempts.first?.cid)
        world.finish(slow, .exited(code: 0), fuel: 9_000_000, of: 1, after: 1)
        world.run(milliseconds: 100_000)
        #expect(world.job(id)?.lateReceipts.count == 1)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(verdicts(world, of: 1) == 0)
    }

    @Test("An originator killed after any event ends the job, and pays once", arguments: [false, true])
    func killed(losesLazyEvents: Bool) throws {
        for count in 1...40 {
            var world = Self.world()
            world.losesLazyEvents = losesLazyEvents
            let id = try world.submit(Self.request(timeout: 30))
            guard world.run(milliseconds: 700_000, until: { $0.parties[0].journal.count >= count }) else { break }
            try world.restart(0, afterMilliseconds: 500)
            world.run(milliseconds: 2_000_000)
            #expect(world.job(id)?.result == .completedSuccessfully, "event \(count)")
            let paid = [1, 2].map { world.parties[$0].market.ledger.wallet.units }
            #expect(paid.count { $0 > 0 } == 1, "event \(count)")
            #expect(world.totalTokens == 1_000_000, "event \(count)")
        }
    }

    @Test("An originator killed when the slow run is waited for again still waits for it", arguments: [false, true])
    func killedWhenResumed(losesLazyEvents: Bool) throws {
        var world = Self.world()
        world.losesLazyEvents = losesLazyEvents
        world.parties[2].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
        let id = try world.submit(Self.request(timeout: 120))
        #expect(
            world.run(milliseconds: 150_000) { world in
                world.parties[0].events.contains { $0.kindName == "attempt_resumed" }
            })
        try world.restart(0, afterMilliseconds: 500)
        let slow = try #require(world.job(id)?.liveAttempt)
        #expect(slow.assignment.executorDID == world.parties[1].identity.did)
        world.finish(slow.cid, .exited(code: 0), fuel: 3_000_000, of: 1, after: 1_000)
        world.run(milliseconds: 20_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully && job.attempts.count == 2)
        #expect(world.parties[1].market.ledger.wallet == job.paid && job.paid > .zero)
        #expect(world.parties[2].market.ledger.wallet == .zero)
    }

    @Test("An originator killed when a loser's receipt came pays the winner alone", arguments: [false, true])
    func killedWhenLate(losesLazyEvents: Bool) throws {
        var world = Self.world()
        world.losesLazyEvents = losesLazyEvents
        let id = try world.submit(Self.request())
        world.blocked = [.cancelJob]
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.result != nil })
        let slow = try #require(world.job(id)?.attempts.first?.cid)
        world.finish(slow, .exited(code: 0), fuel: 9_000_000, of: 1, after: 1)
        #expect(world.run(milliseconds: 100_000) { $0.job(id)?.lateReceipts.count == 1 })
        try world.restart(0, afterMilliseconds: 500)
        world.run(milliseconds: 100_000)
        let job = try #require(world.job(id))
        #expect(job.lateReceipts.count == 1 && job.result == .completedSuccessfully)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(world.parties[2].market.ledger.wallet == job.paid && job.paid > .zero)
    }

    @Test("The past runs of the module tell what is slow, also after a restart")
    func runTimes() throws {
        var world = Self.world()
        world.parties[1].run = .succeed(fuel: 1_000_000)
        for number in 1...RunTimes.Limits.runsMin {
            try world.submit(MarketWorld.request("past \(number)"))
            world.run(milliseconds: 20_000)
        }
        try world.restart(0)
        world.parties[1].run = .hang
        let id = try world.submit(Self.request(timeout: 600))
        world.run(milliseconds: 4_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        let told = explanations(world, id)
        #expect(told.contains { $0.contains("the last \(RunTimes.Limits.runsMin) runs") }, "\(told)")
    }

    @Test("Of 20 runs the nineteenth is the mark; the oldest are forgotten, and so are kinds")
    func marks() {
        var runs = RunTimes()
        func params(_ module: String = "module", timeout: UInt64 = 60, fuel: UInt64 = 1_000) -> MeshJobParams {
            var params = MeshJobParams(wasmCID: CID.hashing(Array(module.utf8), codec: .raw))
            (params.timeoutSeconds, params.maxFuel) = (timeout, fuel)
            return params
        }
        let usual = params()
        for number in 1..<RunTimes.Limits.runsMin { runs.ran(usual, milliseconds: UInt64(number) * 10_000) }
        #expect(runs.mark(of: usual) == RunTimes.Mark(milliseconds: 30_000, runs: 0))
        #expect(runs.mark(of: params(timeout: 1)).milliseconds == RunTimes.Limits.slowMillisecondsMin)
        #expect(runs.mark(of: params(timeout: .max)).milliseconds == .max)
        for number in RunTimes.Limits.runsMin...20 { runs.ran(usual, milliseconds: UInt64(number) * 10_000) }
        #expect(runs.mark(of: usual) == RunTimes.Mark(milliseconds: 190_000, runs: 20))
        #expect(runs.mark(of: params(fuel: 1_023)).runs == 20, "the same class of fuel")
        #expect(runs.mark(of: params(fuel: 1_024)).runs == 0, "another class of fuel")
        for _ in 0..<RunTimes.Limits.runsMax { runs.ran(usual, milliseconds: 5) }
        let least = RunTimes.Mark(
            milliseconds: RunTimes.Limits.slowMillisecondsMin, runs: UInt64(RunTimes.Limits.runsMax))
        #expect(runs.mark(of: usual) == least)
        for number in 0..<RunTimes.Limits.kindsMax { runs.ran(params("\(number)"), milliseconds: 5) }
        #expect(runs.kindCount == RunTimes.Limits.kindsMax)
        #expect(runs.mark(of: usual).runs == 0)
    }

    @Test("Who does not take such jobs does not bid on one, and gets others")
    func unwilling() throws {
        var world = MarketWorld(executors: 2) { index, configuration in
            configuration.originator.sufficientBids = 2
            if index == 2 { configuration.executor?.features = [HedgedJob.feature] }
        }
        let id = try world.submit(Self.request())
        world.run(milliseconds: 20_000)
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [world.parties[2].identity.did])
        let other = try world.submit(MarketWorld.request("other"))
        world.run(milliseconds: 20_000)
        #expect(world.job(other)?.attempts.first?.assignment.executorDID == world.parties[1].identity.did)
    }

    @Test("A run that says that its time is over while the other one goes on is no result, and is not paid")
    func outOfTime() throws {
        for liar in [1, 2] {
            var world = Self.world()
            world.parties[2].run = .hang
            let id = try world.submit(Self.request(timeout: 20))
            #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
            world.run(milliseconds: 500)
            let both = try #require(world.job(id)?.attempts.map(\.cid))
            world.finish(both[liar - 1], .limitExceeded(.wallClock), fuel: 0, of: liar, after: 1)
            world.run(milliseconds: 500)
            #expect(world.job(id)?.result == nil, "the other goes on")
            world.finish(both[2 - liar], .exited(code: 0), fuel: 3_000_000, of: 3 - liar, after: 1)
            world.run(milliseconds: 100_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully && job.lateReceipts.count == 1)
            #expect(world.parties[liar].market.ledger.wallet == .zero)
            #expect(world.parties[3 - liar].market.ledger.wallet == job.paid && job.paid > .zero)
            // A time-out may be honest: it is no evidence against anybody.
            #expect(verdicts(world, of: liar) == 0)
        }
    }

    @Test("Who has the slow one's result on its way cannot cancel it away, and the copy is told to stop")
    func cancelledTooLate() throws {
        var world = Self.world()
        world.parties[2].run = .hang
        let id = try world.submit(Self.request(timeout: 20))
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
        world.run(milliseconds: 500)
        let slow = try #require(world.job(id)?.attempts.first)
        world.withheldOutputs = [1]
        world.finish(slow.cid, .exited(code: 0), fuel: 3_000_000, of: 1, after: 1)
        #expect(world.run(milliseconds: 500) { $0.job(id)?.candidateReceipts.isEmpty == false })
        #expect(world.job(id)?.liveAttempt != nil, "the copy still runs")
        #expect(throws: CancellationRefusal.resultReached) { try world.cancel(id) }
    }

    @Test("A result that comes while its job is cancelled is waited for, although the copy does not answer")
    func cancelledMeanwhile() throws {
        var world = Self.world()
        world.parties[2].run = .hang
        let id = try world.submit(Self.request(timeout: 20))
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
        world.run(milliseconds: 500)
        let slow = try #require(world.job(id)?.attempts.first)
        world.parties[2].isDown = true
        try world.cancel(id)
        world.withheldOutputs = [1]
        world.finish(slow.cid, .exited(code: 0), fuel: 3_000_000, of: 1, after: 1)
        world.run(milliseconds: 15_000)
        let waiting = try #require(world.job(id))
        #expect(waiting.result == nil && waiting.liveAttempt == nil)
        let receipt = try #require(waiting.candidateReceipts.first?.accepted.cid)
        world.give(.outputsFetched(id, receipt: receipt, missing: []), to: 0)
        world.run(milliseconds: 100_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(world.parties[1].market.ledger.wallet == job.paid && job.paid > .zero)
    }

    @Test("A slow run that is joined by a copy counts with the time that it had, not with the copy's")
    func recorded() throws {
        var world = Self.world()
        let id = try world.submit(Self.request())
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.result != nil })
        var times = world.parties[0].market.originator.runTimes
        let params = try #require(world.job(id)?.manifest.params)
        for _ in 1..<RunTimes.Limits.runsMin { times.ran(params, milliseconds: 1) }
        #expect(times.mark(of: params).milliseconds >= 5_000)
        #expect(times.mark(of: params).runs == UInt64(RunTimes.Limits.runsMin))
    }

    /// Gives the originator a receipt of an attempt that claims so much fuel.
    private func giveReceipt(
        _ world: inout MarketWorld, _ id: JobID, of attempt: Attempt, by index: Int, fuel: UInt64
    ) throws {
        let job = try #require(world.job(id))
        let executor = world.parties[index].identity
        let receipt = ExecutionReceipt(
            jobID: id, assignmentCID: attempt.cid, originatorDID: job.manifest.originatorDID,
            executorDID: executor.did, attempt: attempt.assignment.attempt, moduleCID: job.manifest.params.wasmCID,
            inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: ResourceUsage(fuel: fuel), price: .zero,
            engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: world.wallClock, executionEndedAt: world.wallClock)
        let signed = try SignedObject.sign(receipt, with: executor)
        let notice = ExecutionReceiptAvailableV1(
            jobID: id, receiptCID: signed.cid, executorDID: executor.did, status: receipt.status, receipt: signed.bytes)
        world.give(.executionReceiptAvailable(notice), from: executor.peerID, to: 0)
    }

    @Test("A slow run that gives up, or lies, while a copy goes on is not waited for again", arguments: [false, true])
    func slowFails(lies: Bool) throws {
        var world = Self.world()
        world.parties[2].run = .hang
        let id = try world.submit(Self.request(timeout: 20))
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
        world.run(milliseconds: 500)
        let slow = try #require(world.job(id)?.attempts.first)
        if lies {
            try giveReceipt(&world, id, of: slow, by: 1, fuel: 1_000_000_000_000_000)
        } else {
            world.finish(slow.cid, .nodeFailed(reason: "no power"), fuel: 0, of: 1, after: 1)
        }
        world.run(milliseconds: 500)
        #expect(!isHedged(world, id))
        let copy = try #require(world.job(id)?.liveAttempt)
        #expect(copy.assignment.executorDID == world.parties[2].identity.did, "the copy goes on")
        world.finish(copy.cid, .exited(code: 0), fuel: 3_000_000, of: 2, after: 1)
        world.run(milliseconds: 20_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(verdicts(world, of: 1) > 0)
    }

    @Test("Where both give their results at once one counts and is paid, and the other is answered with late")
    func bothAtOnce() throws {
        var world = Self.world()
        world.parties[2].run = .hang
        let id = try world.submit(Self.request(timeout: 20))
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
        world.run(milliseconds: 500)
        let both = try #require(world.job(id)?.attempts.map(\.cid))
        for (index, assignment) in both.enumerated() {
            world.finish(assignment, .exited(code: 0), fuel: 3_000_000, of: index + 1, after: 1)
        }
        world.run(milliseconds: 100_000)
        let job = try #require(world.job(id))
        #expect(job.attempts.count(where: \.hasWon) == 1 && job.lateReceipts.count == 1)
        #expect([1, 2].count { world.parties[$0].market.ledger.wallet > .zero } == 1)
        #expect(world.parties[0].market.ledger.wallet.units == 1_000_000 - job.paid.units)
    }
}
