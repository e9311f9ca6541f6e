import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// Who gets the places of an executor, and how long blocks that do not come can hold one.
@Suite("An executor's places, shared out")
struct RunPlaceTests {
    private func world(concurrent: Int = 2, queued: Int = 64) -> MarketWorld {
        MarketWorld(executors: 1) { _, configuration in
            configuration.originator.sufficientBids = 1
            configuration.executor?.concurrentRunsMax = concurrent
            configuration.executor?.queuedRunsMax = queued
        }
    }

    /// A stranger announces jobs and assigns each bid; how many assignments were accepted.
    private func assign(_ numbers: Range<Int>, by stranger: Identity, _ world: inout MarketWorld) throws -> Int {
        var accepted = 0
        for number in numbers {
            let message = try ExecutorShareTests.announcement(by: stranger, number, world)
            guard case .jobAnnouncement(let announcement) = message else { continue }
            world.give(message, author: stranger.peerID, to: 1)
            guard let job = world.parties[1].market.executedJob(announcement.jobID), job.isOpenBid else { continue }
            let assignment = Assignment(
                jobID: job.id, originatorDID: stranger.did, bidCID: job.bidCID, executorDID: job.bid.bidderDID,
                attempt: 1, leaseMilliseconds: 10_000, terms: job.bid.terms, assignedAt: world.wallClock,
                acceptBy: job.bid.expiresAt)
            let order = AssignJobV1(
                manifest: job.signedManifest.bytes, bid: job.signedBid.bytes,
                assignment: try SignedObject.sign(assignment, with: stranger).bytes)
            let (reply, transition) = world.parties[1].market.receive(
                .assignJob(order), from: stranger.peerID, now: world.now, wallClock: world.wallClock)
            world.carryOut(transition, of: 1)
            if case .accepted = reply { accepted += 1 }
        }
        return accepted
    }

    private func outcomes(_ world: MarketWorld, of stranger: Identity) -> [ExecutionOutcome] {
        world.parties[1].market.executedJobs.filter { $0.manifest.originatorDID == stranger.did }
            .compactMap { $0.receipt?.outcome }
    }

    @Test("A bid counts the accepted jobs into its promise, and nothing while a place is free")
    func promise() throws {
        var world = world(concurrent: 2)
        let stranger = try ExecutorShareTests.stranger(1)
        world.parties[1].starving = [stranger.peerID]
        func waits(_ number: Int) throws -> (start: UInt64, slack: UInt64) {
            guard
                case .jobAnnouncement(let announcement) = try ExecutorShareTests.announcement(
                    by: stranger, number, world)
            else { return (.max, .max) }
            world.give(.jobAnnouncement(announcement), author: stranger.peerID, to: 1)
            let job = try #require(world.parties[1].market.executedJob(announcement.jobID))
            let (bid, seconds) = (job.bid, job.manifest.params.timeoutSeconds)
            let start = bid.terms.earliestStart.milliseconds(since: bid.issuedAt)
            return (start, bid.terms.deadline.milliseconds(since: bid.terms.earliestStart) - seconds * 1_000)
        }
        let free = try waits(100)
        #expect(free.start == 0)
        #expect(try assign(0..<1, by: stranger, &world) == 1)
        #expect(try waits(101).start == 0, "one of two places is free")
        #expect(try assign(1..<4, by: stranger, &world) == 3)
        let seconds = try #require(world.parties[1].market.executedJobs.first).manifest.params.timeoutSeconds
        let full = try waits(102)
        #expect(full.start == 4 * seconds * 1_000 / 2, "as if each took all its time, two at once")
        #expect(full.slack == free.slack, "the deadline counts from there")
    }

    @Test("70 jobs of one stranger whose blocks are never served keep no honest job waiting")
    func starvingStranger() throws {
        var world = world()
        let stranger = try ExecutorShareTests.stranger(1)
        world.parties[1].starving = [stranger.peerID]
        #expect(try assign(0..<70, by: stranger, &world) == 33, "half of the places")
        #expect(world.parties[1].fetching.count == 4, "half of the fetches")
        let id = try world.submit()
        #expect(world.run(milliseconds: 3000) { $0.job(id)?.result == .completedSuccessfully })
        // What does not come is given up, and fewer are tried at once.
        world.run(milliseconds: 20_000)
        let reason = "after 0 bytes the blocks came at less than 32768 a second"
        #expect(outcomes(world, of: stranger) == Array(repeating: .fetchFailed(reason: reason), count: 4))
        #expect(world.parties[1].market.runCounts == (0, 29))
        let fetches = world.names(of: 1).count { $0 == "execution_started" } - 1
        #expect(fetches == 5, "one after four that died")
        #expect(try assign(100..<110, by: stranger, &world) == 0, "and it has no new places")
        let next = try world.submit(MarketWorld.request("next"))
        #expect(world.run(milliseconds: 3000) { $0.job(next)?.result == .completedSuccessfully })
        // It is forgotten with time.
        world.run(milliseconds: 1_200_000)
        #expect(world.parties[1].market.runCounts == (0, 0))
        #expect(outcomes(world, of: stranger).count == 33)
        world.run(milliseconds: 600_000)
        #expect(try assign(200..<270, by: stranger, &world) == 33)
        #expect(world.parties[1].fetching.count { $0.value.manifest.originatorDID == stranger.did } == 4)
    }

