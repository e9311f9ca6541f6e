import Determinism
import Economics
import MeshTypes
import Multiformats
import Receipts
import SignedObjects
import Testing

@testable import JobMarket

/// Jobs that several executors run: who gets them, when results are told, who is believed and who is paid.
@Suite("Quorum")
struct QuorumTests {
    private static let engine = EngineDescription(name: "none", version: "0", configurationDigest: "")

    private func world(_ executors: Int = 3, seed: UInt64 = 1, hasEngine: Bool = true) -> MarketWorld {
        MarketWorld(executors: executors, seed: seed) { index, configuration in
            if hasEngine { configuration.originator.engine = Self.engine }
            configuration.executor?.features = [ExecutionIdentity.feature(of: Self.engine)]
        }
    }

    private func request(
        _ agreeing: UInt64 = 2, of count: UInt64 = 3, _ change: (inout MeshJobParams) -> Void = { _ in }
    ) -> JobRequest {
        var request = MarketWorld.request("job", change)
        request.verification = .quorum(agreeing: agreeing, of: count)
        return request
    }

    /// The job that the user knows, and its replicas.
    private func members(_ world: MarketWorld, _ id: JobID) -> [OriginatedJob] {
        let replicas = world.parties[0].events.flatMap { event -> [JobID] in
            if case .replicasMade(let jobs) = event.kind, event.jobID == id { jobs } else { [] }
        }
        return ([id] + replicas).compactMap { world.job($0) }
    }

    private func settlements(_ world: MarketWorld) -> [Settlement] {
        world.parties[0].events.compactMap { event in
            switch event.kind {
            case .settled(let signed, _), .paymentRefused(let signed, _): signed.body
            default: nil
            }
        }
    }

    private func earned(_ world: MarketWorld, _ index: Int) -> UInt64 {
        world.parties[index].market.ledger.earned.units
    }

    private func judgements(_ world: MarketWorld, _ id: JobID) -> [VerificationFinding] {
        world.parties[0].events.compactMap { event in
            if case .replicaJudged(_, _, let finding, _) = event.kind, event.jobID == id { finding } else { nil }
        }
    }

    @Test("Executors of other parts of the internet are asked first, where these are known and there are any")
    func networks() throws {
        func group(_ last: UInt8) -> [AddressGroup] { [AddressGroup(ip4: [203, 0, last, 1])].compactMap(\.self) }
        let rows: [(groups: [[AddressGroup]], chosen: Set<Int>)] = [
            ([[], [], []], [1, 2]), ([group(1), group(1), group(2)], [1, 3]),
            ([group(1), group(1), group(1)], [1, 2]), ([group(1), [], group(1)], [1, 2]),
            ([group(1) + group(2), group(2), group(3)], [1, 3]),
        ]
        for row in rows {
            var world = self.world()
            for (index, groups) in row.groups.enumerated() {
                world.give(.networksSeen(world.parties[index + 1].peer, groups), to: 0)
            }
            let id = try world.submit(request(2, of: 2))
            world.run(milliseconds: 60_000)
            let executors = members(world, id).flatMap { $0.attempts.map(\.assignment.executorDID) }
            #expect(Set(executors) == Set(row.chosen.map { world.parties[$0].identity.did }), "\(row)")
            #expect(world.job(id)?.result == .completedSuccessfully)
        }
    }

    @Test("Three executors, each once, give the same: it counts without a run here, and each is paid")
    func agreed() throws {
        var world = world()
        world.checksReplay = true
        let id = try world.submit(request())
        world.run(milliseconds: 600_000)
        let members = members(world, id)
        #expect(members.count == 3)
        #expect(members.allSatisfy { $0.finding == .agreed && $0.result == .completedSuccessfully && $0.isClosed })
        #expect(Set(members.compactMap { $0.receipt?.receipt.executorDID }).count == 3)
        #expect(world.checked.isEmpty)
        #expect(settlements(world).map(\.verdict) == [.paid, .paid, .paid])
        #expect(settlements(world).allSatisfy { $0.verification?.level == .quorum(agreeing: 2, of: 3) })
        #expect((1...3).allSatisfy { earned(world, $0) > 0 })
        #expect(judgements(world, id) == [.agreed, .agreed])
        #expect(world.totalTokens == 1_000_000)
    }

