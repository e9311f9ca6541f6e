import Determinism
import Economics
import MeshTypes
import Multiformats
import Receipts
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// Results that are checked before they count: who is believed, who is paid, and what a crash or a wait changes.
@Suite("Verification")
struct VerificationTests {
    private func request(
        _ level: VerificationLevel?, _ key: String = "job", _ change: (inout MeshJobParams) -> Void = { _ in }
    ) -> JobRequest {
        var request = MarketWorld.request(key, change)
        request.verification = level
        return request
    }

    private func settlements(_ world: MarketWorld, _ id: JobID) -> [Settlement] {
        world.parties[0].events.filter { $0.jobID == id }.compactMap { event in
            switch event.kind {
            case .settled(let signed, _), .paymentRefused(let signed, _): signed.body
            default: nil
            }
        }
    }

    @Test("A result that the own run bears out counts, is paid, and opens what the manifest hid")
    func confirmed() throws {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        let id = try world.submit(request(.replay))
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.status == .verifying })
        #expect(world.job(id)?.phase == .verification)
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.finding == .confirmed)
        #expect(world.checked.map(\.check) == [.replay])
        let settlement = try #require(settlements(world, id).last)
        #expect(settlement.verdict == .paid)
        #expect(settlement.finding == .confirmed)
        let opening = try #require(settlement.verification)
        #expect(opening.level == .replay)
        #expect(opening.opens(job.manifest.verificationCommitment))
        #expect(job.isClosed)
    }

    @Test("Nothing on the wire before the settlement tells a watched job from another")
    func blind() throws {
        var sizes: [Int] = []
        var lifetimes: [UInt64] = []
        for level: VerificationLevel? in [nil, VerificationLevel.none, .spot(permille: 100), .replay] {
            var world = MarketWorld(executors: 1)
            let id = try world.submit(request(level))
            let manifest = try #require(world.job(id)?.manifest)
            #expect(manifest.params.verification == .none)
            #expect(manifest.verificationCommitment?.count == VerificationOpening.commitmentBytes)
            sizes.append(try #require(world.job(id)?.signedManifest.bytes.count))
            lifetimes.append(manifest.expiresAt.milliseconds(since: manifest.submittedAt))
        }
        #expect(Set(sizes).count == 1, "\(sizes)")
        #expect(Set(lifetimes).count == 1, "\(lifetimes)")
    }

    @Test("Whoever lies is not paid, loses its reputation, is left out, and another does the job")
    func refuted() throws {
        let lies: [FakeRun] = [
            .succeed(fuel: 2_000_000), .end(.exited(code: 1), fuel: 1_000_000),
            .end(.trapped(kind: .unreachable, message: "no"), fuel: 5), .end(.limitExceeded(.memory), fuel: 0),
            .end(.limitExceeded(.fuel), fuel: 1_000_000),
        ]
        for lie in lies {
            var world = MarketWorld(executors: 2)
            world.checksReplay = true
            // The cheaper one lies, after it was honest for a while.
            let first = try world.submit(request(VerificationLevel.replay, "first"))
            world.run(milliseconds: 60_000)
            #expect(world.job(first)?.finding == .confirmed)
            let liar = world.parties[1].identity.did
            #expect(world.parties[0].market.reputation.isProven(liar))
            world.parties[1].run = lie
            let id = try world.submit(request(.replay))
            world.run(milliseconds: 600_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully, "\(lie)")
            #expect(job.receipt?.receipt.executorDID == world.parties[2].identity.did)
            guard case .refuted(let receipt, let proofCID?, _)? = job.attempts.first?.end else {
                Issue.record("\(lie): \(String(describing: job.attempts.first?.end))")
                continue
            }
            let verdicts = settlements(world, id)
            #expect(verdicts.first?.verdict == .refuted)
            #expect(verdicts.first?.amountPaid == .zero)
            #expect(verdicts.first?.proofCID == proofCID)
            #expect(world.parties[1].market.executedJob(id)?.verdict == .refuted)
            #expect(!world.parties[0].market.reputation.isProven(liar))
            #expect(world.parties[0].market.reputation.score(of: liar, at: world.wallClock) == 0)
            let proof = try SignedObject<FraudProof>(verifying: try #require(world.proofs[proofCID]))
            #expect(proof.body.receiptCID == receipt)
            #expect(proof.body.executorDID == liar)
            #expect(proof.did == world.parties[0].identity.did)
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("A refused module is looked at even where the result is believed, and does not end the job")
    func refusedModule() throws {
        var world = MarketWorld(executors: 2)
        world.checks = { MarketWorld.honestFinding($0) }
        world.parties[1].run = .end(.moduleRefused(reason: "no"), fuel: 0)
        let id = try world.submit(request(nil))
        world.run(milliseconds: 600_000)
        let job = try #require(world.job(id))
        #expect(world.checked.map(\.check) == [.refusal])
        #expect(job.result == .completedSuccessfully)
        if case .unverified? = job.attempts.first?.end {} else { Issue.record("\(job.attempts.map(\.end))") }
        #expect(world.parties[0].market.reputation.evidence(about: world.parties[1].identity.did).isEmpty)

        // One that this node's engine refuses, too, ends it.
        var honest = MarketWorld(executors: 2)
        honest.parties[1].run = .end(.moduleRefused(reason: "no"), fuel: 0)
        let bad = try honest.submit(request(nil))
        honest.run(milliseconds: 600_000)
        #expect(honest.job(bad)?.outcome == .moduleRefused(reason: "no"))
        #expect(honest.job(bad)?.attempts.count == 1)
    }

    @Test("A failure that nobody checked counts for nobody's reputation")
    func uncheckedFailures() throws {
        for (level, proven) in [(VerificationLevel.none, false), (.replay, true)] {
            var world = MarketWorld(executors: 1)
            world.checks = { _ in .confirmed }
            world.parties[1].run = .end(.trapped(kind: .unreachable, message: "no"), fuel: 5)
            let id = try world.submit(request(level))
            world.run(milliseconds: 600_000)
            #expect(world.job(id)?.result == .failed)
            let did = world.parties[1].identity.did
            #expect(world.parties[0].market.reputation.isProven(did) == proven, "\(level)")
        }
    }

    @Test("The draw follows from the committed seed and the receipt alone")
    func draw() throws {
        var drawn = 0
        for seed in 1...40 {
            var world = MarketWorld(executors: 1, seed: UInt64(seed))
            let id = try world.submit(request(.spot(permille: 500)))
            world.run(milliseconds: 60_000)
            let settlement = try #require(settlements(world, id).last)
            let opening = try #require(settlement.verification)
            let isDrawn = opening.draws(settlement.receiptCID)
            #expect(settlement.finding == (isDrawn ? .confirmed : .unchecked))
            #expect(world.checked.count == (isDrawn ? 1 : 0))
            drawn += isDrawn ? 1 : 0
        }
        #expect((8...32).contains(drawn), "\(drawn) of 40")
    }

    @Test(
        "At the level adaptive strangers are always checked, others the more seldom the more was right, till one is not"
    )
    func adaptive() throws {
        var world = MarketWorld(executors: 1, seed: 5) { _, configuration in
            configuration.originator.trackRates.trust = 2
            configuration.originator.trackRates.floorPermille = 1
        }
        func submit(_ number: Int) throws -> OriginatedJob {
            let id = try world.submit(request(.adaptive, "job \(number)"))
            world.run(milliseconds: 600_000)
            return try #require(world.job(id))
        }
        let first = try submit(0)
        #expect(first.finding == .confirmed && world.checked.count == 1)
        for number in 1...60 { #expect(try submit(number).result == .completedSuccessfully) }
        #expect((4...30).contains(world.checked.count), "\(world.checked.count) of 61")
        #expect(settlements(world, first.id).last?.verification?.level == .adaptive)
        // It lies until that is found, and is a stranger again.
        world.parties[1].run = .succeed(fuel: 2_000_000)
        var number = 61
        while world.proofs.isEmpty, number < 400 {
            _ = try submit(number)
            number += 1
        }
        #expect(world.proofs.count == 1)
        world.parties[1].run = .succeed(fuel: 1_000_000)
        let before = world.checked.count
        #expect(try submit(number).finding == .confirmed)
        #expect(world.checked.count == before + 1)
    }

    @Test("Another engine's fuel is paid at most as it burns here")
    func fuelUnknown() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .succeed(fuel: 8_000_000)
        world.checks = { _ in .fuelUnknown(fuel: 1_000_000) }
        let id = try world.submit(request(.replay))
        world.run(milliseconds: 60_000)
        let settlement = try #require(settlements(world, id).last)
        #expect(world.job(id)?.receipt?.receipt.price == TokenAmount(18))
        #expect(settlement.amountPaid == TokenAmount(11))
        #expect(settlement.finding == .fuelUnknown)
        #expect(world.totalTokens == 1_000_000)
    }

    @Test("A check that this node cannot make ends the job unverified and unpaid, unless another attempt is under way")
    func notMade() throws {
        var world = MarketWorld(executors: 2)
        world.checksReplay = true
        world.checks = { _ in .notMade(reason: "the disk is full") }
        let id = try world.submit(request(.replay))
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        guard case .unverified(_, let reason)? = job.failure else {
            Issue.record("\(String(describing: job.failure))")
            return
        }
        #expect(reason == "the disk is full")
        #expect(job.attempts.count == 1)
        #expect(settlements(world, id).map(\.verdict) == [.unverified])
        #expect(world.parties[0].market.ledger.paid == .zero)
        #expect(world.parties[1].market.executedJob(id)?.verdict == .unverified)
        #expect(world.parties[0].market.reputation.evidence(about: world.parties[1].identity.did).isEmpty)
        #expect(job.isClosed)
    }

    @Test("What nothing bears out is no fraud: another executor is asked")
    func doubtful() throws {
        var world = MarketWorld(executors: 2)
        let cheap = world.parties[1].identity.did
        world.checks = { $0.receipt.body.executorDID == cheap ? .doubtful(reason: "another engine") : .confirmed }
        let id = try world.submit(request(.replay))
        world.run(milliseconds: 600_000)
        #expect(world.job(id)?.receipt?.receipt.executorDID == world.parties[2].identity.did)
        #expect(world.parties[0].market.reputation.evidence(about: cheap).isEmpty)
        #expect(world.proofs.isEmpty)
    }

    @Test("A check ends in its time, and its executor waits longer than that")
    func bounded() throws {
        var world = MarketWorld(executors: 1)
        world.checks = { _ in nil }
        let id = try world.submit(request(.replay))
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.status == .verifying })
        let begun = world.now
        #expect(world.run(milliseconds: 3_600_000) { $0.job(id)?.result != nil })
        let times = OriginatorConfiguration()
        let allowed = times.checkMilliseconds(timeoutSeconds: 10)
        #expect(world.now.milliseconds(since: begun) <= Int64(allowed))
        if case .unverified? = world.job(id)?.failure {} else { Issue.record("\(String(describing: world.job(id)))") }
        #expect(world.stopped.count == 1)
        let executor = ExecutorConfiguration()
        #expect(executor.settlementMilliseconds + executor.replayTimesMax * 10_000 > allowed)
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].market.executedJob(id)?.isOverdue == false, "it was told in time")
    }

    @Test("Whoever cancels while the result is checked waives the check: the work is done, and paid")
    func waived() throws {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        world.checkMilliseconds = 20_000
        let id = try world.submit(request(.replay))
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.status == .verifying })
        try world.cancel(id)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.finding == .waived)
        #expect(world.stopped.count == 1)
        #expect(settlements(world, id).last?.finding == .waived)
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].market.executedJob(id)?.verdict == .paid)
    }

    @Test("So many receipts are checked at once; the others wait for their turn")
    func queue() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.limits.checksAtOnceMax = 2 }
        world.checkMilliseconds = 5_000
        let ids = try (0..<6).map { try world.submit(request(.replay, "job \($0)")) }
        var most = 0
        while world.step(until: world.now.advanced(milliseconds: 120_000)) {
            most = max(most, world.parties[0].market.originator.checks.running.count)
            if ids.allSatisfy({ world.job($0)?.result != nil }) { break }
        }
        #expect(most == 2)
        #expect(ids.allSatisfy { world.job($0)?.finding == .confirmed })
        #expect(world.checked.count == 6)
    }

    @Test("While results wait to be checked, one turn in four is a trial's; a trial goes at once where none waits")
    func trialsBehindChecks() {
        func item(_ number: UInt8, isTrial: Bool) -> ReceiptChecks.Item {
            let cid = CID.hashing([number], codec: .dagCBOR)
            return ReceiptChecks.Item(job: JobID(cid), receipt: cid, isTrial: isTrial)
        }
        var checks = ReceiptChecks()
        let begins = (0...12).map { checks.add(item(UInt8($0), isTrial: (1...4).contains($0)), max: 1) }
        #expect(begins == [true] + Array(repeating: false, count: 12))
        var (order, last): ([Bool], CID) = ([], item(0, isTrial: false).receipt)
        while let next = checks.ended(last, max: 1).first {
            order.append(next.isTrial)
            last = next.receipt
        }
        let turn = [false, false, false, true]
        #expect(order == turn + turn + [false, false, true, true])
        #expect(ReceiptChecks.turnsPerTrial == 4)
    }

    @Test("The time of a check begins with it, however long it waited for its turn")
    func longQueue() throws {
        var world = MarketWorld(executors: 2) { _, configuration in configuration.limits.checksAtOnceMax = 1 }
        world.checkMilliseconds = 100_000
        let ids = try (0..<4).map { try world.submit(request(.replay, "job \($0)")) }
        let allowed = OriginatorConfiguration().checkMilliseconds(timeoutSeconds: 10)
        #expect(3 * UInt64(world.checkMilliseconds) > allowed, "the last one waits longer than a check may take")
        #expect(world.run(milliseconds: 600_000) { world in ids.allSatisfy { world.job($0)?.result != nil } })
        #expect(ids.allSatisfy { world.job($0)?.finding == .confirmed })
        #expect(ids.allSatisfy { settlements(world, $0).last?.verdict == .paid })
    }

    @Test("A kill at every point of a check loses nothing, and pays once")
    func crashes() throws {
        for losesLazyEvents in [false, true] {
            var step = 0
            while true {
                var world = MarketWorld(executors: 2)
                world.losesLazyEvents = losesLazyEvents
                world.parties[1].run = .succeed(fuel: 2_000_000)
                let id = try world.submit(request(.replay))
                var isOver = false
                for _ in 0..<step where !isOver {
                    isOver = !world.step(until: .distantFuture) || world.job(id)?.isClosed == true
                }
                if isOver { break }
                try world.restart(0, afterMilliseconds: 50)
                world.run(milliseconds: 600_000)
                let job = try #require(world.job(id))
                #expect(job.result == .completedSuccessfully, "killed after \(step) steps")
                #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000, "killed after \(step) steps")
                #expect(settlements(world, id).count { $0.verdict == .paid } == 1)
                #expect(world.totalTokens == 1_000_000)
                step += 1
            }
            #expect(step > 20)
        }
    }

    @Test("A job that nobody can repeat cannot ask for a check, and nobody names one in the clear")
    func refusals() throws {
        var world = MarketWorld(executors: 1)
        #expect(throws: SubmissionRefusal.self) {
            try world.submit(request(.replay) { $0.determinism = .attested })
        }
        #expect(throws: SubmissionRefusal.self) { try world.submit(request(.spot(permille: 0))) }
        #expect(throws: SubmissionRefusal.self) {
            try world.submit(request(nil) { $0.verification = .spotCheck(permille: 100) })
        }
        #expect(throws: SubmissionRefusal.jobRefused(.featureNotRequired(AttestedRun.feature))) {
            try world.submit(request(nil) { $0.determinism = .attested })
        }
        try world.submit(
            request(nil) { params in
                params.determinism = .attested
                params.executionPolicy = ExecutionPolicy()
                params.executionPolicy?.require(AttestedRun.feature)
            })
    }
}
