import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// Every bound of the market, reached.
@Suite("Bounds of the market")
struct JobLimitTests {
    @Test func openAndClosedJobs() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.originatedJobsMax = 3
            configuration.limits.closedJobsMax = 2
            configuration.originator.sufficientBids = 1
        }
        for number in 0..<3 { try world.submit(MarketWorld.request("job \(number)")) }
        #expect(throws: SubmissionRefusal.tooManyJobs(max: 3)) { try world.submit(MarketWorld.request("one more")) }
        world.run(milliseconds: 120_000)
        #expect(world.parties[0].market.originatedJobs.count == 2, "the oldest closed job is forgotten")
        #expect(world.parties[1].market.executedJobs.count == 2)
        try world.submit(MarketWorld.request("one more"))
    }

    @Test func manifestsAndNonces() throws {
        var world = MarketWorld(executors: 0) { _, configuration in configuration.limits.manifestBytesMax = 100 }
        #expect(throws: SubmissionRefusal.self) { try world.submit() }
        let result = world.parties[0].market.submit(
            MarketWorld.request(), nonce: [1], now: world.now, wallClock: world.wallClock)
        #expect(throws: SubmissionRefusal.badNonce) { _ = try result.get() }
        #expect(throws: SubmissionRefusal.jobRefused(.limitMissing(field: "max_fuel"))) {
            try world.submit(MarketWorld.request { $0.maxFuel = 0 })
        }
    }

    @Test func placesAndQueueOfAnExecutor() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.sufficientBids = 1
            configuration.executor?.concurrentRunsMax = 1
            configuration.executor?.queuedRunsMax = 1
        }
        world.parties[1].run = .hang
        for number in 0..<4 { try world.submit(MarketWorld.request("job \(number)")) }
        world.run(milliseconds: 2000)
        #expect(world.parties[1].market.runCounts == (1, 1))
        #expect(world.parties[1].orders.count == 1)
        #expect(world.parties[1].market.loadPermille == 1000)
        let declined = world.parties[0].market.originatedJobs.flatMap(\.attempts).compactMap(\.end)
        #expect(
            declined.allSatisfy { end in
                if case .declined(.known(.atCapacity), _) = end { true } else { false }
            })
        #expect(!declined.isEmpty)
    }

    @Test func reportsInTheFirstMomentOfARun() throws {
        func reports(_ run: FakeRun, until milliseconds: Int64) throws -> (count: Int, status: JobStatus?) {
            var world = MarketWorld(executors: 1) { _, configuration in
                configuration.limits.statusQuietMilliseconds = 250
            }
            world.parties[1].run = run
            let id = try world.submit()
            #expect(world.run(milliseconds: 5000) { $0.parties[1].market.runCounts.running == 1 })
            world.run(milliseconds: milliseconds)
            let count = world.log.count { if case .jobStatusUpdate = $0 { true } else { false } }
            return (count, world.job(id)?.status)
        }
        #expect(try reports(.hang, until: 200).count == 0)
        #expect(try reports(.hang, until: 260) == (1, .running))
        #expect(try reports(.hang, until: 20_000).status == .running, "the lease is renewed")
        let quick = try reports(.succeed(fuel: 1), until: 20_000)
        #expect(quick.count == 0 && quick.status == .receiptAnchored)
    }

    @Test func fetchesOfManifests() throws {
        var world = MarketWorld(executors: 1) { index, configuration in
            configuration.limits.manifestFetchesMax = 2
            if index == 0 { configuration.originator.announcedManifestBytesMax = 0 }
        }
        for number in 0..<5 { try world.submit(MarketWorld.request("job \(number)")) }
        var fetches = 0
        for case .jobAnnouncement(let announcement) in world.log {
            let (verdict, transition) = world.parties[1].market.judge(
                .jobAnnouncement(announcement), author: world.parties[0].peer, now: world.now,
                wallClock: world.wallClock)
            #expect(verdict == .accept)
            fetches += transition.actions.count
        }
        #expect(fetches == 2)
    }

    @Test func decisionsThatAreRemembered() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.recentDecisionsMax = 3
            configuration.executor?.acceptsJobs = false
        }
        for number in 0..<5 { try world.submit(MarketWorld.request("job \(number)")) }
        world.run(milliseconds: 500)
        #expect(world.parties[1].market.recentDeclines.count == 3)
        #expect(world.parties[1].market.counters.declines["not_accepting"] == 5)
    }

    @Test func theOutbox() throws {
        var world = MarketWorld(executors: 2) { index, configuration in
            if index == 1 { configuration.limits.deliveriesMax = 0 }
        }
        let id = try world.submit()
        world.run(milliseconds: 3000)
        #expect(world.parties[1].market.counters.deliveriesDropped == 1)
        #expect(world.job(id)?.attempts.first?.assignment.executorDID == world.parties[2].identity.did)
    }

    @Test func headsOfTheAnchoredDAG() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.limits.anchorHeadsMax = 1 }
        for number in 0..<3 { try world.submit(MarketWorld.request("job \(number)")) }
        world.run(milliseconds: 100_000)
        #expect(world.parties[0].market.anchorHeads.heads.count == 1)
        #expect(world.parties[0].market.anchorHeads.height == 2)
    }

    @Test func evidenceOfReputation() throws {
        var limits = ReputationBook.Limits()
        limits.receiptsPerSubjectMax = 10
        limits.receiptsPerPayerMax = 4
        limits.subjectsMax = 2
        var book = ReputationBook(limits: limits)
        let people = try (1...6).map { try Identity(seed: Array(repeating: UInt8($0), count: 32)).did }
        for number in 0..<60 {
            book.record(
                ReputationEvidence(
                    subject: people[number < 30 ? 0 : 1 + number % 2], payer: people[3 + number / 3 % 3],
                    assignmentCID: CID.hashing([UInt8(number), 1], codec: .dagCBOR),
                    receiptCID: CID.hashing([UInt8(number)], codec: .dagCBOR), verdict: .fulfilled,
                    at: UnixMilliseconds(UInt64(number))))
        }
        #expect(book.subjectCount == 2)
        #expect(book.evidence(about: people[0]).isEmpty, "rated longest ago")
        let kept = book.evidence(about: people[2])
        #expect(kept.count == 10)
        for payer in people[3...] { #expect(kept.count { $0.payer == payer } <= 4) }
        #expect(kept.map(\.at) == kept.map(\.at).sorted(by: >))
    }

    @Test func lateReceiptsAndTokensThatCannotBeHeld() throws {
        var world = MarketWorld(executors: 1)
        world.parties[0].market = JobMarket(
            identity: world.parties[0].identity, configuration: world.parties[0].configuration)
        world.parties[0].grants = []
        let id = try world.submit()
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.failure == .cannotHold(needed: TokenAmount(20), available: .zero))
        #expect(world.job(id)?.failure?.description == "20 tokens must be held, 0 are there")
    }
}
