import Determinism
import Economics
import MeshTypes
import Multiformats
import Receipts
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// Results that another executor checks, for pay: who is asked, who is believed and paid, and what this node does where
/// nobody checks.
@Suite("Checks by another executor")
struct ExecutorCheckTests {
    private static let engine = EngineDescription(name: "none", version: "0", configurationDigest: "")
    /// The price of the cheapest executor, and what the second asks.
    private static let cheapest: UInt64 = 20

    private func world(_ executors: Int = 3, seed: UInt64 = 1, tokens: UInt64 = 1_000_000) -> MarketWorld {
        MarketWorld(executors: executors, seed: seed, tokens: tokens) { _, configuration in
            configuration.originator.engine = Self.engine
            // One right result is enough, and who has it is never run again here.
            configuration.originator.trackRates.trust = 0
            configuration.originator.trackRates.floorPermille = 0
            configuration.executor?.features = [ExecutionIdentity.feature(of: Self.engine)]
        }
    }

    /// A world whose executors each had a result that a run of this node bore out.
    private func trusting(_ executors: Int = 3, seed: UInt64 = 1) throws -> MarketWorld {
        var world = world(executors, seed: seed)
        for index in 1...executors {
            let did = world.parties[index].identity.did
            var warm = MarketWorld.request("warm \(index)") {
                var policy = ExecutionPolicy()
                policy.allowedDIDs = [did]
                $0.executionPolicy = policy
            }
            warm.verification = .replay
            let id = try world.submit(warm)
            world.run(milliseconds: 60_000)
            try #require(world.job(id)?.isBorneOutHere == true)
        }
        world.checked = []
        world.published = []
        return world
    }

    private func request(
        _ level: VerificationLevel = .byExecutor(.replay), _ change: (inout MeshJobParams) -> Void = { _ in }
    ) -> JobRequest {
        var request = MarketWorld.request("job", change)
        request.verification = level
        return request
    }

    /// The job that the user knows, and its replicas.
    private func members(_ world: MarketWorld, _ id: JobID) -> [OriginatedJob] {
        world.parties[0].market.originatedJobs.filter { $0.id == id || $0.replicaOf == id }
    }

    private func settlements(_ world: MarketWorld, _ id: JobID) -> [Settlement] {
        let known = Set(members(world, id).map(\.id))
        return world.parties[0].events.filter { known.contains($0.jobID) }.compactMap { event in
            switch event.kind {
            case .settled(let signed, _), .paymentRefused(let signed, _): signed.body
            default: nil
            }
        }
    }

    private func paid(_ world: MarketWorld, _ id: JobID, _ index: Int) -> UInt64 {
        let did = world.parties[index].identity.did
        return settlements(world, id).filter { $0.executorDID == did }.reduce(0) { $0 + $1.amountPaid.units }
    }

    private func missing(_ world: MarketWorld, _ id: JobID) -> [String] {
        world.parties[0].events.compactMap { event in
            if case .checkerMissing(let reason) = event.kind, event.jobID == id { reason } else { nil }
        }
    }

    @Test("Another executor runs the work, as a job like any other; both give the same, and both are paid")
    func agreed() throws {
        var world = try trusting()
        world.checksReplay = true
        let id = try world.submit(request())
        #expect(members(world, id).count == 1, "nobody is asked before there is a result")
        world.run(milliseconds: 600_000)
        let members = members(world, id)
        #expect(members.count == 2)
        #expect(members.allSatisfy { $0.finding == .agreed && $0.result == .completedSuccessfully && $0.isClosed })
        #expect(Set(members.compactMap { $0.receipt?.receipt.executorDID }).count == 2)
        #expect(Set(members.map(\.manifest.executionCID)).count == 1)
        #expect(Set(members.map(\.manifest.nonce)).count == 2)
        #expect(Set(members.map(\.signedManifest.bytes.count)).count == 1)
        #expect(world.checked.isEmpty)
        let settled = settlements(world, id)
        #expect(settled.map(\.verdict) == [.paid, .paid])
        #expect(Set(settled.compactMap(\.verification?.level)) == [.byExecutor(.replay), .adaptive])
        for settlement in settled {
            let job = members.first { $0.id == settlement.jobID }
            #expect(settlement.verification?.opens(job?.manifest.verificationCommitment) == true)
        }
        #expect(paid(world, id, 1) > 0 && paid(world, id, 2) > 0 && paid(world, id, 3) == 0)
        #expect(world.job(id)?.isBorneOutHere == false, "what others agree on earns no trust")
        #expect(world.parties[0].market.mostPaidForReplicas(of: id)?.units == paid(world, id, 2))
        #expect(world.totalTokens == 1_000_000)
        #expect(missing(world, id).isEmpty)
    }

