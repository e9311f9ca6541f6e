import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// An originator asks an executor why it does not bid.
@Suite struct JobInquiryTests {
    /// The originator of a `MarketWorld`.
    private let originator = try! Identity(seed: Array(repeating: 1, count: 32)).did

    private func ask(_ world: inout MarketWorld, _ job: JobID, from peer: PeerID) -> MeshProtocolReply {
        world.parties[1].market.receive(
            .jobInquiry(JobInquiryV1(jobID: job)), from: peer, now: world.instant(of: 1),
            wallClock: world.calendar(of: 1)
        ).reply
    }

    @Test("An executor tells the originator of a job why it does not bid, and nobody else; private lists stay private")
    func answers() throws {
        let rows: [(change: (inout ExecutorConfiguration) -> Void, code: RefusalName)] = [
            ({ $0.limitsMax.maxFuel = 1 }, .limitTooLarge),
            ({ [originator] in $0.deniedOriginators = [originator] }, .noOffer),
            ({ $0.openBidsMax = 0 }, .noOffer),
            (
                {
                    $0.concurrentRunsMax = 0
                    $0.queuedRunsMax = 0
                }, .atCapacity
            ),
            ({ $0.acceptsJobs = false }, .notAccepting),
        ]
        for (change, code) in rows {
            var world = MarketWorld(executors: 1) { index, configuration in
                if index == 1, var executor = configuration.executor {
                    change(&executor)
                    configuration.executor = executor
                }
            }
            let id = try world.submit()
            world.run(milliseconds: 100)
            guard case .declined(let refusal) = ask(&world, id, from: world.parties[0].peer) else {
                Issue.record("no answer for \(code)")
                continue
            }
            #expect(refusal.code == .known(code))
            #expect(!refusal.text.contains("originator"), "\(refusal.text)")
            let stranger = Identity.generate().peerID
            if code != .notAccepting {
                #expect(
                    ask(&world, id, from: stranger)
                        == .refused(Refusal(.jobUnknown, "the job has not been announced here")))
            }
        }
    }

    @Test("A denied originator gets the answer that others get, whatever keeps the executor, and so cannot tell")
    func deniedAlike() throws {
        let long = CID.hashing(Array("long".utf8), codec: .raw)
        let rows: [(change: (inout ExecutorConfiguration) -> Void, asked: (inout MeshJobParams) -> Void, RefusalName)] =
            [
                ({ $0.limitsMax.maxFuel = 1 }, { _ in }, .limitTooLarge),
                ({ $0.looksModulesUp = true }, { $0.wasmCID = long }, .moduleBeyondLimits),
                (
                    { $0.region = "eu" },
                    {
                        $0.executionPolicy = ExecutionPolicy()
                        $0.executionPolicy?.regionFilter = ["mars"]
                    }, .regionNotAccepted
                ),
                (
                    {
                        $0.concurrentRunsMax = 0
                        $0.queuedRunsMax = 0
                    }, { _ in }, .atCapacity
                ),
            ]
        for (change, asked, code) in rows {
            let answers = try [false, true].map { isDenied in
                var world = MarketWorld(executors: 1) { index, configuration in
                    guard index == 1, var executor = configuration.executor else { return }
                    change(&executor)
                    if isDenied { executor.deniedOriginators = [originator] }
                    configuration.executor = executor
                }
                try #require(world.parties[0].identity.did == originator)
                world.parties[1].longModules = [long]
                let id = try world.submit(MarketWorld.request("job", asked))
                world.run(milliseconds: 200)
                return ask(&world, id, from: world.parties[0].peer)
            }
            #expect(answers[0] == answers[1], "\(code)")
            guard case .declined(let refusal) = answers[0] else {
                Issue.record("no answer for \(code): \(answers[0])")
                continue
            }
            #expect(refusal.code == .known(code))
        }
    }

    @Test("One that bids says so, and one that is asked too often stops answering for a while")
    func rate() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        world.run(milliseconds: 100)
        let limits = MarketLimits()
        for _ in 0..<limits.inquiryBurstMax { #expect(ask(&world, id, from: world.parties[0].peer) == .ack) }
        guard case .refused(let refusal) = ask(&world, id, from: world.parties[0].peer) else {
            Issue.record("it still answers")
            return
        }
        #expect(refusal.code == .known(.tooManyQuestions) && refusal.blame == .none)
        world.now = world.now.advanced(milliseconds: 1_000)
        #expect(ask(&world, id, from: world.parties[0].peer) == .ack)
    }

    @Test("It remembers a bounded number of jobs that it did not bid on")
    func forgotten() throws {
        var world = MarketWorld(executors: 1) { index, configuration in
            configuration.limits.declinesToldMax = 3
            if index == 1 { configuration.executor?.limitsMax.maxFuel = 1 }
        }
        let jobs = try (0..<4).map { try world.submit(MarketWorld.request("job-\($0)")) }
        world.run(milliseconds: 100)
        let asked = world.parties[0].peer
        let known = jobs.count { job in
            if case .declined = ask(&world, job, from: asked) { true } else { false }
        }
        #expect(known == 3)
    }
}