    @Test("Originators take turns at a place, and fetching takes none")
    func turns() throws {
        var world = world(concurrent: 1)
        let many = try ExecutorShareTests.stranger(1)
        let one = try ExecutorShareTests.stranger(2)
        #expect(try assign(0..<12, by: many, &world) == 12)
        world.run(milliseconds: 50)
        #expect(world.parties[1].market.runCounts == (1, 11))
        #expect(world.names(of: 1).count { $0 == "execution_started" } > 4, "others fetch while one runs")
        #expect(try assign(0..<1, by: one, &world) == 1)
        world.run(milliseconds: 60_000)
        let order = world.parties[1].orders.map(\.manifest.originatorDID)
        #expect(order.count == 13)
        #expect(try #require(order.firstIndex(of: one.did)) <= 2, "one that has waited and the one that ran come first")
        world.expectSameAfterReplay(1)
    }

    @Test("A run that waits for its files frees its place, once, and a restart does not mind")
    func parked() throws {
        var world = world(concurrent: 1)
        world.parties[1].run = .hang
        let stranger = try ExecutorShareTests.stranger(1)
        #expect(try assign(0..<3, by: stranger, &world) == 3)
        world.run(milliseconds: 50)
        #expect(world.parties[1].market.runCounts == (1, 2))
        let first = try #require(world.parties[1].orders.first?.assignmentCID)
        for _ in 0..<2 {
            world.give(.executionWaits(assignment: first), to: 1)
            world.run(milliseconds: 50)
            #expect(world.parties[1].market.runCounts == (2, 1))
        }
        world.expectSameAfterReplay(1)
        try world.restart(1)
        world.run(milliseconds: 50)
        #expect(world.parties[1].market.runCounts.running <= 2)
    }

    @Test("A fetch goes on while its blocks come fast enough, and no longer than is planned for it")
    func minimumRate() throws {
        var world = world()
        let stranger = try ExecutorShareTests.stranger(1)
        world.parties[1].starving = [stranger.peerID]
        #expect(try assign(0..<2, by: stranger, &world) == 2)
        let assignments = world.parties[1].market.executedJobs.compactMap(\.assignmentCID)
        // 32 KiB a second are enough, and half of that is not.
        for _ in 0..<60 {
            world.run(milliseconds: 1000)
            world.give(.blocksFetched(assignment: assignments[0], bytes: 32 << 10), to: 1)
            world.give(.blocksFetched(assignment: assignments[1], bytes: 16 << 10), to: 1)
        }
        let slow = try #require(world.parties[1].market.executedJobs[1].receipt?.outcome)
        #expect(slow == .fetchFailed(reason: "after 606208 bytes the blocks came at less than 32768 a second"))
        #expect(world.parties[1].market.executedJobs[0].receipt == nil)
        world.run(milliseconds: 6000)
        guard case .fetchFailed = world.parties[1].market.executedJobs[0].receipt?.outcome else {
            Issue.record("a fetch has no end")
            return
        }
    }

    @Test("Compiling has its own time, after that of the fetch, and ends as the node's failure")
    func compiling() throws {
        var world = world()
        let stranger = try ExecutorShareTests.stranger(1)
        world.parties[1].starving = [stranger.peerID]
        #expect(try assign(0..<2, by: stranger, &world) == 2)
        let assignments = world.parties[1].market.executedJobs.compactMap(\.assignmentCID)
        // Longer than any fetch, and than fetch and timeout together.
        for assignment in assignments {
            world.give(.moduleCompiles(assignment: assignment, milliseconds: 900_000), to: 1)
        }
        world.run(milliseconds: 890_000)
        #expect(world.parties[1].market.executedJobs.allSatisfy { $0.receipt == nil })
        world.give(.executionPrepared(assignment: assignments[0]), to: 1)
        world.run(milliseconds: 1_000)
        #expect(
            world.parties[1].market.runCounts.running
                + world.parties[1].market.executedJobs.count {
                    $0.receipt != nil
                } == 1, "one of them runs, or has run")
        world.run(milliseconds: 10_000)
        let late = try #require(world.parties[1].market.executedJobs[1].receipt?.outcome)
        #expect(late == .nodeFailed(reason: "compiling the module did not end in its time"))
    }

    @Test("Once it was paid, an executor keeps half of its places, of its fetches and of its runs for those that paid")
    func reserve() throws {
        var world = world()
        let paying = try world.submit()
        world.run(milliseconds: 5000)
        #expect(world.job(paying)?.result == .completedSuccessfully)
        world.parties[1].run = .hang
        var accepted = 0
        for key in 1...4 {
            accepted += try assign(0..<20, by: try ExecutorShareTests.stranger(key), &world)
        }
        #expect(accepted == 33, "half of 66")
        world.run(milliseconds: 1000)
        #expect(world.parties[1].market.runCounts == (1, 32), "one of two runs")
        world.parties[1].run = .succeed(fuel: 1_000_000)
        let known = try world.submit(MarketWorld.request("known"))
        #expect(world.run(milliseconds: 3000) { $0.job(known)?.result == .completedSuccessfully })
    }

    @Test("A job that waits with all its blocks is run again after a restart, and once")
    func restart() throws {
        var world = world(concurrent: 1)
        let stranger = try ExecutorShareTests.stranger(1)
        world.parties[1].run = .hang
        #expect(try assign(0..<3, by: stranger, &world) == 3)
        world.run(milliseconds: 1000)
        #expect(world.parties[1].market.runCounts == (1, 2))
        world.parties[1].run = .succeed(fuel: 1_000_000)
        try world.restart(1, afterMilliseconds: 1000)
        world.run(milliseconds: 2000)
        #expect(outcomes(world, of: stranger) == Array(repeating: .exited(code: 0), count: 3))
        world.expectSameAfterReplay(1)
    }
}
