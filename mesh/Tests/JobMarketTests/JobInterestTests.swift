import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// An executor that would bid and cannot now says so by itself.
@Suite struct JobInterestTests {
    private func interests(_ world: MarketWorld) -> [JobInterestV1] {
        world.log.compactMap { if case .jobInterest(let interest) = $0 { interest } else { nil } }
    }

    private func world(_ change: @escaping (inout ExecutorConfiguration) -> Void) -> MarketWorld {
        MarketWorld(executors: 1) { index, configuration in
            guard index == 1, var executor = configuration.executor else { return }
            change(&executor)
            configuration.executor = executor
        }
    }

    @Test("Whoever is full says so; whoever will never bid, or keeps its reasons to itself, is silent")
    func reasons() throws {
        let originator = MarketWorld(executors: 1).parties[0].identity.did
        let rows: [(change: (inout ExecutorConfiguration) -> Void, code: RefusalName?)] = [
            (
                {
                    $0.concurrentRunsMax = 0
                    $0.queuedRunsMax = 0
                }, .atCapacity
            ),
            ({ $0.openBidsMax = 0 }, .noOffer),
            ({ $0.limitsMax.maxFuel = 1 }, nil),
            ({ $0.deniedOriginators = [originator] }, nil),
            ({ $0.acceptsJobs = false }, nil),
        ]
        for (index, row) in rows.enumerated() {
            var world = world(row.change)
            let id = try world.submit()
            world.run(milliseconds: 100)
            let said = interests(world)
            #expect(said.compactMap(\.code) == (row.code.map { [.known($0)] } ?? []), "row \(index): \(said)")
            for interest in said {
                #expect(interest.jobID == id && interest.executorDID == world.parties[1].identity.did)
                #expect(interest.refusal?.text.isEmpty == false)
            }
        }
    }

    @Test("It says so of a bounded number of jobs of one originator a second")
    func rate() throws {
        var world = world {
            $0.concurrentRunsMax = 0
            $0.queuedRunsMax = 0
        }
        let limits = MarketLimits()
        for number in 0..<limits.interestBurstMax + 20 { _ = try world.submit(MarketWorld.request("job \(number)")) }
        world.run(milliseconds: 100)
        let said = interests(world).count
        #expect(said >= limits.interestBurstMax && said <= limits.interestBurstMax + limits.interestsPerSecondMax)
    }

    @Test("Nobody speaks for another executor, nor of a job that is not open")
    func others() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        let (executor, stranger) = (world.parties[1], Identity.generate())
        func answer(_ job: JobID, from peer: PeerID) -> RefusalCode? {
            let interest = JobInterestV1(
                jobID: job, executorDID: executor.identity.did, Refusal(.atCapacity, "full"))
            let (reply, _) = world.parties[0].market.receive(
                .jobInterest(interest), from: peer, now: world.instant(of: 0), wallClock: world.calendar(of: 0))
            if case .refused(let refusal) = reply { return refusal.code }
            return nil
        }
        #expect(answer(id, from: executor.peer) == nil)
        #expect(answer(id, from: stranger.peerID) == .known(.wrongPeer))
        #expect(answer(JobID(CID.hashing([1], codec: .dagCBOR)), from: executor.peer) == .known(.jobUnknown))
        world.run(milliseconds: 5_000)
        #expect(world.job(id)?.receipt != nil)
        #expect(answer(id, from: executor.peer) == .known(.jobUnknown))
    }
}