    /// A request that is tried once, whose own job goes to the first executor.
    private func once(_ agreeing: UInt64, of count: UInt64) -> JobRequest {
        var policy = ExecutionPolicy()
        policy.maxAttempts = 1
        return request(agreeing, of: count) { $0.executionPolicy = policy }
    }

    /// The user's job ended with what the others gave, each was paid once for each of its jobs, and nothing is held.
    private func expectGiven(
        _ world: MarketWorld, _ id: JobID, by right: Set<Int>, failed index: Int = 1, _ comment: Comment
    ) throws {
        let members = members(world, id)
        let job = try #require(world.job(id))
        #expect(job.attempts.first?.assignment.executorDID == world.parties[index].identity.did, comment)
        #expect(job.result == .completedSuccessfully, "\(comment): \(String(describing: job.failure))")
        #expect(job.isChecked && job.attempts.count == 2, comment)
        let given = Set(members.compactMap { $0.receipt?.receipt.executorDID })
        #expect(given.isSubset(of: right.map { world.parties[$0].identity.did }), comment)
        #expect(Set(members.compactMap { $0.receipt.map { ComparedResult($0.receipt) } }).count == 1, comment)
        #expect(earned(world, index) == 0 && right.allSatisfy { earned(world, $0) > 0 }, comment)
        let paid = settlements(world).filter { $0.verdict == .paid }
        #expect(Set(paid.map(\.jobID)).count == paid.count && paid.count == right.count + 1, comment)
        #expect(members.allSatisfy(\.isClosed) && world.totalTokens == 1_000_000, comment)
        #expect(world.parties[0].market.ledger.escrowTotal == .zero, comment)
    }

    @Test("The user's own job failed, and the others agree: one of them gives the user what they gave")
    func failedBesideOthers() throws {
        for (agreeing, count) in [(UInt64(2), UInt64(3)), (3, 3)] {
            var world = world()
            world.checksReplay = true
            world.parties[1].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
            let id = try world.submit(once(agreeing, of: count))
            world.run(milliseconds: 600_000)
            try expectGiven(world, id, by: [2, 3], "\(agreeing) of \(count)")
        }
    }

    @Test("It is given to who was right: not to one that lied, and to nobody before that is known")
    func failedBesideALiar() throws {
        var world = world()
        world.checksReplay = true
        world.parties[1].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
        world.parties[3].run = .succeed(fuel: 2_000_000)
        let id = try world.submit(once(2, of: 3))
        world.run(milliseconds: 1_200_000)
        try expectGiven(world, id, by: [2], "a liar beside it")
        #expect(earned(world, 3) == 0 && world.proofs.count == 1)
    }

    @Test("Its executor was outvoted where nothing can be run here, and its attempts are used up: the others give it")
    func outvotedOnce() throws {
        var world = world()
        world.checksReplay = true
        world.checks = { _ in .notMade(reason: "the disk is full") }
        world.parties[1].run = .succeed(fuel: 2_000_000)
        let id = try world.submit(once(2, of: 3))
        world.run(milliseconds: 1_200_000)
        try expectGiven(world, id, by: [2, 3], "outvoted")
    }

