import Determinism
import Economics
import IPLD
import JobMarket
import MeshTypes
import SignedObjects
import Testing

/// A job read from its journals alone is the job that the market has.
@Suite("A job read from its journals")
struct JobHistoryTests {
    private func history(_ party: Party, _ id: JobID) -> JobHistory {
        var history = JobHistory()
        for event in party.events where event.jobID == id { history.read(event) }
        return history
    }

    private func expectSame(_ world: MarketWorld, _ id: JobID) {
        for party in world.parties {
            let told = history(party, id)
            #expect(told.originated == party.market.originatedJob(id))
            #expect(told.executed == party.market.executedJob(id))
        }
    }

    @Test func itIsTheMarketsWhateverBecameOfIt() throws {
        let ends: [FakeRun] = [
            .succeed(fuel: 1_000_000), .end(.exited(code: 3), fuel: 5),
            .end(.trapped(kind: .unreachable, message: ""), fuel: 5), .end(.nodeFailed(reason: "gone"), fuel: 5), .hang,
            .starve,
        ]
        for end in ends {
            var world = MarketWorld(executors: 3)
            for index in 1...3 { world.parties[index].run = end }
            let id = try world.submit()
            for _ in 0..<12 {
                world.run(milliseconds: 700)
                expectSame(world, id)
            }
            world.run(milliseconds: 300_000)
            expectSame(world, id)
        }
    }