    @Test("Strangers that agree may be one: this node runs it once, for both, and knows them from then on")
    func control() throws {
        var world = world()
        world.checksReplay = true
        let id = try world.submit(request())
        world.run(milliseconds: 600_000)
        #expect(world.checked.map(\.check) == [.replay])
        #expect(members(world, id).map(\.finding) == [.confirmed, .confirmed])
        #expect(members(world, id).allSatisfy { $0.isBorneOutHere })
        #expect(settlements(world, id).map(\.verdict) == [.paid, .paid])
        // Both were right, so who of them is asked next is believed.
        var second = MarketWorld.request("second")
        second.verification = .byExecutor(.replay)
        let next = try world.submit(second)
        world.run(milliseconds: 600_000)
        #expect(world.checked.count == 1)
        #expect(members(world, next).map(\.finding) == [.agreed, .agreed])
        #expect(world.totalTokens == 1_000_000)
    }

    @Test("Whoever lies is found by a run here, whether it did the work or checked it")
    func oneCheat() throws {
        let lies: [FakeRun] = [
            .succeed(fuel: 2_000_000), .end(.exited(code: 1), fuel: 1_000_000),
            .end(.trapped(kind: .unreachable, message: "no"), fuel: 5), .end(.limitExceeded(.memory), fuel: 0),
            .end(.moduleRefused(reason: "no"), fuel: 0),
        ]
        let base = try trusting()
        for (index, lie) in lies.flatMap({ lie in [(1, lie), (2, lie)] }) {
            var world = base
            world.checksReplay = true
            world.parties[index].run = lie
            let id = try world.submit(request())
            world.run(milliseconds: 1_200_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully, "\(index) \(lie)")
            #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000)
            #expect(job.isChecked)
            let refused = settlements(world, id).filter { $0.verdict == .refuted || $0.verdict == .unverified }
            #expect(refused.map(\.executorDID) == [world.parties[index].identity.did], "\(index) \(lie)")
            #expect(paid(world, id, index) == 0)
            #expect(paid(world, id, 3 - index) > 0, "\(index) \(lie)")
            #expect(members(world, id).allSatisfy { $0.isClosed })
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("Two that agree on a lie get it through only where this node trusts one of them, and its draw spares them")
    func pair() throws {
        for isTrusted in [false, true] {
            var world = try isTrusted ? trusting() : world()
            world.checksReplay = true
            for index in [1, 2] { world.parties[index].run = .succeed(fuel: 2_000_000) }
            let id = try world.submit(request())
            world.run(milliseconds: 1_200_000)
            let job = try #require(world.job(id))
            #expect(job.receipt?.receipt.resourceUsage.fuel == (isTrusted ? 2_000_000 : 1_000_000))
            guard !isTrusted else { continue }
            #expect(Set(settlements(world, id).filter { $0.verdict == .refuted }.map(\.executorDID)).count == 2)
            #expect(paid(world, id, 1) == 0 && paid(world, id, 2) == 0 && paid(world, id, 3) > 0)
        }
    }

    @Test("A third is asked up to thirdTimeoutSecondsMax: with more the first two would be public before it ended")
    func longTimeout() throws {
        for (seconds, jobs) in [(UInt64(120), 3), (121, 2)] {
            var world = try trusting(3)
            world.checksReplay = true
            world.checks = { _ in .notMade(reason: "the disk is full") }
            world.parties[2].run = .succeed(fuel: 2_000_000)
            let id = try world.submit(request { $0.timeoutSeconds = seconds })
            world.run(milliseconds: 7_200_000)
            #expect(members(world, id).count == jobs)
            #expect(world.job(id)?.result == (jobs == 3 ? .completedSuccessfully : .failed), "\(seconds) s")
            #expect(members(world, id).allSatisfy { $0.result != nil && $0.isClosed })
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("What was refuted once does not count later, whoever gives it again, and whatever the draw says of that")
    func repeatedLie() throws {
        for seed in 1...12 {
            var world = world(4, seed: UInt64(seed))
            world.checksReplay = true
            for index in [1, 2] { world.parties[index].run = .succeed(fuel: 2_000_000) }
            let id = try world.submit(request(.byExecutor(.spot(permille: 500))))
            world.run(milliseconds: 3_600_000)
            let job = try #require(world.job(id))
            let isRefuted = settlements(world, id).contains { $0.verdict == .refuted }
            #expect(job.receipt?.receipt.resourceUsage.fuel == (isRefuted ? 1_000_000 : 2_000_000), "seed \(seed)")
            #expect(job.result == .completedSuccessfully && members(world, id).allSatisfy(\.isClosed))
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("A job that its owner ends while it runs is not run by another executor for that")
    func ended() throws {
        var world = try trusting()
        world.checksReplay = true
        world.parties[1].run = .hang
        let id = try world.submit(request())
        world.run(milliseconds: 5_000)
        try world.cancel(id)
        world.run(milliseconds: 3_600_000)
        #expect(world.job(id)?.result == .cancelled)
        #expect(members(world, id).count == 1 && members(world, id).allSatisfy(\.isClosed))
        #expect(world.totalTokens == 1_000_000)
    }

    @Test("Where whoever checks is silent, this node makes the run while the job's deadline leaves it the time")
    func deadline() throws {
        var world = try trusting(2)
        world.checksReplay = true
        world.parties[2].run = .hang
        let id = try world.submit(
            request {
                var policy = ExecutionPolicy()
                policy.deadline = UnixMilliseconds(world.wallClock.value + 400_000)
                $0.executionPolicy = policy
                $0.timeoutSeconds = 60
            })
        world.run(milliseconds: 3_600_000)
        #expect(world.job(id)?.finding == .confirmed)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(paid(world, id, 1) > 0 && paid(world, id, 2) == 0)
    }

    @Test("What nobody else checks this node does, and says why")
    func nobody() throws {
        var alone = world(1)
        let id = try alone.submit(request())
        alone.run(milliseconds: 600_000)
        #expect(alone.job(id)?.finding == .confirmed)
        #expect(alone.checked.map(\.check) == [.replay])
        #expect(missing(alone, id).count == 1)
        #expect(members(alone, id).allSatisfy { $0.isClosed })

        var poor = world(2, tokens: 2 * Self.cheapest - 1)
        let other = try poor.submit(request())
        poor.run(milliseconds: 600_000)
        #expect(poor.job(other)?.finding == .confirmed)
        #expect(missing(poor, other).first?.contains("tokens") == true, "\(missing(poor, other))")
        #expect(members(poor, other).count == 1)

        var full = MarketWorld(executors: 2) { _, configuration in
            configuration.originator.engine = Self.engine
            configuration.limits.originatedJobsMax = 1
            configuration.executor?.features = [ExecutionIdentity.feature(of: Self.engine)]
        }
        let third = try full.submit(request())
        full.run(milliseconds: 600_000)
        #expect(full.job(third)?.finding == .confirmed)
        #expect(missing(full, third).first?.contains("open jobs") == true)
    }

    @Test("Who checks and gives nothing in time is left out unpaid; what it signs later is late")
    func late() throws {
        var world = try trusting(2)
        world.parties[2].run = .hang
        let id = try world.submit(request())
        #expect(world.run(milliseconds: 3_600_000) { settlements($0, id).contains { $0.verdict == .paid } })
        for order in world.parties[2].orders {
            world.finish(order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: 2, after: 1)
        }
        world.run(milliseconds: 3_600_000)
        #expect(world.job(id)?.finding == .confirmed)
        #expect(missing(world, id).count == 1)
        #expect(paid(world, id, 1) > 0 && paid(world, id, 2) == 0)
        #expect(members(world, id).allSatisfy { $0.isClosed })
    }

    @Test("Where two differ and this node can run neither, a third is asked, and the number decides")
    func third() throws {
        func end(_ fuels: [UInt64]) throws -> (MarketWorld, OriginatedJob) {
            var world = try trusting(fuels.count)
            world.checksReplay = true
            world.checks = { _ in .notMade(reason: "the disk is full") }
            for (index, fuel) in fuels.enumerated() { world.parties[index + 1].run = .succeed(fuel: fuel) }
            let id = try world.submit(request())
            world.run(milliseconds: 3_600_000)
            #expect(world.totalTokens == 1_000_000)
            #expect(members(world, id).allSatisfy { $0.result != nil && $0.isClosed }, "\(fuels)")
            return (world, try #require(world.job(id)))
        }
        for fuels in [[1_000_000, 2_000_000, 1_000_000], [2_000_000, 1_000_000, 1_000_000]] as [[UInt64]] {
            let (world, job) = try end(fuels)
            #expect(job.result == .completedSuccessfully, "\(fuels): \(String(describing: job.failure))")
            #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000)
            #expect(job.finding == .agreed && job.replicaCount == 2)
            for (index, fuel) in fuels.enumerated() {
                let isPaid = paid(world, job.id, index + 1) > 0
                #expect(isPaid == (fuel == 1_000_000), "\(fuels) \(index)")
            }
            #expect(world.proofs.isEmpty)
        }
        for fuels in [[1_000_000, 2_000_000, 3_000_000], [1_000_000, 2_000_000]] as [[UInt64]] {
            let (world, job) = try end(fuels)
            if case .unverified? = job.failure {} else { Issue.record("\(fuels) \(String(describing: job.failure))") }
            #expect((1...fuels.count).allSatisfy { paid(world, job.id, $0) == 0 })
            #expect(Set(settlements(world, job.id).map(\.verdict)) == [.unverified])
        }
    }

    @Test("An executor is asked exactly where the draw falls on the receipt")
    func draws() throws {
        var asked = 0
        for seed in 1...12 as ClosedRange<UInt64> {
            var world = try trusting(2, seed: seed)
            let id = try world.submit(request(.byExecutor(.spot(permille: 500))))
            world.run(milliseconds: 600_000)
            let job = try #require(world.job(id))
            let receipt = try #require(job.receipt?.cid)
            let isDrawn = job.verification?.draws(receipt) ?? false
            #expect((members(world, id).count == 2) == isDrawn)
            #expect(job.finding == (isDrawn ? .agreed : nil))
            asked += isDrawn ? 1 : 0
        }
        #expect((1...11).contains(asked), "\(asked) of 12")
    }

    @Test("Nobody hears of the result before the other has given its own: there is nothing to copy")
    func privacy() throws {
        var world = try trusting()
        let id = try world.submit(request())
        while world.step(until: world.now.advanced(milliseconds: 120_000)) {
            let isWaiting = members(world, id).contains { $0.candidateReceipts.contains { $0.check == .agreement } }
            if isWaiting { #expect(world.published.isEmpty, "a receipt was told while another ran") }
        }
        #expect(world.published.count == 2)
    }

    @Test("With the job ends its check, whenever that is cancelled")
    func cancelled() throws {
        let base = try trusting()
        for milliseconds in [Int64(0), 5, 1_050, 1_150, 1_250, 2_200, 2_250, 2_300, 2_350] {
            var world = base
            let id = try world.submit(request())
            world.run(milliseconds: milliseconds)
            if world.job(id)?.result == nil { try world.cancel(id) }
            world.run(milliseconds: 600_000)
            #expect(members(world, id).allSatisfy { $0.result != nil && $0.isClosed }, "after \(milliseconds) ms")
            #expect(world.totalTokens == 1_000_000)
            #expect(world.parties[0].market.ledger.escrowTotal == .zero)
        }
    }

    @Test("A kill at every point of a check loses nothing, pays nobody twice, and finds the cheat")
    func crashes() throws {
        let base = try trusting()
        for (losesLazyEvents, cheat, isBroken) in [(false, 1, false), (true, 2, false), (true, 2, true)] {
            var step = 0
            while true {
                var world = base
                world.losesLazyEvents = losesLazyEvents
                if isBroken { world.checks = { _ in .notMade(reason: "the disk is full") } }
                world.parties[cheat].run = .succeed(fuel: 2_000_000)
                let id = try world.submit(request())
                var isOver = false
                for _ in 0..<step where !isOver {
                    isOver = !world.step(until: .distantFuture) || members(world, id).allSatisfy { $0.isClosed }
                }
                if isOver { break }
                try world.restart(0, afterMilliseconds: 50)
                world.run(milliseconds: 1_200_000)
                let job = try #require(world.job(id))
                #expect(job.result == .completedSuccessfully, "killed after \(step) steps, \(cheat)")
                #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000, "killed after \(step) steps, \(cheat)")
                let settled = settlements(world, id).filter { $0.verdict == .paid }
                let liar = world.parties[cheat].identity.did
                #expect(!settled.contains { $0.executorDID == liar }, "killed after \(step) steps, \(cheat)")
                #expect(world.totalTokens == 1_000_000)
                #expect(world.parties[0].market.ledger.escrowTotal == .zero)
                for other in members(world, id) {
                    let count = settled.count { $0.jobID == other.id }
                    #expect(count <= 1 && other.result != nil, "killed after \(step) steps, \(cheat)")
                }
                step += 1
            }
            #expect(step > 20)
        }
    }
}