    @Test("An executor that fails the user's job last has the others' results compared: they wait for nobody else")
    func failedLast() throws {
        var world = world()
        world.parties[1].run = .hang
        let id = try world.submit(once(2, of: 3))
        let committed = world.run(milliseconds: 60_000) { world in
            members(world, id).dropFirst().allSatisfy { $0.candidateReceipts.contains { $0.check == .agreement } }
        }
        #expect(committed)
        let order = try #require(world.parties[1].orders.first)
        world.finish(order.assignmentCID, .nodeFailed(reason: "no power"), fuel: 0, of: 1, after: 1)
        let from = world.now
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result != nil })
        #expect(world.now.milliseconds(since: from) < 5_000)
        world.run(milliseconds: 600_000)
        try expectGiven(world, id, by: [2, 3], "failed last")
    }

    @Test("Where the others fail, too, so does the user's job, and nobody is paid")
    func allFail() throws {
        var world = world()
        world.checksReplay = true
        for index in 1...3 { world.parties[index].run = .end(.nodeFailed(reason: "no power"), fuel: 0) }
        let id = try world.submit(once(2, of: 3))
        world.run(milliseconds: 600_000)
        #expect(world.job(id)?.failure?.code == "attempts_exhausted")
        #expect(members(world, id).allSatisfy { $0.isClosed })
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
    }

    @Test("Each of those that were right is asked once: where none gives it again, the user's job fails")
    func failedAgain() throws {
        var world = world(2)
        world.checksReplay = true
        world.parties[1].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
        let id = try world.submit(once(2, of: 2))
        #expect(world.run(milliseconds: 600_000) { members($0, id).last?.finding == .confirmed })
        world.parties[2].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
        world.run(milliseconds: 600_000)
        let job = try #require(world.job(id))
        guard case .attemptsExhausted(2, .nodeFailed)? = job.failure else {
            Issue.record("\(String(describing: job.failure)) after \(job.attempts.map(\.end))")
            return
        }
        #expect(members(world, id).allSatisfy(\.isClosed) && world.totalTokens == 1_000_000)
    }

    /// A step of a world; whether the jobs of a quorum are still open after it.
    private func goesOn(_ world: inout MarketWorld, _ id: JobID) -> Bool {
        world.step(until: .distantFuture) && !members(world, id).allSatisfy(\.isClosed)
    }

    @Test("A kill at every point of a quorum whose own job failed: the user has the result, and nobody is paid twice")
    func crashesOfFailed() throws {
        var undisturbed = try [false, true].map { losesLazyEvents in
            var world = self.world()
            world.losesLazyEvents = losesLazyEvents
            world.parties[1].run = .end(.nodeFailed(reason: "no power"), fuel: 0)
            return (id: try world.submit(once(2, of: 3)), world: world)
        }
        var (step, isOver) = (0, false)
        while !isOver {
            // A copy of the world as it is after so many steps.
            let id = undisturbed[step % 2].id
            var world = undisturbed[step % 2].world
            try world.restart(0, afterMilliseconds: 50)
            let isClosed = world.run(milliseconds: 1_200_000) { members($0, id).allSatisfy(\.isClosed) }
            #expect(isClosed, "killed after \(step) steps")
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully && job.isChecked, "killed after \(step) steps")
            #expect(earned(world, 1) == 0, "killed after \(step) steps")
            #expect(world.totalTokens == 1_000_000, "killed after \(step) steps")
            let paid = settlements(world).filter { $0.verdict == .paid }
            #expect(Set(paid.map(\.jobID)).count == paid.count, "killed after \(step) steps")
            for other in world.parties[0].market.originatedJobs {
                #expect(other.result != nil, "killed after \(step) steps")
            }
            step += 1
            for index in undisturbed.indices where !isOver {
                let id = undisturbed[index].id
                isOver = !goesOn(&undisturbed[index].world, id)
            }
        }
        #expect(step > 50)
    }

    @Test("What replicas cost is all that they may until they are over, then what was paid for them")
    func costs() throws {
        var world = world()
        let id = try world.submit(request { $0.maxAcceptableBidTokens = TokenAmount(500) })
        #expect(world.parties[0].market.mostPaidForReplicas(of: id) == TokenAmount(1_000))
        world.run(milliseconds: 600_000)
        let paid = members(world, id).dropFirst().reduce(0) { $0 + $1.paid.units }
        #expect(paid > 0 && paid < 1_000)
        #expect(world.parties[0].market.mostPaidForReplicas(of: id) == TokenAmount(paid))
        let alone = try world.submit(MarketWorld.request("alone"))
        #expect(world.parties[0].market.mostPaidForReplicas(of: alone) == .zero)
        let unknown = JobID(CID.hashing([1], codec: .dagCBOR))
        #expect(world.parties[0].market.mostPaidForReplicas(of: unknown) == nil)
    }

    @Test("The manifests of one work have one execution identity, and nothing else that tells them from another's")
    func blind() throws {
        var world = world()
        let id = try world.submit(request())
        var plain = MarketWorld.request("plain")
        plain.verification = VerificationLevel.none
        let otherID = try world.submit(plain)
        let other = try #require(world.job(otherID))
        let members = members(world, id)
        #expect(Set(members.map(\.manifest.executionCID)).count == 1)
        #expect(Set(members.map(\.manifest.nonce)).count == 3)
        #expect(Set(members.map(\.manifest.verificationCommitment)).count == 3)
        #expect(Set((members + [other]).map(\.signedManifest.bytes.count)).count == 1)
        #expect(other.manifest.executionCID != members[0].manifest.executionCID)
        #expect(other.manifest.execution?.clockStart == members[0].manifest.execution?.clockStart)
        let lifetimes = (members + [other]).map { $0.manifest.expiresAt.milliseconds(since: $0.manifest.submittedAt) }
        #expect(Set(lifetimes).count == 1)
        #expect(members.allSatisfy { $0.manifest.params.verification == .none })
    }

    @Test("Nobody hears of a result before all have given theirs: there is nothing to copy")
    func privacy() throws {
        var world = world()
        let id = try world.submit(request())
        var committed: MonotonicInstant?
        while world.step(until: world.now.advanced(milliseconds: 120_000)) {
            let waiting = members(world, id).filter { $0.candidateReceipts.contains { $0.check == .agreement } }
            if members(world, id).allSatisfy({ $0.result != nil }) { committed = committed ?? world.now }
            if !waiting.isEmpty { #expect(world.published.isEmpty, "a receipt was told while others ran") }
        }
        let at = try #require(committed)
        #expect(world.published.count == 3)
        #expect(world.published.allSatisfy { $0.at >= at })
    }

    @Test("Whoever lies is found by a run here, whichever job it had; the others are paid, and the user has the result")
    func oneCheat() throws {
        let lies: [FakeRun] = [
            .succeed(fuel: 2_000_000), .end(.exited(code: 1), fuel: 1_000_000),
            .end(.trapped(kind: .unreachable, message: "no"), fuel: 5), .end(.limitExceeded(.memory), fuel: 0),
            .end(.moduleRefused(reason: "no"), fuel: 0), .end(.limitExceeded(.fuel), fuel: 1_000_000),
        ]
        for (index, lie) in lies.flatMap({ lie in [(1, lie), (3, lie)] }) {
            var world = world()
            world.checksReplay = true
            world.parties[index].run = lie
            let id = try world.submit(request())
            world.run(milliseconds: 1_200_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully, "\(index) \(lie)")
            #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000)
            #expect(job.isChecked)
            let refused = settlements(world).filter { $0.verdict == .refuted }
            #expect(refused.map(\.executorDID) == [world.parties[index].identity.did], "\(index) \(lie)")
            #expect(refused.allSatisfy { $0.amountPaid == .zero })
            #expect(world.proofs.count == 1)
            #expect(earned(world, index) == 0)
            #expect((1...3).filter { $0 != index }.allSatisfy { earned(world, $0) > 0 })
            #expect(members(world, id).allSatisfy { $0.isClosed })
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("Two that agree on a lie are both found, as the third disagrees: the number decides nothing")
    func pair() throws {
        var world = world()
        for index in [1, 2] { world.parties[index].run = .succeed(fuel: 2_000_000) }
        let id = try world.submit(request())
        world.run(milliseconds: 1_200_000)
        #expect(world.job(id)?.receipt?.receipt.executorDID == world.parties[3].identity.did)
        // The second may have the job of the first before its own is judged, and is caught twice.
        #expect(world.proofs.count >= 2)
        #expect(earned(world, 1) == 0 && earned(world, 2) == 0 && earned(world, 3) > 0)
    }

    @Test("Where this node cannot run the work, the number decides; out of its reach nobody is paid")
    func majority() throws {
        func end(_ fuels: [UInt64], _ finding: @escaping (CheckOrder) -> ReplayFinding) throws -> MarketWorld {
            var world = world()
            world.checksReplay = true
            world.checks = finding
            for (index, fuel) in fuels.enumerated() { world.parties[index + 1].run = .succeed(fuel: fuel) }
            try world.submit(request())
            world.run(milliseconds: 1_200_000)
            #expect(world.totalTokens == 1_000_000)
            return world
        }
        for obstacle in [ReplayFinding.notMade(reason: "the disk is full")] {
            let two = try end([1_000_000, 2_000_000, 1_000_000]) { _ in obstacle }
            #expect(two.parties[0].market.ledger.paid > .zero)
            #expect((1...3).map { earned(two, $0) > 0 } == [true, false, true])
            let verdicts = settlements(two).map(\.verdict)
            #expect(verdicts.count { $0 == .paid } == 2 && verdicts.contains(.unverified), "\(verdicts)")
            #expect(two.proofs.isEmpty)

            // The same where the executor of the user's own job is the one who differs.
            let first = try end([2_000_000, 1_000_000, 1_000_000]) { _ in obstacle }
            let own = try #require(first.parties[0].market.originatedJobs.first { $0.replicaOf == nil })
            #expect(own.finding == .agreed, "\(String(describing: own.failure))")
            #expect((1...3).map { earned(first, $0) > 0 } == [false, true, true])

            let three = try end([1_000_000, 2_000_000, 3_000_000]) { _ in obstacle }
            #expect(three.parties[0].market.ledger.paid == .zero)
            let job = try #require(three.parties[0].market.originatedJobs.first { $0.replicaOf == nil })
            if case .unverified? = job.failure {} else { Issue.record("\(String(describing: job.failure))") }
            #expect(Set(settlements(three).map(\.verdict)) == [.unverified])
            #expect(three.parties[0].market.originatedJobs.allSatisfy { $0.result != nil })
        }
    }

    @Test("A claim that no run bears out never wins by its number, least against a result that this node confirmed")
    func doubtful() throws {
        var world = world()
        world.checksReplay = true
        for index in [1, 2] { world.parties[index].run = .end(.limitExceeded(.stack), fuel: 1_000_000) }
        world.checks = { order in
            if case .limitExceeded(.stack) = order.receipt.body.outcome { return .doubtful(reason: "no telling") }
            return MarketWorld.honestFinding(order)
        }
        let id = try world.submit(request())
        world.run(milliseconds: 1_200_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully, "\(String(describing: job.failure))")
        #expect(job.receipt?.receipt.executorDID == world.parties[3].identity.did)
        #expect((1...3).map { earned(world, $0) > 0 } == [false, false, true])
        #expect(world.totalTokens == 1_000_000)
    }

    @Test("Whoever is late is left out before anything is decided, and gets nothing for what it signs then")
    func stalling() throws {
        for index in [1, 2, 3] {
            var world = world()
            world.parties[index].run = .hang
            let id = try world.submit(request())
            // It signs what is right as soon as others were paid for it.
            #expect(world.run(milliseconds: 3_600_000) { settlements($0).contains { $0.verdict == .paid } })
            for order in world.parties[index].orders {
                world.finish(order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: index, after: 1)
            }
            world.run(milliseconds: 3_600_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully, "\(index): \(String(describing: job.failure))")
            #expect(earned(world, index) == 0, "\(index) copied")
            #expect(members(world, id).allSatisfy { $0.result != nil && $0.isClosed })
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("One key is one executor, however many receipts of a work it signed")
    func oneKey() throws {
        var world = world(2)
        world.parties[1].run = .hang
        let id = try world.submit(request())
        let reached = world.run(milliseconds: 3_600_000) { world in
            members(world, id).contains { $0.attempts.contains(where: \.fateIsUnknown) }
        }
        #expect(reached)
        let rivals = world.parties[0].market.originatedJobs.filter { $0.result == nil }
        for job in rivals {
            let holders = rivals.filter { $0.id != job.id }.flatMap(\.attempts).filter(\.mayStillGive)
            let own = job.attempts.filter(\.isLive).map(\.assignment.executorDID)
            #expect(Set(own).isDisjoint(with: holders.map(\.assignment.executorDID)))
        }
    }

    @Test("A failure that all claim is looked at: it ends the job only if a run here, or a look, bears it out")
    func unanimousFailure() throws {
        let lies: [(ExecutionOutcome, ReceiptCheck)] = [
            (.moduleRefused(reason: "no"), .refusal), (.trapped(kind: .unreachable, message: "no"), .replay),
        ]
        for (lie, check) in lies {
            var world = world(4)
            for index in 1...3 { world.parties[index].run = .end(lie, fuel: 5) }
            world.checks = MarketWorld.honestFinding
            let id = try world.submit(request())
            world.run(milliseconds: 1_200_000)
            let job = try #require(world.job(id))
            #expect(world.checked.first?.check == check)
            #expect(job.outcome != lie, "\(lie) counts")
            #expect((1...3).allSatisfy { earned(world, $0) == 0 })
        }
        var honest = world()
        for index in 1...3 { honest.parties[index].run = .end(.limitExceeded(.memory), fuel: 5) }
        honest.checks = { _ in .confirmed }
        let id = try honest.submit(request())
        honest.run(milliseconds: 1_200_000)
        #expect(honest.job(id)?.outcome == .limitExceeded(.memory))
        #expect((1...3).allSatisfy { earned(honest, $0) > 0 })
    }

    @Test("What others agree on, and nobody ran here, earns no trust")
    func trust() throws {
        var world = world()
        let id = try world.submit(request())
        world.run(milliseconds: 600_000)
        let job = try #require(world.job(id))
        #expect(job.finding == .agreed && !job.isBorneOutHere)
        var alone = self.world(1)
        let other = try alone.submit(request())
        alone.run(milliseconds: 1_200_000)
        #expect(alone.job(other)?.isBorneOutHere == true)
    }

    @Test("A node whose engine was changed takes no run of another, and signs none: it says that it failed")
    func otherEngine() throws {
        let changed = EngineDescription(name: "none", version: "1", configurationDigest: "")
        var world = world(1)
        world.parties[1].run = .hang
        var plain = MarketWorld.request("job")
        plain.verification = VerificationLevel.none
        let id = try world.submit(plain)
        #expect(world.run(milliseconds: 60_000) { !$0.parties[1].orders.isEmpty })
        world.parties[1].configuration.executor?.engine = changed
        try world.restart(1, afterMilliseconds: 50)
        world.run(milliseconds: 600_000)
        let receipts = world.parties[1].events.compactMap { event -> ExecutionReceipt? in
            if case .receiptSigned(let signed, _) = event.kind { signed.body } else { nil }
        }
        #expect(receipts.map(\.outcome.responsibility) == [.node])
        let ends = world.job(id)?.attempts.compactMap(\.end) ?? []
        let isFramed = ends.contains { if case .receiptInvalid = $0 { true } else { false } }
        #expect(!ends.isEmpty && !isFramed, "\(ends)")
    }

    @Test("A receipt that was settled just before a crash is told to everybody after it")
    func toldAfterCrash() throws {
        var world = world(1)
        world.blocksAnchors = true
        var plain = MarketWorld.request("job")
        plain.verification = VerificationLevel.none
        let id = try world.submit(plain)
        #expect(world.run(milliseconds: 60_000) { $0.parties[1].market.executedJob(id)?.earned != nil })
        world.published = []
        try world.restart(1, afterMilliseconds: 50)
        world.run(milliseconds: 1_000)
        #expect(world.published.map(\.receipt) == [world.parties[1].market.executedJob(id)?.receiptCID])
    }

    @Test("Whoever gives nothing in the time that the others wait is left out, and ends unpaid")
    func late() throws {
        for index in [1, 3] {
            var world = world()
            world.parties[index].run = .hang
            let id = try world.submit(request())
            world.run(milliseconds: 3_600_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully, "\(index): \(String(describing: job.failure))")
            #expect(job.isChecked)
            #expect(earned(world, index) == 0)
            #expect(world.parties[0].market.originatedJobs.allSatisfy { $0.result != nil })
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test("With fewer executors than the work wants, those that agree are enough, or else a run here is")
    func few() throws {
        for (executors, checks) in [(2, 0), (1, 1)] {
            var world = world(executors)
            let id = try world.submit(request())
            world.run(milliseconds: 1_200_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully)
            #expect(job.finding == (executors == 2 ? .agreed : .confirmed))
            #expect(world.checked.count == checks)
            #expect(members(world, id).allSatisfy { $0.result != nil })
        }
    }

    @Test("With the job that the user knows all end, whenever that is cancelled")
    func cancelled() throws {
        for milliseconds in [Int64(0), 5, 100, 1_050, 1_100, 1_130, 1_160, 1_200, 1_300] {
            var world = world()
            let id = try world.submit(request())
            world.run(milliseconds: milliseconds)
            let isOver = world.job(id)?.result != nil
            if !isOver { try world.cancel(id) }
            world.run(milliseconds: 600_000)
            #expect(members(world, id).count == 3)
            #expect(members(world, id).allSatisfy { $0.result != nil && $0.isClosed }, "after \(milliseconds) ms")
            #expect(world.totalTokens == 1_000_000)
            #expect(world.parties[0].market.ledger.escrowTotal == .zero)
        }
    }

    @Test("A kill at every point of a quorum with a cheat loses nothing, pays nobody twice, and finds the cheat")
    func crashes() throws {
        for losesLazyEvents in [false, true] {
            var undisturbed = world()
            undisturbed.losesLazyEvents = losesLazyEvents
            undisturbed.parties[1].run = .succeed(fuel: 2_000_000)
            let id = try undisturbed.submit(request())
            var (step, isOver) = (0, false)
            while !isOver {
                var world = undisturbed
                try world.restart(0, afterMilliseconds: 50)
                world.run(milliseconds: 1_200_000)
                let job = try #require(world.job(id))
                #expect(job.result == .completedSuccessfully, "killed after \(step) steps")
                #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000, "killed after \(step) steps")
                #expect(earned(world, 1) == 0, "killed after \(step) steps")
                #expect(world.totalTokens == 1_000_000)
                for other in world.parties[0].market.originatedJobs {
                    let paid = settlements(world).count { $0.jobID == other.id && $0.verdict == .paid }
                    #expect(paid <= 1 && other.result != nil, "killed after \(step) steps")
                }
                // Every third step: the whole of it lasts some hundred, and most are alike.
                step += 3
                for _ in 0..<3 where !isOver { isOver = !goesOn(&undisturbed, id) }
            }
            #expect(step > 60)
        }
    }

    @Test("Lost messages keep no quorum from its end")
    func losses() throws {
        for seed in UInt64(1)...12 {
            var world = world(5, seed: seed)
            world.lossPermille = 200
            world.duplicatePermille = 200
            world.parties[2].run = .succeed(fuel: 2_000_000)
            let id = try world.submit(request())
            world.run(milliseconds: 3_600_000)
            let job = try #require(world.job(id))
            #expect(job.result == .completedSuccessfully, "seed \(seed)")
            #expect(job.receipt?.receipt.resourceUsage.fuel == 1_000_000, "seed \(seed)")
            #expect(earned(world, 2) == 0, "seed \(seed)")
        }
    }

    @Test("Who cannot be compared with others is refused, and so is a quorum that is none, or one too large")
    func refusals() throws {
        var without = world(hasEngine: false)
        #expect(throws: SubmissionRefusal.self) { try without.submit(request()) }
        var world = world()
        #expect(throws: SubmissionRefusal.self) { try world.submit(request { $0.determinism = .attested }) }
        for (agreeing, count) in [(UInt64(1), UInt64(2)), (2, 4), (4, 3), (5, VerificationLevel.executorsMax + 1)] {
            #expect(throws: SubmissionRefusal.self) { try world.submit(request(agreeing, of: count)) }
        }
        var full = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.engine = Self.engine
            configuration.limits.originatedJobsMax = 2
        }
        #expect(throws: SubmissionRefusal.tooManyJobs(max: 2)) { try full.submit(request()) }
        #expect(full.parties[0].market.originatedJobs.isEmpty)
    }
}