    @Test func itIsTheSameHoweverLittleMoneyThereIsNow() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        var poor = JobMarket(identity: world.parties[0].identity, configuration: world.parties[0].configuration)
        let events = world.parties[0].events
        #expect(throws: JobEventError.self) { for event in events { try poor.replay(event) } }
        #expect(history(world.parties[0], id).originated?.result == .completedSuccessfully)
        #expect(history(world.parties[0], id).status(.originator) == world.job(id)?.status.rawValue)
    }

    @Test func rowsThatAreLeftOutLeaveTheRestReadable() throws {
        var world = MarketWorld(executors: 2)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        for party in world.parties {
            let events = party.events.filter { $0.jobID == id }
            for left in events.indices {
                var history = JobHistory()
                for (index, event) in events.enumerated() where index != left { history.read(event) }
            }
        }
        var headless = JobHistory()
        for event in world.parties[0].events.dropFirst() { headless.read(event) }
        #expect(headless.originated == nil && headless.status(.originator) == nil)
    }

    @Test func aLostBidIsClosedAndSaysWhoHasTheJobForHowMuch() throws {
        var world = MarketWorld(executors: 3)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        let winner = try #require(world.job(id)?.attempts.first?.assignment)
        var losers = 0
        for party in world.parties.dropFirst() where party.identity.did != winner.executorDID {
            let job = try #require(party.market.executedJob(id))
            guard case .refused(let code, _, let lostTo) = job.bidEnd else {
                Issue.record("\(String(describing: job.bidEnd))")
                continue
            }
            losers += 1
            #expect(code == .known(.otherBidTaken))
            #expect(lostTo == BidWinner(did: winner.executorDID, price: winner.terms.price))
            #expect(job.status == .biddingClosed && job.isClosed)
            let told = party.events.last { $0.jobID == id }?.explanation ?? ""
            #expect(told.contains("\(winner.executorDID.short) has the job for at most \(winner.terms.price) tokens"))
        }
        #expect(losers == 2)
    }

    @Test func aBidThatComesTooLateLearnsTheSame() throws {
        var world = MarketWorld(executors: 2)
        world.parties[1].run = .hang
        world.parties[2].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 9000) { $0.job(id)?.status == .running })
        let winner = try #require(world.job(id)?.liveAttempt?.assignment)
        let loser =
            world.parties.indices.dropFirst().first { world.parties[$0].identity.did != winner.executorDID } ?? 0
        let late = try #require(world.parties[loser].market.executedJob(id))
        var body = late.bid
        body.loadPermille += 1
        let another = try SignedObject.sign(body, with: world.parties[loser].identity)
        let (reply, _) = world.parties[0].market.receive(
            .jobBid(JobBidV1(bid: ProtocolBid(another))), from: world.parties[loser].peer,
            now: world.instant(of: 0), wallClock: world.calendar(of: 0))
        guard case .refused(let refusal) = reply else {
            Issue.record("\(reply)")
            return
        }
        #expect(refusal.code == .known(.biddingClosed))
        #expect(refusal.lostTo == BidWinner(did: winner.executorDID, price: winner.terms.price))
    }

    @Test func aLossThatAnEarlierReleaseWroteReads() throws {
        let then = try DAGCBOR.encode(
            .map(["refused": .map(["code": .string("other_bid_taken"), "reason": .string("")])]))
        let read = try DAGCBORDecoder().decode(BidEnd.self, from: then)
        #expect(read == .refused(code: .known(.otherBidTaken), reason: ""))
        #expect(try DAGCBOREncoder().encode(read) == then)
    }

    @Test func theProgressOfARunIsWhatTheModuleSaidLast() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 9000) { $0.job(id)?.status == .running })
        #expect(world.parties[0].market.progressPermille(of: id) == nil)
        let assignment = try #require(world.job(id)?.liveAttempt?.cid)
        for permille in [420, 990] as [UInt64] {
            world.give(
                .executionProgressed(assignment: assignment, .running, progressPermille: permille), to: 1)
            world.run(milliseconds: 200)
            #expect(world.parties[0].market.progressPermille(of: id) == permille)
        }
        try world.cancel(id)
        world.run(milliseconds: 60_000)
        #expect(world.parties[0].market.progressPermille(of: id) == nil, "nobody runs it any more")
    }

    @Test func whatAModuleSaidBeforeAnythingIsReportedStandsInTheFirstReport() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.statusQuietMilliseconds = 1_000
        }
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 9000) { $0.parties[1].market.executedJob(id)?.status == .running })
        let assignment = try #require(world.parties[1].market.executedJob(id)?.assignmentCID)
        world.give(.executionProgressed(assignment: assignment, .running, progressPermille: 427), to: 1)
        #expect(world.parties[0].market.progressPermille(of: id) == nil)
        world.run(milliseconds: 6_000)
        #expect(world.parties[0].market.progressPermille(of: id) == 427)
    }

    @Test func whatGoesOnBeforeARunIsWhatItsExecutorSaidLastAndIsCountedOn() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].starving = [world.parties[0].peer]
        let id = try world.submit()
        #expect(world.run(milliseconds: 9000) { $0.job(id)?.status == .preparingExecution })
        let assignment = try #require(world.job(id)?.liveAttempt?.cid)
        #expect(
            world.parties[0].market.preparation(of: id, now: world.instant(of: 0))
                == Preparation(.fetching, fetchedBytes: 0))
        world.run(milliseconds: 1_100)
        world.give(.blocksFetched(assignment: assignment, bytes: 70_000), to: 1)
        // Another a moment later is in the next report.
        world.give(.blocksFetched(assignment: assignment, bytes: 1), to: 1)
        world.run(milliseconds: 200)
        #expect(
            world.parties[0].market.preparation(of: id, now: world.instant(of: 0))
                == Preparation(.fetching, fetchedBytes: 70_000))
        #expect(world.parties[1].market.ownPreparation(of: id, now: world.instant(of: 1))?.fetchedBytes == 70_001)
        world.give(.moduleCompiles(assignment: assignment, milliseconds: 60_000), to: 1)
        world.run(milliseconds: 1_500)
        for preparation in [
            world.parties[0].market.preparation(of: id, now: world.instant(of: 0)),
            world.parties[1].market.ownPreparation(of: id, now: world.instant(of: 1)),
        ] {
            let compiling = try #require(preparation)
            #expect(compiling.step == .compiling && compiling.compilingMillisecondsMax == 60_000)
            #expect((1_000...1_500).contains(compiling.compilingMilliseconds ?? 0), "\(compiling)")
        }
        world.parties[1].run = .hang
        world.give(.executionPrepared(assignment: assignment), to: 1)
        #expect(world.run(milliseconds: 2_000) { $0.job(id)?.status == .running })
        #expect(world.parties[0].market.preparation(of: id, now: world.instant(of: 0)) == nil, "it runs")
        #expect(world.parties[1].market.ownPreparation(of: id, now: world.instant(of: 1)) == nil)
    }

    @Test func absurdNumbersOfAPreparationAreCountedOnWithoutATrap() {
        let absurd = Preparation(.compiling, compilingMilliseconds: .max - 1, compilingMillisecondsMax: nil)
        #expect(absurd.later(milliseconds: 5).compilingMilliseconds == .max)
        let bounded = Preparation(.compiling, compilingMilliseconds: 9, compilingMillisecondsMax: 10)
        #expect(bounded.later(milliseconds: .max).compilingMilliseconds == 10)
        #expect(Preparation(.waiting).later(milliseconds: 5) == Preparation(.waiting))
    }

    @Test func theCostOfARunSoFarIsOfWhatItsExecutorReports() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 9000) { $0.job(id)?.status == .running })
        #expect(world.parties[0].market.priceSoFar(of: id) == nil)
        let attempt = try #require(world.job(id)?.liveAttempt)
        let terms = attempt.assignment.terms
        for fuel in [3_000_000, .max] as [UInt64] {
            world.give(.fuelBurnt(assignment: attempt.cid, fuel: min(fuel, 1 << 53)), to: 1)
            // The next report is the next heartbeat, at a third of the lease.
            world.run(milliseconds: Int64(attempt.assignment.leaseMilliseconds / 2))
            #expect(world.parties[0].market.priceSoFar(of: id) == terms.due(fuel: fuel))
        }
        #expect(world.parties[0].market.priceSoFar(of: id) == terms.price, "never more than was agreed")
        try world.cancel(id)
        world.run(milliseconds: 60_000)
        #expect(world.parties[0].market.priceSoFar(of: id) == nil, "nobody runs it any more")
    }
}
