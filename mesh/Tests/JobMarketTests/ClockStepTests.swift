import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// An hour and a day, both ways, in milliseconds.
private let clockSteps: [Int64] = [3_600_000, -3_600_000, 86_400_000, -86_400_000]

/// The calendar of a node is set, or its machine slept, while jobs go on.
@Suite("Clocks that are set")
struct ClockStepTests {
    enum Phase: CaseIterable {
        case bidding, confirmation, running, receipt
    }

    private func world() -> MarketWorld {
        MarketWorld(executors: 2) { _, configuration in configuration.originator.sufficientBids = 2 }
    }

    private func reach(_ phase: Phase, _ id: JobID, _ world: inout MarketWorld) -> Bool {
        world.run(milliseconds: 5000) { world in
            switch phase {
            case .bidding: world.job(id)?.bids.count == 1
            case .confirmation: world.job(id)?.status == .awaitingAssignmentConfirmation
            case .running: world.job(id)?.status == .running
            case .receipt: world.job(id)?.receipt != nil
            }
        }
    }

    /// When each event of each journal happened, on the clock that makes no steps.
    private struct Course: Equatable {
        var names: [[String]]
        var endedAt: MonotonicInstant
    }

    private func course(_ step: Int64, _ parties: [Int], at phase: Phase) throws -> Course {
        var world = world()
        let id = try world.submit()
        #expect(reach(phase, id, &world))
        for party in parties { world.parties[party].clockStepMilliseconds = step }
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.isClosed ?? false })
        let endedAt = world.now
        world.run(milliseconds: 1_200_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 1)
        #expect(world.parties[0].market.ledger.entries.count { $0.kind == .settle } == 1)
        #expect(world.totalTokens == 1_000_000)
        #expect(world.parties[0].market.ledger.escrowTotal == .zero)
        for index in world.parties.indices { world.expectSameAfterReplay(index) }
        return Course(names: world.parties.indices.map(world.names(of:)), endedAt: endedAt)
    }

    @Test("A step of an hour or a day, either way, on either side and in each phase changes no lease and no money")
    func steps() throws {
        for phase in Phase.allCases {
            let reference = try course(0, [], at: phase)
            for step in clockSteps {
                for parties in [[0], [1, 2], [0, 1, 2]] {
                    let stepped = try course(step, parties, at: phase)
                    #expect(stepped == reference, "\(step) ms at \(parties) while \(phase)")
                }
            }
        }
    }

    @Test("Leases and time limits end when they would have ended", arguments: clockSteps)
    func limits(step: Int64) throws {
        for party in 0...1 {
            var world = world()
            world.parties[1].run = .hang
            let id = try world.submit()
            #expect(reach(.running, id, &world))
            world.parties[party].clockStepMilliseconds = step
            world.run(milliseconds: 19_000)
            #expect(world.job(id)?.attempts.map(\.end) == [nil], "heartbeats keep the lease")
            world.run(milliseconds: 2000)
            #expect(world.job(id)?.attempts.first?.end == .executionTimedOut)
            world.run(milliseconds: 5000)
            #expect(world.job(id)?.result == .completedSuccessfully)
        }
        var silent = world()
        silent.parties[1].run = .hang
        let id = try silent.submit()
        #expect(reach(.running, id, &silent))
        silent.parties[1].isDown = true
        silent.parties[0].clockStepMilliseconds = step
        let lease = Int64(silent.job(id)?.attempts.first?.assignment.leaseMilliseconds ?? 0)
        silent.run(milliseconds: lease - 1000)
        #expect(silent.job(id)?.attempts.count == 1)
        silent.run(milliseconds: 2000)
        #expect(silent.job(id)?.attempts.first?.end == .leaseExpired(lastStatus: .running))
    }

    @Test("Bids lapse when they would have lapsed", arguments: clockSteps)
    func bids(step: Int64) throws {
        var world = world()
        let stranger = try ExecutorShareTests.stranger(1)
        let message = try ExecutorShareTests.announcement(by: stranger, 0, world)
        world.give(message, author: stranger.peerID, to: 1)
        world.parties[1].clockStepMilliseconds = step
        func open() -> Int { world.parties[1].market.executedJobs.count(where: \.isOpenBid) }
        world.run(milliseconds: 29_000)
        #expect(open() == 1)
        world.run(milliseconds: 2000)
        #expect(open() == 0)
    }

    @Test("A clock that was set back while a node was down makes nothing last longer")
    func setBackAcrossARestart() throws {
        var world = world()
        world.parties[1].run = .hang
        let id = try world.submit()
        #expect(reach(.running, id, &world))
        world.parties[0].clockStepMilliseconds = -86_400_000
        try world.restart(0, afterMilliseconds: 1000)
        #expect(world.run(milliseconds: 30_000) { $0.job(id)?.result != nil }, "a phase lasts for a day")
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.totalTokens == 1_000_000)
    }

    @Test("What others sign is judged by the calendar as it is set, and manifests are dated by it")
    func objectsOfOthers() throws {
        var world = world()
        let stranger = try ExecutorShareTests.stranger(1)
        let message = try ExecutorShareTests.announcement(by: stranger, 0, world)
        world.parties[1].clockStepMilliseconds = 86_400_000
        world.give(message, author: stranger.peerID, to: 1)
        #expect(world.parties[1].market.executedJobs.isEmpty, "the job has expired by then")
        world.parties[0].clockStepMilliseconds = 86_400_000
        let id = try world.submit()
        #expect(world.job(id)?.manifest.submittedAt == world.calendar(of: 0))
    }

    @Test("A node learns from three peers that its clock is wrong, and not from two, nor from times within the skew")
    func wrongClock() throws {
        func offset(ahead: [Int64]) throws -> Int64? {
            var world = world()
            for (number, ahead) in ahead.enumerated() {
                let peer = try ExecutorShareTests.stranger(number)
                let issued = UnixMilliseconds(UInt64(Int64(world.wallClock.value) + ahead))
                let capability = NodeCapability(
                    nodeDID: peer.did, peerID: peer.peerID, issuedAt: issued,
                    validUntil: issued.advanced(milliseconds: 120_000))
                let block = try SignedObject.sign(capability, with: peer).bytes
                let message = MeshProtocolMessage.capabilityAdvertisement(CapabilityAdvertisementV1(capability: block))
                world.give(message, author: peer.peerID, to: 1)
            }
            return world.parties[1].market.clockOffsetMilliseconds
        }
        #expect(try offset(ahead: [3_600_000, 3_600_000]) == nil)
        #expect(try offset(ahead: [3_600_000, 3_600_000, 3_600_100]) == 3_600_000)
        #expect(try offset(ahead: [-86_400_000, -86_400_000, 0]) == -86_400_000)
        #expect(try offset(ahead: [0, 0, 3_600_000]) == nil, "one that is wrong itself")
        #expect(try offset(ahead: [200_000, 250_000, 290_000]) == nil, "within the skew")
        // More peers than are remembered: the latest count.
        let many = [Int64](repeating: 0, count: 64) + [Int64](repeating: 3_600_000, count: 64)
        #expect(try offset(ahead: many) == 3_600_000)
    }

    // MARK: Machines that sleep

    @Test("A lease is counted while its originator is awake", arguments: [12_000, 60_000, 300_000])
    func sleepingOriginator(milliseconds: Int64) throws {
        var world = world()
        world.parties[1].run = .hang
        let id = try world.submit(MarketWorld.request { $0.timeoutSeconds = 600 })
        #expect(reach(.running, id, &world))
        world.suspend(0, milliseconds: milliseconds)
        #expect(world.job(id)?.attempts.map(\.end) == [nil], "the lease did not end in the sleep")
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.attempts.map(\.end) == [nil], "heartbeats keep the lease")
        let order = try #require(world.parties[1].orders.last)
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1, of: 1, after: 1)
        world.run(milliseconds: 10_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.job(id)?.attempts.count == 1)
    }

    @Test("Who sleeps longer than its lease is replaced and not paid", arguments: [60_000, 3_600_000])
    func sleepingExecutor(milliseconds: Int64) throws {
        var world = world()
        let id = try world.submit()
        #expect(reach(.running, id, &world))
        world.suspend(1, milliseconds: milliseconds)
        let job = try #require(world.job(id))
        #expect(job.attempts.first?.end == .leaseExpired(lastStatus: .running))
        #expect(job.attempts.count == 2)
        #expect(job.result == .completedSuccessfully)
        #expect(world.parties[1].market.executedJob(id)?.receipt == nil, "it stood still")
        world.run(milliseconds: 1_200_000)
        #expect(world.parties[1].market.executedJob(id)?.receipt?.outcome == .exited(code: 0))
        #expect(world.parties[1].market.ledger.earned == .zero)
        #expect(world.parties[0].market.ledger.entries.count { $0.kind == .settle } == 1)
        #expect(world.totalTokens == 1_000_000)
        #expect(world.parties[0].market.ledger.escrowTotal == .zero)
    }

    @Test("A bid lapses after as much time awake as it was good for")
    func sleepingBidder() throws {
        var world = world()
        let stranger = try ExecutorShareTests.stranger(1)
        let message = try ExecutorShareTests.announcement(by: stranger, 0, world)
        world.give(message, author: stranger.peerID, to: 1)
        func open() -> Int { world.parties[1].market.executedJobs.count(where: \.isOpenBid) }
        world.run(milliseconds: 10_000)
        world.suspend(1, milliseconds: 3_600_000)
        world.run(milliseconds: 19_000)
        #expect(open() == 1)
        world.run(milliseconds: 2_000)
        #expect(open() == 0)
    }

    @Test("Whoever sleeps, when and for how long, a job is paid at most once and nothing stays held")
    func sleepsAndMoney() throws {
        for phase in Phase.allCases {
            for sleeper in 0...2 {
                for milliseconds: Int64 in [8_000, 60_000, 3_600_000, 86_400_000] {
                    var world = world()
                    let id = try world.submit()
                    #expect(reach(phase, id, &world))
                    world.suspend(sleeper, milliseconds: milliseconds)
                    world.run(milliseconds: 1_200_000)
                    let what = "party \(sleeper) slept for \(milliseconds) ms while \(phase)"
                    let job = try #require(world.job(id))
                    #expect(job.isClosed, "\(what)")
                    let isPaid = job.result == .completedSuccessfully
                    let mayFail = sleeper == 0 && milliseconds > 60_000
                    #expect(isPaid || mayFail, "\(what): \(String(describing: job.failure))")
                    let settlements = world.parties[0].market.ledger.entries.count { $0.kind == .settle }
                    #expect(settlements == (isPaid ? 1 : 0), "\(what)")
                    #expect(world.totalTokens == 1_000_000, "\(what)")
                    #expect(world.parties[0].market.ledger.escrowTotal == .zero, "\(what)")
                    for index in world.parties.indices { world.expectSameAfterReplay(index) }
                }
            }
        }
    }
}
