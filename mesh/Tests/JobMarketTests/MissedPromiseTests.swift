import Determinism
import MeshTypes
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// What becomes of executors that began, or ended, later than their bids had promised.
@Suite struct MissedPromiseTests {
    private func did(_ number: Int) throws -> DID {
        try Identity(seed: Array(repeating: 9, count: 30) + [UInt8(number / 256), UInt8(number % 256)]).did
    }

    private func late(_ milliseconds: UInt64) -> MissedPromises.Measured {
        MissedPromises.Measured(beginsBy: 0, endsBy: nil, began: milliseconds, ended: milliseconds)
    }

    @Test("It is late by what is more of its begin and its end; the end of a session is its user's doing")
    func measure() {
        let rows: [(beginsBy: UInt64, endsBy: UInt64?, began: UInt64, ended: UInt64, late: UInt64)] = [
            (60, 70, 60, 70, 0), (60, 70, 0, 1, 0), (60, 70, 61, 62, 1), (60, 70, 61, 80, 10), (60, 70, 59, 71, 1),
            (60, nil, 60, 1_000, 0), (60, nil, 65, 1_000, 5), (0, 0, 7, 9, 9),
        ]
        for row in rows {
            let measured = MissedPromises.Measured(
                beginsBy: row.beginsBy, endsBy: row.endsBy, began: row.began, ended: row.ended)
            #expect(measured.lateMilliseconds == row.late, "\(row)")
        }
    }

    @Test("A miss is forgotten after an hour, with the next promise that is kept, and for executorsMax others")
    func bounded() throws {
        var missed = MissedPromises()
        let (limits, now) = (missed.limits, MonotonicInstant.zero)
        let one = try did(0)
        missed.measured(one, late(limits.slackMilliseconds), now: now)
        #expect(missed.count == 0, "a second is no miss")
        missed.measured(one, late(limits.slackMilliseconds + 1), now: now)
        #expect(missed.lateMilliseconds(of: one, now: now) == limits.slackMilliseconds + 1)
        let hour = limits.rememberedMilliseconds
        #expect(missed.lateMilliseconds(of: one, now: now.advanced(milliseconds: hour - 1)) > 0)
        #expect(missed.lateMilliseconds(of: one, now: now.advanced(milliseconds: hour)) == 0)
        missed.measured(one, late(0), now: now)
        #expect(missed.count == 0)
        for number in 0...limits.executorsMax { missed.measured(try did(number), late(5_000), now: now) }
        #expect(missed.count == limits.executorsMax)
        #expect(missed.lateMilliseconds(of: one, now: now) == 0, "the eldest was forgotten")
        let last = try did(limits.executorsMax)
        #expect(missed.lateMilliseconds(of: last, now: now) == 5_000)
    }

    /// Two executors, of whom the first plans no time to fetch; `delay` is how long it fetches all the same.
    private func world(delayed delay: Int64) throws -> MarketWorld {
        var world = MarketWorld(executors: 2) { index, configuration in
            if index == 1 { configuration.executor?.preparationMilliseconds = 0 }
        }
        try world.submit(MarketWorld.request("proves it"))
        world.run(milliseconds: 60_000)
        world.parties[1].run = .starve
        let id = try world.submit(MarketWorld.request("late"))
        #expect(world.run(milliseconds: 5_000) { !$0.parties[1].fetching.isEmpty })
        world.run(milliseconds: delay)
        world.parties[1].run = .succeed(fuel: 1_000_000)
        let assignment = try #require(world.parties[1].fetching.keys.first)
        world.give(.executionPrepared(assignment: assignment), to: 1)
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
        world.run(milliseconds: 1_000)
        return world
    }

    private func ranking(_ world: inout MarketWorld, _ key: String) throws -> [RankedBid] {
        let id = try world.submit(MarketWorld.request(key))
        world.run(milliseconds: 60_000)
        let closed = world.parties[0].events.last { $0.jobID == id && $0.kindName == "bidding_closed" }
        guard case .biddingClosed(_, let ranking)? = closed?.kind else { return [] }
        return ranking
    }

    @Test("Who began late has half of its reputation in the next comparison, and all of it again after that")
    func reputation() throws {
        var (late, kept) = (try world(delayed: 3_000), try world(delayed: 0))
        let executor = late.parties[1].identity.did
        func standing(_ world: inout MarketWorld, _ key: String) throws -> UInt64 {
            try #require(try ranking(&world, key).first { $0.bidder == executor }?.parts[1])
        }
        let (halved, whole) = (try standing(&late, "next"), try standing(&kept, "next"))
        #expect(whole > 0 && halved == whole / 2)
        #expect(try standing(&late, "after that") > whole, "the last one was in time, and one more is known of it")
    }

    @Test("Where a job has a deadline, who was late is expected to be as late again")
    func deadline() throws {
        for (delay, isRefused) in [(Int64(3_000), true), (0, false)] {
            var world = try world(delayed: delay)
            var policy = ExecutionPolicy()
            // It promises ten seconds, the job's own timeout.
            policy.deadline = world.calendar(of: 0).advanced(milliseconds: 12_000)
            policy.allowedDIDs = [world.parties[1].identity.did]
            let id = try world.submit(MarketWorld.request("urgent") { $0.executionPolicy = policy })
            world.run(milliseconds: 900)
            let refused = world.job(id)?.refusedBids.map(\.refusal.name)
            #expect(refused == (isRefused ? [.deadlineTooLate] : []))
        }
    }
}
